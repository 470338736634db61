/** Reads everything that is stored, and holds it against everything that was said. */
import type { Json } from "../frame/http.ts";
import type { Batch } from "./batch.ts";
import type { Model, Stored } from "./model.ts";
import { alike, difference, numberIn, placeOf, type Read, readPage } from "./read.ts";
import type { ScriptRun } from "./script.ts";
import type { Sent } from "./sent.ts";

/** Everything, from the head of every partition on. */
export async function readTruth(run: ScriptRun): Promise<void> {
  const { model } = run;
  const map = await run.steady("GET", `${run.stream}/partitions`);
  const listed = new Map(
    (map.json.partitions as Json[]).map((one) => [one.partition as number, one.sealed as boolean]),
  );
  for (const number of listed.keys()) if (!model.partitions.has(number)) known(model, number);
  for (const [number, partition] of model.partitions) {
    partition.sealed = listed.get(number) ?? true;
    await readPartition(run, number);
  }
  promises(run);
}

/** Numbers are given one after another: those that the map names no more were split. */
function known(model: Model, number: number): void {
  for (let i = 0; i <= number; i++) {
    if (!model.partitions.has(i)) model.partitions.set(i, { head: 0, tail: 0, sealed: true });
  }
}

async function readPartition(run: ScriptRun, number: number): Promise<void> {
  const { checks } = run.round;
  const partition = run.model.partitions.get(number) as { head: number; tail: number };
  let from = "earliest";
  let next: number | undefined;
  let before = Number.NEGATIVE_INFINITY;
  for (;;) {
    const path = `${run.stream}/records?partition=${number}&from=${from}&limit=10000&maxBytes=8388608`;
    const page = await run.answered("GET", path);
    // Retention goes on meanwhile.
    if (page.status === 410 && run.script.terms.retention !== undefined && from !== "earliest") {
      return readPartition(run, number);
    }
    checks.that("accepted", page.status === 200, () => `${path} was answered ${page.status}: ${page.body}`);
    const { head, tail, upToDate } = page.json;
    const regress = head < partition.head || tail < partition.tail;
    checks.that(
      "dense",
      !regress,
      () => `partition ${number} went back from ${JSON.stringify(partition)} to ${head}-${tail}`,
    );
    next ??= head as number;
    for (const read of readPage(page.body.toString())) {
      checks.that("dense", read.offset === next, () => `partition ${number} has ${read.offset} where ${next} was due`, [
        `n${numberIn(read)}`,
      ]);
      checks.that("monotone", read.at >= before, () => `the timestamp of ${placeOf(read)} is before the one below it`);
      before = read.at;
      next++;
      stored(run, read);
    }
    retained(run, head, tail, number);
    Object.assign(partition, { head: Math.max(head, partition.head), tail: next });
    if (upToDate) {
      checks.that("dense", next === tail, () => `partition ${number} ends at ${next}, and its tail is ${tail}`);
      return;
    }
    from = String(next);
  }
}

/** Its writer's timestamp, raised to that of the one before it. */
function stamped(run: ScriptRun, { partition, offset, at }: Read, { n, stamp }: Sent): void {
  if (stamp === undefined) return;
  const before = run.model.place(partition, offset - 1);
  const words = () =>
    `n${n} at ${partition}.${offset} was stamped ${stamp}, has ${at}, and the one before it ${before?.at}`;
  const right = before === undefined ? at >= stamp : at === Math.max(stamp, before.at);
  run.round.checks.that("stamped", right, words, [`n${n}`]);
}

/** By its bound alone a partition keeps so many at least. */
function retained(run: ScriptRun, head: number, tail: number, number: number): void {
  const { retention } = run.script.terms;
  if (retention === undefined || run.model.byHand) return;
  const words = () => `partition ${number} is to keep ${retention}, and has ${head}-${tail}`;
  run.round.checks.that("retention", head === 0 || tail - head >= retention, words);
}

/** A place that is seen: it was sent, it is unchanged, and it stays. */
function stored(run: ScriptRun, read: Read): void {
  const { checks } = run.round;
  const n = numberIn(read);
  const sent = n === undefined ? undefined : run.model.sent.get(n);
  const found = checks.found(
    "made-up",
    sent,
    () => `${placeOf(read)} was never sent: ${JSON.stringify(read).slice(0, 500)}`,
  );
  const changed = difference(read, found);
  checks.that("unchanged", changed === undefined, () => `${placeOf(read)}, n${n}: ${changed}`, [`n${n}`]);
  stamped(run, read, found);
  const earlier = run.model.stored.get(placeOf(read));
  checks.that(
    "immutable",
    earlier === undefined || alike(earlier, read),
    () => `${placeOf(read)} is another than before`,
    [`n${n}`],
  );
  if (earlier === undefined) run.model.stored.set(placeOf(read), { ...read, sent: found });
}

