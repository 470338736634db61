/** Whatever one number of a segment's row, or its fingerprint, has become: what is read is what was stored, or it is told. */
import { expect, test, vi } from "vitest";
import type { Filter } from "../../src/log/filter.ts";
import { eachItem } from "../../src/log/items.ts";
import { segmentKey } from "../../src/log/keys.ts";
import type { Position } from "../../src/log/read.ts";
import { decodeRecord } from "../../src/log/record.ts";
import type { Segment } from "../../src/log/segment-store.ts";
import { readThrough } from "../../src/objects/cold.ts";
import { Workshop } from "../../src/objects/workshop.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import type { Machine } from "../cases/archive.ts";
import { chained } from "../cases/chain.ts";
import { long } from "../cases/long.ts";
import { machine, ofKey } from "./machine.ts";

// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

const columns = [
  ...["n", "next", "first", "last", "chunks", "records", "bytes", "hot", "size", "indexBytes", "sealed"],
  ...["sha", "prev", "origin"],
] as const;

/** Where others than these say more: an index may begin before its object. */
const bitsOf: Partial<Record<(typeof columns)[number], number[]>> = {
  n: [0, 2],
  indexBytes: [1, 7, 9, 12, 31, 33],
  size: [1, 6, 9, 12, 33],
};

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Six segments of three records, all archived; the last two are in the database, too. */
async function make(): Promise<Machine> {
  const one = machine({ archive: true });
  for (let segment = 0; segment < 6; segment++) {
    for (let n = 0; n < 3; n++) {
      one.now += 10;
      one.append(ofKey(`k${segment}`, 5));
    }
    one.seal();
  }
  await one.run();
  const { segments } = one.log;
  one.log.change(one.now, () => {
    for (const segment of segments.hot.slice(0, 4)) segments.cool(segment);
  });
  const rows = [...segments.store.from(0)];
  expect(rows.map(({ hot }) => hot)).toEqual([0, 0, 0, 0, 1, 1]);
  expect(rows.every(({ size }) => size > 0)).toBe(true);
  return one;
}

/** What a reader sees from a place on, and what it is told to be damaged. */
async function seen(one: Machine, from: Position, filter?: Filter) {
  const { logId, partition } = one.log.spec;
  const where = { logId, partition, blobs: one.bucket as unknown as Blobs };
  const shown: number[] = [];
  const told: Range[] = [];
  for (let [position, pages] = [from, 0]; ; pages++) {
    expect(pages).toBeLessThan(40);
    const call = { from: position, limit: 7, bytesMax: 1_000, waitMs: 0, ...(filter === undefined ? {} : { filter }) };
    const page = await readThrough(where, call, async (call) => {
      const read = one.log.read(call);
      if (!read.ok) return read;
      return { ok: true, value: { ...read.value, ...one.log.span, sealed: false, promise: 0 } };
    });
    if (!page.ok) throw new Error(JSON.stringify(page));
    for (const piece of page.value.pieces) {
      if ("damaged" in piece) told.push(piece.damaged);
      else
        eachItem(piece.body, { ...page.value, filter }, ({ bytes, from, to, offset }) => {
          expect(decodeRecord(bytes, from, to).key).toBe(`k${Math.floor(offset / 3)}`);
          shown.push(offset);
        });
    }
    if (page.value.upToDate) return { shown, told };
    position = { at: "offset", offset: page.value.to };
  }
}

async function judge(one: Machine, { from, to }: Range, words: string): Promise<void> {
  const all = Array.from({ length: 18 }, (_, offset) => offset);
  const key = `k${from / 3}`;
  const reads: [Position, Filter | undefined, number[]][] = [
    [{ at: "earliest" }, undefined, all],
    [{ at: "earliest" }, { key }, [from, from + 1, from + 2]],
    [{ at: "offset", offset: from + 1 }, undefined, all.slice(from + 1)],
    // The times of what is struck, and of what is before it.
    ...[from - 1, from + 1, from + 2].map((offset): [Position, undefined, number[]] => [
      { at: "time", time: 1_010 + 10 * offset },
      undefined,
      all.slice(Math.max(0, offset)),
    ]),
  ];
  for (const [place, filter, wanted] of reads) {
    const { shown, told } = await seen(one, place, filter);
    const which = `${words}: ${JSON.stringify([place, filter])}`;
    for (const range of told) expect(range.from >= from && range.to <= to, `${which} is told`).toBe(true);
    const lost = (offset: number) => told.some((range) => offset >= range.from && offset < range.to);
    expect(shown, which).toEqual(wanted.filter((offset) => !lost(offset)));
    expect(new Set(shown).size, which).toBe(shown.length);
  }
}

