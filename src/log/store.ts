/** The tables of one partition and every statement over them. `docs/STORAGE.md` describes the rows. */
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
  first: number | null;
}

export interface ProducerRow {
  id: string;
  epoch: number;
  seen: number;
  /** JSON of the answers to its last batches. */
  batches: string;
}

/** A group's delivery, and where it began. */
export interface FollowerRow {
  id: string;
  start: number;
}

/** Ids that a split partition handed over; `last` is the newest of their timestamps. */
export interface InheritedRow {
  part: number;
  origin: number;
  last: number;
  body: Uint8Array;
}

const head = "base, next, first, last, records, flags, bytes, print";

/** Rows of heads fetched at a time: bounds memory, and what a short read fetches in vain. */
const headsPerQuery = 64;

export class Store {
  constructor(readonly sql: Sql) {
    sql.run(`CREATE TABLE IF NOT EXISTS chunk (
      base INTEGER PRIMARY KEY, next INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
      records INTEGER NOT NULL, flags INTEGER NOT NULL, bytes INTEGER NOT NULL, print BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT`);
    sql.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID");
    sql.run(`CREATE TABLE IF NOT EXISTS producer (
      id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seen INTEGER NOT NULL, batches TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`);
    sql.run(`CREATE TABLE IF NOT EXISTS inherited (
      part INTEGER PRIMARY KEY, origin INTEGER NOT NULL, last INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT`);
    sql.run(
      "CREATE TABLE IF NOT EXISTS last_of_key (key TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
    sql.run("CREATE TABLE IF NOT EXISTS follower (id TEXT PRIMARY KEY, start INTEGER NOT NULL) STRICT, WITHOUT ROWID");
  }

  insertChunk(row: ChunkRow): void {
    this.sql.run(
      `INSERT INTO chunk (${head}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.base,
      row.next,
      row.first,
      row.last,
      row.records,
      row.flags,
      row.bytes,
      row.print,
      row.body,
    );
  }

  lastChunk(): ChunkHead | undefined {
    return this.sql.all<ChunkHead>(`SELECT ${head} FROM chunk ORDER BY base DESC LIMIT 1`)[0];
  }

  /** The chunk that begins at or before an offset, nearest first. */
  chunkAt(offset: number): ChunkHead | undefined {
    return this.sql.all<ChunkHead>(`SELECT ${head} FROM chunk WHERE base <= ? ORDER BY base DESC LIMIT 1`, offset)[0];
  }

  /** Heads of the chunks that begin at or after an offset, in order. */
  *chunksFrom(offset: number): Generator<ChunkHead> {
    for (;;) {
      const heads = this.sql.all<ChunkHead>(
        `SELECT ${head} FROM chunk WHERE base >= ? ORDER BY base LIMIT ${headsPerQuery}`,
        offset,
      );
      yield* heads;
      if (heads.length < headsPerQuery) return;
      offset = heads[heads.length - 1].base + 1;
    }
  }

  /** Heads of the chunks that begin at or before an offset, newest first. */
  *chunksBack(offset: number): Generator<ChunkHead> {
    for (;;) {
      const heads = this.sql.all<ChunkHead>(
        `SELECT ${head} FROM chunk WHERE base <= ? ORDER BY base DESC LIMIT ${headsPerQuery}`,
        offset,
      );
      yield* heads;
      if (heads.length < headsPerQuery) return;
      offset = heads[heads.length - 1].base - 1;
    }
  }

  body(base: number): Uint8Array {
    return this.sql.all<{ body: Uint8Array }>("SELECT body FROM chunk WHERE base = ?", base)[0].body;
  }

  /** Drops the chunks that end at or before an offset. */
  dropBefore(offset: number): void {
    this.sql.run("DELETE FROM chunk WHERE next <= ?", offset);
  }

  totals(): Totals {
    return this.sql.all<Totals>(
      `SELECT count(*) AS chunks, coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes,
        min(first) AS first FROM chunk`,
    )[0];
  }

  meta(name: string): string | undefined {
    return this.sql.all<{ value: string }>("SELECT value FROM meta WHERE name = ?", name)[0]?.value;
  }

  setMeta(name: string, value: string): void {
    this.sql.run(
      "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }

  producer(id: string): ProducerRow | undefined {
    return this.sql.all<ProducerRow>("SELECT id, epoch, seen, batches FROM producer WHERE id = ?", id)[0];
  }

  producers(): ProducerRow[] {
    return this.sql.all<ProducerRow>("SELECT id, epoch, seen, batches FROM producer");
  }

  setProducer(id: string, epoch: number, seen: number, batches: string): void {
    this.sql.run(
      `INSERT INTO producer (id, epoch, seen, batches) VALUES (?, ?, ?, ?) ON CONFLICT (id)
        DO UPDATE SET epoch = excluded.epoch, seen = excluded.seen, batches = excluded.batches`,
      id,
      epoch,
      seen,
      batches,
    );
  }

  countProducers(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM producer")[0].count;
  }

  dropProducersIdleSince(before: number): void {
    this.sql.run("DELETE FROM producer WHERE seen < ?", before);
  }

  lastOfKey(key: string): number | undefined {
    return this.sql.all<{ offset: number }>("SELECT offset FROM last_of_key WHERE key = ?", key)[0]?.offset;
  }

  setLastOfKey(key: string, offset: number): void {
    this.sql.run(
      "INSERT INTO last_of_key (key, offset) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET offset = excluded.offset",
      key,
      offset,
    );
  }

  followers(): FollowerRow[] {
    return this.sql.all<FollowerRow>("SELECT id, start FROM follower");
  }

  addFollower(id: string, start: number): void {
    this.sql.run("INSERT OR IGNORE INTO follower (id, start) VALUES (?, ?)", id, start);
  }

  dropFollower(id: string): void {
    this.sql.run("DELETE FROM follower WHERE id = ?", id);
  }

  inherited(): InheritedRow[] {
    return this.sql.all<InheritedRow>("SELECT part, origin, last, body FROM inherited");
  }

  addInherited(row: Omit<InheritedRow, "part">): void {
    this.sql.run("INSERT INTO inherited (origin, last, body) VALUES (?, ?, ?)", row.origin, row.last, row.body);
  }

  dropInherited(before: number): void {
    this.sql.run("DELETE FROM inherited WHERE last < ?", before);
  }
}
