import { objectSql } from "../../src/platform/sql.ts";

/** The database of an object, without any of its tables: a property's next run begins anew. */
export function emptied(storage: DurableObjectStorage): ReturnType<typeof objectSql> {
  for (const { name } of storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'").toArray()) {
    if (!/^(_cf|sqlite|__)/.test(String(name))) storage.sql.exec(`DROP TABLE ${name}`);
  }
  return objectSql(storage);
}
