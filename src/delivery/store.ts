/** The tables of one delivery and every statement over them. `docs/STORAGE.md` describes the rows. */
import type { Sql } from "../lib/sql.ts";

export interface ProgressRow {
  /** Every record before it is finished, or belongs to a lane. */
  floor: number;
  era: number;
  /** Finished records above the floor; see `Ranges`. */
  done: Uint8Array;
}

export interface LaneRow {
  id: number;
  kind: "key" | "single" | "whole";
  key: string | null;
  start: number;
  state: "open" | "retry" | "parked" | "held";
  attempts: number;
  due: number;
  /** JSON of the failed attempts. */
  tries: string;
  redriven: number;
}

export interface LetterRow {
  offset: number;
  timestamp: number;
  key: string | null;
  /** When the group gave up, in ms. */
  died: number;
  attempts: number;
  reason: string;
  tries: string;
  /** `dead`, or `redriven` while it is being tried again. */
  state: "dead" | "redriven";
  /** Whether the data are known to be what their kind says. */
  checked: number;
  /** Its number for the dead-letter stream, as long as it is to be sent there; then null. */
  forward: number | null;
  body: Uint8Array;
}

const letterColumns = "offset, timestamp, key, died, attempts, reason, tries, state, checked, forward, body";

export class Store {
  /** The tables, where there are any. An object that was only asked must not be billed for empty ones. */
  static open(sql: Sql): Store | undefined {
    const found = sql.all("SELECT 1 FROM sqlite_master WHERE name = 'progress'").length > 0;
    return found ? new Store(sql) : undefined;
  }

  constructor(readonly sql: Sql) {
    sql.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID");
    sql.run(`CREATE TABLE IF NOT EXISTS progress (
      id INTEGER PRIMARY KEY, floor INTEGER NOT NULL, era INTEGER NOT NULL, done BLOB NOT NULL
    ) STRICT`);
    sql.run(`CREATE TABLE IF NOT EXISTS lane (
      id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT, start INTEGER NOT NULL, state TEXT NOT NULL,
      attempts INTEGER NOT NULL, due INTEGER NOT NULL, tries TEXT NOT NULL, redriven INTEGER NOT NULL
    ) STRICT`);
    sql.run(`CREATE TABLE IF NOT EXISTS letter (
      offset INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key TEXT, died INTEGER NOT NULL, attempts INTEGER NOT NULL,
      reason TEXT NOT NULL, tries TEXT NOT NULL, state TEXT NOT NULL, checked INTEGER NOT NULL, forward INTEGER,
      body BLOB NOT NULL
    ) STRICT`);
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

  dropMeta(name: string): void {
    this.sql.run("DELETE FROM meta WHERE name = ?", name);
  }

  progress(): ProgressRow | undefined {
    return this.sql.all<ProgressRow>("SELECT floor, era, done FROM progress WHERE id = 0")[0];
  }

  setProgress({ floor, era, done }: ProgressRow): void {
    this.sql.run(
      `INSERT INTO progress (id, floor, era, done) VALUES (0, ?, ?, ?) ON CONFLICT (id)
        DO UPDATE SET floor = excluded.floor, era = excluded.era, done = excluded.done`,
      floor,
      era,
      done,
    );
  }

  lanes(): LaneRow[] {
    return this.sql.all<LaneRow>(
      "SELECT id, kind, key, start, state, attempts, due, tries, redriven FROM lane ORDER BY id",
    );
  }

  setLane(row: LaneRow): void {
    this.sql.run(
      `INSERT INTO lane (id, kind, key, start, state, attempts, due, tries, redriven) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET start = excluded.start, state = excluded.state, attempts = excluded.attempts,
        due = excluded.due, tries = excluded.tries, redriven = excluded.redriven`,
      row.id,
      row.kind,
      row.key,
      row.start,
      row.state,
      row.attempts,
      row.due,
      row.tries,
      row.redriven,
    );
  }

  dropLane(id: number): void {
    this.sql.run("DELETE FROM lane WHERE id = ?", id);
  }

  letter(offset: number): LetterRow | undefined {
    return this.sql.all<LetterRow>(`SELECT ${letterColumns} FROM letter WHERE offset = ?`, offset)[0];
  }

  letters(after: number, limit: number): LetterRow[] {
    return this.sql.all<LetterRow>(
      `SELECT ${letterColumns} FROM letter WHERE offset > ? ORDER BY offset LIMIT ?`,
      after,
      limit,
    );
  }

  countLetters(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM letter")[0].count;
  }

  countLettersToForward(): number {
    return this.sql.all<{ count: number }>("SELECT count(*) AS count FROM letter WHERE forward IS NOT NULL")[0].count;
  }

  lettersToForward(limit: number): LetterRow[] {
    return this.sql.all<LetterRow>(
      `SELECT ${letterColumns} FROM letter WHERE forward IS NOT NULL ORDER BY forward LIMIT ?`,
      limit,
    );
  }

  setLetter(row: LetterRow): void {
    this.sql.run(
      `INSERT OR REPLACE INTO letter (${letterColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.offset,
      row.timestamp,
      row.key,
      row.died,
      row.attempts,
      row.reason,
      row.tries,
      row.state,
      row.checked,
      row.forward,
      row.body,
    );
  }

  dropLettersFrom(offset: number): void {
    this.sql.run("DELETE FROM letter WHERE offset >= ?", offset);
  }

  dropLetter(offset: number): void {
    this.sql.run("DELETE FROM letter WHERE offset = ?", offset);
  }
}
