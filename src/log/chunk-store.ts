/**
 * The chunks of one hot segment: a table of their own, so that a segment is dropped without a row written for each chunk.
 * The first segment's table is `chunk`, as in databases from before there were segments.
 */
import type { Sql } from "../lib/sql.ts";
import { type ChunkHead, type ChunkRow, openHead, sealHead } from "./chunk-head.ts";
import { brokenHead, countedHead, mendedHead, type Room } from "./mended-head.ts";

export interface Totals {
  chunks: number;
  records: number;
  bytes: number;
  /** Timestamps of the first chunk and of the last; undefined without any. */
  first: number | undefined;
  last: number | undefined;
  /** Where the last chunk ends, or the table's segment begins. */
  next: number;
}

const nothing = { chunks: 0, records: 0, bytes: 0, first: undefined, last: undefined };
const none = new Uint8Array(0);

/** The offsets `[base, next)` of the segment that the table has. A row anywhere else is broken. */
export interface Within {
  readonly base: number;
  readonly next: number;
}

const head = "base, next, first, last, records, flags, bytes, print";

/** Rows of heads fetched at a time: bounds memory, and what a short read fetches in vain. */
const headsPerQuery = 64;

export class ChunkTable {
  readonly #name: string;
  readonly #insert: string;
  readonly #at: string;
  readonly #from: string;
  readonly #back: string;
  readonly #body: string;

  constructor(
    readonly sql: Sql,
    readonly number: number,
  ) {
    const name = number === 0 ? "chunk" : `chunk_${number}`;
    this.#name = name;
    // Made once, because statements are cached by their text.
    this.#insert = `INSERT INTO ${name} (${head}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
    this.#at = `SELECT ${head} FROM ${name} WHERE base <= ? ORDER BY base DESC LIMIT 1`;
    this.#from = `SELECT ${head} FROM ${name} WHERE base >= ? ORDER BY base LIMIT ${headsPerQuery}`;
    this.#back = `SELECT ${head} FROM ${name} WHERE base <= ? ORDER BY base DESC LIMIT ${headsPerQuery}`;
    this.#body = `SELECT body FROM ${name} WHERE base = ?`;
  }

  create(): void {
    this.sql.run(`CREATE TABLE IF NOT EXISTS ${this.#name} (
      base INTEGER PRIMARY KEY, next INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
      records INTEGER NOT NULL, flags INTEGER NOT NULL, bytes INTEGER NOT NULL, print BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT`);
  }

