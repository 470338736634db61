/** The tables of a namespace's groups, and every statement over them. */
import type { Sql } from "../lib/sql.ts";

export interface GroupRow {
  /** Identity of the stream's log. */
  log: string;
  name: string;
  id: string;
  /** JSON of `GroupConfig`. */
  config: string;
  version: number;
  paused: number;
  /** Partitions that the stream had when the group came to be: in later ones it begins at the beginning. */
  partitions: number;
  created: number;
  updated: number;
}

/** A delivery that is to be told its group's newest version. */
export interface TellRow {
  id: string;
  partition: number;
  attempts: number;
  due: number;
}

const columns = "log, name, id, config, version, paused, partitions, created, updated";

export class GroupStore {
  constructor(readonly sql: Sql) {
    sql.run(`CREATE TABLE IF NOT EXISTS consumer (
      log TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, config TEXT NOT NULL, version INTEGER NOT NULL,
      paused INTEGER NOT NULL, partitions INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
      PRIMARY KEY (log, name)
    ) STRICT, WITHOUT ROWID`);
    sql.run("CREATE TABLE IF NOT EXISTS pause (id TEXT PRIMARY KEY, reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT");
    sql.run("CREATE TABLE IF NOT EXISTS restored (id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT");
    sql.run(`CREATE TABLE IF NOT EXISTS through (
      id TEXT NOT NULL, partition INTEGER NOT NULL, PRIMARY KEY (id, partition)
    ) STRICT, WITHOUT ROWID`);
    sql.run(`CREATE TABLE IF NOT EXISTS telling (
      id TEXT NOT NULL, partition INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
      PRIMARY KEY (id, partition)
    ) STRICT, WITHOUT ROWID`);
  }

  group(log: string, name: string): GroupRow | undefined {
    return this.sql.all<GroupRow>(`SELECT ${columns} FROM consumer WHERE log = ? AND name = ?`, log, name)[0];
  }

  groupOf(log: string, id: string): GroupRow | undefined {
    return this.sql.all<GroupRow>(`SELECT ${columns} FROM consumer WHERE log = ? AND id = ?`, log, id)[0];
  }

  groups(log: string, prefix: string, after: string, limit: number): GroupRow[] {
    return this.sql.all<GroupRow>(
      `SELECT ${columns} FROM consumer WHERE log = ? AND name > ? AND substr(name, 1, length(?)) = ?
        ORDER BY name LIMIT ?`,
      log,
      after,
      prefix,
      prefix,
      limit,
    );
  }

  countGroups(log: string): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM consumer WHERE log = ?", log)[0].count;
  }

  setGroup(row: GroupRow): void {
    this.sql.run(
      `INSERT OR REPLACE INTO consumer (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.log,
      row.name,
      row.id,
      row.config,
      row.version,
      row.paused,
      row.partitions,
      row.created,
      row.updated,
    );
  }

  dropGroup(log: string, name: string): void {
    this.sql.run("DELETE FROM consumer WHERE log = ? AND name = ?", log, name);
  }

  /** Why a group stands still. */
  pause(id: string): { reason: string; at: number } | undefined {
    return this.sql.all<{ reason: string; at: number }>("SELECT reason, at FROM pause WHERE id = ?", id)[0];
  }

  setPause(id: string, { reason, at }: { readonly reason: string; readonly at: number }): void {
    this.sql.run(
      "INSERT INTO pause (id, reason, at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, at = excluded.at",
      id,
      reason,
      at,
    );
  }

  dropPause(id: string): void {
    this.sql.run("DELETE FROM pause WHERE id = ?", id);
  }

  /** Since when a group stands still because it was restored, in ms since 1970. */
  restored(id: string): number | undefined {
    return this.sql.all<{ at: number }>("SELECT at FROM restored WHERE id = ?", id)[0]?.at;
  }

  setRestored(id: string, at: number): void {
    this.sql.run("INSERT OR REPLACE INTO restored (id, at) VALUES (?, ?)", id, at);
  }

  dropRestored(id: string): void {
    this.sql.run("DELETE FROM restored WHERE id = ?", id);
  }

  /** Partitions that were split, and that the group has finished. */
  through(id: string): number[] {
    return this.sql
      .all<{ partition: number }>("SELECT partition FROM through WHERE id = ? ORDER BY partition", id)
      .map((row) => row.partition);
  }

  setThrough(id: string, partition: number): void {
    this.sql.run("INSERT OR IGNORE INTO through (id, partition) VALUES (?, ?)", id, partition);
  }

  dropThrough(id: string, partition: number): void {
    this.sql.run("DELETE FROM through WHERE id = ? AND partition = ?", id, partition);
  }

  dropAllThrough(id: string): void {
    this.sql.run("DELETE FROM through WHERE id = ?", id);
  }

  tell(id: string, partition: number, due: number): void {
    this.sql.run(
      `INSERT INTO telling (id, partition, attempts, due) VALUES (?, ?, 0, ?) ON CONFLICT (id, partition)
        DO UPDATE SET attempts = excluded.attempts, due = excluded.due`,
      id,
      partition,
      due,
    );
  }

  /** One whose group was deleted meanwhile has no row any more. */
  tellAgain({ id, partition, attempts, due }: TellRow, at: number): void {
    this.sql.run(
      "UPDATE telling SET attempts = attempts + 1, due = ? WHERE id = ? AND partition = ? AND attempts = ? AND due = ?",
      at,
      id,
      partition,
      attempts,
      due,
    );
  }

  isUntold(id: string, partition: number): boolean {
    return this.sql.all("SELECT 1 FROM telling WHERE id = ? AND partition = ?", id, partition).length > 0;
  }

  told(id: string, partition: number): void {
    this.sql.run("DELETE FROM telling WHERE id = ? AND partition = ?", id, partition);
  }

  dropTelling(id: string): void {
    this.sql.run("DELETE FROM telling WHERE id = ?", id);
  }

  telling(due: number, limit: number): TellRow[] {
    return this.sql.all<TellRow>("SELECT id, partition, attempts, due FROM telling WHERE due <= ? LIMIT ?", due, limit);
  }

  tellingSince(since: number, limit: number): TellRow[] {
    return this.sql.all<TellRow>(
      "SELECT id, partition, attempts, due FROM telling WHERE due >= ? AND attempts = 0 LIMIT ?",
      since,
      limit,
    );
  }

  /** Those of a log's groups on one partition. */
  tellingAt(log: string, partition: number): TellRow[] {
    return this.sql.all<TellRow>(
      `SELECT id, partition, attempts, due FROM telling
        WHERE substr(id, 1, length(?) + 1) = ? || '/' AND partition = ? AND attempts = 0`,
      log,
      log,
      partition,
    );
  }

  nextTelling(): number | undefined {
    return this.sql.all<{ due: number | null }>("SELECT min(due) AS due FROM telling")[0].due ?? undefined;
  }
}
