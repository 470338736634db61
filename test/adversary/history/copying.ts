/** A stream that is taken elsewhere: dumped, and restored beside the original or in its place. */
import { sleep } from "../frame/time.ts";
import { dumped, restored } from "./dump.ts";
import { forgottenIn, receipts } from "./forgetting.ts";
import { look } from "./look.ts";
import type { Model } from "./model.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { settle } from "./store.ts";

const freedMs = 90_000;
const logsMax = 3;

export async function copy(run: ScriptRun, step: Extract<Step, { do: "copy" }>): Promise<void> {
  if (step.how === "moved") return move(run, step);
  if (run.logs.length >= logsMax) return;
  const log = run.log(step.on);
  const dump = await dumped(run, log);
  if (dump === undefined) return;
  forgottenIn(run, log, dump.bytes, "forgotten", "a dump");
  const namespace = step.elsewhere ? `${run.round.name}-${run.name}` : run.round.name;
  if (step.elsewhere && !run.elsewhere.has(namespace)) {
    run.elsewhere.add(namespace);
    await run.steady("PUT", `/v1/${namespace}`);
  }
  const path = `/v1/${namespace}/streams/${run.name}-copy-${run.copies++}`;
  const logId = await restored(run, dump, path, true);
  const made = log.copy(path, logId);
  run.logs.push(made);
  run.ailing(logId);
  run.unsettled = true;
  await look(run, { do: "look", queries: [], on: run.logs.indexOf(made) });
}

/** The same log in the same place, after it was deleted there. */
async function move(run: ScriptRun, step: Extract<Step, { do: "copy" }>): Promise<void> {
  if (run.fault !== undefined) return;
  const log = run.log(step.on);
  await settle(run);
  await receipts(run, log);
  const dump = await dumped(run, log);
  if (dump === undefined) return;
  forgottenIn(run, log, dump.bytes, "forgotten", "a dump");
  await removed(run, log);
  const logId = await restored(run, dump, log.path, false);
  const words = () => `the log was ${log.logId}, and is ${logId}`;
  run.that("restored", logId === log.logId, words);
  const made = log.copy(log.path, logId);
  run.logs[run.logs.indexOf(log)] = made;
  run.unsettled = true;
  await look(run, { do: "look", queries: [], on: run.logs.indexOf(made) });
}

/** Deletes a stream, and waits until nothing of it is left in the store. */
export async function removed(run: ScriptRun, log: Model): Promise<void> {
  const answer = await run.answered("DELETE", log.path);
  const words = () => `DELETE ${log.path} was answered ${answer.status}: ${answer.body}`;
  // Deleted by a request whose answer a kill took.
  run.that("accepted", answer.status < 300 || answer.status === 404, words);
  const { bucket } = run.round.service;
  const left = () =>
    ["logs/", "snapshots/", "parquet/"].flatMap((prefix) =>
      [...bucket.objects(prefix).keys()].filter((key) => key.includes(log.logId)),
    );
  const end = performance.now() + run.round.patient(freedMs);
  while (left().length > 0 && performance.now() < end) await sleep(50, run.round.stopped);
  run.that("freed", left().length === 0, () => `${log.path} was deleted, and the store still has ${left().join(" ")}`);
}
