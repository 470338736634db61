/** From a value, or a line, to the record that is stored: its JSON stays the bytes that it is. */
import type { StreamConfig } from "../../schemas/stream.ts";
import { toRecord } from "../intake/record.ts";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { type Rec, recordBytes } from "../log/record.ts";
import { at, dataOf, isObject, type Piece } from "./import/json.ts";

export interface Naming {
  key?: string;
  keyField?: string;
  id?: string;
  type?: string;
  tag?: string[];
  /** Each is a whole record. */
  records?: boolean;
  /** Each is a text, though it may look like JSON. */
  text?: boolean;
}

/** Why a value does not become a record. */
export class BadValue extends Error {}

interface Fields {
  readonly fields: Record<string, unknown>;
  readonly data?: Uint8Array;
}

/** Checked by the rules that hold for a record of an append. Throws BadValue. */
export function recordOf(bytes: Uint8Array, config: StreamConfig, naming: Naming, now: number): Rec {
  const { fields, data } = naming.records ? wholeOf(pieceOf(bytes), config) : named(bytes, naming);
  const record = toRecord(fields, data, config, now, "record");
  if (!record.ok) throw new BadValue(record.refusal.detail);
  const size = recordBytes(record.value);
  if (size > config.recordBytesMax)
    throw new BadValue(`the record has ${size} bytes; the stream takes ${config.recordBytesMax}`);
  return record.value;
}

/** A value is JSON where it parses, and a text where it does not, but for what begins like JSON that is more than a word. */
function named(bytes: Uint8Array, { key, keyField, id, type, tag, text }: Naming): Fields {
  const piece = text ? undefined : tryPiece(bytes);
  const own = keyField === undefined ? key : keyAt(piece, keyField);
  const fields = {
    ...(own === undefined ? {} : { key: own }),
    ...(id === undefined ? {} : { id }),
    ...(type === undefined ? {} : { type }),
    ...(tag === undefined ? {} : { tags: tag }),
  };
  return { fields, data: piece?.raw ?? encodeText(JSON.stringify(utf8(bytes))) };
}

/**
 * The members of a record. A line of `read --json` is one too: where that lay is of no account, but for a stream that
 * takes its offsets, or its timestamps, from whoever appends.
 */
function wholeOf(piece: Piece, { offsets, timestamps }: StreamConfig): Fields {
  if (!isObject(piece.value)) throw new BadValue("a record is an object");
  const { data: _, ...fields } = piece.value;
  if ("partition" in fields) {
    delete fields.partition;
    if (offsets === "assigned") delete fields.offset;
    if (timestamps === "arrival") delete fields.timestamp;
  }
  const raw = dataOf(piece);
  // A text under a content type that is not JSON is stored as that text.
  return raw === undefined ? { fields } : { fields: { ...fields, data: raw.value }, data: raw.raw };
}

function keyAt(piece: Piece | undefined, field: string): string {
  const value = piece === undefined ? undefined : at(piece, field);
  if (value === undefined) throw new BadValue(`there is no field '${field}'`);
  if (value === null) throw new BadValue(`the field '${field}' is null, and no key`);
  if (typeof value === "object")
    throw new BadValue(`the field '${field}' is ${Array.isArray(value) ? "an array" : "an object"}, and no key`);
  if (value === "") throw new BadValue(`the field '${field}' is empty, and no key`);
  return String(value);
}

function tryPiece(bytes: Uint8Array): Piece | undefined {
  // What is not UTF-8 is no text either.
  utf8(bytes);
  try {
    return pieceOf(bytes);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    // Whoever reads the stream would find a text among objects, and nobody would know since when.
    if (/^\s*[[{]/.test(utf8(bytes))) throw new BadValue(`${error.message}; mend it, or say --text`);
    return undefined;
  }
}

function pieceOf(bytes: Uint8Array): Piece {
  const raw = trimmed(bytes);
  try {
    return { value: JSON.parse(utf8(raw)), raw };
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadValue(`not JSON: ${error.message}`);
    throw error;
  }
}

const isSpace = (byte: number | undefined) => byte === 32 || byte === 9 || byte === 10 || byte === 13;

/** Without the white space around it. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let [from, to] = [0, bytes.length];
  while (from < to && isSpace(bytes[from])) from++;
  while (to > from && isSpace(bytes[to - 1])) to--;
  return bytes.subarray(from, to);
}

function utf8(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch {
    throw new BadValue("is not UTF-8: convert it first, as with iconv -f latin1 -t utf-8");
  }
}
