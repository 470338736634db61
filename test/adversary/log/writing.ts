/** Steps that append: batches of every kind, cut off, repeated, several at once. */
import type { Answer } from "../frame/http.ts";
import { Batch, type Sequence } from "./batch.ts";
import { widen } from "./changes.ts";
import type { Drawn, Step, Write } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { mustAccept, sendAndLeave, sendOnce, sendUntilAnswered, subjects, verdictsOf } from "./sending.ts";
import { isSingle, type Sent, sentOf } from "./sent.ts";
import { readTruth } from "./truth.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** The batch that a write is, with the next number of its producer. */
export function batchOf(run: ScriptRun, write: Write, where: number | null = null): Batch {
  const drawn = isSingle(write.door) ? write.records.slice(0, 1) : write.records;
  const share = write.where ?? where;
  const partition = share === null ? undefined : run.share(run.model.open, share);
  const one = partition !== undefined || write.atomic === true;
  const records = drawn.map((record) =>
    sentOf(stampedAs(run, plainer(record, partition)), run.model.number(), write.door),
  );
  const same = one && partition === undefined ? sameKey(records) : records;
  const batch = new Batch(
    run.model.batches.length,
    same,
    write.door,
    write,
    partition,
    sequenceOf(run, write.producer),
  );
  run.model.add(batch);
  return batch;
}

/** A key that belongs elsewhere is refused where a partition is named. */
const plainer = (record: Drawn, partition: number | undefined): Drawn =>
  partition === undefined ? record : { ...record, key: null };

/** What is packed has no other time than its own. */
export const stampedAs = (run: ScriptRun, record: Drawn): Drawn =>
  run.script.terms.stamps ? { stampMs: 0, ...record } : record;

/** An atomic batch goes to one partition: all of one key. */
function sameKey(records: readonly Sent[]): Sent[] {
  const key = records[0]?.fields.key ?? "k0";
  return records.map((sent) => ({ ...sent, fields: { ...sent.fields, key } }));
}

export function producerOf(run: ScriptRun, number: number): { name: string; epoch: number; next: number } {
  const name = `producer-${number}`;
  const known = run.producers.get(name) ?? { epoch: 0, next: 0 };
  run.producers.set(name, known);
  return { name, ...known };
}

function sequenceOf(run: ScriptRun, number: number | undefined): Sequence | undefined {
  if (number === undefined) return undefined;
  const { name, epoch, next } = producerOf(run, number);
  run.producers.set(name, { epoch, next: next + 1 });
  return { producer: name, epoch, sequence: next };
}

export async function append(run: ScriptRun, { writes, grows }: Of<"append">): Promise<void> {
  if (run.model.partitions.size === 0) await readTruth(run);
  const batches = writes.map((write) => [batchOf(run, write), write] as const);
  const growing = grows === undefined ? [] : [widen(run, grows)];
  await Promise.all([...batches.map(([batch, write]) => writeOut(run, batch, write)), ...growing]);
  if (grows !== undefined) await readTruth(run);
}

async function writeOut(run: ScriptRun, batch: Batch, write: Write): Promise<void> {
  if (write.blind) return sendBlindly(run, batch);
  if (write.cut !== undefined) {
    await sendAndLeave(run, batch, write.cut);
  } else {
    const times = batch.once ? (write.times ?? 1) : 1;
    const answers = await Promise.all(Array.from({ length: times }, () => sendOnce(run, batch)));
    const good = answers.filter((answer): answer is Answer => answer !== undefined && answer.status !== 503);
    if (good.length > 0) return several(run, batch, good);
  }
  // The numbers of a producer have no holes: it goes on with this batch.
  if (!write.retry && batch.sequence === undefined) return;
  mustAccept(run, batch, await sendUntilAnswered(run, batch, otherDoor(batch)));
}

/** It is answered before it is stored, and perhaps it never is. */
async function sendBlindly(run: ScriptRun, batch: Batch): Promise<void> {
  const answer = await sendOnce(run, batch, batch.door, [["ack", "none"]]);
  if (answer === undefined) return;
  batch.unanswered++;
  const words = () => `${batch} with ack=none was answered ${answer.status} ${answer.body}`;
  run.round.checks.that("blind", answer.status === 202 || answer.status === 503, words, subjects(batch));
}

/** A batch of lines is the same batch as JSON. */
const otherDoor = ({ door, number }: Batch) => (door === "ndjson" && number % 2 === 0 ? "json" : door);

/** Of several that were sent at once, one record is appended once, and the others are told where. */
function several(run: ScriptRun, batch: Batch, answers: readonly Answer[]): void {
  const [first, ...rest] = [...answers].sort((a, b) => b.status - a.status) as [Answer, ...Answer[]];
  if (rest.length === 0) {
    mustAccept(run, batch, first);
    return;
  }
  const places = new Map<number, string>();
  const { checks } = run.round;
  for (const answer of answers) {
    const words = () =>
      `${batch} was sent ${answers.length} times at once: ${answers.map(({ body }) => body.toString()).join("; ")}`;
    checks.that("accepted", answer.status === 200 || answer.status === 201, words, subjects(batch));
    for (const [i, { partition, offset }] of verdictsOf(answer.json).entries()) {
      const place = `${partition}.${offset}`;
      checks.that("first-verdict", (places.get(i) ?? place) === place, words, subjects(batch));
      places.set(i, place);
    }
  }
  batch.unanswered++; // Which of them came first nobody knows.
  mustAccept(run, batch, first);
}
