/** Appends by a socket: several are sent at once, and the socket is perhaps cut before they are answered. */
import type { Json } from "../frame/http.ts";
import { appendMessage } from "../frame/packed.ts";
import { Later, sleep } from "../frame/time.ts";
import type { Batch } from "./batch.ts";
import { recordsText } from "./doors.ts";
import { packed } from "./frames.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { acknowledge, mustAccept, sendUntilAnswered, subjects, verdictsOf } from "./sending.ts";
import { openSocket } from "./stream-socket.ts";
import { readTruth } from "./truth.ts";
import { batchOf } from "./writing.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const answerMs = 30_000;

function termsOf({ sequence, write, partition }: Batch) {
  return {
    ...(sequence && { producer: { id: sequence.producer, epoch: sequence.epoch, sequence: sequence.sequence } }),
    ...(write.atomic && { atomic: true }),
    ...(partition !== undefined && { partition }),
  };
}

function textOf(batch: Batch, id: number): string {
  const terms = { type: "append", id, ...termsOf(batch) };
  return `${JSON.stringify(terms).slice(0, -1)},${recordsText(batch.records).slice(1)}`;
}

function framesOf(batch: Batch, id: number): Buffer {
  const terms = termsOf(batch);
  return appendMessage(id, packed(batch.records), Object.keys(terms).length === 0 ? undefined : terms);
}

export async function appendBySocket(run: ScriptRun, { writes, frames, where, cutMs }: Of<"socket">): Promise<void> {
  if (run.model.partitions.size === 0) await readTruth(run);
  // A line of a socket's text is a message, as a line of NDJSON is a record.
  const batches = writes.map((write) => batchOf(run, { ...write, door: frames ? "frames" : "ndjson" }, where));
  for (const [i, batch] of batches.entries()) batch.before = batches[i - 1];
  const partition = where === null ? null : (batches[0]?.partition ?? null);
  const left = await byWire(run, batches, partition, frames === true, cutMs);
  for (const batch of left) {
    batch.unanswered++;
    run.note(subjects(batch), () => `${batch} was not answered on its socket`);
    if (batch.once) mustAccept(run, batch, await sendUntilAnswered(run, batch));
  }
}

/** Sends all of them, and gives back those that were not answered. */
async function byWire(
  run: ScriptRun,
  batches: readonly Batch[],
  partition: number | null,
  frames: boolean,
  cutMs: number | null,
): Promise<readonly Batch[]> {
  const over = new Later();
  const answered = new Set<Batch>();
  let failure: unknown;
  let due = 0;
  const onMessage = (type: string, message: Json, text: string) => {
    try {
      if (type === "verdicts") for (const answer of message.answers) verdicts(answer);
      if (type === "error") refused(message, text);
    } catch (error) {
      failure ??= error;
      over.resolve();
    }
    if (answered.size === batches.length) over.resolve();
  };
  const inOrder = (id: number) => {
    const batch = batches[id - 1] as Batch;
    const words = () => `the answer to append ${id} came after that to ${due}`;
    run.round.checks.that("socket-order", id > due, words, subjects(batch));
    due = id;
    return batch;
  };
  const verdicts = ({ id, runs }: Json) => {
    const batch = inOrder(id);
    answered.add(batch);
    acknowledge(run, batch, verdictsOf({ runs }));
  };
  const refused = (message: Json, text: string) => {
    if (message.id !== undefined) inOrder(message.id);
    const passing = message.retryable === true || message.code === "sealed";
    run.round.checks.that("accepted", passing, () => `an append by a socket was refused: ${text}`);
  };
  const socket = await openSocket(run, partition, onMessage, () => over.resolve(), frames ? () => {} : undefined);
  if (socket === undefined) return batches;
  for (const [i, batch] of batches.entries()) {
    batch.attempts++;
    batch.sentAt = Math.min(batch.sentAt, run.now());
    if (frames) socket.sendBinary(framesOf(batch, i + 1));
    else socket.send(textOf(batch, i + 1));
  }
  run.round.operations += batches.length;
  await Promise.race([over.promise, sleep(cutMs ?? answerMs, run.round.stopped)]);
  const open = socket.open;
  socket.cut();
  if (failure !== undefined) throw failure;
  const silent =
    open && cutMs === null && answered.size < batches.length && !run.round.restarting && !run.round.stopped.aborted;
  run.round.checks.that("answered", !silent, () => `appends by a socket were not answered in ${answerMs} ms`);
  return batches.filter((batch) => !answered.has(batch));
}