  exists(): boolean {
    return this.sql.all("SELECT 1 FROM sqlite_master WHERE name = ?", this.#name).length > 0;
  }

  drop(): void {
    this.sql.run(`DROP TABLE IF EXISTS ${this.#name}`);
  }

  insert(row: ChunkRow): void {
    const { base, next, first, last, records, bytes, print, body } = row;
    this.sql.run(this.#insert, base, next, first, last, records, sealHead(row), bytes, print, body);
  }

  /** The chunk that begins at or before an offset, nearest first. */
  at(offset: number, within: Within): ChunkHead | undefined {
    if (offset < within.base) return undefined;
    const row = this.sql.all<ChunkHead>(this.#at, Math.min(offset, within.next - 1))[0];
    if (row !== undefined && row.base >= within.base && openHead(row) === 0) return row;
    for (const head of this.back(offset, within)) return head;
    return undefined;
  }

  /** Heads of the chunks that begin at or after an offset, in order. */
  *from(offset: number, within: Within): Generator<ChunkHead> {
    for (let from = Math.max(offset, within.base); ; ) {
      const rows = this.sql.all<ChunkHead>(this.#from, from);
      for (const row of rows) {
        if (row.base >= within.next) return;
        const head = this.#head(row, within);
        if (head !== undefined) yield head;
      }
      if (rows.length < headsPerQuery) return;
      from = rows[rows.length - 1].base + 1;
    }
  }

  /** Heads of the chunks that begin at or before an offset, newest first. */
  *back(offset: number, within: Within): Generator<ChunkHead> {
    for (let to = Math.min(offset, within.next - 1); ; ) {
      const rows = this.sql.all<ChunkHead>(this.#back, to);
      for (const row of rows) {
        if (row.base < within.base) return;
        const head = this.#head(row, within);
        // What stands for a broken one may begin later than its row says.
        if (head !== undefined && head.base <= offset) yield head;
      }
      if (rows.length < headsPerQuery) return;
      to = rows[rows.length - 1].base - 1;
    }
  }

  body(base: number): Uint8Array | undefined {
    return this.sql.all<{ body: Uint8Array }>(this.#body, base)[0]?.body;
  }

  /** Drops the chunks that end at or before an offset: a row written each. */
  dropBefore(offset: number, within: Within): void {
    const last = this.at(offset - 1, within);
    if (last === undefined) return;
    const to = last.next <= offset ? last.base + 1 : last.base;
    this.sql.run(`DELETE FROM ${this.#name} WHERE base < ?`, to);
  }

  /** Of a table that is a segment's from `base` on. */
  totals(base: number): Totals {
    const [first] = this.sql.all<ChunkHead>(this.#from, base);
    const [last] = this.sql.all<ChunkHead>(this.#at, Number.MAX_SAFE_INTEGER);
    if (first === undefined || last === undefined) return { ...nothing, next: base };
    if (openHead(first) !== 0 || openHead(last) !== 0) return this.#counted(base);
    const [sums] = this.sql.all<{ chunks: number; records: number; bytes: number; width: number; lengths: number }>(
      // Numbers that were damaged need not have room in a sum of integers.
      `SELECT count(*) AS chunks, total(records) AS records, total(bytes) AS bytes, total(next - base) AS width,
        total(length(body)) AS lengths FROM ${this.#name}`,
    );
    const { chunks, records, bytes, width, lengths } = sums;
    if (bytes !== lengths || records > width || width > last.next - first.base) return this.#counted(base);
    return { chunks, records, bytes, first: first.first, last: last.last, next: last.next };
  }

  /**
   * The totals of a table of which some rows are broken: those that can be read, each by what is known of it. The log ends
   * where the last of them does, so that no offset is given out again; one that moved goes back to its place.
   */
  #counted(base: number): Totals {
    const totals: Totals = { ...nothing, next: base };
    for (const { at } of this.sql.all<{ at: number }>(`SELECT base AS at FROM ${this.#name} ORDER BY base`)) {
      const [row] = this.sql.all<ChunkHead>(this.#at, at);
      // A number beyond those that are exact is another's, or nobody's.
      if (row?.base !== at) continue;
      const sum = openHead(row);
      const known = sum === 0 ? row : countedHead(row, sum, this.body(at) ?? none, totals.next);
      if (known === undefined || known.base < base) continue;
      totals.chunks++;
      totals.records += known.records;
      totals.bytes += known.bytes;
      totals.first = Math.min(totals.first ?? known.first, known.first);
      totals.last = Math.max(totals.last ?? known.last, known.last);
      totals.next = Math.max(totals.next, known.next);
      const free = sum !== 0 && this.sql.all(this.#body, known.base).length === 0;
      if (free) this.sql.run(`UPDATE ${this.#name} SET base = ? WHERE base = ?`, known.base, at);
    }
    return totals;
  }

  /** A row as it was written, or what stands for it; undefined where nothing does. */
  #head(row: ChunkHead, within: Within): ChunkHead | undefined {
    const sum = openHead(row);
    return sum === 0 ? row : this.#broken(row, sum, within);
  }

  /** What stands for a row that is not as it was written. */
  #broken(row: ChunkHead, sum: number, within: Within): ChunkHead | undefined {
    const before = this.sql.all<ChunkHead>(this.#back, row.base - 1).find((one) => openHead(one) === 0);
    const [behind] = this.sql.all<ChunkHead>(this.#from, row.base + 1);
    const whole = behind !== undefined && openHead(behind) === 0;
    const room: Room = {
      from: Math.max(within.base, before?.next ?? 0),
      to: Math.min(within.next, behind?.base ?? within.next),
      first: before?.last ?? 0,
      last: whole ? behind.first : Number.MAX_SAFE_INTEGER,
    };
    const body = this.body(row.base) ?? none;
    return mendedHead(row, sum, body, room) ?? brokenHead(row, body, room);
  }
}
