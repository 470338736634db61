/** Cuts scripts down. */
import type { Violation } from "../frame/checks.ts";
import type { Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { apart, livelier, moved } from "../frame/shrink-scripts.ts";
import type { GroupConfig, Script, ScriptPlan, Step } from "./plan.ts";

export function smallerScripts(plan: ScriptPlan, violation: Violation | undefined): Smaller<ScriptPlan>[] {
  const alone = apart<Script, ScriptPlan>(plan, violation);
  if (alone !== undefined) return alone;
  const found = livelier(plan);
  const [script] = plan.scripts as [Script];
  for (const { name, list } of thinner(script.steps, "steps")) {
    found.push({ name, plan: { ...plan, scripts: [{ ...script, steps: list }], kills: moved(plan.kills, name) } });
  }
  for (const [name, simple] of simpler(script)) found.push({ name, plan: { ...plan, scripts: [simple] } });
  return found;
}

const usual: Partial<GroupConfig> = {
  order: "key",
  maxInFlight: 1000,
  memberMaxInFlight: null,
  filter: null,
  backoff: [0],
  ackTimeoutMs: 15_000,
  maxDeliveries: 1,
  onFailure: "block",
};

function* simpler(script: Script): Generator<readonly [string, Script]> {
  if (script.partitions > 1) yield ["one-partition", { ...script, partitions: 1 }];
  for (const [name, value] of Object.entries(usual)) {
    if (JSON.stringify(script.group[name as keyof GroupConfig]) === JSON.stringify(value)) continue;
    yield [`usual:${name}`, { ...script, group: { ...script.group, [name]: value } }];
  }
  for (const [i, step] of script.steps.entries()) {
    if (step.do !== "append" || step.records.length === 1) continue;
    for (const { name, list } of thinner(step.records, `records-${i}`)) {
      const steps: Step[] = script.steps.with(i, { ...step, records: list }) as Step[];
      yield [name, { ...script, steps }];
    }
  }
}
