/** Snapshots of a partition's consumers, and uploads of them that have begun. `docs/STORAGE.md` has the rows. */
import type { Sql } from "../lib/sql.ts";

/** A state in which everything below the offset is applied. */
export interface Snapshot {
  readonly offset: number;
  /** Names its object; never used again. */
  readonly id: string;
  readonly bytes: number;
  readonly contentType: string;
  /** Who made it; empty where nobody said. */
  readonly name: string;
  /** In ms since 1970. */
  readonly created: number;
  /** CRC-32C of the body; null where it was stored before there was one. */
  readonly crc: number | null;
}

/** A snapshot that is on its way into the bucket. */
export interface Upload {
  readonly id: string;
  readonly offset: number;
  /** What the bucket calls an upload in parts; empty for one that is written as a whole. */
  readonly upload: string;
  readonly contentType: string;
  readonly name: string;
  /** The lease that it was made under; empty without one. */
  readonly lease: string;
  /** 0 when it has come to nothing: its object is to be deleted. */
  readonly live: number;
}

const columns = "offset, id, bytes, contentType, name, created";
const all = `${columns}, (SELECT crc FROM snapshot_sum WHERE snapshot_sum.id = snapshot.id) AS crc`;
const uploadColumns = "id, offset, upload, contentType, name, lease, live";

export class SnapshotStore {
  /** Undefined until it is asked for; null where there is none. */
  #newest: Snapshot | null | undefined;

  constructor(readonly sql: Sql) {
    sql.run(`CREATE TABLE IF NOT EXISTS snapshot (
      offset INTEGER PRIMARY KEY, id TEXT NOT NULL, bytes INTEGER NOT NULL, contentType TEXT NOT NULL,
      name TEXT NOT NULL, created INTEGER NOT NULL
    ) STRICT`);
    sql.run(
      "CREATE TABLE IF NOT EXISTS snapshot_sum (id TEXT PRIMARY KEY, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
    sql.run(`CREATE TABLE IF NOT EXISTS snapshot_upload (
      id TEXT PRIMARY KEY, offset INTEGER NOT NULL, upload TEXT NOT NULL, contentType TEXT NOT NULL,
      name TEXT NOT NULL, lease TEXT NOT NULL, live INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`);
  }

  /** The newest one, from memory: reads ask it for each page. */
  newest(): Snapshot | undefined {
    if (this.#newest === undefined) this.#newest = this.before(Number.MAX_SAFE_INTEGER) ?? null;
    return this.#newest ?? undefined;
  }

  /** The newest one that the log continues: records behind one below the head are gone. */
  usable(head: number): Snapshot | undefined {
    const newest = this.newest();
    return newest !== undefined && newest.offset >= head ? newest : undefined;
  }

  at(offset: number): Snapshot | undefined {
    return this.sql.all<Snapshot>(`SELECT ${all} FROM snapshot WHERE offset = ?`, offset)[0];
  }

  withId(id: string): Snapshot | undefined {
    return this.sql.all<Snapshot>(`SELECT ${all} FROM snapshot WHERE id = ?`, id)[0];
  }

  /** The newest one below an offset. */
  before(offset: number): Snapshot | undefined {
    return this.sql.all<Snapshot>(
      `SELECT ${all} FROM snapshot WHERE offset < ? ORDER BY offset DESC LIMIT 1`,
      offset,
    )[0];
  }

  /** All of them, newest first. */
  list(): Snapshot[] {
    return this.sql.all<Snapshot>(`SELECT ${all} FROM snapshot ORDER BY offset DESC`);
  }

  set({ offset, id, bytes, contentType, name, created, crc }: Snapshot): void {
    this.drop(offset);
    this.sql.run(
      `INSERT OR REPLACE INTO snapshot (${columns}) VALUES (?, ?, ?, ?, ?, ?)`,
      offset,
      id,
      bytes,
      contentType,
      name,
      created,
    );
    if (crc !== null) this.sql.run("INSERT OR REPLACE INTO snapshot_sum (id, crc) VALUES (?, ?)", id, crc);
  }

  drop(offset: number): void {
    this.#newest = undefined;
    this.sql.run("DELETE FROM snapshot_sum WHERE id IN (SELECT id FROM snapshot WHERE offset = ?)", offset);
    this.sql.run("DELETE FROM snapshot WHERE offset = ?", offset);
  }

  upload(id: string): Upload | undefined {
    return this.sql.all<Upload>(`SELECT ${uploadColumns} FROM snapshot_upload WHERE id = ?`, id)[0];
  }

  uploads(): Upload[] {
    return this.sql.all<Upload>(`SELECT ${uploadColumns} FROM snapshot_upload ORDER BY id`);
  }

  liveUploads(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM snapshot_upload WHERE live = 1")[0].count;
  }

  setUpload({ id, offset, upload, contentType, name, lease, live }: Upload): void {
    this.sql.run(
      `INSERT OR REPLACE INTO snapshot_upload (${uploadColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`,
      id,
      offset,
      upload,
      contentType,
      name,
      lease,
      live,
    );
  }

  dropUpload(id: string): void {
    this.sql.run("DELETE FROM snapshot_upload WHERE id = ?", id);
  }
}
