/** Cuts scripts down. */
import type { Violation } from "../frame/checks.ts";
import type { Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { apart, livelier, moved } from "../frame/shrink-scripts.ts";
import type { HistoryPlan, Script, Step } from "./plan.ts";

export function smallerHistories(plan: HistoryPlan, violation?: Violation): Smaller<HistoryPlan>[] {
  const alone = apart<Script, HistoryPlan>(plan, violation);
  if (alone !== undefined) return alone;
  const found = livelier(plan);
  const [script] = plan.scripts as [Script];
  const of = (changed: Partial<Script>, kills = plan.kills): HistoryPlan => ({
    scripts: [{ ...script, ...changed }],
    kills,
  });
  for (const { name, list } of thinner(script.steps, "steps"))
    found.push({ name, plan: of({ steps: list }, moved(plan.kills, name)) });
  for (const [name, steps] of simpler(script.steps)) found.push({ name, plan: of({ steps }) });
  if (script.partitions > 1) found.push({ name: "one-partition", plan: of({ partitions: 1 }) });
  return found;
}

/** Fewer batches of a step, fewer queries. */
function* simpler(steps: readonly Step[]): Generator<readonly [string, Step[]]> {
  for (const [i, step] of steps.entries()) {
    if (step.do === "append")
      for (const { name, list } of thinner(step.batches, `batches-${i}`))
        yield [name, steps.with(i, { ...step, batches: list })];
    if (step.do === "look")
      for (const { name, list } of thinner(step.queries, `queries-${i}`))
        yield [name, steps.with(i, { ...step, queries: list })];
  }
}
