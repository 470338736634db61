/**
 * What a rebuild learns before any of it counts: tables beside those of the log, whose place they take in its last transaction.
 * Those of a rebuild that came to nothing go when the next one begins.
 */
import type { Sql } from "../lib/sql.ts";
import { sealPrint } from "../log/segment-row.ts";
import { printTable } from "../log/segment-store.ts";
import { lastOfKeyTable } from "../log/store.ts";

const columns = { segment_print: printTable, last_of_key: lastOfKeyTable };
const tables = Object.keys(columns) as (keyof typeof columns)[];

export class DraftStore {
  constructor(readonly sql: Sql) {}

  begin(): void {
    this.drop();
    for (const table of tables) this.sql.run(`CREATE TABLE draft_${table} ${columns[table]}`);
  }

  drop(): void {
    for (const table of tables) this.sql.run(`DROP TABLE IF EXISTS draft_${table}`);
  }

  setPrint(n: number, print: Uint8Array): void {
    this.sql.run("INSERT OR REPLACE INTO draft_segment_print (n, print) VALUES (?, ?)", n, sealPrint(print));
  }

  dropPrint(n: number): void {
    this.sql.run("DELETE FROM draft_segment_print WHERE n = ?", n);
  }

  /** Of a key the highest offset stays. */
  learn(key: string, offset: number): void {
    this.sql.run(
      `INSERT INTO draft_last_of_key (key, offset) VALUES (?, ?) ON CONFLICT (key)
        DO UPDATE SET offset = max(offset, excluded.offset)`,
      key,
      offset,
    );
  }

  /** They become the log's. In a transaction, over a log that has nothing. */
  adopt(): void {
    for (const table of tables) {
      this.sql.run(`DROP TABLE ${table}`);
      this.sql.run(`ALTER TABLE draft_${table} RENAME TO ${table}`);
    }
  }
}
