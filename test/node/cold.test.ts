/** Reading what is archived by a filter, and the fingerprints by which segments and chunks are passed over. */
import { scheduler } from "node:timers/promises";
import { expect, test } from "vitest";
import { Prints } from "../../src/archive/prints.ts";
import { printBytesMax } from "../../src/archive/segment.ts";
import { hashText, mayContain, seeds } from "../../src/log/fingerprint.ts";
import { readHeader } from "../../src/log/frame.ts";
import { FrameWriter, kinds, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import { Machine } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });

const free = { ...spec, deduplicationWindowMs: 0 };
const empty = new Uint8Array(0);
const of = (key: string, type = "none"): Rec => ({ key, type, kind: kinds.binary, data: empty });

/** A log of which each batch is a cold segment. */
async function cold(...batches: Rec[][]): Promise<Machine> {
  const retention = { ...keepAll, archive: true, retentionRecords: 8 };
  const one = new Machine(nodeSql(), memoryBlobs(), { ...free, retention });
  for (const records of [...batches, ...Array.from({ length: 20 }, () => [of("filler")])]) {
    one.now += 10;
    one.append(...records);
    one.seal();
    await one.run();
  }
  expect([...one.log.segments.store.from(0)].slice(0, batches.length).every(({ hot }) => hot === 0)).toBe(true);
  return one;
}

// The segment with both has the fingerprint of what is asked for, and does not have it; that of "c" has nothing of it.
const both = [of("a", "x"), of("b", "y")];
const filter = { key: "a", types: ["y"] };

test.each([false, true])("goes on behind a segment that only seemed to match; backward: %s", async (backward) => {
  const forward = [both, [of("c", "z")], [of("a", "y")]];
  const one = await cold(...(backward ? forward.reverse() : forward));
  const found = await one.read({ at: backward ? "latest" : "earliest" }, { filter, backward });
  expect(found.map(({ offset }) => offset)).toEqual([backward ? 0 : 3]);
});

test("a fingerprint of very many keys never says no of one of them", () => {
  const prints = new Prints();
  const keys = Array.from({ length: 350_000 }, (_, n) => n.toString(36));
  for (let at = 0; at < keys.length; at += 1_000) {
    const writer = new FrameWriter();
    for (const key of keys.slice(at, at + 1_000)) writer.add({ key, kind: kinds.none, data: empty }, 1e9);
    for (const frame of writer.finish(0)) {
      const header = readHeader(frame, 0);
      if (!header.ok) throw new Error(header.refusal.detail);
      prints.add(header.value);
    }
  }
  const print = prints.finish(printBytesMax);
  expect(keys.filter((key) => !mayContain(print, hashText(key, seeds.key)))).toEqual([]);
});

test("an upload reads the heads of its own segment only", async () => {
  const sql = nodeSql();
  let heads = 0;
  const counting = {
    ...sql,
    all<Row>(query: string, ...values: Parameters<typeof sql.all>[1][]): Row[] {
      const rows = sql.all<Row>(query, ...values);
      if (/^SELECT base, .* FROM chunk/.test(query)) heads += rows.length;
      return rows;
    },
  };
  const one = new Machine(counting, memoryBlobs(), { ...free, retention: keepAll });
  for (let segment = 0; segment < 30; segment++) {
    for (let n = 0; n < 100; n++) one.log.append([batch([of("a")])], 1_000 + segment);
    one.seal();
  }
  heads = 0;
  one.now = 10_000;
  one.retain({ archive: true });
  await one.run();
  expect((await one.blobs.list("")).blobs.length).toBe(30);
  // Heads come by 64, so that some of the next segment may come with them.
  expect(heads).toBeLessThan(3 * 30 * 100);
});
