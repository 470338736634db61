/** Putting chunks in the place of chunks: rows that fit, side by side, with what was kept where it was. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type Fate, Rewriter } from "../../src/archive/rewrite.ts";
import { openChunk } from "../../src/log/chunk.ts";
import type { ChunkRow } from "../../src/log/chunk-head.ts";
import { erasedType } from "../../src/log/forgetting.ts";
import { Log } from "../../src/log/log.ts";
import { decodeFrame, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Spec } from "../../src/log/spec.ts";
import { Machine } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

interface Seen {
  offset: number;
  timestamp: number;
  record: Rec;
}

/** The records of rows, which must be sound and lie side by side. */
function recordsOf(rows: readonly ChunkRow[]): Seen[] {
  const seen: Seen[] = [];
  let next = rows[0]?.base ?? 0;
  let last = 0;
  for (const row of rows) {
    expect(row.base).toBe(next);
    expect(row.bytes).toBeLessThanOrEqual(limits.chunkBytesMax);
    expect(row.first).toBeGreaterThanOrEqual(last);
    expect(row.last).toBeGreaterThanOrEqual(row.first);
    const frames = openChunk(row, true);
    if (!frames.ok) throw new Error(frames.refusal.detail);
    for (const frame of frames.value) {
      decodeFrame(frame, ({ offset: _offset, timestamp: _timestamp, ...record }, offset, timestamp) => {
        expect(offset).toBeGreaterThanOrEqual(row.base);
        expect(offset).toBeLessThan(row.next);
        seen.push({ offset, timestamp, record: { ...record, data: Uint8Array.from(record.data) } });
      });
    }
    next = row.next;
    last = row.last;
  }
  return seen;
}

const sized = fc.record({
  bytes: fc.constantFrom(0, 10, 1_000, 60_000, 400_000, 999_000),
  key: fc.constantFrom("a", "b"),
});
const fates = fc.constantFrom<Fate>("keep", "drop", "erase");

test("what is kept is where it was, whatever goes, of records of every size", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(sized, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }),
      fc.func(fates),
      fc.boolean(),
      (commits, choose, again) => {
        const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0 }, 0);
        commits.forEach((records, index) => {
          const packed = records.map(
            ({ bytes, key }): Rec => ({ key, kind: 3, data: new Uint8Array(bytes).fill(index) }),
          );
          log.append([batch(packed)], 1_000 + index);
        });
        const rows = [...log.segments.chunksFrom(0)].map((head) => ({ ...head, body: log.segments.body(head.base) }));
        const before = recordsOf(rows);
        const rewriter = new Rewriter(true, (_record, offset) => choose(offset));
        for (const row of rows) expect(rewriter.add(row)).toBe(true);
        let made = rewriter.finish();
        if (again) {
          // What was rewritten may be rewritten.
          const second = new Rewriter(true, () => "keep");
          for (const row of made) second.add(row);
          made = second.finish();
        }
        const expected = before
          .filter(({ offset }) => choose(offset) !== "drop")
          .map((one) =>
            choose(one.offset) === "erase"
              ? { ...one, record: { type: erasedType, kind: 0, data: new Uint8Array(0) } }
              : one,
          );
        expect(recordsOf(made)).toEqual(expected);
        expect([made[0].base, made.at(-1)?.next]).toEqual([0, before.length]);
      },
    ),
    { numRuns: times(30, 120) },
  );
});

test("a damaged chunk is kept as it is, or left out where only sound ones are wanted", () => {
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0 }, 0);
  for (let n = 0; n < 3; n++) log.append([batch([{ key: "k", kind: 1, data: new Uint8Array([48 + n]) }])], n);
  const rows = [...log.segments.chunksFrom(0)].map((head) => ({ ...head, body: log.segments.body(head.base) }));
  rows[1].body[34] ^= 255;
  const rewriter = new Rewriter(true, () => "erase");
  expect(rows.map((row) => rewriter.add(row))).toEqual([true, false, true]);
  const made = rewriter.finish();
  expect(made.map(({ base, next }) => [base, next])).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
  ]);
  expect(made[1].body).toEqual(rows[1].body);
  const strict = new Rewriter(true, () => "keep");
  expect(strict.add(rows[1], true)).toBe(false);
  strict.lose(rows[1]);
  expect(strict.finish()).toMatchObject([{ base: 1, next: 2, records: 0, bytes: 0 }]);
});

test.each([
  ["compacted", { compact: true }],
  ["archived", { archive: true, retentionRecords: 8 }],
  ["dropped", { retentionRecords: 8 }],
])("an id is a duplicate for its whole window, though the log is %s", async (_what, change) => {
  const windowed: Spec = { ...spec, deduplicationWindowMs: 10_000, retention: { ...keepAll, ...change } };
  const machine = new Machine(nodeSql(), memoryBlobs(), windowed);
  const one = { key: "a", id: "first", kind: 0, data: new Uint8Array(0) } as const;
  const append = (record: Rec) => machine.log.append([batch([record])], machine.now)[0];
  machine.now = 1_000;
  append(one);
  for (let n = 0; n < 30; n++) append({ key: "a", id: `n${n}`, kind: 0, data: new Uint8Array(0) });
  machine.log.change(machine.now, () => machine.log.segments.cut(machine.log.span.tail, machine.now));
  machine.now = 10_999;
  await machine.run();
  machine.reopen();
  expect(append(one)).toEqual({ ok: true, value: [{ verdict: "duplicate", offset: 0, count: 1 }] });
  machine.now = 11_002;
  await machine.run();
  expect(append(one)).toMatchObject({ value: [{ verdict: "appended", offset: 31 }] });
  // What held it back is over.
  machine.now = 30_000;
  await machine.run();
  const { hotFrom, records } = machine.log.facts();
  expect(hotFrom > 0 || records < 32).toBe(true);
});
