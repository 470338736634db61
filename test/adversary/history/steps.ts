/** Each step, and who carries it out. */
import { sleep } from "../frame/time.ts";
import { append } from "./appending.ts";
import { change, grow, snapshot, trim } from "./changes.ts";
import { copy } from "./copying.ts";
import { erase } from "./forgetting.ts";
import { receive, redrive } from "./group.ts";
import { look } from "./look.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { ail, harm, settle, verify } from "./store.ts";

type Steps = { [K in Step["do"]]: (run: ScriptRun, step: Extract<Step, { do: K }>) => Promise<void> };

const steps: Steps = {
  append,
  settings: change,
  grow,
  trim,
  erase,
  store: ail,
  look,
  receive,
  redrive,
  snapshot,
  verify,
  harm,
  copy,
  settle,
  sleep: async (run, { ms }) => sleep(ms, run.round.stopped),
};

export function carryOut<S extends Step>(run: ScriptRun, step: S): Promise<void> {
  const carry = steps[step.do] as (run: ScriptRun, step: S) => Promise<void>;
  return carry(run, step);
}
