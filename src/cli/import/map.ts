/** From a row to a record's fields and data. */
import type { StreamConfig } from "../../client/index.ts";
import { at, dataOf, type Fields, isObject, type Piece, parse, textAt } from "./json.ts";
import { BadRow } from "./row.ts";
import { toTime, type Unit } from "./times.ts";

/** Where a record's fields stand in a row: columns, or paths into its JSON. `=text` is that text. */
export interface Columns {
  key?: string;
  id?: string;
  type?: string;
  subject?: string;
  time?: string;
  timeUnit?: Unit;
  tag?: readonly string[];
}

/** A record before it is checked, as the service's own interface has it, and the text of its data. */
export interface Mapped {
  readonly fields: Fields;
  readonly data?: Uint8Array;
}

/** Undefined for a row that is not meant to become a record. Throws BadRow. */
export type Mapping = (json: Uint8Array) => Mapped | undefined;

/** The row is the data. */
export const dataRows =
  (columns: Columns): Mapping =>
  (json) => {
    const piece = parse(json);
    return { fields: fieldsOf(piece, columns), data: piece.raw };
  };

/** The row is a whole record, as `millrace read --json` prints it. Where it lay is of no account. */
export function recordRows({ timestamps, offsets }: StreamConfig): Mapping {
  return (json) => {
    const piece = parse(json);
    if (!isObject(piece.value)) throw new BadRow("a record is an object");
    const { partition: _, offset, timestamp, ...fields } = piece.value;
    if (offsets === "producer" && offset !== undefined) fields.offset = offset;
    if (timestamps === "client" && timestamp !== undefined) fields.timestamp = timestamp;
    const data = dataOf(piece)?.raw;
    return { fields, ...(data && { data }) };
  };
}

/** The fields that columns name. A key must be there; of the others, those that are. */
export function fieldsOf(row: Piece, columns: Columns): Fields {
  const fields: Fields = {};
  for (const name of ["key", "id", "type", "subject"] as const) {
    const column = columns[name];
    const text = column === undefined ? undefined : textOrLiteral(row, column);
    if (text !== undefined) fields[name] = text;
    else if (name === "key" && column !== undefined) throw new BadRow(keyless(row, column));
  }
  const time = columns.time === undefined ? undefined : textOrLiteral(row, columns.time);
  if (time !== undefined) fields.time = toTime(time, columns.timeUnit);
  const tags = (columns.tag ?? []).flatMap((column) => tagsAt(row, column));
  if (tags.length > 0) fields.tags = tags;
  return fields;
}

/** Why a row has no key. */
function keyless(row: Piece, column: string): string {
  const found = at(row, column);
  if (found !== undefined) return `the field '${column}', of the key, is ${found === null ? "null" : "empty"}`;
  const names = isObject(row.value) ? Object.keys(row.value) : [];
  return `there is no field '${column}' for the key; ${listed(names)}`;
}

/** What there is instead of what was looked for. */
export function listed(names: readonly string[]): string {
  if (names.length === 0) return "there is none at all";
  const more = names.length > 20 ? `, and ${names.length - 20} more` : "";
  return `there are: ${names.slice(0, 20).join(", ")}${more}`.slice(0, 500);
}

export const textOrLiteral = (row: Piece, column: string) =>
  column.startsWith("=") ? column.slice(1) : textAt(row, column);

/** An array is several tags. */
function tagsAt(row: Piece, column: string): string[] {
  const list = column.startsWith("=") ? undefined : at(row, column);
  if (Array.isArray(list)) return list.map(String);
  const text = textOrLiteral(row, column);
  return text === undefined ? [] : [text];
}
