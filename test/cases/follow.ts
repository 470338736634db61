/** Following a log, a portion at a time, against the list of what was appended. */
import fc from "fast-check";
import { expect } from "vitest";
import type { Sql } from "../../src/lib/sql.ts";
import { type Filter, matches } from "../../src/log/filter.ts";
import { framesOf, portionOf } from "../../src/log/follow.ts";
import { openFrames } from "../../src/log/frame.ts";
import { Log } from "../../src/log/log.ts";
import { decodeFrame, decodeRecord, recordBytes } from "../../src/log/record.ts";
import { records, share } from "./arbitrary.ts";
import { batch, readAll, type Stored, spec } from "./log.ts";

const filter: fc.Arbitrary<Filter | undefined> = fc.option(
  fc.oneof(
    fc.constantFrom("a", "b", "z").map((key) => ({ key })),
    fc.constantFrom("t1", "t2").map((type) => ({ types: [type] })),
    fc.record({ tags: fc.constant<string[]>(["x", "y"]), tagsMatch: fc.constantFrom("any" as const, "all" as const) }),
  ),
  { nil: undefined },
);

/**
 * Followers that read while others append and trim, with credits of every size: what they get is the log from where they
 * began, without what was trimmed before they came to it; each portion costs what it says, and as frames it is the same.
 */
export function followingAgainstLog(open: () => Sql, runs: number): void {
  const step = fc.oneof(
    fc.record({ append: records(30) }),
    fc.record({ credits: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ credits: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ trim: share }),
  );
  fc.assert(
    fc.property(filter, share, fc.array(step, { maxLength: 30 }), (...all) => {
      const [wanted, start, steps] = all;
      const log = Log.create(open(), spec, 0);
      let now = 1_000;
      log.append([batch([{ kind: 0, data: new Uint8Array(0) }])], now);
      const began = Math.floor(start * log.span.tail);
      let next = began;
      const got: Stored[] = [];
      const lost: [number, number][] = [];
      const take = (credits: number) => {
        const portion = portionOf(log, next, credits, wanted);
        expect(portion.from).toBe(next);
        expect(portion.next).toBeGreaterThanOrEqual(next);
        const shown: Stored[] = portion.items.map(({ bytes, from, to, offset, timestamp }) => {
          const record = decodeRecord(bytes, from, to);
          return { offset, timestamp, record: { ...record, data: Uint8Array.from(record.data) } };
        });
        const cost = shown.map(({ record }) => Math.max(1, Math.ceil(recordBytes(record) / 1_024)));
        expect(portion.cost).toBe(cost.reduce((sum, one) => sum + one, 0));
        expect(portion.cost <= credits || portion.items.length === 1).toBe(true);
        expect(framed(portion.items)).toEqual(shown);
        expect(portion.upToDate).toBe(portion.next === log.span.tail);
        got.push(...shown);
        lost.push(...portion.holes.map(({ from, to }): [number, number] => [from, to]));
        next = portion.next;
      };
      for (const one of steps) {
        now += 7;
        if ("append" in one) log.append([batch(one.append)], now);
        else if ("trim" in one) log.trim(Math.floor(log.span.head + one.trim * (log.span.tail - log.span.head)), now);
        else take(one.credits);
      }
      while (next < log.span.tail) take(1_000);
      const missing = (offset: number) => lost.some(([from, to]) => offset >= from && offset < to);
      const expected = readAll(log, { at: "offset", offset: Math.max(began, log.span.head) });
      const wantedOnly = expected.filter(
        ({ record, offset }) => !missing(offset) && (!wanted || matches(wanted, record)),
      );
      // What it got before it was trimmed is no longer there to compare.
      expect(got.filter(({ offset }) => offset >= log.span.head)).toEqual(wantedOnly);
      const offsets = got.map(({ offset }) => offset);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      if (wanted === undefined) {
        const held = lost.reduce((sum, [from, to]) => sum + to - from, 0);
        expect(got.length + held).toBe(log.span.tail - began);
      }
    }),
    { numRuns: runs },
  );
}

function framed(items: Parameters<typeof framesOf>[0]): Stored[] {
  return framesOf(items).flatMap((bytes) => {
    const frames = openFrames(bytes);
    if (!frames.ok) throw new Error(frames.refusal.detail);
    const found: Stored[] = [];
    for (const frame of frames.value) {
      decodeFrame(frame, (record, offset, timestamp) =>
        found.push({ offset, timestamp, record: { ...record, data: Uint8Array.from(record.data) } }),
      );
    }
    return found;
  });
}
