/**
 * Change events of Debezium, one a line: with or without the envelope of `schema` and `payload`, and with or without their
 * message's key (`{"key":…,"value":…}`, what `kcat -J` prints, or the key and a tab before the event).
 */
import { encodeText } from "../../lib/bytes.ts";
import { type Fields, isObject, member, type Piece, parse, parsed, textAt, textOf } from "./json.ts";
import { type Columns, fieldsOf, type Mapping } from "./map.ts";
import { BadRow } from "./row.ts";
import { toTime } from "./times.ts";

interface Message {
  readonly key: Piece | undefined;
  readonly event: Piece;
}

const nothing: Piece = { value: null, raw: encodeText("null") };

/** Rows of an outbox table, as its event router reads them. What was deleted from it, was only cleaned away. */
export const outboxRows =
  (columns: Columns): Mapping =>
  (json) => {
    const { event } = messageOf(json);
    const op = isObject(event.value) ? event.value.op : undefined;
    if (event.value === null || (op !== undefined && op !== "c" && op !== "r")) return undefined;
    const row = op === undefined ? event : member(event, "after");
    if (!isObject(row?.value)) throw new BadRow("no row of an outbox; for changes of a table say --table");
    const named = { key: "aggregateid", id: "id", type: "type", subject: "aggregatetype", ...columns };
    const time = columns.time ?? ["timestamp", "created_at", "occurred_at"].find((name) => textAt(row, name));
    const fields = fieldsOf(row, { ...named, ...(time === undefined ? {} : { time }) });
    const data = payloadOf(member(row, "payload"));
    return { fields: { ...timeOf(event), ...fields }, ...(data && { data }) };
  };

/** Changes of any table: the row as it is after them. */
export const tableRows =
  (columns: Columns): Mapping =>
  (json) => {
    const { key, event } = messageOf(json);
    // A tombstone, which follows a delete.
    if (event.value === null) return undefined;
    if (!isObject(event.value) || typeof event.value.op !== "string") {
      throw new BadRow("no change event: it has no 'op'; for plain rows say --format ndjson");
    }
    const { op, source } = event.value;
    if (op === "m") return undefined;
    const { table, collection = table } = isObject(source) ? source : {};
    if (typeof collection !== "string") throw new BadRow("no change event: it has no 'source.table'");
    const type = { type: `${collection}.${op}` };
    // The table was emptied: of no key.
    if (op === "t") return { fields: { ...timeOf(event), ...type, ...sourceOf(source) } };
    const named = fieldsOf(op === "d" ? (member(event, "before") ?? nothing) : afterOf(event), columns);
    const own = { key: named.key ?? keyText(key) };
    if (own.key === undefined) throw new BadRow("there is no message key; name the column of the key with --key");
    const id = idOf(event, `${collection}:${op}:${own.key}`);
    const fields = { ...timeOf(event), ...type, ...sourceOf(source), ...id, ...own, ...named };
    return op === "d" ? { fields } : { fields, data: afterOf(event).raw };
  };

function messageOf(json: Uint8Array): Message {
  const tab = json.indexOf(9);
  // Within JSON, a tab stands only between values.
  const whole = tab < 0 ? parse(json) : parsed(textOf(json));
  if (whole === undefined) {
    const key = textOf(json.subarray(0, tab));
    return { key: unwrapped(parsed(key) ?? textPiece(key)), event: unwrapped(parse(json.subarray(tab + 1))) };
  }
  const { value } = whole;
  if (isObject(value) && value.op === undefined && "key" in value) {
    const body = "topic" in value ? "payload" : "value";
    if (body in value) return { key: inner(member(whole, "key")), event: inner(member(whole, body)) };
  }
  return { key: undefined, event: unwrapped(whole) };
}

/** A part of a message: JSON, or a text that holds it. */
function inner(piece: Piece = nothing): Piece {
  return unwrapped((typeof piece.value === "string" && parsed(piece.value)) || piece);
}

function unwrapped(piece: Piece): Piece {
  const { value } = piece;
  const wrapped = isObject(value) && "schema" in value && "payload" in value && Object.keys(value).length === 2;
  return wrapped ? (member(piece, "payload") as Piece) : piece;
}

const textPiece = (text: string): Piece => ({ value: text, raw: encodeText(JSON.stringify(text)) });

/** MongoDB's connector gives documents as texts. */
function afterOf(event: Piece): Piece {
  const after = member(event, "after") ?? nothing;
  return (typeof after.value === "string" && parsed(after.value)) || after;
}

/** The value of a key's only column, or else the key as JSON. */
function keyText(key: Piece | undefined): string | undefined {
  if (key === undefined || key.value === null) return undefined;
  const { value, raw } = key;
  if (typeof value === "string") return value;
  const names = isObject(value) ? Object.keys(value) : [];
  if (names.length !== 1 || typeof (value as Fields)[names[0]] === "object") return textOf(raw);
  return textAt(key, names[0]);
}

/** What the outbox's payload holds: JSON, a text that is JSON, or any text. */
function payloadOf(payload: Piece | undefined): Uint8Array | undefined {
  if (payload === undefined || payload.value === null) return undefined;
  return typeof payload.value === "string" ? (parsed(payload.value)?.raw ?? payload.raw) : payload.raw;
}

function timeOf(event: Piece): { time?: string } {
  const text = textAt(event, "source.ts_ms") ?? textAt(event, "ts_ms");
  return text === undefined ? {} : { time: toTime(text, "ms") };
}

const sourceOf = (source: unknown): { source?: string } =>
  isObject(source) && typeof source.name === "string" && source.name !== "" ? { source: source.name } : {};

/** Positions in the logs of databases, by the fields that make one; all of them must be there. */
const positions = [
  ["lsn"],
  ["file", "pos", "row"],
  ["change_lsn", "event_serial_no"],
  ["scn", "ssn"],
  ["ts_ms", "ord"],
  ["ts_ms", "row"],
];

/**
 * Where the database's own log has the change, so that it is known when it comes again. A snapshot's rows share a place, and
 * so may rows that were written together: hence the key. None where the place alone does not tell two changes of a key apart.
 */
function idOf(event: Piece, row: string): { id?: string } {
  const source = member(event, "source") ?? nothing;
  for (const names of positions) {
    const parts = names.map((name) => textAt(source, name));
    if (parts.every((part) => part !== undefined)) return { id: `${parts.join("/")}:${row}` };
  }
  return {};
}