function strike({ sql }: Machine, base: number, column: string, bit: number): boolean {
  const [{ value }] = sql.all<{ value: number | Uint8Array }>(
    `SELECT ${column} AS value FROM segment WHERE base = ?`,
    base,
  );
  if (typeof value === "number") {
    const high = Math.floor(value / 2 ** bit) % 2 === 1;
    sql.run(`UPDATE segment SET ${column} = ? WHERE base = ?`, value + (high ? -1 : 1) * 2 ** bit, base);
    return true;
  }
  if (value.length === 0) return false;
  value[bit % value.length] ^= 1;
  sql.run(`UPDATE segment SET ${column} = ? WHERE base = ?`, value, base);
  return true;
}

async function repaired(one: Machine, first = 0, workshop = one.history.workshop): Promise<Range[]> {
  const lost: Range[] = [];
  for (let rest: number | undefined = first; rest !== undefined; ) {
    const from: number = rest;
    const answer = await workshop?.repair({ mode: "isolate", from });
    if (answer?.ok !== true) throw new Error("it cannot be repaired");
    lost.push(...answer.value.lost);
    rest = answer.value.next;
  }
  return lost;
}

function named({ log }: Machine): Range[] {
  const found: Range[] = [];
  for (let from: number | undefined = 0; from !== undefined; ) {
    const report = log.verify(from, 1e9);
    found.push(...report.damaged);
    from = report.next;
  }
  return found;
}

test.each(columns)("%s is put right, or read past, and a repair gives up nothing", async (column) => {
  for (const base of [0, 9, 12]) {
    for (const bit of bitsOf[column] ?? (long ? [1, 33] : [33])) {
      for (const opened of [false, true]) {
        const one = await make();
        if (!strike(one, base, column, bit)) continue;
        const words = `${column} of ${base}, bit ${bit}${opened ? ", opened" : ""}`;
        if (opened) one.reopen();
        await judge(one, { from: base, to: base + 3 }, words);
        for (const { from, to } of named(one)) expect([from >= base, to <= base + 3], words).toEqual([true, true]);
        expect(await repaired(one), words).toEqual([]);
        expect(named(one), words).toEqual([]);
        const { shown, told } = await seen(one, { at: "earliest" });
        expect([shown.length, told], words).toEqual([18, []]);
        // What is in the bucket is to be read by what the row says now.
        one.log.change(one.now, () => {
          for (const segment of [...one.log.segments.hot]) if (segment.size > 0) one.log.segments.cool(segment);
        });
        one.reopen();
        const cold = await seen(one, { at: "earliest" });
        expect([cold.shown.length, cold.told, named(one)], words).toEqual([18, [], []]);
        one.append(ofKey("k6"));
        expect(one.log.span.tail, words).toBe(19);
      }
    }
  }
});

// One bit may do that, and then there is another row where the struck one says that the next one is.
test.each([0, 3, 6, 9])("a segment at %i that is said to end where another one does is put right", async (base) => {
  for (let next = base + 6; next < 18; next += 3) {
    const one = await make();
    one.sql.run("UPDATE segment SET next = ? WHERE base = ?", next, base);
    await judge(one, { from: base, to: base + 3 }, `next ${next}`);
    expect(await seen(one, { at: "earliest" })).toMatchObject({ told: [] });
  }
});

test.each(columns)("what the bucket has is not lost where the row is struck beside a chunk: %s", async (column) => {
  for (const [bit, beside] of [
    [1, undefined],
    [33, undefined],
    [1, "sealed"],
  ] as const) {
    const one = await make();
    if (!strike(one, 12, column, bit)) continue;
    if (beside !== undefined && column !== beside) strike(one, 12, beside, bit);
    const tables = one.sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'chunk*'");
    for (const { name } of tables) one.sql.run(`UPDATE ${name} SET body = zeroblob(length(body)) WHERE base = 13`);
    const words = `${column}, bit ${bit}, beside ${beside}`;
    one.reopen();
    expect(await repaired(one), words).toEqual([]);
    await one.run();
    expect(named(one), words).toEqual([]);
    expect((await seen(one, { at: "earliest" })).shown, words).toHaveLength(18);
  }
});

