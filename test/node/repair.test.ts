/** Repairs end, whatever is missing, and leave a log that is whole; what they do twice is as once. */
import { expect, test } from "vitest";
import type { LostRange } from "../../schemas/erasure.ts";
import { joined, lostMax, lostOf } from "../../src/archive/repair.ts";
import { readIndex } from "../../src/archive/segment.ts";
import { placeOfKey } from "../../src/log/keys.ts";
import type { Spec } from "../../src/log/spec.ts";
import type { Machine } from "../cases/archive.ts";
import { machine, ofKey } from "./machine.ts";

type Mode = "isolate" | "truncate";

/** As a request does it, segment by segment. */
async function repaired(one: Machine, mode: Mode, from = 0, to?: number): Promise<LostRange[]> {
  const lost: LostRange[] = [];
  for (let rest: { next?: number; to?: number } = { next: from, ...(to === undefined ? {} : { to }) }; ; ) {
    const step = await one.history.workshop?.repair({ mode, from: rest.next as number, to: rest.to });
    if (!step?.ok) throw new Error(JSON.stringify(step));
    lost.push(...step.value.lost);
    if (step.value.next === undefined) return lost;
    expect(step.value.next).toBeGreaterThan(rest.next as number);
    rest = step.value;
  }
}

/** What a verification names. */
function verified(one: Machine) {
  const damaged: { from: number; to: number }[] = [];
  for (let from = 0; ; ) {
    const { next, damaged: more } = one.log.verify(from, 1_000);
    damaged.push(...more.map(({ from, to }) => ({ from, to })));
    if (next === undefined) return damaged;
    expect(next).toBeGreaterThan(from);
    from = next;
  }
}

/** Three segments of two records, and two in the open one; the tail is written down. */
function made(more: Partial<Spec> = {}, archive = false): Machine {
  const one = machine({ archive }, more);
  const given = more.offsets === "producer";
  for (let n = 0; n < 8; n++) {
    one.append({ ...ofKey(`k${n}`), ...(given ? { offset: n } : {}) });
    if (n < 6 && n % 2 === 1) one.seal();
  }
  one.log.fence("token");
  return one;
}

const rowless = (one: Machine, base: number) => one.sql.run("DELETE FROM segment WHERE base = ?", base);

function openless({ sql }: Machine): void {
  const tables = sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'chunk*'");
  for (const { name } of tables) sql.run(`DELETE FROM ${name} WHERE base >= 6`);
}

