/** Reading as the service does it, over one partition and several, hot and archived, with and without a filter, against a list. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ok, type Result } from "../../schemas/errors.ts";
import { Source } from "../../src/http/read/source.ts";
import type { Filter } from "../../src/log/filter.ts";
import { matches } from "../../src/log/filter.ts";
import { Newest } from "../../src/log/newest.ts";
import type { Position } from "../../src/log/read.ts";
import type { PageAnswer, ReadCall } from "../../src/objects/answer.ts";
import { findNewest } from "../../src/objects/newest.ts";
import { type Event, events, filters, type Lying, Model, placesIn } from "../cases/readers.ts";
import { memoryBlobs } from "./bucket.ts";
import "./machine.ts";
import { times } from "../cases/long.ts";
import { nodeSql } from "./sqlite.ts";

// A double would nearly always be nearly 0.
const share = fc.nat(999).map((thousandths) => thousandths / 1_000);
const shares = fc.tuple(share, share, share);
const partitions = fc.integer({ min: 1, max: 3 });

async function modelOf(partitions: number, archive: boolean, steps: readonly Event[]): Promise<Model> {
  const model = new Model(partitions, nodeSql, memoryBlobs, archive);
  for (const step of steps) await model.take(step);
  return model;
}

const place = ({ partition, offset }: Lying) => `${partition}.${offset}`;
const numbers = (model: Model) => model.logs.map((_, partition) => partition);
const onEach = (model: Model, at: (partition: number) => Position) =>
  new Map(numbers(model).map((partition) => [partition, at(partition)]));

/** Reads on from page to page until the end, as a client does: what it gets, and what it is told that it missed. */
async function readOn(
  model: Model,
  start: ReadonlyMap<number, Position>,
  terms: { backward?: boolean; filter?: Filter | undefined; limit: number; bounds?: readonly number[] },
  between: () => void = () => {},
) {
  const got: Lying[] = [];
  const lost: { partition: number; from: number; to: number }[] = [];
  for (let positions = start; ; ) {
    const page = await model.page(positions, terms);
    if (!page.refused) expect(page.damaged).toEqual([]);
    if (page.refused) {
      expect(page.refused).toMatchObject({ code: "trimmed" });
      for (const { why, ...range } of page.refused.lost) {
        expect([why, range.from < range.to]).toEqual(["trimmed", true]);
        lost.push(range);
      }
      positions = placesIn(page.refused.cursor, terms.backward);
      continue;
    }
    got.push(...page.records);
    if (page.upToDate || page.next === null) return { got, lost };
    positions = placesIn(page.cursor, terms.backward);
    between();
  }
}

test("from any place, everything behind it is read in order, or told as trimmed; also what is trimmed meanwhile", async () => {
  const seen = { lost: 0, cold: 0 };
  await fc.assert(
    fc.asyncProperty(
      partitions,
      fc.boolean(),
      events,
      shares,
      filters,
      fc.integer({ min: 1, max: 7 }),
      shares,
      async (...all) => {
        const [count, archive, steps, starts, filter, limit, trims] = all;
        const model = await modelOf(count, archive, steps);
        // Below the head, at it, or above it.
        const from = numbers(model).map((partition) => Math.floor(starts[partition] * (model.tail(partition) + 1)));
        const heads = numbers(model).map((partition) => model.head(partition));
        seen.cold += model.logs.some(({ log }) => log.segments.hotFrom > log.span.head) ? 1 : 0;
        let pages = 0;
        const trim = () => {
          if (++pages !== 2) return;
          for (const partition of numbers(model))
            model.trim(partition, Math.floor(trims[partition] * model.tail(partition)));
        };
        const before = model.readable(filter);
        const start = onEach(model, (partition) => ({ at: "offset", offset: from[partition] }));
        const { got, lost } = await readOn(model, start, { filter, limit }, trim);
        const isLost = ({ partition, offset }: Lying) =>
          lost.some((range) => range.partition === partition && offset >= range.from && offset < range.to);
        // What was there to be read is read or lost, once and in order; what was not there is lost.
        const wanted = before.filter(({ partition, offset }) => offset >= from[partition]);
        expect(got.map(place)).toEqual(wanted.filter((one) => !isLost(one)).map(place));
        const below = model.list.filter(
          ({ partition, offset }) => offset >= from[partition] && offset < heads[partition],
        );
        expect(below.every(isLost)).toBe(true);
        // Nothing is told that could be read, nor twice.
        const told = lost.flatMap(({ partition, from, to }) =>
          Array.from({ length: to - from }, (_, index) => ({ partition, offset: from + index })),
        );
        expect(told.every(({ partition, offset }) => offset < model.head(partition) && offset >= from[partition])).toBe(
          true,
        );
        expect(new Set(told.map((one) => place(one as Lying))).size).toBe(told.length);
        if (lost.length > 0) seen.lost++;
      },
    ),
    { numRuns: times(80, 400) },
  );
  // The property says something only where it met these.
  expect(Math.min(seen.lost, seen.cold)).toBeGreaterThan(times(5, 20));
});