const hashes = ["sha", "prev", "origin", "sealed"] as const;
const missing = "missing";

test.each([...hashes, missing])(
  "objects go on from each other after a repair, whatever else is struck with %s",
  async (column) => {
    const harm = (one: Machine, base: number, what: string) =>
      what === missing ? one.sql.run("DELETE FROM segment WHERE base = ?", base) : strike(one, base, what, 1);
    for (const base of long ? [0, 3, 6, 9, 12, 15] : [3, 12]) {
      for (const beside of [undefined, ...hashes, missing]) {
        for (const [rewritten, gone] of [
          [[], []],
          [[], [0]],
          [[0], []],
          [[0], [0]],
          [[3], []],
          [[3], [0, 3]],
        ]) {
          const words = `${base}, ${beside} behind it, rewritten ${rewritten}, without objects ${gone}`;
          const one = await make();
          for (const at of rewritten.map((at) => base + at).filter((at) => at < 18)) {
            one.history.workshop?.erasures.request(`e${at}`, { key: `k${at / 3}` }, one.now, {});
            await one.run();
          }
          await chained(one, `${words}, before`);
          const keys = gone
            .map((at) => [...one.log.segments.store.from(base + at)][0])
            .filter((one) => one !== undefined);
          for (const segment of keys) await one.blobs.delete([segmentKey(one.log.spec.logId, 0, segment)]);
          harm(one, base, column);
          if (beside !== undefined && base < 15) harm(one, base + 3, beside);
          one.reopen();
          await repaired(one);
          await one.run();
          expect(named(one), words).toEqual([]);
          await chained(one, words);
          // What is made from here on continues it, too.
          one.append(ofKey("k6"));
          one.seal();
          await one.run();
          await chained(one, words);
        }
      }
    }
  },
);

test.each(["prev", "origin", "sealed"])(
  "a row whose %s is struck before there is an object makes none that goes on from anything else, nor is gone on from",
  async (column) => {
    for (const base of [3, 12, 15, 18]) {
      for (const repairs of [false, true]) {
        for (const after of [false, true]) {
          const words = `${base}, ${repairs ? "repaired" : "as it is"}, ${after ? "after" : "before"} an attempt`;
          const one = await make();
          if (base < 18) one.history.workshop?.erasures.request("e", { key: `k${base / 3}` }, one.now, {});
          else {
            one.append(ofKey("k6"));
            one.seal();
          }
          // The object, and for what is rewritten before that what is read.
          await one.run({ at: base < 12 ? 3 : 1, kind: after ? "fails after" : "fails" });
          expect(one.log.segments.store.at(base)?.size, words).toBe(0);
          strike(one, base, column, 1);
          one.reopen();
          if (repairs) await repaired(one);
          one.now += 3_600_000;
          await one.run();
          await repaired(one);
          await one.run();
          await chained(one, words);
          one.append(ofKey("k7"));
          one.seal();
          await one.run();
          await chained(one, words);
        }
      }
    }
  },
);

test("what is archived while the row before is not what was written does not name what that says", async () => {
  const one = await make();
  one.log.change(one.now, () => {
    for (const segment of [...one.log.segments.hot]) one.log.segments.cool(segment);
  });
  strike(one, 15, "sha", 1);
  one.reopen();
  one.append(ofKey("k6"));
  one.seal();
  await one.run();
  await repaired(one);
  await one.run();
  await chained(one, "behind 15");
});

test.each([0, 12])(
  "a row that was guessed is not believed after its chunks have left the database: from %s",
  async (from) => {
    const one = await make();
    const row = () => one.log.segments.store.at(12);
    const { hot: _hot, ...before } = row() as Segment;
    one.sql.run("UPDATE segment SET sealed = sealed + 1 WHERE base = 12");
    const tables = one.sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'chunk*'");
    for (const { name } of tables) one.sql.run(`DELETE FROM ${name} WHERE base = 13`);
    one.reopen();
    expect(row()?.broken).toBe(true);
    expect(await repaired(one, from)).toEqual([]);
    expect(row()).toEqual({ ...before, hot: 0, sealed: before.last });
  },
);

