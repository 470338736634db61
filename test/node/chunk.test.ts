/** A chunk's body, bit by bit: what is changed in it is found, in the records and in the headers that their checksums leave out. */
import { expect, test } from "vitest";
import { Rewriter } from "../../src/archive/rewrite.ts";
import { openChunk } from "../../src/log/chunk.ts";
import type { ChunkRow } from "../../src/log/chunk-head.ts";
import { flags, headerBytes, readHeaders } from "../../src/log/frame.ts";
import { headsIn } from "../../src/log/heads.ts";
import { Log } from "../../src/log/log.ts";
import { kinds, type Rec } from "../../src/log/record.ts";
import type { Batch, Spec } from "../../src/log/spec.ts";
import { batch, spec } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const record = (bytes: number, more: Partial<Rec> = {}): Rec => ({
  kind: kinds.text,
  data: new Uint8Array(bytes).fill(120),
  ...more,
});

const now = 1_700_000_000_000;

/** The chunks that a commit of batches makes. */
function rowsOf(batches: readonly Batch[], change: Partial<Spec> = {}): ChunkRow[] {
  const log = Log.create(nodeSql(), { ...spec, ...change }, now);
  for (const result of log.append(batches, now)) expect(result.ok).toBe(true);
  const { segments, span } = log;
  return headsIn(segments, 0, span.tail).map((head) => ({ ...head, body: segments.body(head.base).slice() }));
}

/** What is left of a chunk when its second record has gone. */
function thinned(row: ChunkRow): ChunkRow {
  const rewriter = new Rewriter(true, (_record, offset) => (offset === 1 ? "drop" : "keep"));
  expect(rewriter.add(row)).toBe(true);
  const [rewritten] = rewriter.finish();
  expect(rewritten.flags & flags.thinned).toBe(flags.thinned);
  return rewritten;
}

const small = () => batch([record(10), record(20, { key: "k", id: "1" }), record(5)]);
/** More than is put together under one header. */
const large = () => batch([record(20_000, { key: "l" })]);
const unchecked = (): Batch => {
  const made = batch([record(9)]);
  const bytes = made.bytes.slice();
  bytes[3] &= ~flags.checked;
  return { ...made, bytes };
};
const brought = { timestamps: "client", offsets: "assigned" } as const;
const times = () => batch([record(4, { timestamp: now - 5_000 }), record(4, { timestamp: now - 2 })]);

const chunks: [name: string, row: ChunkRow, dense: boolean][] = [
  ["one frame", rowsOf([small()])[0], true],
  ["frames of every size", rowsOf([large(), small(), large()])[0], true],
  ["frames that were checked, and not", rowsOf([small(), unchecked(), small()])[0], true],
  ["records with times", rowsOf([times(), large(), times()], brought)[0], true],
  [
    "records with offsets",
    rowsOf([batch([record(3, { offset: 7 }), record(3, { offset: 12 })]), batch([record(3, { offset: 40 })])], {
      offsets: "producer",
    })[0],
    false,
  ],
  ["a part of its records", thinned(rowsOf([small()])[0]), true],
];

/** Places of every header's bytes, and of some of the records'. */
function* placesOf({ body }: ChunkRow): Generator<number> {
  const frames = readHeaders(body);
  if (!frames.ok) throw new Error(frames.refusal.detail);
  for (const { at, from, to } of frames.value) {
    for (let place = at; place < at + headerBytes; place++) yield place;
    yield* [from, (from + to) >> 1, to - 1];
  }
}

const changed = (row: ChunkRow, place: number, bits: number): ChunkRow => {
  const body = row.body.slice();
  body[place] ^= bits;
  return { ...row, body };
};

test.for(chunks)("a byte that is changed is found: %s", ([, row, dense]) => {
  expect(openChunk(row, dense).ok).toBe(true);
  for (const place of placesOf(row)) {
    // Headers are small enough for every value that a byte can take.
    for (let bits = 1; bits < 256; bits++) {
      const opened = openChunk(changed(row, place, bits), dense);
      expect(opened.ok, `byte ${place}, bits ${bits}`).toBe(false);
    }
  }
});

test.for(chunks)(
  "a row of before there was a sum of the headers is read, and its times are bounded: %s",
  ([, row, dense]) => {
    const old = { ...row, flags: row.flags & flags.ofRow };
    expect(openChunk(old, dense).ok).toBe(true);
    for (const place of placesOf(row)) {
      for (let bit = 0; bit < 8; bit++) {
        const opened = openChunk(changed(old, place, 1 << bit), dense);
        if (!opened.ok) continue;
        for (const { timestamp } of opened.value) expect(timestamp).toBeLessThanOrEqual(row.last);
        // Where no record has a time of its own, the row has the frames' time; and of one frame every flag.
        const ofMany = opened.value.length > 1 && opened.value.some(({ at }) => place === at + 3);
        const own = (row.flags & (flags.times | flags.offsets)) !== 0;
        expect(ofMany || own, `byte ${place}, bit ${bit}`).toBe(true);
      }
    }
  },
);

test("a row whose sum is another's is refused", () => {
  const [[, row]] = chunks;
  for (const flag of [row.flags + 256, row.flags - 256]) {
    expect(openChunk({ ...row, flags: flag }, true).ok).toBe(false);
  }
});
