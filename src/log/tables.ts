/**
 * The tables in which hot segments lie, one each. A number is given again as soon as its table is dropped: databases keep
 * prepared statements by their text, and with a new name for each segment they would keep those of tables long gone.
 */
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { ChunkTable, type Totals, type Within } from "./chunk-store.ts";

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
    const table = this.#tableOf(n);
    this.#tables.set(n, table);
    return table;
  }

  /** The sums of a table, whatever a row says; undefined where there is none, or it is that of other offsets. */
  totals(n: number, within: Within): Totals | undefined {
    if (!this.#has(n)) return undefined;
    const table = this.#tables.get(n) ?? this.#tableOf(n);
    return table.at(within.next - 1, within) === undefined ? undefined : table.totals(within.base);
  }

  /** Segments that have a table, but for these. */
  others(segments: ReadonlySet<number>): number[] {
    const numbers = [...this.#tables.keys(), ...Object.keys(this.known).map(Number)];
    return [...new Set(numbers)].filter((n) => !segments.has(n) && this.#has(n));
  }

  #has(n: number): boolean {
    if (this.#tables.has(n)) return true;
    const table = this.#tableOf(n);
    const taken = Array.from(this.#tables.values()).some(({ number }) => number === table.number);
    const another = !(n in this.known) && Object.values(this.known).includes(table.number);
    return !taken && !another && table.exists();
  }

  #tableOf(n: number): ChunkTable {
    return new ChunkTable(this.sql, this.known[n] ?? n);
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