test.each([
  ["all of the open segment", openless, 6, 8],
  ["the row of the first segment", (one: Machine) => rowless(one, 0), 0, 2],
  ["the row of a segment between two", (one: Machine) => rowless(one, 2), 2, 4],
  ["the row of the last sealed one", (one: Machine) => rowless(one, 4), 4, 6],
  ["rows of two segments", (one: Machine) => [2, 4].map((base) => rowless(one, base)), 2, 6],
] as const)("a repair makes a hole where this is missing, and ends: %s", async (_, harm, from, to) => {
  for (const offsets of ["assigned", "producer"] as const) {
    for (const archive of [false, true]) {
      const one = made({ offsets }, archive);
      if (archive) {
        await one.run();
        one.log.change(one.now, () => {
          for (const segment of [...one.log.segments.hot]) one.log.segments.cool(segment);
        });
      }
      harm(one);
      one.reopen();
      // A missing row leaves no number that would tell; only where offsets are given one after another is it missed.
      if (offsets === "assigned" || from < 6) expect(verified(one)).toEqual([{ from, to }]);
      expect(await repaired(one, "isolate")).toMatchObject([{ from, to }]);
      expect(verified(one)).toEqual([]);
      one.log.check();
      expect(await repaired(one, "isolate")).toEqual([]);
      const left = [0, 1, 2, 3, 4, 5, 6, 7].filter((offset) => offset < from || offset >= to);
      expect((await one.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual(left);
      one.append({ ...ofKey("next"), ...(offsets === "producer" ? { offset: 8 } : {}) });
      expect(one.log.span.tail).toBe(9);
    }
  }
});

test("who reads where a segment's row is missing is told so, and goes on behind it", () => {
  const one = made();
  rowless(one, 2);
  one.reopen();
  const damaged = { chunk: 2, from: 3, to: 4, reason: "the segment is missing" };
  const read = (from: { at: "offset" | "before"; offset: number }, backward = false) =>
    one.log.read({ from, backward, limit: 10, bytesMax: 1_000 });
  expect(read({ at: "offset", offset: 3 })).toMatchObject({ value: { from: 3, to: 4, pieces: [{ damaged }] } });
  expect(read({ at: "before", offset: 4 }, true)).toMatchObject({
    value: { from: 2, to: 4, pieces: [{ damaged: { from: 2, to: 4 } }] },
  });
});

test("a truncation twice is as once, and one that reaches further says what it added", async () => {
  for (const archive of [false, true]) {
    const one = made({}, archive);
    const cut = [{ from: 5, to: 8, reason: "cut off" }];
    expect(joined(await repaired(one, "truncate", 5))).toEqual(cut);
    const segments = () => [...one.log.segments.store.from(0)].map(({ n }) => n);
    const before = segments();
    expect(await repaired(one, "truncate", 5, 8)).toEqual([]);
    expect(segments()).toEqual(before);
    expect(lostOf(one.log)).toEqual(cut);
    expect(await repaired(one, "truncate", 4, 8)).toEqual([{ from: 4, to: 5, reason: "cut off" }]);
    expect(await repaired(one, "truncate", 3, 8)).toEqual([{ from: 3, to: 4, reason: "cut off" }]);
    expect(lostOf(one.log)).toEqual([{ from: 3, to: 8, reason: "cut off" }]);
    expect(await one.history.workshop?.repair({ mode: "truncate", from: 8 })).toMatchObject({ value: { to: 8 } });
    await one.run();
    one.log.check();
  }
});

test("what was lost is noted once, and in a row, however often and in how many pieces it goes", () => {
  const range = (from: number, to: number, reason = "a") => ({ from, to, reason });
  expect(joined([range(5, 8), range(0, 2), range(5, 8)])).toEqual([range(0, 2), range(5, 8)]);
  expect(joined([range(0, 2), range(2, 4), range(4, 5, "b")])).toEqual([range(0, 4), range(4, 5, "b")]);
  expect(joined([range(3, 5, "b"), range(0, 9)])).toEqual([range(0, 9)]);
  const many = Array.from({ length: lostMax * 2 }, (_, n) => range(n * 10 + (n % 2), n * 10 + 3));
  const few = joined(many);
  expect(few.length).toBeLessThanOrEqual(lostMax);
  expect(few.length).toBeGreaterThan(0);
  for (const { from, to } of many) expect(few.some((range) => range.from <= from && range.to >= to)).toBe(true);
  expect(JSON.stringify(few).length).toBeLessThan(1_000_000);
});

test("a repair reads what lies in the archive alone, and is whole, once", async () => {
  const one = made({}, true);
  await one.run();
  one.log.change(one.now, () => {
    for (const segment of [...one.log.segments.hot]) one.log.segments.cool(segment);
  });
  const inner = one.blobs.get;
  const reads: string[] = [];
  Object.assign(one.blobs, {
    get: (...[key, from, length]: Parameters<typeof inner>) => {
      reads.push(key);
      return inner(key, from, length);
    },
  });
  expect(await repaired(one, "isolate")).toEqual([]);
  expect(reads.sort()).toEqual((await one.blobs.list("logs/")).blobs.map(({ key }) => key));
  expect(reads).toHaveLength(3);
});

/** Zeroes in the place of what a chunk has, in the database or in the object that has it. */
async function spoil(one: Machine, where: "hot" | "object", base: number): Promise<void> {
  if (where === "hot") {
    const tables = one.sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'chunk*'");
    for (const { name } of tables) one.sql.run(`UPDATE ${name} SET body = zeroblob(length(body)) WHERE base = ?`, base);
    return;
  }
  const { blobs } = await one.blobs.list("logs/");
  const { key, size } = blobs.findLast(({ key }) => placeOfKey(key).base <= base) as { key: string; size: number };
  const bytes = (await one.blobs.get(key, 0, size)) as Uint8Array;
  const index = readIndex(bytes, size);
  const chunk = index.ok ? index.value.chunks.find((one) => one.base === base) : undefined;
  if (chunk === undefined) throw new Error("there is no such chunk");
  bytes.fill(0, chunk.at, chunk.at + chunk.bytes);
  await one.blobs.delete([key]);
  await one.blobs.create(key, bytes);
}

test.each([
  ["one here, another there", [2], [3], []],
  ["one here, and both there", [2], [2, 3], [2]],
  ["both here, and one there", [2, 3], [3], [3]],
  ["both in both", [2, 3], [2, 3], [2, 3]],
] as const)(
  "of two copies that are damaged what neither has is lost, and nothing else: %s",
  async (_, hot, object, lost) => {
    for (const offsets of ["assigned", "producer"] as const) {
      for (const how of ["isolate", "erase"] as const) {
        const one = made({ offsets }, true);
        await one.run();
        for (const base of hot) await spoil(one, "hot", base);
        for (const base of object) await spoil(one, "object", base);
        one.reopen();
        const forget = async () => {
          one.history.workshop?.erasures.request("r", { key: lost[0] === 2 ? "k3" : "k2" }, one.now);
          await one.run();
          const records = lost.length < 2 ? 1 : 0;
          expect(one.history.workshop?.erasures.get("r")).toMatchObject({ records, unread: lost });
        };
        if (how === "erase") await forget();
        const ranges = await repaired(one, "isolate");
        expect(joined(ranges).flatMap(({ from, to }) => Array.from({ length: to - from }, (_, n) => from + n))).toEqual(
          lost,
        );
        await one.run();
        expect(verified(one)).toEqual([]);
        const left = [0, 1, 2, 3, 4, 5, 6, 7].filter((offset) => !lost.some((one) => one === offset));
        expect((await one.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual(left);
        expect(await repaired(one, "isolate")).toEqual([]);
        one.log.check();
      }
    }
  },
);
