/** Everything is read, and then by queries of every kind. */
import { Violation } from "../frame/checks.ts";
import type { Query, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { targetOf } from "./target.ts";
import { readTruth } from "./truth.ts";
import { Walk } from "./walk.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const triesMax = 5;

export async function look(run: ScriptRun, { queries }: Of<"look">): Promise<void> {
  await readTruth(run);
  for (const query of queries) await ask(run, query);
  await readTruth(run);
}

/** What an unanswered append does meanwhile makes an answer different for no fault: then it is asked again. */
async function ask(run: ScriptRun, query: Query): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { state } = run.model;
    const target = targetOf(run, query);
    if (target === undefined) return;
    try {
      const walk = new Walk(run, query, target);
      run.note([], () => `read ${walk.words}`);
      return await walk.whole();
    } catch (error) {
      if (!(error instanceof Violation) || tries === triesMax) throw error;
      await readTruth(run);
      if (run.model.state === state) throw error;
    }
  }
}
