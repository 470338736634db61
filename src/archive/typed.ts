/** The user's typed columns: a value out of data that are JSON, or null where there is none that fits the type. */
import type { ParquetColumn } from "../../schemas/stream.ts";
import { instantOf } from "../../schemas/time.ts";

/** A column of the user's own: the value at `path` (names joined by dots) of data that are JSON, or null. */
export type Column = Readonly<ParquetColumn>;

export type Value = string | number | bigint | boolean;

export class Extractor {
  readonly #names: readonly string[];
  readonly #fit: (value: unknown) => Value | null;

  constructor(column: Column) {
    this.#names = column.path.split(".");
    this.#fit = fits[column.type];
  }

  /** The column's value in a parsed JSON value. The path leads through members of objects, never into arrays. */
  of(value: unknown): Value | null {
    let at = value;
    for (const name of this.#names) {
      if (typeof at !== "object" || at === null || Array.isArray(at) || !Object.hasOwn(at, name)) return null;
      at = (at as Record<string, unknown>)[name];
    }
    return this.#fit(at);
  }
}

const fits: Record<Column["type"], (value: unknown) => Value | null> = {
  // JSON can escape half of a surrogate pair, which has no UTF-8.
  string: (value) => (typeof value === "string" && value.isWellFormed() ? value : null),
  // Beyond 2^53 the number that was parsed may not be the one that was sent.
  int: (value) => (Number.isSafeInteger(value) ? BigInt(value as number) : null),
  double: (value) => (Number.isFinite(value) ? (value as number) : null),
  boolean: (value) => (typeof value === "boolean" ? value : null),
  // A number is none: it does not say its unit.
  timestamp: (value) => (typeof value === "string" ? (instantOf(value) ?? null) : null),
  json: (value) => (value === null ? null : JSON.stringify(value)),
};
