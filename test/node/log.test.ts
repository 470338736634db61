import { describe, expect, test } from "vitest";
import type { Result } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import type { Run, Terms } from "../../src/log/sequence.ts";
import type { Spec } from "../../src/log/spec.ts";
import { batch, logAgainstModel, pagesAgainstFold, readAll, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { nodeSql } from "./sqlite.ts";

const record = (key?: string, rest: Partial<Rec> = {}): Rec => ({
  ...(key === undefined ? {} : { key }),
  kind: 1,
  data: new TextEncoder().encode('{"n":1}'),
  ...rest,
});
const create = (change: Partial<Spec> = {}) => Log.create(nodeSql(), { ...spec, ...change }, 0);
const append = (log: Log, records: Rec[], terms: Terms = {}, now = 1_000) =>
  log.append([batch(records, terms)], now)[0];
const runs = (result: Result<readonly Run[]>) => (result.ok ? result.value : result.refusal.code);
const code = (result: Result<unknown>) => (result.ok ? "ok" : result.refusal.code);
const by = (id: string, epoch: number, sequence: number, contiguous = true): Terms => ({
  producer: { id, epoch, sequence, contiguous },
});

test("the log agrees with a list, over appends, retries, trims and restarts", () =>
  logAgainstModel(() => nodeSql(), times(150, 600)));
test("pages agree with a fold, from offsets, times and the end", () =>
  pagesAgainstFold(() => nodeSql(), times(150, 600)));

describe("a commit", () => {
  test("of many callers is one chunk and one row, and each caller gets its own offsets", () => {
    const log = create();
    const before = log.facts().rowsWritten;
    const answers = log.append(
      Array.from({ length: 64 }, () => batch([record("k")])),
      5,
    );
    expect(answers.map(runs)).toEqual(
      Array.from({ length: 64 }, (_, offset) => [{ verdict: "appended", offset, count: 1 }]),
    );
    expect(log.facts()).toMatchObject({ chunks: 1, records: 64, rowsWritten: before + 1 });
  });

  test("with a refused batch in the middle appends the others", () => {
    const log = create();
    const answers = log.append([batch([record()]), batch([record()], { expectedOffset: 7 }), batch([record()])], 1);
    expect(answers.map(code)).toEqual(["ok", "expected-offset", "ok"]);
    expect(answers[1]).toMatchObject({ refusal: { facts: { tail: 1 } } });
    expect(readAll(log).map(({ offset }) => offset)).toEqual([0, 1]);
  });

  test("larger than a row is cut into chunks of at most 1 MiB", () => {
    const log = create();
    const big = Array.from({ length: 30 }, () => record("k", { data: new Uint8Array(100_000) }));
    append(log, big);
    expect(log.facts()).toMatchObject({ chunks: 3, records: 30 });
    expect(readAll(log, { at: "earliest" }, 1).length).toBe(30);
    log.check();
  });

  test("that the database refuses leaves nothing behind, in the rows or in memory", () => {
    const sql = nodeSql();
    const log = Log.create(sql, spec, 0);
    append(log, [record("k", { id: "1" })], by("p", 0, 0));
    const { transaction } = sql;
    sql.transaction = (work) =>
      transaction(() => {
        work();
        throw new Error("disk full");
      });
    expect(() => append(log, [record("k", { id: "2" })], by("p", 0, 1))).toThrow("disk full");
    sql.transaction = transaction;
    log.check();
    expect(runs(append(log, [record("k", { id: "2" })], by("p", 0, 1)))).toEqual([
      { verdict: "appended", offset: 1, count: 1 },
    ]);
  });

  test("never goes back in time, whatever the clock does", () => {
    const log = create();
    for (const now of [500, 400, 600, 100]) append(log, [record()], {}, now);
    expect(readAll(log).map(({ timestamp }) => timestamp)).toEqual([500, 500, 600, 600]);
  });
});

describe("a producer", () => {
  test("gets the first answer again for any of its last five batches", () => {
    const log = create();
    for (let sequence = 0; sequence < 7; sequence++) append(log, [record(), record()], by("p", 1, sequence));
    for (let sequence = 2; sequence < 7; sequence++) {
      expect(runs(append(log, [record(), record()], by("p", 1, sequence)))).toEqual([
        { verdict: "duplicate", offset: sequence * 2, count: 2 },
      ]);
    }
    expect(code(append(log, [record()], by("p", 1, 1)))).toBe("sequence-stale");
    expect(log.span.tail).toBe(14);
  });

  test("is refused a gap, and may leave numbers out where its batches go to many partitions", () => {
    const log = create();
    expect(append(log, [record()], by("p", 0, 1))).toMatchObject({
      refusal: { code: "sequence-gap", facts: { expected: 0 } },
    });
    expect(code(append(log, [record()], by("p", 0, 3, false)))).toBe("ok");
    expect(code(append(log, [record()], by("p", 0, 2, false)))).toBe("sequence-stale");
  });

  test("of an older epoch is fenced, and a newer one begins at zero", () => {
    const log = create();
    append(log, [record()], by("p", 1, 0));
    expect(code(append(log, [record()], by("p", 2, 5)))).toBe("sequence-gap");
    expect(code(append(log, [record()], by("p", 2, 0)))).toBe("ok");
    expect(code(append(log, [record()], by("p", 1, 1)))).toBe("fenced");
  });

  test("keeps its place over a restart", () => {
    const sql = nodeSql();
    append(Log.create(sql, spec, 0), [record()], by("p", 0, 0));
    const log = Log.open(sql, 0)!;
    expect(runs(append(log, [record()], by("p", 0, 0)))).toEqual([{ verdict: "duplicate", offset: 0, count: 1 }]);
    expect(code(append(log, [record()], by("p", 0, 2)))).toBe("sequence-gap");
  });

  test("is answered even after the partition was sealed", () => {
    const log = create();
    append(log, [record()], by("p", 0, 0));
    log.seal();
    expect(code(append(log, [record()], by("p", 0, 0)))).toBe("ok");
    expect(code(append(log, [record()], by("p", 0, 1)))).toBe("sealed");
  });
});

describe("ids", () => {
  test("are duplicates within the window, with the first offset, and not beyond it", () => {
    const log = create({ deduplicationWindowMs: 100 });
    const one = record("k", { source: "s", id: "1" });
    expect(runs(append(log, [one], {}, 1_000))).toMatchObject([{ verdict: "appended", offset: 0 }]);
    expect(runs(append(log, [one], {}, 1_100))).toMatchObject([{ verdict: "duplicate", offset: 0 }]);
    expect(runs(append(log, [{ ...one, source: "other" }], {}, 1_100))).toMatchObject([
      { verdict: "appended", offset: 1 },
    ]);
    expect(runs(append(log, [one], {}, 1_101))).toMatchObject([{ verdict: "appended", offset: 2 }]);
    expect(runs(append(log, [one], {}, 1_150))).toMatchObject([{ verdict: "duplicate", offset: 2 }]);
  });

  test("are remembered over a restart, from the chunks, without a row of their own", () => {
    const sql = nodeSql();
    const log = Log.create(sql, spec, 0);
    const before = sql.rowsWritten();
    append(log, [record("k", { id: "1" }), record("k", { id: "2" })]);
    expect(sql.rowsWritten()).toBe(before + 1);
    expect(runs(append(Log.open(sql, 1_500)!, [record("k", { id: "2" })], {}, 1_500))).toMatchObject([
      { verdict: "duplicate", offset: 1 },
    ]);
  });

  test("twice in one batch, or in one commit, are stored once", () => {
    const log = create();
    const one = record("k", { id: "1" });
    const answers = log.append([batch([one, record("k"), one]), batch([one])], 1);
    expect(answers.map(runs)).toEqual([
      [
        { verdict: "appended", offset: 0, count: 2 },
        { verdict: "duplicate", offset: 0, count: 1 },
      ],
      [{ verdict: "duplicate", offset: 0, count: 1 }],
    ]);
    expect(readAll(log).length).toBe(2);
  });

  test("of a window of zero are not compared", () => {
    const log = create({ deduplicationWindowMs: 0 });
    append(log, [record("k", { id: "1" })]);
    expect(runs(append(log, [record("k", { id: "1" })]))).toMatchObject([{ verdict: "appended", offset: 1 }]);
  });
});

describe("conditions", () => {
  test("expectedOffset wants the tail", () => {
    const log = create();
    expect(code(append(log, [record()], { expectedOffset: 0 }))).toBe("ok");
    expect(code(append(log, [record()], { expectedOffset: 0 }))).toBe("expected-offset");
    expect(code(append(log, [record()], { expectedOffset: 1 }))).toBe("ok");
  });

  test("expectedKeyOffset wants no newer record of the key, and nothing of others", () => {
    const log = create({ keyIndex: true });
    expect(code(append(log, [record("a")], { expectedKeyOffset: "none" }))).toBe("ok");
    expect(code(append(log, [record("a")], { expectedKeyOffset: "none" }))).toBe("expected-key-offset");
    append(log, [record("b")]);
    expect(code(append(log, [record("a")], { expectedKeyOffset: 0 }))).toBe("ok");
    expect(append(log, [record("a")], { expectedKeyOffset: 1 })).toMatchObject({
      refusal: { code: "expected-key-offset", facts: { actual: 2 } },
    });
    expect(code(append(create(), [record("a")], { expectedKeyOffset: 0 }))).toBe("key-index-off");
  });

  test("a fence keeps out who names another token", () => {
    const log = create();
    expect(code(append(log, [record()], { fence: "mine" }))).toBe("ok");
    log.fence("theirs");
    expect(code(append(log, [record()], { fence: "mine" }))).toBe("fenced");
    expect(code(append(log, [record()], { fence: "theirs" }))).toBe("ok");
    expect(code(append(log, [record()]))).toBe("ok");
    expect(code(log.fence("other", "mine"))).toBe("fenced");
    expect(code(log.fence("other", "theirs"))).toBe("ok");
    expect(code(log.fence("other", "theirs"))).toBe("ok");
    expect(log.fence(undefined)).toMatchObject({ ok: true });
    expect(code(append(log, [record()], { fence: "mine" }))).toBe("ok");
  });

  test.each(["mine", undefined])(
    "the fence %s is handed on when the partition is split, over restarts too",
    (token) => {
      const log = create();
      log.fence(token);
      log.seal();
      const child = () => Log.create(nodeSql(), { ...spec, partition: 1 }, 0, structuredClone(log.handOn(0)));
      const { sql } = child();
      for (const heir of [child(), Log.open(sql, 0) as Log]) {
        expect(heir.facts().fence).toBe(token);
        expect(code(append(heir, [record()], { fence: "other" }))).toBe(token === undefined ? "ok" : "fenced");
        expect(code(append(heir, [record()], { fence: token }))).toBe("ok");
        expect(heir.fence(undefined)).toMatchObject({ ok: true });
        expect(code(append(heir, [record()], { fence: "other" }))).toBe("ok");
      }
    },
  );

  test("a partition that was split takes no other fence: those that continue it would not have it", () => {
    const log = create();
    log.fence("mine");
    log.seal();
    expect(code(log.fence("mine"))).toBe("ok");
    expect(code(log.fence("other"))).toBe("sealed");
    expect(code(log.fence(undefined))).toBe("sealed");
  });

  test("an atomic batch with one bad record adds none", () => {
    const log = create({ offsets: "producer" });
    append(log, [record("k", { offset: 10 })]);
    const mixed = [record("k", { offset: 11 }), record("k", { offset: 5 })];
    expect(append(log, mixed, { atomic: true })).toMatchObject({
      refusal: { code: "atomic-rejected", facts: { reason: "offset-regressed" } },
    });
    expect(log.span.tail).toBe(11);
    expect(runs(append(log, mixed))).toMatchObject([{ verdict: "appended", offset: 11 }, { verdict: "rejected" }]);
  });
});

test("an atomic batch is side by side, but for what was there before", () => {
  const log = create({ deduplicationWindowMs: 1_000 });
  const named = (...ids: string[]) => ids.map((id) => record("k", { id }));
  append(log, named("a", "b"));
  append(log, [record("other")]);
  expect(runs(append(log, named("c", "a", "d"), { atomic: true }))).toEqual([
    { verdict: "appended", offset: 3, count: 1 },
    { verdict: "duplicate", offset: 0, count: 1 },
    { verdict: "appended", offset: 4, count: 1 },
  ]);
});

describe("producer-given offsets", () => {
  test("keep their gaps, and a repeated one is a no-op", () => {
    const log = create({ offsets: "producer" });
    const at = (...offsets: number[]) => offsets.map((offset) => record("k", { offset }));
    expect(runs(append(log, at(3, 7, 100)))).toMatchObject([{ offset: 3 }, { offset: 7 }, { offset: 100 }]);
    expect(runs(append(log, at(7, 100, 101)))).toEqual([
      { verdict: "duplicate", offset: 7, count: 1 },
      { verdict: "duplicate", offset: 100, count: 1 },
      { verdict: "appended", offset: 101, count: 1 },
    ]);
    expect(runs(append(log, at(50)))).toMatchObject([{ verdict: "rejected", reason: "offset-regressed" }]);
    expect(log.append([batch(at(200)), batch(at(200, 201))], 1).map(runs)).toMatchObject([
      [{ verdict: "appended", offset: 200 }],
      [
        { verdict: "duplicate", offset: 200 },
        { verdict: "appended", offset: 201 },
      ],
    ]);
    expect(readAll(log).map(({ offset }) => offset)).toEqual([3, 7, 100, 101, 200, 201]);
    expect(readAll(log, { at: "last", count: 4 }).map(({ offset }) => offset)).toEqual([100, 101, 200, 201]);
    expect(readAll(log, { at: "offset", offset: 8 }).map(({ offset }) => offset)).toEqual([100, 101, 200, 201]);
    log.check();
  });
});

describe("client timestamps", () => {
  test("are kept, and raised to the one before", () => {
    const log = create({ timestamps: "client" });
    const at = (...times: number[]) => times.map((timestamp) => record("k", { timestamp }));
    append(log, at(50, 40, 60), {}, 1_000_000);
    append(log, at(55, 70), {}, 1_000_001);
    expect(readAll(log).map(({ timestamp }) => timestamp)).toEqual([50, 50, 60, 60, 70]);
    expect(readAll(log, { at: "time", time: 60 }).map(({ offset }) => offset)).toEqual([2, 3, 4]);
    log.check();
  });
});

describe("positions", () => {
  const filled = () => {
    const log = create();
    for (let i = 0; i < 10; i++) append(log, [record("k"), record("k")], {}, 100 * (i + 1));
    return log;
  };

  test("a trimmed offset and one past the tail say so, with the ends", () => {
    const log = filled();
    log.trim(5, 0);
    const terms = { limit: 10, bytesMax: 10_000 };
    expect(log.read({ ...terms, from: { at: "offset", offset: 4 } })).toMatchObject({
      refusal: { code: "trimmed", facts: { head: 5, tail: 20 } },
    });
    expect(log.read({ ...terms, from: { at: "offset", offset: 21 } })).toMatchObject({
      refusal: { code: "past-tail", facts: { head: 5, tail: 20 } },
    });
    expect(log.read({ ...terms, from: { at: "offset", offset: 20 } })).toMatchObject({
      ok: true,
      value: { upToDate: true },
    });
    expect(readAll(log)[0].offset).toBe(5);
  });

  test("trimming goes up to the tail and never back, and the offsets go on", () => {
    const log = filled();
    expect(code(log.trim(21, 0))).toBe("past-tail");
    expect(log.trim(20, 0)).toMatchObject({ value: { head: 20, tail: 20, chunks: 0, records: 0 } });
    log.trim(3, 0);
    expect(log.span).toMatchObject({ head: 20, tail: 20 });
    expect(runs(append(log, [record()], {}, 1))).toMatchObject([{ offset: 20 }]);
    expect(readAll(log)[0].timestamp).toBe(1_000);
    expect(filled().place({ at: "time", time: 550 })).toEqual({ ok: true, value: { offset: 10 } });
  });
});

describe("damage", () => {
  const spoiled = (statement: string) => {
    const sql = nodeSql();
    const log = Log.create(sql, spec, 0);
    for (let i = 0; i < 5; i++) append(log, [record("k"), record("k")], {}, i);
    sql.run(statement);
    return log;
  };
  const pieces = (log: Log) => {
    const page = log.read({ from: { at: "earliest" }, limit: 100, bytesMax: 1e6 });
    return page.ok ? page.value.pieces.map((piece) => ("damaged" in piece ? piece.damaged : "whole")) : [];
  };

  test.each([
    [
      "a flipped byte",
      "UPDATE chunk SET body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB) WHERE base = 4",
      "checksum",
    ],
    ["a body cut short", "UPDATE chunk SET body = substr(body, 1, 30) WHERE base = 4", "length"],
    [
      "a row for other offsets",
      "UPDATE chunk SET body = (SELECT body FROM chunk WHERE base = 2) WHERE base = 4",
      "base",
    ],
    ["a chunk that is gone", "DELETE FROM chunk WHERE base = 4", "missing"],
  ])("%s is named, never served, and the rest is read", (_name, statement, reason) => {
    const log = spoiled(statement);
    const found = pieces(log);
    expect(found.filter((piece) => piece === "whole").length).toBe(4);
    expect(found).toContainEqual(expect.objectContaining({ from: 4, to: 6, reason: expect.stringContaining(reason) }));
    expect(log.verify(0, 1e9).damaged).toMatchObject([{ from: 4, to: 6 }]);
    expect(() => log.check()).toThrow("damaged");
  });

  test("verify goes step by step", () => {
    const log = spoiled("SELECT 1");
    const first = log.verify(0, 1);
    expect(first).toMatchObject({ chunks: 1, records: 2, next: 2 });
    expect(log.verify(first.next!, 1e9)).toMatchObject({ chunks: 4, records: 8, damaged: [] });
  });
});

test("verify finds nothing missing below a head in the middle of a batch", () => {
  for (let head = 1; head <= 21; head++) {
    const log = create({ deduplicationWindowMs: 0 });
    for (const count of [4, 5, 5, 2, 1, 4])
      append(
        log,
        Array.from({ length: count }, () => record("k")),
      );
    log.trim(head, 2_000);
    expect(log.verify(0, 1e9).damaged, `head ${head}`).toEqual([]);
  }
});

describe("filters", () => {
  test("pass over chunks that cannot match, and the cursor advances", () => {
    const log = create();
    for (let i = 0; i < 200; i++) append(log, [record(`k${i}`, { type: `t${i % 4}` })]);
    const page = log.read({ from: { at: "earliest" }, limit: 10, bytesMax: 1e6, filter: { key: "k150" } });
    expect(page).toMatchObject({ ok: true, value: { to: 200, upToDate: true } });
    expect(page.ok && page.value.pieces.length).toBe(1);
    const none = log.read({ from: { at: "earliest" }, limit: 10, bytesMax: 1e6, filter: { key: "nobody" } });
    expect(none).toMatchObject({ ok: true, value: { to: 200, pieces: [] } });
  });
});

test("an object that was never created holds no table", () => {
  const sql = nodeSql();
  expect(Log.open(sql, 0)).toBeUndefined();
  expect(sql.rowsWritten()).toBe(0);
});

test("the limits leave room for a full record in a frame, and a frame in a chunk", () => {
  const log = create();
  append(log, [record(undefined, { kind: 3, data: new Uint8Array(limits.recordBytesMax - 2) })]);
  expect(log.facts().chunks).toBe(1);
  log.check();
});
