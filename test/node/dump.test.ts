/** Dumps without a service: the codec, chunks that are cut, logs that are restored, and files that lie. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import {
  type BlockName,
  blocks,
  checkHeader,
  chunkBlock,
  DumpWriter,
  hashEvery,
  headerBytes,
  idsBlock,
  jsonBlock,
  letterBlock,
  readBlocks,
  readChunk,
  readIds,
  readLetter,
  saidHash,
  writeBlock,
} from "../../src/archive/dump.ts";
import { checkChunk, cutChunk } from "../../src/archive/dump-chunk.ts";
import { chunksPage, keysPage, stateBlocks } from "../../src/archive/dump-log.ts";
import { partOf } from "../../src/archive/dump-part.ts";
import { finish, standOf, take } from "../../src/archive/restore-log.ts";
import { Rewriter } from "../../src/archive/rewrite.ts";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { openChunk } from "../../src/log/chunk.ts";
import type { ChunkRow } from "../../src/log/chunk-head.ts";
import { readHeader } from "../../src/log/frame.ts";
import { inspect } from "../../src/log/inspect.ts";
import { Log } from "../../src/log/log.ts";
import { decodeFrame, FrameWriter, kinds, type Rec } from "../../src/log/record.ts";
import type { Spec } from "../../src/log/spec.ts";
import { nodeSql } from "./sqlite.ts";

const everything = { from: 0, to: 2 ** 32 };
const spec: Spec = {
  logId: "0123456789abcdef0123",
  partition: 0,
  version: 1,
  deduplicationWindowMs: 60_000,
  timestamps: "arrival",
  offsets: "assigned",
  keyIndex: true,
  sealed: false,
  continues: false,
};

function batch(records: Rec[]) {
  const writer = new FrameWriter();
  for (const record of records) writer.add(record);
  const frames = writer.finish(4).map((bytes) => {
    const frame = readHeader(bytes, 0);
    if (!frame.ok) throw new Error();
    const rules = { recordBytesMax: 1e6, ownOffsets: false, ownTimestamps: false, timestampMax: 0 };
    const found = inspect(frame.value, rules);
    if (!found.ok) throw new Error(found.refusal.detail);
    return { bytes, hashes: found.value.hashes };
  });
  const hashes = frames.flatMap(({ hashes }) => [hashes.length, ...hashes]);
  return { bytes: concat(frames.map(({ bytes }) => bytes)), hashes: Uint32Array.from(hashes) };
}

const record = (n: number, more: Partial<Rec> = {}): Rec => ({
  key: `k${n % 5}`,
  type: "t",
  kind: kinds.json,
  data: encodeText(JSON.stringify(n)),
  ...more,
});

/** The records of a commit. */
const recordsOf = (n: number, each = 7) =>
  Array.from({ length: each }, (_, i) => record(n * each + i, i === 0 ? { id: `id-${n}` } : {}));

/** A log of so many commits, some by producers. */
function filled(commits: number, each = 7): Log {
  const log = Log.create(nodeSql(), spec, 1_000);
  for (let n = 0; n < commits; n++) {
    const terms = n % 3 === 0 ? {} : { producer: { id: `p${n % 4}`, epoch: n, sequence: 0, contiguous: true } };
    const [answer] = log.append([{ ...batch(recordsOf(n, each)), terms }], 1_000 + n * 10);
    expect(answer.ok).toBe(true);
  }
  return log;
}

/** All blocks of a partition, as a service would send them. */
function dumped(log: Log, to = log.span.tail): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: { blocks: Uint8Array; after?: string } = keysPage(log, after);
    if (page.blocks.length > 0) found.push(page.blocks);
    after = page.after;
  }
  const state = [...stateBlocks(log)];
  found.push(...state);
  const { head } = JSON.parse(new TextDecoder().decode(state[0].subarray(12)));
  let chunks = 0;
  let records = 0;
  for (let from = head; from < to; ) {
    const page = chunksPage(log, from, to);
    if (!page.ok) throw new Error(page.refusal.detail);
    for (const { payload } of some(readBlocks(page.value.blocks))) {
      const cut = some(cutChunk(some(readChunk(payload)), true, from, to));
      expect(checkChunk(cut, true, everything)).toEqual({ ok: true, value: undefined });
      chunks++;
      records += cut.records;
      found.push(chunkBlock(cut));
      from = cut.next;
    }
  }
  found.push(jsonBlock("close", { partition: 0, chunks, records }));
  return found;
}

