/** The tables of one namespace and every statement over them. */
import type { Sql } from "../lib/sql.ts";

export interface StreamRow {
  name: string;
  id: string;
  /** JSON of `StreamConfig`. */
  config: string;
  /** JSON of the partition map that callers see. */
  map: string;
  /** JSON of the next map, while its parents are being sealed. */
  growing: string | null;
  version: number;
  created: number;
  updated: number;
}

export interface Job {
  id: string;
  partition: number;
  attempts: number;
  due: number;
}

const columns = "name, id, config, map, growing, version, created, updated";

export class Store {
  constructor(readonly sql: Sql) {
    sql.run(`CREATE TABLE IF NOT EXISTS stream (
      name TEXT PRIMARY KEY, id TEXT NOT NULL, config TEXT NOT NULL, map TEXT NOT NULL, growing TEXT,
      version INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`);
    sql.run(`CREATE TABLE IF NOT EXISTS opened (
      id TEXT NOT NULL, partition INTEGER NOT NULL, PRIMARY KEY (id, partition)
    ) STRICT, WITHOUT ROWID`);
    sql.run(`CREATE TABLE IF NOT EXISTS purge (
      id TEXT NOT NULL, partition INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
      PRIMARY KEY (id, partition)
    ) STRICT, WITHOUT ROWID`);
    sql.run(
      "CREATE TABLE IF NOT EXISTS namespace (name TEXT PRIMARY KEY, created INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
  }

  stream(name: string): StreamRow | undefined {
    return this.sql.all<StreamRow>(`SELECT ${columns} FROM stream WHERE name = ?`, name)[0];
  }

  streamOfLog(id: string): StreamRow | undefined {
    return this.sql.all<StreamRow>(`SELECT ${columns} FROM stream WHERE id = ?`, id)[0];
  }

  streams(prefix: string, after: string, limit: number): StreamRow[] {
    return this.sql.all<StreamRow>(
      `SELECT ${columns} FROM stream WHERE name > ? AND name >= ? AND substr(name, 1, length(?)) = ? ORDER BY name LIMIT ?`,
      after,
      prefix,
      prefix,
      prefix,
      limit,
    );
  }

  streamsGrowing(): StreamRow[] {
    return this.sql.all<StreamRow>(`SELECT ${columns} FROM stream WHERE growing IS NOT NULL`);
  }

  countStreams(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM stream")[0].count;
  }

  setStream(row: StreamRow): void {
    this.sql.run(
      `INSERT INTO stream (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
        id = excluded.id, config = excluded.config, map = excluded.map, growing = excluded.growing,
        version = excluded.version, created = excluded.created, updated = excluded.updated`,
      row.name,
      row.id,
      row.config,
      row.map,
      row.growing,
      row.version,
      row.created,
      row.updated,
    );
  }

  dropStream(name: string): void {
    this.sql.run("DELETE FROM stream WHERE name = ?", name);
  }

  opened(id: string): number[] {
    return this.sql
      .all<{ partition: number }>("SELECT partition FROM opened WHERE id = ? ORDER BY partition", id)
      .map((row) => row.partition);
  }

  setOpened(id: string, partition: number): void {
    this.sql.run("INSERT OR IGNORE INTO opened (id, partition) VALUES (?, ?)", id, partition);
  }

  /** Turns the opened partitions of a stream into purge jobs. */
  purgeAll(id: string, due: number): void {
    this.sql.run(
      "INSERT INTO purge (id, partition, attempts, due) SELECT id, partition, 0, ? FROM opened WHERE id = ?",
      due,
      id,
    );
    this.sql.run("DELETE FROM opened WHERE id = ?", id);
  }

  setPurge(id: string, partition: number, due: number): void {
    this.sql.run("INSERT OR IGNORE INTO purge (id, partition, attempts, due) VALUES (?, ?, 0, ?)", id, partition, due);
  }

  /** A job that is done already stays done, and one that was made anew is another: what they free may live again. */
  retryPurge({ id, partition, attempts, due }: Job, at: number): void {
    this.sql.run(
      "UPDATE purge SET attempts = attempts + 1, due = ? WHERE id = ? AND partition = ? AND attempts = ? AND due = ?",
      at,
      id,
      partition,
      attempts,
      due,
    );
  }

  dropPurge({ id, partition, attempts, due }: Job): void {
    this.sql.run(
      "DELETE FROM purge WHERE id = ? AND partition = ? AND attempts = ? AND due = ?",
      id,
      partition,
      attempts,
      due,
    );
  }

  purges(due: number, limit: number): Job[] {
    return this.sql.all<Job>("SELECT id, partition, attempts, due FROM purge WHERE due <= ? LIMIT ?", due, limit);
  }

  purgesSince(since: number, limit: number): Job[] {
    return this.sql.all<Job>(
      "SELECT id, partition, attempts, due FROM purge WHERE due >= ? AND attempts = 0 LIMIT ?",
      since,
      limit,
    );
  }

  nextPurge(): number | undefined {
    return this.sql.all<{ due: number | null }>("SELECT min(due) AS due FROM purge")[0].due ?? undefined;
  }

  namespace(name: string): number | undefined {
    return this.sql.all<{ created: number }>("SELECT created FROM namespace WHERE name = ?", name)[0]?.created;
  }

  namespaces(prefix: string, after: string, limit: number): { name: string; created: number }[] {
    return this.sql.all(
      "SELECT name, created FROM namespace WHERE name > ? AND substr(name, 1, length(?)) = ? ORDER BY name LIMIT ?",
      after,
      prefix,
      prefix,
      limit,
    );
  }

  setNamespace(name: string, created: number): void {
    this.sql.run(
      `INSERT INTO namespace (name, created) VALUES (?, ?) ON CONFLICT (name)
        DO UPDATE SET created = excluded.created WHERE created <> excluded.created`,
      name,
      created,
    );
  }

  dropNamespace(name: string): void {
    this.sql.run("DELETE FROM namespace WHERE name = ?", name);
  }
}
