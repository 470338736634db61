/** Compaction beside what is missing, what is cold, and what comes with offsets and times of its own. */
import { expect, test, vi } from "vitest";
import { segmentKey } from "../../src/log/keys.ts";
import { kinds } from "../../src/log/record.ts";
import type { Spec } from "../../src/log/spec.ts";
import type { Workshop } from "../../src/objects/workshop.ts";
import type { Machine } from "../cases/archive.ts";
import { compactedAgainstModel, compactedStepByStep } from "../cases/compaction.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { memoryBlobs } from "./bucket.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

// What is missing is said there.
vi.spyOn(console, "error").mockReturnValue();

const recordsIn = ({ log }: Machine) => log.segments.store.sums().records;

test("never brings back what was deleted or replaced, whatever was out of its reach and comes back", async () => {
  await compactedAgainstModel(
    () => nodeSql(),
    () => memoryBlobs(),
    times(60, 250),
  );
});

test("never brings back what was deleted or replaced, whatever cannot be read the moment that it is wanted", async () => {
  await compactedStepByStep(
    () => nodeSql(),
    () => memoryBlobs(),
    times(60, 250),
  );
});

test("leaves the neighbours of an object that is missing as they are", async () => {
  const archived = { archive: true, retentionRecords: 8 };
  const one = machine(archived);
  for (let n = 0; n < 40; n++) {
    one.now = 1_000 + n;
    one.append(ofKey(`k${n}`));
    if (n % 5 < 4) continue;
    one.seal();
    await one.run();
  }
  const third = [...one.log.segments.store.from(0)][2];
  expect(third.hot).toBe(0);
  await one.blobs.delete([segmentKey(spec.logId, spec.partition, third)]);
  one.retain({ ...archived, compact: true });
  one.now += 1_000;
  await one.run();
  expect(recordsIn(one)).toBe(40);
});

test("does not bring a cold log into a database from which it could not go back", async () => {
  const one = machine({ archive: true, retentionRecords: 8 });
  for (let n = 0; n < 100; n++) {
    one.now += 10;
    one.append(ofKey("same"), ofKey(`k${n}`, 10_000));
    one.seal();
    await one.run();
  }
  one.retain({ compact: true });
  one.now += 1_000;
  await one.run();
  one.log.hotBytesMax = 500_000;
  expect(one.log.append([batch([ofKey("another")])], one.now)[0].ok).toBe(true);
});

/** A log of a value and its deletion, in segments of their own. */
async function deleted(more: Partial<Spec> = {}): Promise<Machine> {
  const one = machine({ compact: true, deleteMarkerGraceMs: 0 }, more);
  one.append(ofKey("victim", 1));
  one.seal();
  one.append({ key: "victim", kind: kinds.none, data: new Uint8Array(0) });
  one.seal();
  return one;
}

/** Two passes: one in which older values go, and one by which deletions may. */
async function twoPasses(one: Machine): Promise<void> {
  for (let n = 0; n < 2; n++) {
    one.now += 10;
    one.append(ofKey("other", 5_000));
    one.seal();
    one.now += 10;
    await one.run();
  }
}

/** The keys of what is left after two passes. */
async function left(one: Machine): Promise<(string | undefined)[]> {
  await twoPasses(one);
  return (await one.read({ at: "earliest" })).map(({ record }) => record.key);
}

test("a deletion goes when its grace is over", async () => {
  expect(await left(await deleted())).toEqual(["other"]);
});

test("a deletion stays where what it deletes may be in a partition that was split", async () => {
  expect(await left(await deleted({ continues: true }))).toEqual(["victim", "other"]);
});

test("a deletion stays behind a snapshot, whose readers may have the value from there", async () => {
  const one = await deleted();
  one.log.segments.snapshots.set({ offset: 1, id: "s", bytes: 1, contentType: "", name: "", created: 0, crc: null });
  expect(await left(one)).toEqual(["victim", "other"]);
  one.log.segments.snapshots.drop(1);
  expect(await left(one)).toEqual(["other"]);
});

test("what was written down of a pass by a version that forgot what it left out is gone over again", async () => {
  const one = await deleted();
  one.log.segments.meta.setMeta("compaction", JSON.stringify({ clean: 2 }));
  one.append(ofKey("other", 5_000));
  one.seal();
  one.now += 10;
  await one.run();
  const found = await one.read({ at: "earliest" });
  expect(found.map(({ offset }) => offset)).toEqual([1, 2]);
});

test("what is damaged where it lies is not copied, and a deletion behind it stays", async () => {
  const one = await deleted();
  const [{ n }] = one.log.segments.hot;
  one.sql.run("UPDATE chunk SET body = zeroblob(length(body))");
  await twoPasses(one);
  expect(one.log.segments.store.at(0)?.n).toBe(n);
  const records = [...one.log.segments.chunksFrom(1)].reduce((sum, { records }) => sum + records, 0);
  expect(records).toBe(2);
});

test("a record that a repair took away while a pass was under way protects against nothing", async () => {
  const one = await deleted();
  one.now += 10;
  const workshop = one.history.workshop as Workshop;
  // Both segments are learnt.
  await workshop.step();
  await workshop.step();
  await workshop.repair({ mode: "truncate", from: 1 });
  while (await workshop.step());
  expect((await one.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual([0]);
});

test("a producer's offset whose record is gone is still a duplicate", async () => {
  const one = machine({ compact: true }, { offsets: "producer" });
  one.now = 1_000;
  const append = (offset: number) => one.log.append([batch([{ ...ofKey("k"), offset }])], one.now)[0];
  for (let n = 1; n < 10; n++) append(n * 10);
  one.seal();
  one.now += 10_000;
  await one.run();
  expect(recordsIn(one)).toBe(1);
  expect(append(10)).toMatchObject({ value: [{ verdict: "duplicate" }] });
});

test("records of long ago do not each become a segment", async () => {
  const one = machine({ compact: true }, { timestamps: "client" });
  one.now = 10_000_000;
  for (let n = 0; n < 50; n++) {
    one.append({ ...ofKey(`k${n}`), timestamp: 1_000 + n });
    await one.run();
    one.now += 1;
  }
  expect(one.log.segments.store.sums().segments).toBeLessThan(10);
});
