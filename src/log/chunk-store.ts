/**
 * The chunks of one hot segment: a table of their own, so that a segment is dropped without a row written for each chunk.
 * The first segment's table is `chunk`, as in databases from before there were segments.
 */
import type { Sql } from "../lib/sql.ts";

/** A chunk without its body. Offsets `[base, next)`, timestamps from `first` to `last`. */
export interface ChunkHead {
  base: number;
  next: number;
  first: number;
  last: number;
  records: number;
  flags: number;
  bytes: number;
  print: Uint8Array;
}

export interface ChunkRow extends ChunkHead {
  body: Uint8Array;
}

export interface Totals {
  chunks: number;
  records: number;
  bytes: number;
  base: number | null;
  next: number | null;
  first: number | null;
  last: number | null;
}

const head = "base, next, first, last, records, flags, bytes, print";

/** Rows of heads fetched at a time: bounds memory, and what a short read fetches in vain. */
const headsPerQuery = 64;

export class ChunkTable {
  readonly #name: string;
  readonly #insert: string;
  readonly #last: string;
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
    this.#last = `SELECT ${head} FROM ${name} ORDER BY base DESC LIMIT 1`;
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

  drop(): void {
    this.sql.run(`DROP TABLE IF EXISTS ${this.#name}`);
  }

  insert(row: ChunkRow): void {
    const { base, next, first, last, records, flags, bytes, print, body } = row;
    this.sql.run(this.#insert, base, next, first, last, records, flags, bytes, print, body);
  }

  last(): ChunkHead | undefined {
    return this.sql.all<ChunkHead>(this.#last)[0];
  }

  /** The chunk that begins at or before an offset, nearest first. */
  at(offset: number): ChunkHead | undefined {
    return this.sql.all<ChunkHead>(this.#at, offset)[0];
  }

  /** Heads of the chunks that begin at or after an offset, in order. */
  *from(offset: number): Generator<ChunkHead> {
    for (;;) {
      const heads = this.sql.all<ChunkHead>(this.#from, offset);
      yield* heads;
      if (heads.length < headsPerQuery) return;
      offset = heads[heads.length - 1].base + 1;
    }
  }

  /** Heads of the chunks that begin at or before an offset, newest first. */
  *back(offset: number): Generator<ChunkHead> {
    for (;;) {
      const heads = this.sql.all<ChunkHead>(this.#back, offset);
      yield* heads;
      if (heads.length < headsPerQuery) return;
      offset = heads[heads.length - 1].base - 1;
    }
  }

  body(base: number): Uint8Array | undefined {
    return this.sql.all<{ body: Uint8Array }>(this.#body, base)[0]?.body;
  }

  /** Drops the chunks that end at or before an offset: a row written each. */
  dropBefore(offset: number): void {
    this.sql.run(`DELETE FROM ${this.#name} WHERE next <= ?`, offset);
  }

  totals(): Totals {
    return this.sql.all<Totals>(
      `SELECT count(*) AS chunks, coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes,
        min(base) AS base, max(next) AS next, min(first) AS first, max(last) AS last FROM ${this.#name}`,
    )[0];
  }
}