const some = <T>(result: { ok: true; value: T } | { ok: false; refusal: { detail: string } }): T => {
  if (!result.ok) throw new Error(result.refusal.detail);
  return result.value;
};
const partsOf = (bytes: Uint8Array) => some(readBlocks(bytes)).map((block) => some(partOf(block)));
const fresh = (sql = nodeSql()) => Log.create(sql, spec, 5_000_000, undefined, true);
const equal = (a: Uint8Array[], b: Uint8Array[]) => Buffer.compare(concat(a), concat(b)) === 0;

const number = fc.maxSafeNat();
const bytes = fc.uint8Array({ maxLength: 300 });

describe("the codec", () => {
  test("gives back what it was given", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...(Object.keys(blocks) as BlockName[])), bytes)), (list) => {
        const written = list.map(([name, payload]) => writeBlock(name, payload));
        const read = some(readBlocks(written.length === 0 ? new Uint8Array(0) : concat(written)));
        expect(read.map(({ name, payload }) => [name, Array.from(payload)])).toEqual(
          list.map(([name, payload]) => [name, Array.from(payload)]),
        );
      }),
    );
    fc.assert(
      fc.property(
        number,
        number,
        number,
        number,
        fc.nat(),
        fc.nat(),
        bytes,
        bytes,
        (a, b, c, d, records, flags, print, body) => {
          fc.pre(a !== b);
          const [[base, next], [first, last]] = [
            [Math.min(a, b), Math.max(a, b)],
            [Math.min(c, d), Math.max(c, d)],
          ];
          const row: ChunkRow = { base, next, first, last, records, flags, bytes: body.length, print, body };
          const [block] = some(readBlocks(chunkBlock(row)));
          const back = some(readChunk(block.payload));
          expect({ ...back, print: Array.from(back.print), body: Array.from(back.body) }).toEqual({
            ...row,
            print: Array.from(print),
            body: Array.from(body),
          });
        },
      ),
    );
    fc.assert(
      fc.property(fc.jsonValue(), bytes, (letter, body) => {
        const read = some(readLetter(some(readBlocks(letterBlock(letter, body)))[0].payload));
        expect(JSON.stringify(read.letter)).toBe(JSON.stringify(letter));
        expect(Array.from(read.body)).toEqual(Array.from(body));
      }),
    );
    const body = new Uint8Array(48);
    const ids = { part: 3, origin: 2, last: 2 ** 40, body };
    expect(some(readIds(some(readBlocks(idsBlock(ids)))[0].payload))).toEqual(ids);
  });

  test("finds every flipped bit of a block, and refuses what is cut, or too long", () => {
    const block = jsonBlock("marks", { partition: 0 });
    for (let bit = 0; bit < block.length * 8; bit++) {
      const spoilt = block.slice();
      spoilt[bit >> 3] ^= 1 << (bit & 7);
      expect(readBlocks(spoilt).ok, `bit ${bit}`).toBe(false);
    }
    for (let at = 1; at < block.length; at++) expect(readBlocks(block.subarray(0, at)).ok).toBe(false);
    expect(readBlocks(writeBlock("chunk", new Uint8Array(limits.dumpBlockBytesMax))).ok).toBe(true);
    expect(readBlocks(writeBlock("chunk", new Uint8Array(limits.dumpBlockBytesMax + 1)))).toMatchObject({
      ok: false,
      refusal: { code: "bad-dump" },
    });
    expect(checkHeader(encodeText("MRDP\u0002\0\0\0")).ok).toBe(false);
  });

  test("never throws over bytes of any kind", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(blocks) as BlockName[])),
        fc.uint8Array({ maxLength: 120 }),
        (name, payload) => {
          const [block] = some(readBlocks(writeBlock(name, payload)));
          const part = partOf(block);
          if (part.ok && "chunk" in part.value) checkChunk(part.value.chunk, true, everything);
          readLetter(payload);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("chains what it writes, however it is stopped and gone on with", () => {
    const hash = () => {
      const running = createHash("sha256");
      return { update: (bytes: Uint8Array) => void running.update(bytes), digest: () => running.copy().digest() };
    };
    const payloads = Array.from({ length: 12 }, (_, n) => writeBlock("chunk", new Uint8Array(300_000).fill(n)));
    const whole: Uint8Array[] = [];
    const writer = new DumpWriter(hash(), (bytes) => whole.push(bytes));
    for (const payload of payloads) writer.add(payload);
    writer.finish({});
    const all = concat(whole);
    let seen = headerBytes;
    const hashes = some(readBlocks(all.subarray(headerBytes))).flatMap((block) => {
      const at = seen;
      seen += 12 + block.payload.length;
      if (block.name !== "hash" && block.name !== "end") return [];
      expect(Buffer.from(saidHash(block.payload))).toEqual(createHash("sha256").update(all.subarray(0, at)).digest());
      return [at];
    });
    expect(hashes.length).toBe(Math.floor((12 * 300_000) / hashEvery) + 1);
    for (let stop = 0; stop <= payloads.length; stop++) {
      const parts: Uint8Array[] = [];
      const first = hash();
      const before = new DumpWriter(first, (bytes) => parts.push(bytes));
      for (const payload of payloads.slice(0, stop)) before.add(payload);
      // As far as it was written: not the hash that would follow.
      const last = parts[parts.length - 1];
      const cut = last.length === 44 ? parts.slice(0, -1) : parts;
      const again = hash();
      for (const part of cut) again.update(part);
      let since = 0;
      for (const part of cut) since = part.length === 44 ? 0 : since + part.length;
      const rest = [...cut];
      const after = new DumpWriter(again, (bytes) => rest.push(bytes), since);
      for (const payload of payloads.slice(stop)) after.add(payload);
      after.finish({});
      expect(Buffer.compare(concat(rest), all), `stopped behind ${stop}`).toBe(0);
    }
  });
});

