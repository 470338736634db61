/** A plan, run once: what came of it. */
import { type Checks, Violation } from "./checks.ts";
import { Lost } from "./http.ts";
import type { Program, Scale } from "./program.ts";
import { Round } from "./round.ts";
import type { Service } from "./service.ts";

/** No round takes so long; one that does waits for what never comes. */
const roundMs = 300_000;

export interface Failure {
  readonly violation: Violation;
  readonly history: readonly string[];
}

export interface Outcome {
  readonly failure: Failure | undefined;
  readonly operations: number;
  readonly checks: Checks;
}

export async function attempt<Plan>(
  program: Program<Plan>,
  plan: Plan,
  service: Service,
  scale: Scale,
): Promise<Outcome> {
  const round = new Round(service, scale);
  const bound = setTimeout(() => round.stop(), roundMs);
  const outcome = (failure: Failure | undefined) => ({ failure, operations: round.operations, checks: round.checks });
  try {
    await round.during(() => program.run(plan, round));
    return outcome(undefined);
  } catch (error) {
    const violation = violationOf(error as Error, round);
    return outcome({ violation, history: round.history.about(violation.subjects, scale.lines) });
  } finally {
    clearTimeout(bound);
  }
}

/** What is thrown otherwise is a fault of the program, not of the service. */
function violationOf(error: Error, round: Round): Violation {
  if (error instanceof Violation) return error;
  const { died } = round.service;
  if (died !== undefined) return new Violation("alive", died);
  if (error instanceof Lost) return new Violation("answered", error.message);
  throw error;
}
