/** Each step, and who carries it out. */
import { sleep } from "../frame/time.ts";
import { grow, trim } from "./changes.ts";
import { expectKeyOffset, expectOffset, fence } from "./conditions.ts";
import { drop, follow, shake } from "./following.ts";
import { look } from "./look.ts";
import { again, epoch, misuse, repeat } from "./misuse.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { snapshot } from "./snapshots.ts";
import { appendBySocket } from "./socket-writing.ts";
import { wait } from "./waiting.ts";
import { append } from "./writing.ts";
import { wrongLog } from "./wrong-log.ts";

type Steps = { [K in Step["do"]]: (run: ScriptRun, step: Extract<Step, { do: K }>) => Promise<void> };

const steps: Steps = {
  append,
  socket: appendBySocket,
  again,
  misuse,
  epoch,
  repeat,
  expect: expectOffset,
  "expect-key": expectKeyOffset,
  fence,
  grow,
  trim,
  snapshot,
  look,
  wait,
  follow,
  shake,
  drop,
  "wrong-log": wrongLog,
  sleep: async (_run, { ms }) => sleep(ms),
};

export function carryOut<S extends Step>(run: ScriptRun, step: S): Promise<void> {
  const carry = steps[step.do] as (run: ScriptRun, step: S) => Promise<void>;
  return carry(run, step);
}
