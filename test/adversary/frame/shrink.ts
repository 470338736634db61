/**
 * From a plan that fails to a small one that fails likewise: the first smaller plan that breaks the same promise takes its
 * place, until there is none, or the time is over. What the machine does between is not repeatable, so each gets a few runs.
 */
import { attempt, type Failure } from "./attempt.ts";
import type { Program, Scale } from "./program.ts";
import type { Service } from "./service.ts";

export interface Shrunk<Plan> {
  readonly plan: Plan;
  readonly failure: Failure;
  /** Names of the steps from the plan to the smaller one. */
  readonly path: readonly string[];
  /** How often the plan failed, of how many runs. */
  readonly again: readonly [failed: number, runs: number];
}

export interface Shrinking<Plan> {
  readonly program: Program<Plan>;
  readonly service: () => Promise<Service>;
  readonly scale: Scale;
  readonly boundMs: number;
}

export async function shrink<Plan>(work: Shrinking<Plan>, plan: Plan, failure: Failure): Promise<Shrunk<Plan>> {
  const end = performance.now() + work.boundMs;
  const { invariant } = failure.violation;
  let best = { plan, failure, path: [] as string[] };
  const failures: Failure[] = [];
  let runs = 0;
  // Most of the time is for smaller plans.
  for (; runs < 2 && performance.now() < end - work.boundMs * 0.8; runs++) {
    failures.push(...(await fails(work, plan, invariant, 1)));
  }
  const again = [failures.length, runs] as const;
  // A plan that fails each time need not be tried twice.
  const tries = failures.length === runs ? 1 : 2;
  for (let found = true; found && performance.now() < end; ) {
    found = false;
    for (const { name, plan: smaller } of work.program.smaller(best.plan, best.failure.violation)) {
      if (performance.now() > end) break;
      const [came] = await fails(work, smaller, invariant, tries);
      if (came === undefined) continue;
      best = { plan: smaller, failure: came, path: [...best.path, name] };
      found = true;
      break;
    }
  }
  return { ...best, again };
}

/** The failure, or none, of so many runs at most. */
async function fails<Plan>(
  work: Shrinking<Plan>,
  plan: Plan,
  invariant: string,
  tries: number,
): Promise<readonly Failure[]> {
  for (let run = 0; run < tries; run++) {
    const { failure } = await attempt(work.program, plan, await work.service(), work.scale);
    if (failure?.violation.invariant === invariant) return [failure];
  }
  return [];
}

/** The plan at the end of a path. */
export function follow<Plan>(program: Program<Plan>, plan: Plan, path: readonly string[]): Plan {
  return path.reduce((from, name) => {
    const step = program.smaller(from).find((one) => one.name === name);
    if (step === undefined) throw new Error(`there is no step '${name}' from that plan`);
    return step.plan;
  }, plan);
}

/** A list without a part of it: halves first, then ever smaller parts, down to single ones. */
export function thinner<T>(list: readonly T[], name: string): { name: string; list: T[] }[] {
  const found: { name: string; list: T[] }[] = [];
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    // The later part first: what fails early needs no end.
    for (let from = size * Math.floor((list.length - 1) / size); from >= 0; from -= size) {
      const to = Math.min(from + size, list.length);
      if (to - from === list.length) continue;
      found.push({ name: `${name}-${from}-${to}`, list: [...list.slice(0, from), ...list.slice(to)] });
    }
  }
  return found;
}