test("a time that is lower than it was lets nothing go before its time, and is named", async () => {
  const one = await make();
  one.retain({ archive: true, archiveAgeMs: 1_000_000 });
  one.now += 999_000;
  one.sql.run("UPDATE segment SET last = 0 WHERE base = 0");
  await one.run();
  expect(one.log.span.head).toBe(0);
  expect(named(one)).toMatchObject([{ from: 0, to: 3, reason: "the segment's row is not what was written" }]);
});

test("what has no object does not leave the database, though its row says that it has one", async () => {
  const one = machine({ archive: true });
  for (const key of ["a", "b"]) one.append(ofKey(key));
  one.seal();
  one.sql.run("UPDATE segment SET size = 4096");
  one.reopen();
  one.now += 1_000_000;
  one.retain({ archive: true, retentionAgeMs: 1_000 });
  await one.run();
  expect((await one.read({ at: "earliest" })).map(({ record }) => record.key)).toEqual(["a", "b"]);
  expect(await repaired(one)).toEqual([]);
  await one.run();
  expect(named(one)).toEqual([]);
  expect((await one.read({ at: "earliest" })).map(({ record }) => record.key)).toEqual(["a", "b"]);
});

test.each(columns)("%s of what lies in the database alone is put right where there is no bucket", async (column) => {
  for (const bit of bitsOf[column] ?? (long ? [1, 33] : [33])) {
    const one = machine({});
    for (const key of ["a", "b", "c"]) {
      one.append(ofKey(key));
      one.seal();
    }
    if (!strike(one, 1, column, bit)) continue;
    const words = `${column}, bit ${bit}`;
    one.reopen();
    const workshop = new Workshop(
      one.log,
      undefined,
      async () => {},
      () => one.now,
    );
    expect(await repaired(one, 0, workshop), words).toEqual([]);
    expect(named(one), words).toEqual([]);
    expect(
      (await one.read({ at: "earliest" })).map(({ record }) => record.key),
      words,
    ).toEqual(["a", "b", "c"]);
  }
});

test("a fingerprint that is not what was written is taken to allow everything, is named, and made again", async () => {
  for (const base of [0, 6]) {
    const made = await make();
    const [{ n }] = made.sql.all<{ n: number }>("SELECT n FROM segment WHERE base = ?", base);
    const print = () => made.sql.all<{ print: Uint8Array }>("SELECT print FROM segment_print WHERE n = ?", n)[0].print;
    const before = print();
    for (let at = 0; at < before.length; at++) {
      for (const bit of [0, 1, 5]) {
        const one = made;
        const struck = before.slice();
        struck[at] ^= 1 << bit;
        one.sql.run("UPDATE segment_print SET print = ? WHERE n = ?", struck, n);
        one.reopen();
        const words = `byte ${at}, bit ${bit} of ${base}`;
        await judge(one, { from: base, to: base + 3 }, words);
        expect(named(one), words).toMatchObject([{ from: base, to: base + 3 }]);
        expect(await repaired(one), words).toEqual([]);
        expect([named(one), print()], words).toEqual([[], before]);
      }
    }
  }
});

test("forgetting searches a segment whose fingerprint is not what was written", async () => {
  const one = await make();
  const [{ n }] = one.sql.all<{ n: number }>("SELECT n FROM segment WHERE base = 3");
  one.sql.run("UPDATE segment_print SET print = x'a50000000001' WHERE n = ?", n);
  one.history.workshop?.erasures.request("r", { key: "k1" }, one.now);
  await one.run();
  expect(one.history.workshop?.erasures.get("r")).toMatchObject({ records: 3 });
});

test("rows of before there was a sum are believed, and have one when they are written next", async () => {
  const one = await make();
  one.sql.run("UPDATE segment SET indexBytes = indexBytes & 4294967295");
  one.sql.run("UPDATE segment_print SET print = substr(print, 6)");
  one.reopen();
  await judge(one, { from: 3, to: 6 }, "as before");
  expect(named(one)).toEqual([]);
  one.log.change(one.now, () => one.log.segments.cool(one.log.segments.hot[0]));
  const sums = one.sql.all<{ sum: number }>("SELECT indexBytes >> 32 AS sum FROM segment ORDER BY base");
  expect(sums.map(({ sum }) => sum > 0)).toEqual([false, false, false, false, true, false]);
});
