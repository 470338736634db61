/** Each step, and who carries it out. */
import { sleep } from "../frame/time.ts";
import { discard, lane, redrive } from "./letters.ts";
import { look } from "./look.ts";
import { only, pause, recreate, resume, seek, update } from "./moving.ts";
import type { Step } from "./plan.ts";
import { leave, poll, receive } from "./receiving.ts";
import { append, grow } from "./records.ts";
import type { ScriptRun } from "./script.ts";
import { ack, extend, forge, nack } from "./settling.ts";
import { credit, cut, open, settleBySocket } from "./sockets.ts";

type Steps = { [K in Step["do"]]: (run: ScriptRun, step: Extract<Step, { do: K }>) => Promise<void> };

const steps: Steps = {
  append,
  receive,
  poll,
  leave,
  ack,
  nack,
  extend,
  forge,
  sleep: async (_run, { ms }) => sleep(ms),
  update,
  pause,
  resume,
  seek,
  grow,
  only,
  redrive,
  discard,
  lane,
  socket: open,
  credit,
  cut,
  "socket-ack": settleBySocket,
  "socket-nack": settleBySocket,
  recreate,
  look,
};

export function carryOut<S extends Step>(run: ScriptRun, step: S): Promise<void> {
  const carry = steps[step.do] as (run: ScriptRun, step: S) => Promise<void>;
  return carry(run, step);
}
