/** Ways to make a plan of several scripts smaller that every program with scripts has. */
import type { Violation } from "./checks.ts";
import type { Kill } from "./gate.ts";
import type { Smaller } from "./program.ts";
import { thinner } from "./shrink.ts";

interface Scripted<Script> {
  readonly scripts: readonly Script[];
  readonly kills: readonly Kill[];
}

/** One script alone, the one that is to blame first; undefined where there is no more than one. */
export function apart<Script, Plan extends Scripted<Script>>(
  plan: Plan,
  violation: Violation | undefined,
): Smaller<Plan>[] | undefined {
  if (plan.scripts.length < 2) return undefined;
  const found: Smaller<Plan>[] = [];
  const blamed = Number(violation?.subjects.find((subject) => /^s\d+$/.test(subject))?.slice(1) ?? -1);
  for (const [i, script] of plan.scripts.entries()) {
    const smaller = { name: `only-${i}`, plan: { ...plan, scripts: [script] } };
    if (i === blamed) found.unshift(smaller);
    else found.push(smaller);
  }
  return found;
}

/** The same with fewer deaths of the service. */
export function livelier<Plan extends { readonly kills: readonly Kill[] }>(plan: Plan): Smaller<Plan>[] {
  const found: Smaller<Plan>[] = [];
  if (plan.kills.length > 0) found.push({ name: "no-kills", plan: { ...plan, kills: [] } });
  for (const { name, list } of thinner(plan.kills, "kills")) found.push({ name, plan: { ...plan, kills: list } });
  return found;
}

/** Where steps were left out, by the name that says which: a kill stays between those that it stood between. */
export function moved(kills: readonly Kill[], name: string): Kill[] {
  const [, from, to] = name.split("-").map(Number) as [number, number, number];
  return kills.map((kill) => ({ ...kill, step: kill.step - Math.max(0, Math.min(kill.step, to) - from) }));
}
