/**
 * The tables in which hot segments lie, one each. A number is given again as soon as its table is dropped: databases keep
 * prepared statements by their text, and with a new name for each segment they would keep those of tables long gone.
 */
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { ChunkTable } from "./chunk-store.ts";

export class Tables {
  /** By segment. */
  readonly #tables = new Map<number, ChunkTable>();

  constructor(
    readonly sql: Sql,
    /** What `numbers` was. A segment that is not in it has the table of its own number. */
    readonly known: Readonly<Record<string, number>> = {},
  ) {}

  /** The numbers of tables, by segment. */
  get numbers(): Record<string, number> {
    return Object.fromEntries([...this.#tables].map(([n, { number }]) => [n, number]));
  }

  of(n: number): ChunkTable {
    const table = this.#tables.get(n);
    assert(table !== undefined, "a hot segment has a table");
    return table;
  }

  /** The table of a segment that is in the database. */
  open(n: number): ChunkTable {
    const table = new ChunkTable(this.sql, this.known[n] ?? n);
    this.#tables.set(n, table);
    return table;
  }

  /** A new one, for a new segment. */
  make(n: number): ChunkTable {
    const taken = new Set(Array.from(this.#tables.values(), ({ number }) => number));
    let number = 0;
    while (taken.has(number)) number++;
    const table = new ChunkTable(this.sql, number);
    // What a segment has left of which no row tells is nobody's.
    table.drop();
    table.create();
    this.#tables.set(n, table);
    return table;
  }

  drop(n: number): void {
    this.of(n).drop();
    this.#tables.delete(n);
  }
}