describe("a log", () => {
  test("comes back as it was, in any pieces, however often each is sent, over restarts", () => {
    const log = filled(60);
    log.fence("writer");
    log.trim(31, 2_000);
    const blocks = dumped(log);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 30 }), (steps) => {
        const sql = nodeSql();
        let copy = fresh(sql);
        let at = 0;
        for (let turn = 0; at < blocks.length; turn++) {
          const step = steps[turn % steps.length];
          const from = Math.max(0, at - (step % 3));
          const to = Math.min(blocks.length, at + 1 + step);
          some(take(copy, partsOf(concat(blocks.slice(from, to))), 5_000_000));
          if (step === 4) copy = Log.open(sql, 5_000_000) as Log;
          at = to;
        }
        expect(copy.restoring).toBe(true);
        expect(equal(dumped(copy, log.span.tail), blocks)).toBe(true);
        finish(copy, 5_000_000);
        finish(copy, 5_000_000);
        copy.check();
        expect(copy.span).toEqual(log.span);
        expect(copy.facts().fence).toBe("writer");
        expect(equal(dumped(copy), blocks)).toBe(true);
        const reopened = Log.open(sql, 5_000_000) as Log;
        expect(equal(dumped(reopened), blocks)).toBe(true);
        const terms = { producer: { id: "p2", epoch: 58, sequence: 0, contiguous: true } };
        const [retry] = reopened.append([{ ...batch(recordsOf(58)), terms }], 5_000_001);
        expect(retry).toMatchObject({ ok: true, value: [{ verdict: "duplicate", offset: 58 * 7 }] });
        const [next] = reopened.append([{ ...batch([record(1)]), terms: {} }], 5_000_001);
        expect(next).toMatchObject({ ok: true, value: [{ verdict: "appended", offset: log.span.tail }] });
      }),
      { numRuns: 40 },
    );
  });

  test("takes nothing that leaves a gap, contradicts what is there, or is more than the marks say", () => {
    const blocks = dumped(filled(20));
    const marks = blocks.findIndex((one) => some(readBlocks(one))[0].name === "marks");
    const chunks = blocks.filter((one) => some(readBlocks(one))[0].name === "chunk");
    const close = blocks[blocks.length - 1];
    const copy = fresh();
    const refused = (bytes: Uint8Array, code: string) =>
      expect(take(copy, partsOf(bytes), 1)).toMatchObject({ ok: false, refusal: { code } });
    refused(chunks[0], "restore-gap");
    some(take(copy, partsOf(concat(blocks.slice(0, marks + 1))), 1));
    refused(chunks[0], "restore-gap");
    const producers = blocks[marks + 1];
    some(take(copy, partsOf(concat([producers, producers])), 1));
    const [row0, ...others] = JSON.parse(new TextDecoder().decode(producers.subarray(12)));
    // Once more, and otherwise; in another order; and one twice.
    refused(jsonBlock("producers", [{ ...row0, epoch: row0.epoch + 1 }, ...others]), "bad-dump");
    refused(jsonBlock("producers", [...others, row0]), "bad-dump");
    refused(jsonBlock("producers", [row0, row0, ...others]), "bad-dump");
    refused(chunks[1], "restore-gap");
    refused(concat([chunks[0], chunks[2]]), "restore-gap");
    // All or none of a body.
    expect(standOf(copy)).toMatchObject({ next: 0, chunks: 0 });
    some(take(copy, partsOf(chunks[0]), 1));
    refused(close, "restore-gap");
    const [row] = some(readBlocks(chunks[1])).map(({ payload }) => some(readChunk(payload)));
    refused(chunkBlock({ ...row, last: 10_000 }), "bad-dump");
    refused(chunkBlock({ ...row, first: 1 }), "bad-dump");
    refused(chunkBlock({ ...row, next: 9_999 }), "bad-dump");
    const other = filled(21);
    refused([...stateBlocks(other)][0], "conflict");
    finish(copy, 1);
    expect(copy.restoring).toBe(true);
  });

  test("is dumped up to a tail, though it was merged across it since", () => {
    for (const to of [10, 21, 33]) {
      const log = filled(8);
      const before = dumped(log, to).filter((one) => some(readBlocks(one))[0].name === "chunk");
      log.change(9_000, () => void log.segments.cut(log.span.tail, 9_000));
      const [segment] = log.segments.hot;
      const rewriter = new Rewriter(true, (_record, offset) => (offset === 5 ? "drop" : "keep"));
      for (const head of [...log.segments.chunksFrom(0)]) rewriter.add({ ...head, body: log.segments.body(head.base) });
      expect(log.replace([segment], rewriter.finish(), 9_000)).toBe(true);
      const after = dumped(log, to).filter((one) => some(readBlocks(one))[0].name === "chunk");
      const seen = (list: Uint8Array[]) =>
        list.flatMap((one) => {
          const row = some(readChunk(some(readBlocks(one))[0].payload));
          const found: [number, number, string][] = [];
          for (const frame of some(openChunk(row, true)))
            decodeFrame(frame, ({ data }, offset, time) => found.push([offset, time, String.fromCharCode(...data)]));
          return found;
        });
      expect(seen(after)).toEqual(seen(before).filter(([offset]) => offset !== 5));
      expect(seen(after).length).toBe(to - 1);
    }
  });
});

