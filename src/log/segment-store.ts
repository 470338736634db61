/** The manifest: a row for each sealed segment, and objects that nobody needs any more. `docs/STORAGE.md` has the rows. */
import type { Sql, SqlValue } from "../lib/sql.ts";
import { openPrint, openRow, type Segment, sealPrint, sealRow } from "./segment-row.ts";

export type { Segment } from "./segment-row.ts";

const columns = "base, n, next, first, last, chunks, records, bytes, hot, size, indexBytes, sha, prev, origin, sealed";

const rowsPerQuery = 128;

export interface Sums {
  segments: number;
  records: number;
  bytes: number;
  chunks: number;
}

/** The table of fingerprints of archived segments; a rebuild fills one like it. */
export const printTable = "(n INTEGER PRIMARY KEY, print BLOB NOT NULL) STRICT";

export class SegmentStore {
  /** Fingerprints that were found to be what was written, by their segments. */
  readonly #sound = new Set<number>();

  constructor(
    readonly sql: Sql,
    /** What stands for a row that does not agree with its sum; undefined where nothing does. */
    readonly mend: (row: Segment, sum: number) => Segment | undefined,
  ) {
    sql.run(`CREATE TABLE IF NOT EXISTS segment (
      base INTEGER PRIMARY KEY, n INTEGER NOT NULL, next INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
      chunks INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, hot INTEGER NOT NULL,
      size INTEGER NOT NULL, indexBytes INTEGER NOT NULL, sha BLOB NOT NULL, prev BLOB NOT NULL, origin BLOB NOT NULL,
      sealed INTEGER NOT NULL
    ) STRICT`);
    // Apart, because it is larger than the rest of the row, and asked for only by filtered reads.
    sql.run(`CREATE TABLE IF NOT EXISTS segment_print ${printTable}`);
    sql.run("CREATE TABLE IF NOT EXISTS notice (n INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT");
    sql.run(
      "CREATE TABLE IF NOT EXISTS garbage (key TEXT PRIMARY KEY, due INTEGER NOT NULL, attempts INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
  }

  /** What is yet to be said of segments, oldest first; `n` counts all that ever was. */
  notices(limit: number): { n: number; body: string }[] {
    return this.sql.all("SELECT n, body FROM notice ORDER BY n LIMIT ?", limit);
  }

  addNotice(n: number, body: string): void {
    this.sql.run("INSERT INTO notice (n, body) VALUES (?, ?)", n, body);
  }

  dropNotices(upTo: number): void {
    this.sql.run("DELETE FROM notice WHERE n <= ?", upTo);
  }

  /** Those whose chunks are in the database, in order. */
  hot(): Segment[] {
    return this.#rows("WHERE hot = 1 ORDER BY base");
  }

  /** Numbers of those that say so, whatever else they say. */
  hotNumbers(): number[] {
    return this.sql.all<{ n: number }>("SELECT n FROM segment WHERE hot = 1").map(({ n }) => n);
  }

  at(base: number): Segment | undefined {
    return this.#rows("WHERE base = ?", base)[0];
  }

  /** The segment that begins at or before an offset, nearest first. */
  before(offset: number): Segment | undefined {
    const [nearest] = this.#rows("WHERE base <= ? ORDER BY base DESC LIMIT 1", offset);
    if (nearest !== undefined) return nearest;
    for (const segment of this.back(offset)) return segment;
    return undefined;
  }

  /**
   * Those around a row that are what was written; where the next one begins, whatever else that says, in doubt as the row
   * itself has it; and where it may begin, if what the row has is wrong.
   */
  around({ base, next }: Segment): { before?: Segment; behind?: Segment; next?: number; nexts: number[] } {
    const sound = (rows: Segment[]) => rows.find((row) => openRow(row) === 0);
    const select = (where: string) => this.sql.all<Segment>(`SELECT ${columns} FROM segment ${where} LIMIT 8`, base);
    const behind = select("WHERE base > ? ORDER BY base");
    const said = behind.find((row) => row.base === next);
    return {
      before: sound(select("WHERE base < ? ORDER BY base DESC")),
      behind: sound(behind),
      next: (said ?? behind[0])?.base,
      nexts: behind.map((row) => row.base),
    };
  }

  *from(offset: number): Generator<Segment> {
    for (let base = offset; ; ) {
      const rows = this.sql.all<Segment>(
        `SELECT ${columns} FROM segment WHERE base >= ? ORDER BY base LIMIT ${rowsPerQuery}`,
        base,
      );
      yield* this.#known(rows);
      if (rows.length < rowsPerQuery) return;
      base = rows[rows.length - 1].base + 1;
    }
  }

  /** Those that end at or before an offset. */
  endedBy(offset: number): Segment[] {
    const ended: Segment[] = [];
    for (const segment of this.from(0)) {
      if (segment.next > offset) break;
      ended.push(segment);
    }
    return ended;
  }

  *back(offset: number): Generator<Segment> {
    for (let base = offset; ; ) {
      const rows = this.sql.all<Segment>(
        `SELECT ${columns} FROM segment WHERE base <= ? ORDER BY base DESC LIMIT ${rowsPerQuery}`,
        base,
      );
      yield* this.#known(rows);
      if (rows.length < rowsPerQuery) return;
      base = rows[rows.length - 1].base - 1;
    }
  }

  /** Those that have an object, from a base on. */
  archivedFrom(base: number, limit: number): Segment[] {
    return this.#rows("WHERE base >= ? AND size > 0 ORDER BY base LIMIT ?", base, limit);
  }

  /** The oldest one that is hot and has no object yet. */
  unarchived(): Segment | undefined {
    return this.#rows("WHERE hot = 1 AND size = 0 ORDER BY base LIMIT 1")[0];
  }

  sums(): Sums {
    return this.sql.all<Sums>(
      `SELECT count(*) AS segments, coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes,
        coalesce(sum(chunks), 0) AS chunks FROM segment`,
    )[0];
  }

  /** Sums over the objects that exist. */
  archived(): { segments: number; records: number; bytes: number } {
    return this.sql.all<{ segments: number; records: number; bytes: number }>(
      `SELECT count(*) AS segments, coalesce(sum(records), 0) AS records, coalesce(sum(size), 0) AS bytes
        FROM segment WHERE size > 0`,
    )[0];
  }

  set(row: Segment): void {
    this.sql.run(
      `INSERT INTO segment (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (base) DO UPDATE SET n = excluded.n, next = excluded.next, first = excluded.first,
        last = excluded.last, chunks = excluded.chunks, records = excluded.records, bytes = excluded.bytes,
        hot = excluded.hot, size = excluded.size, indexBytes = excluded.indexBytes, sha = excluded.sha,
        prev = excluded.prev, origin = excluded.origin, sealed = excluded.sealed`,
      row.base,
      row.n,
      row.next,
      row.first,
      row.last,
      row.chunks,
      row.records,
      row.bytes,
      row.hot,
      row.size,
      sealRow(row),
      row.sha,
      row.prev,
      row.origin,
      row.sealed,
    );
  }

  cool(base: number): void {
    const row = this.at(base);
    if (row !== undefined) this.set({ ...row, hot: 0 });
  }

  drop({ base, n }: Segment): void {
    this.sql.run("DELETE FROM segment WHERE base = ?", base);
    this.sql.run("DELETE FROM segment_print WHERE n = ?", n);
  }

  /** The fingerprint of an archived segment; undefined where there is none, or it is not what was written: it may hold anything. */
  print(n: number): Uint8Array | undefined {
    const row = this.#print(n);
    if (row === undefined) return undefined;
    const print = this.#sound.has(n) ? row.subarray(row[0] < 3 ? 0 : 5) : openPrint(row);
    if (print !== undefined) this.#sound.add(n);
    return print;
  }

  /** Whether the fingerprint that there is is what was written. */
  hasSoundPrint(n: number): boolean {
    const row = this.#print(n);
    return row === undefined || openPrint(row) !== undefined;
  }

  setPrint(n: number, print: Uint8Array): void {
    this.sql.run("INSERT OR REPLACE INTO segment_print (n, print) VALUES (?, ?)", n, sealPrint(print));
  }

  #print(n: number): Uint8Array | undefined {
    return this.sql.all<{ print: Uint8Array }>("SELECT print FROM segment_print WHERE n = ?", n)[0]?.print;
  }