test("with an end, everything up to there is read once and in order, and then nothing", async () => {
  let within = 0;
  await fc.assert(
    fc.asyncProperty(
      partitions,
      fc.boolean(),
      events,
      shares,
      filters,
      fc.integer({ min: 1, max: 7 }),
      async (count, archive, steps, ends, filter, limit) => {
        const model = await modelOf(count, archive, steps);
        // Below the head, at it, within, and beyond the tail.
        const bounds = numbers(model).map((partition) => Math.floor(ends[partition] * (model.tail(partition) + 3)));
        const wanted = model.readable(filter).filter(({ partition, offset }) => offset < bounds[partition]);
        const start = onEach(model, () => ({ at: "earliest" }));
        const { got, lost } = await readOn(model, start, { filter, limit, bounds });
        expect(lost).toEqual([]);
        expect(got.map(place)).toEqual(wanted.map(place));
        if (wanted.length > limit && wanted.length < model.readable(filter).length) within++;
      },
    ),
    { numRuns: times(80, 400) },
  );
  expect(within).toBeGreaterThan(times(5, 20));
});

test("backward from any place, everything before it is read in order, or told as trimmed", async () => {
  const seen = { below: 0, nothing: 0 };
  await fc.assert(
    fc.asyncProperty(
      partitions,
      fc.boolean(),
      events,
      fc.tuple(share, share, fc.constant(0)),
      filters,
      fc.integer({ min: 1, max: 7 }),
      async (count, archive, steps, starts, filter, limit) => {
        const model = await modelOf(count, archive, steps);
        // Nothing lies before 0: it is no place below a head.
        const from = numbers(model).map((partition) => Math.floor(starts[partition] * (model.tail(partition) + 1)));
        const start = onEach(model, (partition) => ({ at: "before", offset: from[partition] }));
        const { got, lost } = await readOn(model, start, { backward: true, filter, limit });
        const wanted = model.readable(filter).filter(({ partition, offset }) => offset < from[partition]);
        expect(got.map(place)).toEqual(wanted.reverse().map(place));
        const below = numbers(model).filter(
          (partition) => from[partition] > 0 && from[partition] < model.head(partition),
        );
        expect(lost).toEqual(below.map((partition) => ({ partition, from: 0, to: from[partition] })));
        if (below.length > 0) seen.below++;
        if (numbers(model).some((partition) => from[partition] === 0 && model.head(partition) > 0)) seen.nothing++;
      },
    ),
    { numRuns: times(150, 400) },
  );
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(times(0, 5));
});