describe("a chunk that lies", () => {
  const log = filled(1, 12);
  const [head] = [...log.segments.chunksFrom(0)];
  const row: ChunkRow = { ...head, body: log.segments.body(head.base) };
  const wrong = (change: Partial<ChunkRow>, range = everything) =>
    expect(checkChunk({ ...row, ...change }, true, range), JSON.stringify(change)).toMatchObject({
      ok: false,
      refusal: { code: "bad-dump" },
    });

  test("is refused, whatever it lies about", () => {
    expect(checkChunk(row, true, everything).ok).toBe(true);
    wrong({ base: 1 });
    wrong({ next: 13 });
    wrong({ next: 11 });
    wrong({ records: 11 });
    wrong({ flags: 0 });
    wrong({ flags: row.flags | 64 });
    wrong({ first: row.first + 1, last: row.last + 1 });
    wrong({ first: row.first - 2, last: row.last - 1 });
    wrong({ print: Uint8Array.of(1) });
    wrong({ print: Uint8Array.of(7, 7) });
    wrong({ bytes: row.bytes - 1 });
    wrong({}, { from: 0, to: 1_000 });
    for (let bit = 0; bit < row.body.length * 8; bit += 3) {
      const body = row.body.slice();
      body[bit >> 3] ^= 1 << (bit & 7);
      wrong({ body });
    }
  });

  test("says of data that they were checked, and they would not have passed", () => {
    const liar = Log.create(nodeSql(), { ...spec, keyIndex: false }, 1);
    liar.append([{ ...batch([record(1, { data: encodeText("{not json") })]), terms: {} }], 5);
    const [head] = [...liar.segments.chunksFrom(0)];
    const lie = { ...head, body: liar.segments.body(0) };
    expect(checkChunk(lie, true, everything)).toMatchObject({
      refusal: { detail: expect.stringContaining("not what they are called") },
    });
  });
});
