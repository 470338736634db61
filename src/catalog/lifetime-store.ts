import type { Sql } from "../lib/sql.ts";

interface Row {
  log: string;
  name: string;
  due: number;
}

const atOnce = 16;

export class LifetimeStore {
  constructor(readonly sql: Sql) {
    sql.run(
      "CREATE TABLE IF NOT EXISTS lifetime (log TEXT PRIMARY KEY, name TEXT NOT NULL, due INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
  }

  set({ log, name, due }: Row): void {
    this.sql.run(
      "INSERT INTO lifetime (log, name, due) VALUES (?, ?, ?) ON CONFLICT (log) DO UPDATE SET due = excluded.due",
      log,
      name,
      due,
    );
  }

  has(log: string): boolean {
    return this.sql.all("SELECT 1 FROM lifetime WHERE log = ?", log).length > 0;
  }

  drop(log: string): void {
    this.sql.run("DELETE FROM lifetime WHERE log = ?", log);
  }

  due(now: number): Row[] {
    return this.sql.all<Row>("SELECT log, name, due FROM lifetime WHERE due <= ? LIMIT ?", now, atOnce);
  }

  next(): number | undefined {
    return this.sql.all<{ due: number | null }>("SELECT min(due) AS due FROM lifetime")[0].due ?? undefined;
  }
}