test("`prev` is null exactly where nothing readable lies before the page, and leads back to all of it", async () => {
  const starts = fc.oneof(
    shares.map((shares) => ({ at: "offset" as const, shares })),
    share.map((share) => ({ at: "time" as const, share })),
    fc.constant({ at: "earliest" as const }),
    fc.integer({ min: 1, max: 30 }).map((count) => ({ at: "last" as const, count })),
  );
  const seen = { null: 0, some: 0, filtered: 0 };
  await fc.assert(
    fc.asyncProperty(
      partitions,
      fc.boolean(),
      events,
      starts,
      filters,
      fc.integer({ min: 1, max: 7 }),
      async (...all) => {
        const [count, archive, steps, start, filter, limit] = all;
        const model = await modelOf(count, archive, steps);
        const readable = model.readable();
        const time = start.at === "time" ? 1_000 + Math.floor(start.share * 40) : 0;
        const begins = (partition: number): Position => {
          const head = model.head(partition);
          if (start.at === "offset") {
            return {
              at: "offset",
              offset: head + Math.floor(start.shares[partition] * (model.tail(partition) - head + 1)),
            };
          }
          if (start.at === "time") return { at: "time", time };
          return start.at === "last" ? { at: "last", count: start.count } : { at: "earliest" };
        };
        const first = (partition: number): number => {
          const position = begins(partition);
          const { at } = position;
          if (at === "offset") return position.offset;
          if (at === "last") return Math.max(model.head(partition), model.tail(partition) - position.count);
          const later = readable.filter(
            (one) => one.partition === partition && (at === "earliest" || one.timestamp >= time),
          );
          return Math.min(model.tail(partition), ...later.map(({ offset }) => offset));
        };
        const page = await model.page(onEach(model, begins), { filter, limit });
        if (page.refused) throw new Error(page.refused.detail);
        const before = readable.filter(({ partition, offset }) => offset < first(partition));
        expect(page.prev === null).toBe(before.length === 0);
        seen[page.prev === null ? "null" : "some"]++;
        if (filter !== undefined && page.prev !== null) seen.filtered++;
        if (page.prev === null) return;
        if (count === 1) expect(page.prev).toBe(first(0) - 1);
        const { got, lost } = await readOn(model, placesIn(page.back, true), { backward: true, filter, limit });
        const wanted = before.filter(({ record }) => filter === undefined || matches(filter, record)).reverse();
        expect(got.map(place)).toEqual(wanted.map(place));
        expect(lost).toEqual([]);
      },
    ),
    { numRuns: times(80, 400) },
  );
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(times(5, 20));
});

test("-n is where the newest n records begin that the filter lets through, over all partitions, in both directions", async () => {
  const seen = { fewer: 0, more: 0 };
  await fc.assert(
    fc.asyncProperty(partitions, fc.boolean(), events, filters, fc.integer({ min: 1, max: 25 }), async (...all) => {
      const [count, archive, steps, filter, n] = all;
      const model = await modelOf(count, archive, steps);
      const readable = model.readable(filter);
      const newest = await findNewest(n, numbers(model), filter, (partition, call) =>
        // Pages that are small, so that there are several.
        model.read(partition, { ...call, bytesMax: 300, limit: Math.min(call.limit, 3) }),
      );
      if (!newest.ok) throw new Error(JSON.stringify(newest));
      const at = (places: ReadonlyMap<number, number>, at: "offset" | "before") =>
        new Map([...places].map(([partition, offset]): [number, Position] => [partition, { at, offset }]));
      const forward = await readOn(model, at(newest.value.places(false), "offset"), { filter, limit: 4 });
      expect(forward).toEqual({ got: readable.slice(-n), lost: [] });
      const terms = { backward: true, filter, limit: 4 };
      const backward = await readOn(model, at(newest.value.places(true), "before"), terms);
      // It begins with the record that is named: the oldest of the n.
      const named = Math.max(0, readable.length - n) + 1;
      expect(backward).toEqual({ got: readable.slice(0, named).reverse(), lost: [] });
      seen[readable.length < n ? "fewer" : "more"]++;
      if (count > 1 || filter !== undefined) return;
      // One partition finds it by itself, and the same.
      const position: Position = { at: "last", count: n };
      expect(await readOn(model, new Map([[0, position]]), { limit: 4 })).toEqual(forward);
      expect(await readOn(model, new Map([[0, position]]), { ...terms, filter: undefined })).toEqual(backward);
    }),
    { numRuns: times(80, 400) },
  );
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(times(5, 20));
});

