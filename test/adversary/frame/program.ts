/** What the soak runs: programs that plan a round from a seed, and run it against a service that they know from documents. */
import type { Violation } from "./checks.ts";
import type { Random } from "./random.ts";
import type { Round } from "./round.ts";

export interface Scale {
  /** Rounds of a few seconds, for the tests of every day. */
  readonly brief: boolean;
  /** Features that plans do without, by the names of `Program.features`. */
  readonly without: ReadonlySet<string>;
  /** Promises whose breach does not end a round. */
  readonly tolerated: ReadonlySet<string>;
  /** A share of the time that things may take; all of it, where it is left out. Proofs that checks can fail have little. */
  readonly patience?: number;
  /** A failure shows so many lines of its history. */
  readonly lines: number;
}

/** A smaller plan, with a name that leads to it again from the plan that it was made of. */
export interface Smaller<Plan> {
  readonly name: string;
  readonly plan: Plan;
}

export interface Program<Plan = unknown> {
  readonly name: string;
  readonly summary: string;
  /** Every promise that it looks after, in words, by the name that checks give it. */
  readonly invariants: Readonly<Record<string, string>>;
  /** What can be left out of plans, with a word on each. */
  readonly features: Readonly<Record<string, string>>;
  /** A plan is data: all chance is in it, and a run draws none. */
  plan(random: Random, scale: Scale): Plan;
  /** Carries a plan out. Throws a `Violation` where a promise is broken. */
  run(plan: Plan, round: Round): Promise<void>;
  /** Plans that might still fail, the most promising first. The names depend on the plan alone. */
  smaller(plan: Plan, violation?: Violation): Smaller<Plan>[];
  /** How large a plan is, in words. */
  size(plan: Plan): string;
}
