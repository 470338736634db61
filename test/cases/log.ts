/** The log against a plain model: a list. Run over node:sqlite and inside workerd. */
import fc from "fast-check";
import { expect } from "vitest";
import type { Result } from "../../schemas/errors.ts";
import { concat } from "../../src/lib/bytes.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { flags, openFrames } from "../../src/log/frame.ts";
import { inspect } from "../../src/log/inspect.ts";
import { Log } from "../../src/log/log.ts";
import type { Position } from "../../src/log/read.ts";
import { decodeFrame, FrameWriter, type Rec } from "../../src/log/record.ts";
import type { Run, Terms } from "../../src/log/sequence.ts";
import type { Batch, Spec } from "../../src/log/spec.ts";
import { record, share } from "./arbitrary.ts";

export const spec: Spec = {
  logId: "0123456789abcdef0123",
  partition: 0,
  version: 1,
  deduplicationWindowMs: 1_000,
  timestamps: "arrival",
  offsets: "assigned",
  keyIndex: false,
  sealed: false,
  continues: false,
};

/** Packs records as the Worker does. */
export function batch(records: readonly Rec[], terms: Terms = {}): Batch {
  const writer = new FrameWriter();
  for (const one of records) writer.add(one);
  const bytes = concat(writer.finish(flags.checked));
  const frames = openFrames(bytes);
  if (!frames.ok) throw new Error(frames.refusal.detail);
  const hashes = frames.value.flatMap((frame) => {
    const rules = {
      recordBytesMax: 1_000_000,
      ownOffsets: records[0].offset !== undefined,
      ownTimestamps: records[0].timestamp !== undefined,
      timestampMax: 1e13,
    };
    const inspected = inspect(frame, rules);
    if (!inspected.ok) throw new Error(inspected.refusal.detail);
    return [inspected.value.hashes.length, ...inspected.value.hashes];
  });
  return { bytes, hashes: Uint32Array.from(hashes), terms };
}

export interface Stored {
  offset: number;
  timestamp: number;
  record: Rec;
}

