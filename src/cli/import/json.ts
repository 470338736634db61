/** JSON values beside the text that they were read from: numbers, order and escapes stay as they were sent. */
import { RawJson, withSpace } from "../../intake/raw-json.ts";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { BadRow } from "./row.ts";

/** A value and its text. */
export interface Piece {
  readonly value: unknown;
  readonly raw: Uint8Array;
}

export type Fields = Record<string, unknown>;

export const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** UTF-8 as text. */
export function textOf(raw: Uint8Array): string {
  try {
    return decodeText(raw);
  } catch {
    throw new BadRow("is not UTF-8");
  }
}

/** Parses a text that must be JSON. */
export function parse(raw: Uint8Array): Piece {
  const text = textOf(raw);
  try {
    return { value: JSON.parse(text), raw };
  } catch (error) {
    throw new BadRow(`not JSON: ${(error as Error).message}`);
  }
}

/** What a text holds, where it is JSON. */
export function parsed(text: string): Piece | undefined {
  try {
    return { value: JSON.parse(text), raw: encodeText(text) };
  } catch {
    return undefined;
  }
}

/** A member of an object, or an element of an array; undefined where there is none. */
export function member({ value, raw }: Piece, name: string): Piece | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  const reader = new RawJson(raw);
  let found: Uint8Array | undefined;
  if (Array.isArray(value)) {
    let index = 0;
    reader.elements(() => {
      const [from, to] = reader.value();
      if (String(index++) === name) found = raw.subarray(from, to);
    });
  } else {
    // Of a name that stands twice, JSON.parse keeps the last.
    reader.members((one, from, to) => {
      if (one === name) found = raw.subarray(from, to);
    });
  }
  // An array's `length` is its own, and no element.
  return found && { value: (value as Fields)[name], raw: found };
}

/**
 * The data of a whole record. Of one that `read --json` has printed, which says where it lay, with the white space around them:
 * that is what lies in the log. Elsewhere it is whoever wrote the line who likes it so.
 */
export function dataOf(record: Piece): Piece | undefined {
  const data = member(record, "data");
  if (data === undefined || !Object.hasOwn(record.value as Fields, "partition")) return data;
  const from = data.raw.byteOffset - record.raw.byteOffset;
  return { ...data, raw: record.raw.subarray(...withSpace(record.raw, from, from + data.raw.length)) };
}

/** The value at a path: a field of just that name, or `a.b` for the field b of the field a. */
export function at(piece: Piece, path: string): unknown {
  const { value } = piece;
  let found = value;
  if (isObject(value) && Object.hasOwn(value, path)) found = value[path];
  else {
    for (const name of path.split(".")) {
      if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
      found = (found as Fields)[name];
    }
  }
  // A number that JSON.parse may have rounded is taken from the text: two that differ must not become one key.
  if (typeof found !== "number" || Number.isSafeInteger(found)) return found;
  const whole = member(piece, path);
  if (whole !== undefined) return decodeText(whole.raw);
  let within: Piece | undefined = piece;
  for (const name of path.split(".")) within = within && member(within, name);
  return within && decodeText(within.raw);
}

/** A text, number or boolean as text. Undefined for what is not there, null, or empty. */
export function textAt(piece: Piece, path: string): string | undefined {
  const value = at(piece, path);
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "object") throw new BadRow(`${path} is ${Array.isArray(value) ? "an array" : "an object"}`);
  return String(value);
}
