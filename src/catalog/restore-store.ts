/** The table of streams that are being restored, and of those that were, and every statement over it. */
import type { Sql } from "../lib/sql.ts";

export interface RestoreRow {
  name: string;
  /** Of the log that is being filled. */
  id: string;
  /** SHA-256 of the dump, and the log's id in it. */
  dump: string;
  /** JSON of the stream's row, as it is to be. */
  stream: string;
  /** 1: the stream is there for everybody. The row tells a repeat of the last step that it is one. */
  finished: number;
}

const columns = "name, id, dump, stream, finished";

export class RestoreStore {
  constructor(readonly sql: Sql) {
    sql.run(`CREATE TABLE IF NOT EXISTS restore (
      name TEXT PRIMARY KEY, id TEXT NOT NULL, dump TEXT NOT NULL, stream TEXT NOT NULL, finished INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`);
  }

  restore(name: string): RestoreRow | undefined {
    return this.sql.all<RestoreRow>(`SELECT ${columns} FROM restore WHERE name = ?`, name)[0];
  }

  restoreOfLog(id: string): RestoreRow | undefined {
    return this.sql.all<RestoreRow>(`SELECT ${columns} FROM restore WHERE id = ?`, id)[0];
  }

  unfinished(): RestoreRow[] {
    return this.sql.all<RestoreRow>(`SELECT ${columns} FROM restore WHERE finished = 0`);
  }

  setRestore({ name, id, dump, stream, finished }: RestoreRow): void {
    this.sql.run(
      `INSERT OR REPLACE INTO restore (${columns}) VALUES (?, ?, ?, ?, ?)`,
      name,
      id,
      dump,
      stream,
      finished,
    );
  }

  dropRestore(name: string): void {
    this.sql.run("DELETE FROM restore WHERE name = ?", name);
  }

  /** True while objects of a log, or of a group of it, wait to be freed. */
  purging(id: string): boolean {
    const query = "SELECT 1 FROM purge WHERE id = ? OR substr(id, 1, length(?) + 1) = ? || '/' LIMIT 1";
    return this.sql.all(query, id, id, id).length > 0;
  }
}
