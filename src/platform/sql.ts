import type { Sql, SqlValue } from "../lib/sql.ts";

/** A Durable Object's SQLite as the core sees it. Blobs arrive as ArrayBuffer and are shown as bytes. */
export function objectSql(storage: DurableObjectStorage): Sql {
  const { sql } = storage;
  let written = 0;
  return {
    all<Row>(query: string, ...values: SqlValue[]): Row[] {
      const rows = sql.exec(query, ...values).toArray();
      for (const row of rows) {
        for (const column in row)
          if (row[column] instanceof ArrayBuffer)
            (row as Record<string, unknown>)[column] = new Uint8Array(row[column]);
      }
      return rows as Row[];
    },
    run(query, ...values) {
      written += sql.exec(query, ...values).rowsWritten;
    },
    transaction: (work) => storage.transactionSync(work),
    rowsWritten: () => written,
  };
}
