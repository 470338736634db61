/** That an invariant is looked after: a plan that is kept by the service, and is not by the service and a liar. */
import { expect } from "vitest";
import { attempt } from "../frame/attempt.ts";
import type { Program, Scale } from "../frame/program.ts";
import type { Service } from "../frame/service.ts";
import { Liar, type Lie } from "./liar.ts";

export interface Proof<Plan> {
  readonly invariant: string;
  readonly plan: Plan;
  readonly lie: Lie;
  /** Nothing is waited for longer than this share of the usual time. */
  readonly patience?: number;
}

export type NamedProof<Plan> = readonly [name: string, proof: Proof<Plan>];

const scaleOf = (patience = 1): Scale => ({
  brief: true,
  without: new Set(),
  tolerated: new Set(),
  lines: 30,
  patience,
});

async function broken<Plan>(program: Program<Plan>, plan: Plan, service: Service, patience?: number) {
  const { failure } = await attempt(program, plan, service, scaleOf(patience));
  return failure && [`${failure.violation.invariant}: ${failure.violation.words}`, ...failure.history].join("\n");
}

/** `truth`: something that the documents allow, and that the service by itself does at its own time only. */
export async function keeps<Plan>(program: Program<Plan>, plan: Plan, service: Service, truth?: Lie): Promise<void> {
  const liar = truth && (await Liar.before(service, truth));
  try {
    expect(await broken(program, plan, liar?.seen ?? service)).toBeUndefined();
  } finally {
    liar?.end();
  }
}

export async function finds<Plan>(program: Program<Plan>, proof: Proof<Plan>, service: Service): Promise<void> {
  const liar = await Liar.before(service, proof.lie);
  try {
    const words = await broken(program, proof.plan, liar.seen, proof.patience);
    expect(words?.split(":")[0], words).toBe(proof.invariant);
  } finally {
    liar.end();
  }
}
