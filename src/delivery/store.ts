/** The tables of one delivery and every statement over them. `docs/STORAGE.md` describes the rows. */
import type { Words } from "../lib/mac.ts";
import type { Sql } from "../lib/sql.ts";

/** The place, in the one row that every change of it rewrites. */
export interface PlaceRow {
  /** Every record before it is finished, or belongs to a lane. */
  floor: number;
  era: number;
  /** Finished records above the floor; see `Ranges`. */
  done: Uint8Array;
  /** Acked, and yet to be met where they lie. */
  acked: Uint8Array;
  /** No lease had a higher one when the place was written. */
  generation: number;
  redeliveries: number;
  /** JSON of the lanes that changed since the last row of `lanes`. */
  recent: string;
}

/** A lane, as it is kept and dumped. What is not there was written by a version that did not know it. */
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
  voided?: number;
  /** Records of it that are not finished, counted up to an offset. */
  waiting?: number;
  counted?: number;
  /** Timestamp of the first of them. */
  time?: number | null;
  /** 1 where a record stands at `start`. */
  exact?: number;
  /** Records of it that are finished where the window has yet to come. */
  ahead?: number;
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
  /** Its number for the dead-letter stream, as long as it is to be sent there; then null. `unsent` where there was none. */
  forward: number | null;
  body: Uint8Array;
}

export const unsent = 0;

/** Whether a letter is to be sent to the dead-letter stream. */
export const isWaiting = (forward: LetterRow["forward"]): forward is number => forward !== null && forward > unsent;

/** What is known of a page of letters without reading it. */
export interface LetterPageHead {
  n: number;
  first: number;
  count: number;
  /** Letters of it that are to be sent to the dead-letter stream, and that are being redriven. */
  forward: number;
  redriven: number;
}

/** Which tables hold a text in rows of its parts. */
export type PartsTable = "lanes" | "leases";

const insertPart = {
  lanes: "INSERT INTO lanes (n, body) VALUES (?, ?) ON CONFLICT (n) DO UPDATE SET body = excluded.body",
  leases: "INSERT INTO leases (n, body) VALUES (?, ?) ON CONFLICT (n) DO UPDATE SET body = excluded.body",
} as const;
const selectParts = {
  lanes: "SELECT n, body FROM lanes ORDER BY n",
  leases: "SELECT n, body FROM leases ORDER BY n",
} as const;
const deleteParts = {
  lanes: "DELETE FROM lanes WHERE n >= ? AND n < ?",
  leases: "DELETE FROM leases WHERE n >= ? AND n < ?",
} as const;

export class Store {
  /** The tables, where there are any. An object that was only asked must not be billed for empty ones. */
  static open(sql: Sql): Store | undefined {
    const found = sql.all("SELECT 1 FROM sqlite_master WHERE name IN ('place', 'progress')").length > 0;
    return found ? new Store(sql) : undefined;
  }

  constructor(readonly sql: Sql) {
    sql.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID");
    sql.run(`CREATE TABLE IF NOT EXISTS place (
      id INTEGER PRIMARY KEY, floor INTEGER NOT NULL, era INTEGER NOT NULL, done BLOB NOT NULL, acked BLOB NOT NULL,
      generation INTEGER NOT NULL, redeliveries INTEGER NOT NULL, recent TEXT NOT NULL
    ) STRICT`);
    sql.run("CREATE TABLE IF NOT EXISTS lanes (n INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT");
    sql.run("CREATE TABLE IF NOT EXISTS leases (n INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT");
    sql.run(`CREATE TABLE IF NOT EXISTS letters (
      n INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL, forward INTEGER NOT NULL,
      redriven INTEGER NOT NULL, body BLOB NOT NULL
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

  place(): PlaceRow | undefined {
    const columns = "floor, era, done, acked, generation, redeliveries, recent";
    return this.sql.all<PlaceRow>(`SELECT ${columns} FROM place WHERE id = 0`)[0];
  }

  setPlace(row: PlaceRow): void {
    this.sql.run(
      `INSERT INTO place (id, floor, era, done, acked, generation, redeliveries, recent)
        VALUES (0, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET floor = excluded.floor, era = excluded.era,
        done = excluded.done, acked = excluded.acked, generation = excluded.generation,
        redeliveries = excluded.redeliveries, recent = excluded.recent`,
      row.floor,
      row.era,
      row.done,
      row.acked,
      row.generation,
      row.redeliveries,
      row.recent,
    );
  }

  parts(table: PartsTable): { n: number; body: string }[] {
    return this.sql.all<{ n: number; body: string }>(selectParts[table]);
  }

  setPart(table: PartsTable, n: number, body: string): void {
    this.sql.run(insertPart[table], n, body);
  }

  /** Drops the parts `[from, to)`. */
  dropParts(table: PartsTable, from: number, to = Number.MAX_SAFE_INTEGER): void {
    this.sql.run(deleteParts[table], from, to);
  }

  /** Heads of all pages of letters, by their first offset. */
  letterPages(): LetterPageHead[] {
    return this.sql.all<LetterPageHead>("SELECT n, first, count, forward, redriven FROM letters ORDER BY first");
  }

  letterPage(n: number): Uint8Array | undefined {
    return this.sql.all<{ body: Uint8Array }>("SELECT body FROM letters WHERE n = ?", n)[0]?.body;
  }

  setLetterPage({ n, first, count, forward, redriven }: LetterPageHead, body: Uint8Array): void {
    this.sql.run(
      `INSERT INTO letters (n, first, count, forward, redriven, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (n)
        DO UPDATE SET first = excluded.first, count = excluded.count, forward = excluded.forward,
        redriven = excluded.redriven, body = excluded.body`,
      n,
      first,
      count,
      forward,
      redriven,
      body,
    );
  }

  dropLetterPage(n: number): void {
    this.sql.run("DELETE FROM letters WHERE n = ?", n);
  }

  /** The secret of its receipts, drawn when it is first wanted. */
  secret(draw: () => Words): Words {
    const known = this.meta("secret");
    if (known !== undefined) return JSON.parse(known);
    const drawn = draw();
    this.setMeta("secret", JSON.stringify(drawn));
    return drawn;
  }
}
