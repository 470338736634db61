/** A value that SQLite stores. Blobs come back as fresh bytes that the caller owns. */
export type SqlValue = null | number | string | Uint8Array;

/** The database of one object. Statements are constant text: implementations cache them by it. */
export interface Sql {
  /** Runs a query and returns its rows. */
  all<Row>(query: string, ...values: SqlValue[]): Row[];
  /** Runs a statement for its effect. */
  run(query: string, ...values: SqlValue[]): void;
  /** Runs `work` in a transaction: all of it, or, when it throws, nothing. The type keeps asynchronous work out. */
  transaction(work: () => undefined): void;
  /** Rows written since the database was opened: what the platform bills. */
  rowsWritten(): number;
}