/** Everything that a read gives, page by page. */
export function readAll(log: Log, from: Position = { at: "earliest" }, bytesMax = 1_000): Stored[] {
  const found: Stored[] = [];
  for (let position = from; ; ) {
    const page = log.read({ from: position, limit: 7, bytesMax });
    if (!page.ok) throw new Error(page.refusal.detail);
    for (const piece of page.value.pieces) {
      if (!("body" in piece)) throw new Error(`damaged: ${piece.damaged.reason}`);
      const frames = openFrames(piece.body);
      if (!frames.ok) throw new Error(frames.refusal.detail);
      for (const frame of frames.value) {
        decodeFrame(frame, (one, offset, timestamp) => {
          const data = Uint8Array.from(one.data);
          if (offset >= page.value.from && offset < page.value.to)
            found.push({ offset, timestamp, record: { ...one, data } });
        });
      }
    }
    if (page.value.upToDate) return found;
    position = { at: "offset", offset: page.value.to };
  }
}

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.refusal.code}: ${result.refusal.detail}`);
  return result.value;
};

type Step =
  | { do: "append"; batches: Rec[][]; producer: number; retry: boolean }
  | { do: "wait"; ms: number }
  | { do: "trim"; share: number }
  | { do: "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      batches: fc.array(fc.array(record, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
      producer: fc.nat(2),
      retry: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(1_500) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("trim" as const), share }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

class Model {
  readonly records: Stored[] = [];
  head = 0;
  /** Ends of the commits, which are chunks: a trim drops those before it, and a restart learns ids from those that are left. */
  readonly #ends: number[] = [];
  #known = 0;

  committed(): void {
    this.#ends.push(this.records.length);
  }

  reopen(): void {
    this.#known = Math.max(this.#known, this.#ends.findLast((end) => end <= this.head) ?? 0);
  }

  /** What one record of a batch comes to: its offset, and whether it was there. */
  place(one: Rec, now: number): Run {
    const same = ({ offset, record }: Stored) =>
      offset >= this.#known &&
      record.id === one.id &&
      (record.source ?? "") === (one.source ?? "") &&
      record.key === one.key;
    const seen = one.id === undefined ? undefined : this.records.findLast(same);
    if (seen !== undefined && seen.timestamp >= now - spec.deduplicationWindowMs) {
      return { verdict: "duplicate", offset: seen.offset, count: 1 };
    }
    const offset = this.records.length;
    this.records.push({ offset, timestamp: now, record: one });
    return { verdict: "appended", offset, count: 1 };
  }
}

const flat = (runs: readonly Run[]): Run[] =>
  runs.flatMap((run) =>
    Array.from(
      { length: run.count },
      (_, index): Run =>
        run.verdict === "rejected" ? { ...run, count: 1 } : { ...run, offset: run.offset + index, count: 1 },
    ),
  );

/** Random appends by producers with retries, time, trims and restarts: the log is always what the model says. */
export function logAgainstModel(open: () => Sql, runs: number): void {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
      const sql = open();
      const model = new Model();
      const sequences = [0, 0, 0];
      let now = 1_000_000;
      let log = Log.create(sql, spec, now);
      for (const one of steps) {
        if (one.do === "wait") now += one.ms;
        else if (one.do === "reopen") {
          log = Log.open(sql, now)!;
          model.reopen();
        } else if (one.do === "trim") {
          const before = Math.floor(one.share * model.records.length);
          value(log.trim(before, now));
          model.head = Math.max(model.head, before);
        } else {
          const batches = one.batches.map((records, index) => {
            const terms = one.producer === 0 ? {} : producer(one.producer, sequences[one.producer] + index);
            return batch(records, terms);
          });
          const expected = one.batches.map((records) => records.map((rec) => model.place(rec, now)));
          model.committed();
          expect(log.append(batches, now).map((answer) => flat(value(answer)))).toEqual(expected);
          if (one.producer > 0) sequences[one.producer] += batches.length;
          if (one.producer > 0 && one.retry) {
            const again = batches.map((sent, index) => ({ ...batch(one.batches[index]), terms: sent.terms }));
            const repeated = expected.map((list) => list.map((run) => ({ ...run, verdict: "duplicate" })));
            expect(log.append(again, now).map((answer) => flat(value(answer)))).toEqual(repeated);
          }
        }
        log.check();
        expect(log.span).toMatchObject({ head: model.head, tail: model.records.length });
      }
      expect(readAll(log)).toEqual(model.records.slice(model.head));
      log = Log.open(sql, now)!;
      log.check();
      expect(readAll(log)).toEqual(model.records.slice(model.head));
    }),
    { numRuns: runs },
  );
}

const producer = (id: number, sequence: number): Terms => ({
  producer: { id: `p${id}`, epoch: 1, sequence, contiguous: true },
});

/** Pages, in both directions and under a filter, show what a fold over the whole log shows. */
export function pagesAgainstFold(open: () => Sql, runs: number): void {
  fc.assert(
    fc.property(
      fc.array(fc.array(record, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 12 }),
      fc.nat(),
      fc.integer({ min: 1, max: 2_000 }),
      (batches, place, bytesMax) => {
        const log = Log.create(open(), { ...spec, deduplicationWindowMs: 0 }, 0);
        batches.forEach((records, index) => {
          value(log.append([batch(records)], 1_000 + index * 10)[0]);
        });
        const all = readAll(log);
        const from = place % (all.length + 1);
        expect(readAll(log, { at: "offset", offset: from }, bytesMax)).toEqual(all.slice(from));
        expect(readAll(log, { at: "last", count: from + 1 }, bytesMax)).toEqual(all.slice(-from - 1));
        const time = 995 + (place % (batches.length * 10 + 10));
        expect(readAll(log, { at: "time", time }, bytesMax)).toEqual(all.filter(({ timestamp }) => timestamp >= time));
        const back = value(log.read({ from: { at: "latest" }, backward: true, limit: 5, bytesMax }));
        expect(back.to).toBe(all.length);
        expect(back.from).toBeLessThan(all.length);
      },
    ),
    { numRuns: runs },
  );
}
