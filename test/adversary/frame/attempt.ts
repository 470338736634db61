/** A plan, run once: what came of it. */
import { type Checks, Violation } from "./checks.ts";
import { Lost } from "./http.ts";
import type { Program, Scale } from "./program.ts";
import { Round } from "./round.ts";
import type { Service } from "./service.ts";
import { Later } from "./time.ts";

/** No round takes so long; one that does waits for what never comes. */
const roundMs = 150_000;
/** What was told to stop has so long to do so. */
const stoppingMs = 15_000;

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
  boundMs = roundMs,
): Promise<Outcome> {
  const round = new Round(service, scale);
  const late = new Later<never>();
  const words = (how: string) => `the round was not over after ${boundMs / 1000} s, and ${how}`;
  let stopped = false;
  let ending: NodeJS.Timeout | undefined;
  const bound = setTimeout(() => {
    stopped = true;
    round.stop();
    const never = () => late.reject(new Violation("over", words("goes on though it was stopped")));
    ending = setTimeout(never, Math.min(stoppingMs, boundMs));
  }, boundMs);
  const outcome = (failure: Failure | undefined) => ({ failure, operations: round.operations, checks: round.checks });
  try {
    await Promise.race([round.during(() => program.run(plan, round)), late.promise]);
    round.checks.that("over", !stopped, () => words("ended when it was stopped"));
    return outcome(undefined);
  } catch (error) {
    const violation = stopped ? overdue(error as Error, words) : violationOf(error as Error, round);
    const subjects = stopped ? "all" : violation.subjects;
    return outcome({ violation, history: round.history.about(subjects, scale.lines) });
  } finally {
    clearTimeout(bound);
    clearTimeout(ending);
  }
}

/** What goes wrong in a round that was stopped may come of that. */
const overdue = (error: Error, words: (how: string) => string) =>
  error instanceof Violation && error.invariant === "over" ? error : new Violation("over", words(`then: ${error}`));

/** What is thrown otherwise is a fault of the program, not of the service. */
function violationOf(error: Error, round: Round): Violation {
  if (error instanceof Violation) return error;
  const { died } = round.service;
  if (died !== undefined) return new Violation("alive", died);
  if (error instanceof Lost) return new Violation("answered", error.message);
  throw error;
}
