/** Whatever one number of a chunk's row has become: what is read is what was stored, or it is told, and nothing is given out twice. */
import { describe, expect, test } from "vitest";
import type { Sql } from "../../src/lib/sql.ts";
import { openFrames } from "../../src/log/frame.ts";
import { Log } from "../../src/log/log.ts";
import type { ReadTerms } from "../../src/log/read.ts";
import { decodeFrame, kinds, type Rec } from "../../src/log/record.ts";
import { batch, spec } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const columns = ["base", "next", "first", "last", "records", "flags", "bytes"] as const;
const sizes = [3, 1, 4, 2, 5];
const data = new Uint8Array(2);

interface Made {
  readonly sql: Sql;
  readonly log: Log;
  /** Timestamps by offset. */
  readonly stored: ReadonlyMap<number, number>;
  readonly rows: readonly { readonly table: string; readonly base: number; readonly next: number }[];
}

/** Two segments, of which the first is sealed. */
function make(own: boolean): Made {
  const sql = nodeSql();
  const log = Log.create(sql, { ...spec, deduplicationWindowMs: 0, offsets: own ? "producer" : "assigned" }, 0);
  let offset = 0;
  for (const [segment, count] of [0, 1].flatMap((one) => sizes.map((size) => [one, size]))) {
    const records = Array.from({ length: count }, (_, i): Rec => {
      const at = offset++;
      return { key: `k${i % 2}`, kind: kinds.binary, data, ...(own && { offset: at * 3 }) };
    });
    log.append([batch(records)], 1_000 + offset * 10);
    if (segment === 0 && offset === 15) log.change(2_000, () => log.segments.cut(log.span.tail, 2_000));
  }
  const rows = ["chunk", "chunk_1"].flatMap((table) =>
    sql
      .all<{ base: number; next: number }>(`SELECT base, next FROM ${table} ORDER BY base`)
      .map((row) => ({ table, ...row })),
  );
  return { sql, log, stored: all(log, {}).shown, rows };
}

function all(log: Log, terms: Partial<ReadTerms>) {
  const shown = new Map<number, number>();
  const told: { from: number; to: number }[] = [];
  const backward = terms.backward === true;
  let from = terms.from ?? ({ at: backward ? "latest" : "earliest" } as const);
  for (let pages = 0; ; pages++) {
    expect(pages).toBeLessThan(60);
    const page = log.read({ limit: 4, bytesMax: 1_000, ...terms, from });
    if (!page.ok) throw new Error(page.refusal.detail);
    for (const piece of page.value.pieces) {
      if ("damaged" in piece) told.push(piece.damaged);
      else {
        const frames = openFrames(piece.body);
        if (!frames.ok) throw new Error(frames.refusal.detail);
        for (const frame of frames.value)
          decodeFrame(frame, (record, offset, timestamp) => {
            const { key } = terms.filter ?? {};
            const wanted = offset >= page.value.from && offset < page.value.to && (key ?? record.key) === record.key;
            if (wanted) shown.set(offset, timestamp);
          });
      }
    }
    if (page.value.upToDate) return { shown, told };
    from = backward ? { at: "before", offset: page.value.from } : { at: "offset", offset: page.value.to };
  }
}

describe.each([
  ["offsets without holes", false],
  ["offsets of the writer's", true],
])("%s", (_name, own) => {
  const { rows } = make(own);

  function judged(made: Made, log: Log, struck: { base: number; next: number }, words: string): void {
    const tail = rows[rows.length - 1].next;
    const within = (offset: number) => offset >= struck.base && offset < struck.next;
    for (const terms of [
      {},
      { backward: true },
      { filter: { key: "k0" } },
      ...[...made.stored.values()]
        .filter((_, i) => i % 3 === 0)
        .map((time) => ({ from: { at: "time", time } as const })),
    ]) {
      const { shown, told } = all(log, terms);
      const { key } = (terms as { filter?: { key: string } }).filter ?? {};
      const since = "from" in terms ? terms.from.time : 0;
      for (const [offset, timestamp] of made.stored) {
        const named = told.some(({ from, to }) => offset >= from && offset < to);
        const which = `${words}: ${offset} of ${JSON.stringify(terms)}`;
        if (named) expect(within(offset), `${which} is told`).toBe(true);
        if (shown.has(offset)) expect([shown.get(offset), named], which).toEqual([timestamp, false]);
        // A row that has moved leaves no hole where offsets have them: verify tells.
        else if (timestamp >= since && key === undefined && !(own && words.startsWith("base")))
          expect(named, which).toBe(true);
      }
      for (const offset of shown.keys()) expect(made.stored.has(offset), `${words}: ${offset} is shown`).toBe(true);
      for (const { from, to } of told) expect(from < to && to <= tail, `${words}: ${from} to ${to} is told`).toBe(true);
    }
    const { damaged, next } = log.verify(0, 1e9);
    expect(next, words).toBeUndefined();
    for (const { from, to } of damaged) {
      if (!own) expect(from < struck.next && to > struck.base, `${words}: verify names ${from} to ${to}`).toBe(true);
    }
    expect(log.span.tail, `${words}: the tail`).toBe(tail);
  }

  test("is read as it was, or told", () => {
    for (const struck of rows.filter((_, i) => i % 2 === 0 || i === rows.length - 1)) {
      for (const column of columns) {
        for (const bit of [0, 3, 33, 48]) {
          const made = make(own);
          const { table, base } = struck;
          const words = `${column} of ${base}, bit ${bit}`;
          try {
            made.sql.run(
              `UPDATE ${table} SET ${column} = (${column} | ?) - (${column} & ?) WHERE base = ?`,
              2 ** bit,
              2 ** bit,
              base,
            );
          } catch {
            continue; // Another row is there.
          }
          // Who has it open reads on, and who opens it.
          judged(made, made.log, struck, words);
          const log = Log.open(made.sql, 3_000) as Log;
          judged(made, log, struck, `${words}, opened`);
          const record = { kind: kinds.binary, data, ...(own && { offset: 500 }) };
          const [answer] = log.append([batch([record])], 3_000);
          expect(answer, words).toMatchObject({ ok: true });
          const { shown } = all(log, {});
          expect(shown.has(own ? 500 : rows[rows.length - 1].next), words).toBe(true);
        }
      }
    }
  });

  test("or what it says of the records' keys", () => {
    for (const struck of rows) {
      for (const bit of [0, 1, 3, 7, 11, 30]) {
        const made = make(own);
        const { table, base } = struck;
        const [{ print }] = made.sql.all<{ print: Uint8Array }>(`SELECT print FROM ${table} WHERE base = ?`, base);
        print[bit >> 3] ^= 1 << (bit & 7);
        made.sql.run(`UPDATE ${table} SET print = ? WHERE base = ?`, print, base);
        judged(made, Log.open(made.sql, 3_000) as Log, struck, `print of ${base}, bit ${bit}`);
        for (const key of ["k0", "k1"]) {
          const { told } = all(made.log, { filter: { key } });
          expect(told).toEqual([]);
          expect([...all(made.log, { filter: { key } }).shown.keys()]).toEqual([
            ...all(make(own).log, { filter: { key } }).shown.keys(),
          ]);
        }
      }
    }
  });
});