/** What every answer so far promised. */
function promises(run: ScriptRun): void {
  const { model } = run;
  const places = new Map<number, Stored[]>();
  for (const one of model.stored.values()) {
    const list = places.get(one.sent.n);
    if (list === undefined) places.set(one.sent.n, [one]);
    else list.push(one);
  }
  for (const batch of model.batches) {
    acknowledged(run, batch);
    counted(run, batch, places);
  }
  ordered(run);
}

function acknowledged(run: ScriptRun, batch: Batch): void {
  const { checks } = run.round;
  for (const [i, named] of batch.named.entries()) {
    const { n } = batch.records[i] as { n: number };
    for (const place of named) {
      const there = run.model.stored.get(placeOf(place));
      const gone = there === undefined && place.offset < run.model.head(place.partition);
      const words = () =>
        `n${n} was acknowledged at ${placeOf(place)}, where ${there ? `n${there.sent.n}` : "nothing"} is`;
      checks.that("acked", gone || there?.sent.n === n, words, [`n${n}`]);
    }
  }
}

function counted(run: ScriptRun, batch: Batch, places: ReadonlyMap<number, readonly Stored[]>): void {
  const { checks } = run.round;
  const counts = batch.records.map(({ n }) => places.get(n)?.length ?? 0);
  for (const [i, { n }] of batch.records.entries()) {
    if (run.model.batchOf.get(n) !== batch) continue;
    const count = counts[i] as number;
    const most = batch.refused ? 0 : batch.once ? 1 : batch.attempts;
    const where = () => (places.get(n) ?? []).map(placeOf).join(", ");
    const name = batch.refused ? "refused" : "once";
    checks.that(name, count <= most, () => `n${n} is there ${count} times, at ${where()}; ${batch}`, [`n${n}`]);
  }
  if (!batch.write.atomic || run.model.trimmed || batch.refused) return;
  const whole = counts.every((count) => count === counts[0]);
  checks.that("atomic", whole, () => `${batch} is there in part: ${counts.join(", ")}`, [`b${batch.number}`]);
}

/** Over growth too: a child's number is higher than its parent's. */
function ordered(run: ScriptRun): void {
  const keys = new Map<string, Stored[]>();
  for (const one of run.model.stored.values()) {
    const { key } = one.fields;
    if (key === undefined) continue;
    const list = keys.get(key);
    if (list === undefined) keys.set(key, [one]);
    else list.push(one);
  }
  for (const line of keys.values()) {
    line.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
    keyOrder(run, line);
  }
}

function keyOrder(run: ScriptRun, line: readonly Stored[]): void {
  const { checks } = run.round;
  let latest: { one: Stored; sentAt: number } | undefined;
  let previous: Stored | undefined;
  for (const [i, one] of line.entries()) {
    const batch = run.model.batchOf.get(one.sent.n) as Batch;
    // A request that was not answered may be carried out behind its own repeat, unless it is known as one.
    const over = batch.unanswered === 0 || batch.once ? batch.ackedAt : undefined;
    const late = latest !== undefined && over !== undefined && over < latest.sentAt;
    const words = () =>
      `n${one.sent.n} at ${placeOf(one)} was acknowledged before n${latest?.one.sent.n} was sent, and is behind it`;
    checks.that("key-order", !late, words, [`n${one.sent.n}`, `n${latest?.one.sent.n}`]);
    if (latest === undefined || batch.sentAt > latest.sentAt) latest = { one, sentAt: batch.sentAt };
    inBatch(run, previous, one, batch);
    previous = one;
    const pushed = batch.before !== undefined && batch.attempts === 1 && batch.before.attempts === 1;
    if (!pushed) continue;
    const earlier = line.findLastIndex(({ sent }) => run.model.batchOf.get(sent.n) === batch.before);
    const kept = earlier < 0 || earlier < i;
    checks.that("socket-order", kept, () => `n${one.sent.n} is before a record that its socket sent first; ${batch}`, [
      `n${one.sent.n}`,
    ]);
  }
}

/** Neighbours of one batch that was sent once, or is stored once, stand as they stood in it. */
function inBatch(run: ScriptRun, previous: Stored | undefined, one: Stored, batch: Batch): void {
  if (previous === undefined || run.model.batchOf.get(previous.sent.n) !== batch) return;
  if (!batch.once && batch.attempts > 1) return;
  const words = () => `n${previous.sent.n} and n${one.sent.n} of ${batch} have changed places`;
  run.round.checks.that("key-order", previous.sent.n < one.sent.n, words, [`n${one.sent.n}`]);
}
