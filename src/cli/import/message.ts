/**
 * Messages of Debezium's topics, one a line, as tools print them: the value alone; `{"key":…,"value":…}`, `kcat -J` and
 * `rpk`; or key, tab, value. Each part is with or without the envelope of `schema` and `payload`.
 */
import { encodeText } from "../../lib/bytes.ts";
import { type Fields, isObject, member, type Piece, parse, parsed, textOf } from "./json.ts";

/** A key or a value, and its schema where there is an envelope. */
export interface Part extends Piece {
  readonly schema?: unknown;
}

export interface Message {
  readonly key: Part | undefined;
  /** Null for a tombstone. */
  readonly event: Part;
  readonly topic?: string;
}

export const nothing: Piece = { value: null, raw: encodeText("null") };

export function messageOf(json: Uint8Array): Message {
  if (!json.includes(9)) return ofValue(parse(json));
  const text = textOf(json);
  const whole = parsed(text);
  // Within JSON, a tab stands only between values; behind it, it may be what is left of a message without a value.
  if (whole !== undefined) {
    return /\t\s*$/.test(text) && isKey(whole) ? { key: unwrapped(whole), event: nothing } : ofValue(whole);
  }
  const tab = text.indexOf("\t");
  const key = text.slice(0, tab);
  return {
    key: isNull(key) ? undefined : unwrapped(parsed(key) ?? textPiece(key)),
    event: isNull(text.slice(tab + 1)) ? nothing : unwrapped(parse(encodeText(text.slice(tab + 1)))),
  };
}

/** What tells of the changes, rather than of one: a transaction's begin or end, a heartbeat, a change of a schema. */
export function isNotice(value: unknown): boolean {
  if (!isObject(value) || ofEvents.some((name) => name in value)) return false;
  const names = Object.keys(value);
  if (names.length > 0 && names.every((name) => /^ts_[mun]s$/.test(name))) return true;
  if ("source" in value && ("ddl" in value || "tableChanges" in value)) return true;
  return (value.status === "BEGIN" || value.status === "END") && "id" in value && "event_count" in value;
}

/** As consumers print what is not there: as nothing, or, with `kcat -Z`, in capitals. */
const isNull = (text: string) => /^\s*(?:NULL)?\s*$/.test(text);

const textPiece = (text: string): Piece => ({ value: text, raw: encodeText(JSON.stringify(text)) });

/** Whether a value is a message's key rather than what it says. */
function isKey(piece: Piece): boolean {
  const { value } = ofValue(piece).event;
  if (value === null) return false;
  return !isObject(value) || !(isNotice(value) || [...ofEvents, "payload"].some((name) => name in value));
}

/** Fields of events and of an outbox's rows, which no key has. */
const ofEvents = ["op", "__op", "__deleted", "aggregateid"];

function ofValue(whole: Piece): Message {
  const { value } = whole;
  const body = isObject(value) ? bodyOf(value) : undefined;
  if (body === undefined) return { key: undefined, event: unwrapped(whole) };
  const key = member(whole, "key");
  const { topic } = value as Fields;
  return {
    key: key && inner(key),
    event: inner(member(whole, body)),
    ...(typeof topic === "string" && { topic }),
  };
}

/** Under which name a message that was printed with its key or its topic has its value, which may not be there. */
function bodyOf(value: Fields): string | undefined {
  if (ofEvents.some((name) => name in value)) return undefined;
  const isPrinted = "topic" in value && "partition" in value && "offset" in value;
  if (!isPrinted && !("key" in value)) return undefined;
  if ("value" in value) return "value";
  return isPrinted || ("topic" in value && "payload" in value) ? "payload" : undefined;
}

/** A part of a message: JSON, or a text that holds it. */
function inner(piece: Piece = nothing): Part {
  if (piece.value === "") return nothing;
  return unwrapped((typeof piece.value === "string" && parsed(piece.value)) || piece);
}

function unwrapped(piece: Piece): Part {
  const { value } = piece;
  const wrapped = isObject(value) && "schema" in value && "payload" in value && Object.keys(value).length === 2;
  return wrapped ? { ...(member(piece, "payload") as Piece), schema: (value as Fields).schema } : piece;
}
