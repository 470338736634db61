/** Cuts scripts down. */
import type { Violation } from "../frame/checks.ts";
import type { Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { apart, livelier, moved } from "../frame/shrink-scripts.ts";
import type { LogPlan, Script, Step } from "./plan.ts";

export function smallerLogs(plan: LogPlan, violation?: Violation): Smaller<LogPlan>[] {
  const alone = apart<Script, LogPlan>(plan, violation);
  if (alone !== undefined) return alone;
  const found = livelier(plan);
  const [script] = plan.scripts as [Script];
  for (const { name, list } of thinner(script.steps, "steps")) {
    found.push({ name, plan: { scripts: [{ ...script, steps: list }], kills: moved(plan.kills, name) } });
  }
  for (const [name, steps] of simpler(script.steps))
    found.push({ name, plan: { ...plan, scripts: [{ ...script, steps }] } });
  if (script.terms.partitions > 1) {
    const terms = { ...script.terms, partitions: 1 };
    found.push({ name: "one-partition", plan: { ...plan, scripts: [{ ...script, terms }] } });
  }
  return found;
}

/** Fewer writes of a step, fewer records of a write, fewer queries. */
function* simpler(steps: readonly Step[]): Generator<readonly [string, Step[]]> {
  for (const [i, step] of steps.entries()) {
    if (step.do === "look") {
      for (const { name, list } of thinner(step.queries, `queries-${i}`))
        yield [name, steps.with(i, { ...step, queries: list })];
    }
    if (step.do !== "append" && step.do !== "socket") continue;
    for (const { name, list } of thinner(step.writes, `writes-${i}`))
      yield [name, steps.with(i, { ...step, writes: list })];
    for (const [w, write] of step.writes.entries()) {
      for (const { name, list } of thinner(write.records, `records-${i}-${w}`)) {
        yield [name, steps.with(i, { ...step, writes: step.writes.with(w, { ...write, records: list }) })];
      }
    }
  }
}