test("what is appended while the newest records are looked for is neither counted nor passed over", async () => {
  const append = (partition: number): Event => ({
    do: "append",
    partition,
    records: [{ kind: 0, data: new Uint8Array(0) }],
    later: 1,
  });
  const model = await modelOf(2, false, [0, 1, 0, 1, 0, 1].map(append));
  const newest = await findNewest(3, [0, 1], undefined, async (partition, call) => {
    const page = await model.read(partition, { ...call, limit: 1 });
    // Behind the look at this partition, and before that at the other.
    await model.take(append(0));
    await model.take(append(1));
    return page;
  });
  if (!newest.ok) throw new Error(JSON.stringify(newest));
  const places = newest.value.places(false);
  const from = new Map(
    [...places].map(([partition, offset]): [number, Position] => [partition, { at: "offset", offset }]),
  );
  const { got } = await readOn(model, from, { limit: 100 });
  for (const partition of [0, 1]) {
    const offsets = got.filter((one) => one.partition === partition).map(({ offset }) => offset);
    const begin = places.get(partition) as number;
    expect(offsets).toEqual(Array.from({ length: model.tail(partition) - begin }, (_, index) => begin + index));
    expect(begin).toBeLessThanOrEqual(3);
  }
});

test("a place that no offset named is the head, where the head has overtaken it", async () => {
  const model = await modelOf(1, false, []);
  model.logs[0].append(...Array.from({ length: 9 }, () => ({ kind: 0 as const, data: new Uint8Array(0) })));
  model.trim(0, 5);
  const terms = { backward: false, limit: 2, bytesMax: 1_000, toTail: false };
  const asks = { read: async (call: ReadCall) => (await model.read(0, call)) as Result<PageAnswer>, end: () => {} };
  const at = { at: "offset", offset: 3 } as const;
  const floating = new Source(0, at, terms, asks, true);
  expect(await floating.fetch(0)).toEqual(ok(undefined));
  expect([floating.start, floating.entry?.offset, floating.trimmed]).toEqual([5, 5, undefined]);
  const named = new Source(0, at, terms, asks);
  expect(await named.fetch(0)).toMatchObject({ ok: false, refusal: { code: "trimmed" } });
  expect(named.trimmed).toMatchObject({ head: 5, lost: { from: 3, to: 5 } });
});

test("a partition that is trimmed while the newest records are counted has no older ones", () => {
  const newest = new Newest([0], 5, undefined);
  expect(newest.wanted()).toEqual([{ partition: 0, from: { at: "latest" }, limit: 5 }]);
  newest.take(0, { from: 7, to: 9, pieces: [], upToDate: false });
  expect(newest.wanted()).toEqual([{ partition: 0, from: { at: "before", offset: 7 }, limit: 5 }]);
  newest.end(0);
  expect(newest.wanted()).toEqual([]);
  expect(newest.places(false)).toEqual(new Map([[0, 9]]));
});

test.each([false, true])(
  "damage is told where it is come to, and everything else is in order; backward: %s",
  async (backward) => {
    const append = (partition: number): Event => ({
      do: "append",
      partition,
      records: [{ kind: 0, data: new Uint8Array(0) }],
      later: 1,
    });
    const model = await modelOf(2, false, [0, 1, 0, 1, 0, 1, 0, 1].map(append));
    model.logs[0].sql.run("UPDATE chunk SET body = zeroblob(length(body)) WHERE base = 2");
    const start = onEach(model, () => ({ at: backward ? "latest" : "earliest" }));
    const page = await model.page(start, { backward, limit: 100 });
    if (page.refused) throw new Error(page.refused.detail);
    const sound = model.readable().filter((one) => place(one) !== "0.2");
    expect(page.records.map(place)).toEqual((backward ? sound.reverse() : sound).map(place));
    // Next to what lies around it in its partition, whatever the others have.
    const [{ behind, ...range }] = page.damaged;
    expect(range).toEqual({ partition: 0, from: 2, to: 3 });
    const before = page.records.slice(0, behind).filter(({ partition }) => partition === 0);
    expect(before.map(({ offset }) => offset)).toEqual(backward ? [3] : [0, 1]);
  },
);
