/** Webhooks: what receivers with bad habits see, and what is said of them. */
import type { Program, Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { webhookPlan } from "./generate.ts";
import type { Beat, PushGroup, WebhookPlan } from "./plan.ts";
import { runWebhooks } from "./run.ts";

function smaller(plan: WebhookPlan, blamed: number): Smaller<WebhookPlan>[] {
  const found: Smaller<WebhookPlan>[] = [];
  if (plan.groups.length > 1) {
    const order = [...plan.groups.keys()].sort((a, b) => Number(b === blamed) - Number(a === blamed));
    for (const i of order) found.push({ name: `only-${i}`, plan: only(plan, i) });
    return found;
  }
  const kills = plan.beats.filter((beat) => beat.do === "kill");
  if (kills.length > 0)
    found.push({ name: "no-kills", plan: { ...plan, beats: plan.beats.filter((one) => one.do !== "kill") } });
  if (plan.idleMs > 0) found.push({ name: "no-end", plan: { ...plan, idleMs: 0, killAtEnd: false } });
  for (const { name, list } of thinner(plan.beats, "beats")) found.push({ name, plan: { ...plan, beats: list } });
  const [group] = plan.groups as [PushGroup];
  for (const { name, list } of thinner(group.phases, "phases")) {
    found.push({ name, plan: { ...plan, groups: [{ ...group, phases: list }] } });
  }
  if (plan.partitions > 1) found.push({ name: "one-partition", plan: { ...plan, partitions: 1 } });
  for (const [i, beat] of plan.beats.entries()) {
    if (beat.do !== "append") continue;
    for (const { name, list } of thinner(beat.records, `records-${i}`)) {
      found.push({ name, plan: { ...plan, beats: plan.beats.with(i, { ...beat, records: list }) } });
    }
  }
  return found;
}

function only(plan: WebhookPlan, group: number): WebhookPlan {
  const beats = plan.beats.filter((beat) => !("group" in beat) || beat.group === group);
  const moved = beats.map((beat): Beat => ("group" in beat ? { ...beat, group: 0 } : beat));
  return { ...plan, groups: [plan.groups[group] as PushGroup], beats: moved };
}

export const webhook: Program<WebhookPlan> = {
  name: "webhook",
  summary: "receivers with every bad habit, against what a push promises",
  invariants: {
    unchanged: "attributes and data arrive as they were appended, in every format",
    "webhook-id": "a push has the same webhook-id at every attempt, and no other records have it",
    signature: "every request is signed by the secrets of the moment, and by nothing else",
    target: "requests go to the group's target, and follow no redirect",
    order: "no record comes while an earlier one of its key is unfinished",
    "settled-once": "what was confirmed does not come again",
    attempts: "attempts count the record's own failures, and nothing else",
    concurrency: "no more requests are open than were allowed",
    healthy: "keys that do not fail are not stopped by those that do",
    turns: "while fresh records wait, old failures get one turn in ten",
    "own-failures": "a record dies by its own failures",
    tries: "a letter tells every attempt",
    "retry-after": "a receiver that asks to be left alone is",
    gone: "a 410 pauses the whole group",
    paused: "a pause holds everything",
    "told-paused": "the group and its status agree on a pause",
    "not-paused": "failures of a few records do not pause a group",
    handshake: "without consent nothing is pushed",
    "attempts-told": "the last requests are told with their answers, later and after a kill too",
    drained: "everything is confirmed in a bounded time once the receiver is good",
  },
  features: {
    kills: "deaths of the service",
    growth: "more partitions",
    attempts: "a look at the attempts some time later, and after a kill",
    poison: "some keys never succeed",
    quirks: "failures, lost connections, slow and late and huge answers",
    busy: "429 and 503, with every form of Retry-After",
    capped: "a Retry-After of centuries",
    gone: "410",
    down: "everything fails, until the group pauses",
    away: "nobody listens for a while",
    handshake: "consent is refused at first",
    moving: "pauses, other secrets and other targets amid the work",
  },
  plan: webhookPlan,
  run: runWebhooks,
  smaller: (plan, violation) => {
    const named = violation?.subjects.find((subject) => /^g\d+$/.test(subject));
    return smaller(plan, named === undefined ? -1 : Number(named.slice(1)));
  },
  size: ({ groups, beats }) => {
    const records = beats.reduce((sum, one) => sum + (one.do === "append" ? one.records.length : 0), 0);
    return `${groups.map(({ theme }) => theme).join(", ")}; ${beats.length} beats, ${records} records`;
  },
};
