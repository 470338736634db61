import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sql, SqlValue } from "../../src/lib/sql.ts";

/** The port over node:sqlite: what the cores run on outside workerd. */
export function nodeSql(path = ":memory:"): Sql & { close(): void } {
  const db = new DatabaseSync(path);
  const statements = new Map<string, StatementSync>();
  let written = 0;
  const prepare = (query: string) => {
    let statement = statements.get(query);
    if (statement === undefined) {
      statement = db.prepare(query);
      statements.set(query, statement);
    }
    return statement;
  };
  return {
    all: <Row>(query: string, ...values: SqlValue[]) => prepare(query).all(...values) as Row[],
    run(query, ...values) {
      written += Number(prepare(query).run(...values).changes);
    },
    transaction(work) {
      db.exec("BEGIN");
      try {
        work();
        db.exec("COMMIT");
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
    rowsWritten: () => written,
    close: () => db.close(),
  };
}
