/** A table's name is used again: what a database keeps of statements does not grow with what has gone through it. */
import { expect, test } from "vitest";
import { Archive } from "../../src/archive/archive.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { Log } from "../../src/log/log.ts";
import { kinds } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import { batch, spec } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const retention = { ...keepAll, retentionRecords: 16 };
const kept = { ...spec, deduplicationWindowMs: 0, retention };
const one = batch([{ kind: kinds.none, data: new Uint8Array(0) }]);

/** A database that notes which statements it was given. */
function noting(sql: Sql, texts: Set<string>): Sql {
  return {
    ...sql,
    all: (query, ...values) => sql.all(texts.add(query) && query, ...values),
    run: (query, ...values) => sql.run(texts.add(query) && query, ...values),
  };
}

/** Appends one by one, with retention after each, and reads all that is left. */
function pass(log: Log, count: number): void {
  const archive = new Archive(log, false);
  for (let n = 0; n < count; n++) {
    log.append([one], 1_000);
    archive.step(2_000, Number.MAX_SAFE_INTEGER);
  }
}

const offsets = (log: Log) => {
  const read = log.read({ from: { at: "earliest" }, limit: 1_000, bytesMax: 1_000_000 });
  if (!read.ok) throw new Error(read.refusal.detail);
  expect(read.value.upToDate).toBe(true);
  return { from: read.value.from, pieces: read.value.pieces.length };
};

test("many segments that come and go are the same statements to the database", () => {
  const texts = new Set<string>();
  const sql = noting(nodeSql(), texts);
  const log = Log.create(sql, kept, 0);
  pass(log, 60);
  offsets(log);
  const before = texts.size;
  pass(log, 1_000);
  expect(offsets(log)).toEqual({ from: log.span.head, pieces: 16 });
  expect(texts.size).toBe(before);
  expect(log.segments.open.n).toBeGreaterThan(500);
  const tables = sql.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE name GLOB 'chunk*'");
  expect(tables.length).toBeLessThanOrEqual(11);
  expect(offsets(Log.open(sql, 0) as Log)).toEqual({ from: log.span.head, pieces: 16 });
});

test("a database from when each segment had a table of its own number is read, and goes on", () => {
  const sql = nodeSql();
  const log = Log.create(sql, kept, 0);
  for (let n = 0; n < 12; n++) log.append([one], 1_000);
  const { tables, ...older } = JSON.parse(log.segments.meta.meta("segments") as string);
  expect(Object.keys(tables)).toEqual(Object.values(tables).map(String));
  log.segments.meta.setMeta("segments", JSON.stringify(older));
  const opened = Log.open(sql, 0) as Log;
  expect(offsets(opened)).toEqual({ from: 0, pieces: 12 });
  pass(opened, 100);
  expect(offsets(Log.open(sql, 0) as Log)).toEqual({ from: 96, pieces: 16 });
});
