import { scheduler } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import type { Filter } from "../../src/log/filter.ts";
import { eachItem } from "../../src/log/items.ts";
import { parquetKey, segmentKey } from "../../src/log/keys.ts";
import { Log } from "../../src/log/log.ts";
import { notice } from "../../src/log/notice.ts";
import type { Position } from "../../src/log/read.ts";
import { kinds } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Segment } from "../../src/log/segment-store.ts";
import type { ReadCall } from "../../src/objects/answer.ts";
import { readThrough } from "../../src/objects/cold.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { archiveAgainstModel, Machine, rewrittenAgainstModel } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { memoryBlobs } from "./bucket.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });
// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

test("an archived log agrees with a list, wherever a crash or a fault comes in", async () => {
  await archiveAgainstModel(
    () => nodeSql(),
    () => memoryBlobs(),
    times(60, 250),
  );
});

test("a log that is compacted, and of which keys are forgotten, agrees with a list", async () => {
  await rewrittenAgainstModel(
    () => nodeSql(),
    () => memoryBlobs(),
    times(60, 250),
  );
});

/** The offsets of a page, however it is read. */
async function page(machine: Machine, terms: Omit<ReadCall, "waitMs">): Promise<number[]> {
  const where = { logId: spec.logId, partition: 0, blobs: machine.bucket as unknown as Blobs };
  const page = await readThrough(where, { ...terms, waitMs: 0 }, async (call) => {
    const read = machine.log.read(call);
    return read.ok ? { ok: true, value: { ...read.value, ...machine.log.span, sealed: false, promise: 0 } } : read;
  });
  if (!page.ok) throw new Error(JSON.stringify(page));
  const offsets: number[] = [];
  for (const piece of page.value.pieces) {
    const wanted = { from: page.value.from, to: page.value.to, filter: terms.filter };
    if ("body" in piece) eachItem(piece.body, wanted, ({ offset }) => offsets.push(offset));
  }
  return offsets;
}

test("a cold page fetches the chunks that it is made of, at once, and no others", async () => {
  const retention = { ...keepAll, archive: true, retentionRecords: 4_000 };
  const machine = new Machine(nodeSql(), memoryBlobs(), { ...spec, deduplicationWindowMs: 0, retention });
  const ten = batch(Array.from({ length: 10 }, () => ({ kind: kinds.none, data: new Uint8Array(0) })));
  for (let n = 0; n < 600; n++) machine.log.append([ten], 1_000);
  machine.now = 2_000;
  await machine.run();
  expect(machine.log.segments.hot[0].base).toBeGreaterThanOrEqual(1_000);
  const get = vi.spyOn(machine.bucket, "get");
  /** How many chunks were fetched, for each time that something was. */
  const fetched = async (terms: { from: Position; limit: number; backward?: boolean; bytesMax?: number }) => {
    get.mockClear();
    const offsets = await page(machine, { bytesMax: 1_000_000, ...terms });
    const chunkBytes = ten.bytes.length;
    return { records: offsets.length, chunks: get.mock.calls.map(([, , length]) => Math.round(length / chunkBytes)) };
  };
  // Its index comes first, and is kept.
  await fetched({ from: { at: "offset", offset: 0 }, limit: 1 });
  expect(await fetched({ from: { at: "offset", offset: 100 }, limit: 1 })).toEqual({ records: 10, chunks: [1] });
  expect(await fetched({ from: { at: "offset", offset: 105 }, limit: 20 })).toEqual({ records: 25, chunks: [3] });
  const back = { limit: 20, backward: true } as const;
  expect(await fetched({ from: { at: "before", offset: 105 }, ...back })).toEqual({ records: 25, chunks: [3] });
  expect(await fetched({ from: { at: "offset", offset: 109 }, ...back })).toEqual({ records: 20, chunks: [2] });
  const bytesMax = 3 * ten.bytes.length;
  expect((await fetched({ from: { at: "offset", offset: 100 }, limit: 100, bytesMax })).chunks).toEqual([3]);
});

test("a cold read of one record, by offset, time or key, touches one object or a few, however long the log", async () => {
  const retention = { ...keepAll, archive: true, retentionRecords: 8 };
  const machine = new Machine(nodeSql(), memoryBlobs(), { ...spec, deduplicationWindowMs: 0, retention });
  for (let n = 0; n < 1_200; n++) {
    machine.now = 1_000 + n;
    machine.log.append([batch([{ key: `k${n}`, kind: 0, data: new Uint8Array(0) }])], machine.now);
    if (n % 50 === 0) await machine.run();
  }
  await machine.run();
  expect([...machine.log.segments.store.from(0)].filter(({ hot }) => hot === 0).length).toBeGreaterThan(1_000);
  const one = async (terms: { from: Position; filter?: Filter }) => {
    machine.bucket.read.clear();
    const offsets = await page(machine, { ...terms, limit: 1, bytesMax: 1 });
    return { offsets, objects: machine.bucket.read.size };
  };
  expect(await one({ from: { at: "offset", offset: 700 } })).toEqual({ offsets: [700], objects: 1 });
  expect(await one({ from: { at: "time", time: 1_500 } })).toEqual({ offsets: [500], objects: 1 });
  const byKey = await one({ from: { at: "offset", offset: 300 }, filter: { key: "k399" } });
  expect(byKey.offsets).toEqual([399]);
  expect(byKey.objects).toBeLessThanOrEqual(3);
});

test("a Parquet file of a segment's name is believed only if it is the segment's", async () => {
  const names = { namespace: "shop", stream: "orders" };
  const one = machine({ archive: true, parquet: [] }, { names });
  const key = (n: number) => parquetKey({ logId: spec.logId, partition: 0, names }, { base: 0, n });
  const stale = Uint8Array.of(1, 2, 3);
  await one.blobs.create(key(0), stale);
  one.append(ofKey("jane"));
  one.seal();
  for (let round = 0; round < 4; round++) {
    await one.run();
    one.now += 3_600_000;
  }
  const { blobs } = await one.blobs.list("parquet/");
  expect(blobs.map((blob) => blob.key)).toEqual([key(2)]);
  expect(await one.blobs.get(key(2), 0, 4)).toEqual(new TextEncoder().encode("PAR1"));
  expect((await one.blobs.list("logs/")).blobs.map((blob) => blob.key)).toEqual([
    segmentKey(spec.logId, 0, { base: 0, n: 2 }),
  ]);
});

test("events of segments are numbered above those of before the log was deleted and came back under its own id", () => {
  const names = { namespace: "default", stream: "s" };
  const told = { ...spec, names, retention: { ...keepAll, segmentEvents: "events" } };
  const segment = { base: 0, next: 1, records: 1, bytes: 1, first: 0, last: 0, size: 0 } as Segment;
  const numbers = [1_000_000, 2_000_000].flatMap((now) => {
    const { segments } = Log.create(nodeSql(), told, now);
    for (const _ of [1, 2, 3]) notice(segments, told, "dropped", segment, now);
    return segments.store.notices(10).map(({ n }) => n);
  });
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  expect(numbers).toHaveLength(6);
});
