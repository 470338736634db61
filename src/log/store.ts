/** The tables of one partition besides its chunks, and every statement over them. `docs/STORAGE.md` describes the rows. */
import type { Sql } from "../lib/sql.ts";

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

/** The table of each key's newest offset; a rebuild fills one like it. */
export const lastOfKeyTable = "(key TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT, WITHOUT ROWID";

export class Store {
  constructor(readonly sql: Sql) {
    sql.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID");
    sql.run(`CREATE TABLE IF NOT EXISTS producer (
      id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seen INTEGER NOT NULL, batches TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`);
    sql.run(`CREATE TABLE IF NOT EXISTS inherited (
      part INTEGER PRIMARY KEY, origin INTEGER NOT NULL, last INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT`);
    sql.run(`CREATE TABLE IF NOT EXISTS last_of_key ${lastOfKeyTable}`);
    sql.run("CREATE TABLE IF NOT EXISTS follower (id TEXT PRIMARY KEY, start INTEGER NOT NULL) STRICT, WITHOUT ROWID");
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

  metaLike(prefix: string): { name: string; value: string }[] {
    return this.sql.all("SELECT name, value FROM meta WHERE substr(name, 1, length(?)) = ?", prefix, prefix);
  }

  dropMeta(name: string): void {
    this.sql.run("DELETE FROM meta WHERE name = ?", name);
  }

  producer(id: string): ProducerRow | undefined {
    return this.sql.all<ProducerRow>("SELECT id, epoch, seen, batches FROM producer WHERE id = ?", id)[0];
  }

  producers(): ProducerRow[] {
    return this.sql.all<ProducerRow>("SELECT id, epoch, seen, batches FROM producer");
  }

  /** Those after an id, some at a time: together they may be more than memory has room for. */
  producersAfter(id: string, limit: number): ProducerRow[] {
    return this.sql.all<ProducerRow>(
      "SELECT id, epoch, seen, batches FROM producer WHERE id > ? ORDER BY id LIMIT ?",
      id,
      limit,
    );
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

  /** The last one in their order. */
  lastProducer(): string | undefined {
    return this.sql.all<{ id: string }>("SELECT id FROM producer ORDER BY id DESC LIMIT 1")[0]?.id;
  }

  dropProducersIdleSince(before: number): void {
    this.sql.run("DELETE FROM producer WHERE seen < ?", before);
  }

  lastOfKey(key: string): number | undefined {
    return this.sql.all<{ offset: number }>("SELECT offset FROM last_of_key WHERE key = ?", key)[0]?.offset;
  }

  /** Keys after one, with their last offsets. */
  lastOfKeysAfter(key: string, limit: number): { key: string; offset: number }[] {
    return this.sql.all("SELECT key, offset FROM last_of_key WHERE key > ? ORDER BY key LIMIT ?", key, limit);
  }

  /** The last key in their order. */
  lastKey(): string | undefined {
    return this.sql.all<{ key: string }>("SELECT key FROM last_of_key ORDER BY key DESC LIMIT 1")[0]?.key;
  }

  setLastOfKey(key: string, offset: number): void {
    this.sql.run(
      "INSERT INTO last_of_key (key, offset) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET offset = excluded.offset",
      key,
      offset,
    );
  }

  dropLastOfKey(key: string): void {
    this.sql.run("DELETE FROM last_of_key WHERE key = ?", key);
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
    return this.sql.all<InheritedRow>("SELECT part, origin, last, body FROM inherited ORDER BY part");
  }

  countInherited(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM inherited")[0].count;
  }

  addInherited(row: Omit<InheritedRow, "part">): void {
    this.sql.run("INSERT INTO inherited (origin, last, body) VALUES (?, ?, ?)", row.origin, row.last, row.body);
  }

  dropInherited(before: number): void {
    this.sql.run("DELETE FROM inherited WHERE last < ?", before);
  }
}