  #rows(where: string, ...values: SqlValue[]): Segment[] {
    return this.#known(this.sql.all<Segment>(`SELECT ${columns} FROM segment ${where}`, ...values));
  }

  /** Rows of the table, or what stands for those that are not what was written. */
  #known(rows: Segment[]): Segment[] {
    return rows.flatMap((row) => {
      const sum = openRow(row);
      return sum === 0 ? row : (this.mend({ ...row }, sum) ?? []);
    });
  }

  addGarbage(key: string, due: number): void {
    this.sql.run(
      `INSERT INTO garbage (key, due, attempts) VALUES (?, ?, 0) ON CONFLICT (key)
        DO UPDATE SET due = min(due, excluded.due)`,
      key,
      due,
    );
  }

  /** The same, due then and not before. */
  setGarbage(key: string, due: number): void {
    this.addGarbage(key, due);
    this.sql.run("UPDATE garbage SET due = ? WHERE key = ?", due, key);
  }

  garbage(due: number, limit: number): { key: string; attempts: number }[] {
    return this.sql.all("SELECT key, attempts FROM garbage WHERE due <= ? ORDER BY due LIMIT ?", due, limit);
  }

  /** Keys of garbage from one on, and before another, in order; those behind `after`. */
  garbageIn(from: string, to: string, after: string, limit: number): string[] {
    const rows = this.sql.all<{ key: string }>(
      "SELECT key FROM garbage WHERE key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?",
      after,
      from,
      to,
      limit,
    );
    return rows.map(({ key }) => key);
  }

  isGarbage(key: string): boolean {
    return this.sql.all("SELECT 1 FROM garbage WHERE key = ?", key).length > 0;
  }

  /** When a key is to be deleted; 0 where it is no garbage. */
  garbageDue(key: string): number {
    return this.sql.all<{ due: number }>("SELECT due FROM garbage WHERE key = ?", key)[0]?.due ?? 0;
  }

  nextGarbage(): number | undefined {
    return this.sql.all<{ due: number | null }>("SELECT min(due) AS due FROM garbage")[0].due ?? undefined;
  }

  dropGarbage(key: string): void {
    this.sql.run("DELETE FROM garbage WHERE key = ?", key);
  }

  delayGarbage(key: string, due: number): void {
    this.sql.run("UPDATE garbage SET due = ?, attempts = attempts + 1 WHERE key = ?", due, key);
  }
}
