/** Doors: odd values in every field, in by every way and out again by every other. */
import type { Program } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { doorsPlan } from "./generate.ts";
import { type DoorsPlan, outs, textFields } from "./plan.ts";
import { runDoors } from "./run.ts";

export const doors: Program<DoorsPlan> = {
  name: "doors",
  summary: "odd values in every field, in by every way and out by every other",
  invariants: {
    "never-5xx": "what a client sends is never the service's fault",
    limits: "the limits are those of GET /v1/config",
    allowed: "what the documents allow in a field is taken, by every way in",
    forbidden: "what they forbid is refused",
    problem: "a refusal is a problem, in the form that is promised",
    named: "a refusal names the field, or the place in the body",
    placed: "a refusal of one record among several says which",
    verdicts: "every record has a verdict",
    distinct: "texts that differ are different keys and ids",
    together: "records of a key lie in one partition",
    "nothing-else": "what was refused is not there",
    "asked-for": "a filter lets through what has the very text",
    once: "no record comes twice where it was sent once",
    complete: "everything comes out by every way",
    "same-name": "what has an id is known again, by whatever way it comes",
    "last-counts": "of a member that comes twice the last one is stored",
    echoed: "what a call sets is told as it was sent",
    told: "a letter tells who failed, and why, as it was said",
    "lanes-told": "lanes tell their keys",
    readable: "whatever was stored can be read",
    ...Object.fromEntries(
      [...outs.filter((out) => out !== "lanes"), "redrive", "dead-stream"].map((out) => [
        `same-${out}`,
        `by ${out} a record comes out as it was sent`,
      ]),
    ),
  },
  features: {
    ...Object.fromEntries([...textFields, "name", "value", "data"].map((field) => [field, `odd values of ${field}`])),
    ...Object.fromEntries(outs.map((out) => [out, `the way out ${out}`])),
    mixed: "records in which several fields are odd",
    elsewhere: "odd values where a record has none",
    bodies: "whole bodies that are odd",
    again: "what has an id, sent again by another way",
    kills: "deaths of the service between in and out",
  },
  plan: doorsPlan,
  run: runDoors,
  smaller: (plan) => [
    ...(plan.kills.length > 0 ? [{ name: "no-kills", plan: { ...plan, kills: [] } }] : []),
    ...(plan.bodies ? [{ name: "no-bodies", plan: { ...plan, bodies: false } }] : []),
    ...(plan.again ? [{ name: "not-again", plan: { ...plan, again: false } }] : []),
    ...thinner(plan.drafts, "drafts").map(({ name, list }) => ({ name, plan: { ...plan, drafts: list } })),
    ...thinner(plan.elsewhere, "elsewhere").map(({ name, list }) => ({ name, plan: { ...plan, elsewhere: list } })),
    ...thinner(plan.outs, "outs").map(({ name, list }) => ({ name, plan: { ...plan, outs: list } })),
  ],
  size: ({ drafts, elsewhere, outs: out }) =>
    `${drafts.length} records, ${elsewhere.length} values elsewhere, ${out.length} ways out`,
};
