/** What becomes of Debezium's change events: of an outbox's rows what they say, of any other table's its changes. */
import { createHash } from "node:crypto";
import { Usage } from "../output.ts";
import { fieldOf, legible } from "./connect.ts";
import { at, type Fields, isObject, member, type Piece, parsed, textAt, textOf } from "./json.ts";
import { type Columns, fieldsOf, type Mapping, textOrLiteral } from "./map.ts";
import { isNotice, type Message, messageOf, nothing, type Part } from "./message.ts";
import { BadRow } from "./row.ts";
import { toTime } from "./times.ts";

/**
 * Rows of an outbox table, as its event router reads them. What was deleted from it, was only cleaned away. Throws Usage
 * where the first event is another table's; `resumed`: there were events already.
 */
export function outboxRows(columns: Columns, resumed = false): Mapping {
  const named = { key: "aggregateid", id: "id", type: "type", subject: "aggregatetype", ...columns };
  let known = resumed;
  return (json) => {
    const { event } = messageOf(json);
    if (event.value === null || isNotice(event.value)) return undefined;
    if (!known) mustBeOutbox(event, named.key);
    const op = isObject(event.value) ? event.value.op : undefined;
    if (op !== undefined && op !== "c" && op !== "r") return undefined;
    const row = op === undefined ? event : afterOf(event);
    if (!isObject(row.value)) throw new BadRow("no row of an outbox; for changes of a table say --table");
    const time = columns.time ?? ["timestamp", "created_at", "occurred_at"].find((name) => textAt(row, name));
    const all = { ...named, ...(time === undefined ? {} : { time }) };
    const fields = fieldsOf(legible(row, all), all);
    const data = payloadOf(member(row, "payload"));
    known = true;
    return { fields: { ...timeOf(inSource(event), event), ...fields }, ...(data && { data }) };
  };
}

function mustBeOutbox(event: Part, key: string): void {
  const { value } = event;
  if (!isObject(value)) return;
  const isFlat = isUnwrapped(value);
  const table = isFlat ? (value.__table ?? "?") : isObject(value.source) ? value.source.table : undefined;
  const row = isFlat ? event : [afterOf(event), imageOf(event, "before")].find((image) => isObject(image.value));
  if (typeof table !== "string" || row === undefined) return;
  if (key.startsWith("=") || at(row, key) !== undefined || member(row, "payload") !== undefined) return;
  throw new Usage(
    `this looks like changes of ${table === "?" ? "a table" : `the table ${table}`}: add --table. An outbox has a field '${key}'; ` +
      "if it is one, name the field of its keys with --key",
  );
}

/** Changes of any table: the row as it is after them. */
export const tableRows =
  (columns: Columns): Mapping =>
  (json) => {
    const message = messageOf(json);
    // A tombstone, which follows a delete.
    if (message.event.value === null || isNotice(message.event.value)) return undefined;
    // What was only written to the database's log.
    if (isObject(message.event.value) && message.event.value.op === "m") return undefined;
    const { op, table, row, source } = changeOf(message);
    const name = source("name");
    const of = {
      ...timeOf(source, message.event),
      type: `${table}.${op}`,
      ...(name === undefined ? {} : { source: name }),
    };
    // The table was emptied: of no key.
    if (op === "t") return { fields: of };
    const named = op === "d" ? ofDeleted(row, message.key, columns) : fieldsOf(legible(row, columns), columns);
    const own = { key: named.key ?? keyText(message.key) };
    if (own.key === undefined) throw new BadRow(keyless(op, columns));
    const id = idOf({ op, table, row, source }, String(own.key), message.key);
    const fields = { ...of, ...id, ...own, ...named };
    return op === "d" ? { fields } : { fields, data: row.raw };
  };

/** Fields of what says where a change comes from, as texts. */
type Source = (name: string) => string | undefined;

interface Change {
  readonly op: string;
  /** Or the collection. */
  readonly table: string;
  /** As it is after the change, or was before it was deleted. */
  readonly row: Part;
  readonly source: Source;
}

function changeOf({ event, topic }: Message): Change {
  const { value } = event;
  if (!isObject(value)) throw new BadRow("no change event: it is no object");
  const isFlat = isUnwrapped(value);
  if (!isFlat && typeof value.op !== "string") {
    throw new BadRow("no change event: it has no 'op'; for plain rows say --format ndjson");
  }
  // What a row has kept of its event has names with underscores.
  const source: Source = isFlat
    ? (name) => textAt(event, `__source_${name}`) ?? textAt(event, `__${name}`)
    : inSource(event);
  const table = source("collection") ?? source("table") ?? (isFlat ? topic?.split(".").at(-1) : undefined);
  if (table === undefined) {
    throw new BadRow(
      `no change event: it has no '${isFlat ? "__table', which add.fields would add" : "source.table'"}`,
    );
  }
  if (!isFlat) {
    const op = value.op as string;
    return { op, table, row: op === "d" ? imageOf(event, "before") : afterOf(event), source };
  }
  const isDeleted = String(value.__deleted) === "true" || value.__op === "d";
  return { op: isDeleted ? "d" : (textAt(event, "__op") ?? "u"), table, row: event, source };
}

/** A row that was taken out of its event. */
const isUnwrapped = (value: Fields) => !("op" in value) && ("__op" in value || "__deleted" in value);

const inSource = (event: Part): Source => {
  const source = member(event, "source") ?? nothing;
  return (name) => textAt(source, name);
};

/** The row of an event, before or after the change; MongoDB's connector gives documents as texts. */
function imageOf(event: Part, name: "before" | "after"): Part {
  const image = member(event, name) ?? nothing;
  const piece = (typeof image.value === "string" && parsed(image.value)) || image;
  return { ...piece, schema: fieldOf(event.schema, name) };
}

const afterOf = (event: Part): Part => imageOf(event, "after");

/** Of a row that is gone, mostly its primary key alone is known; that the message has, too. */
function ofDeleted(before: Part, key: Part | undefined, columns: Columns): Fields {
  const { key: column, ...others } = columns;
  const fields = fieldsOf(legible(before, others), others);
  if (column === undefined) return fields;
  const legibly = (part: Part) => textOrLiteral(legible(part, { key: column }), column);
  const text = legibly(before) ?? (isObject(key?.value) ? legibly(key) : undefined);
  return text === undefined ? fields : { key: text, ...fields };
}

function keyless(op: string, { key }: Columns): string {
  if (op !== "d" || key === undefined) return "there is no message key; name the column of the key with --key";
  return `what was deleted has no field '${key}' for the key, and there is no message key; export the keys, too (kcat -J)`;
}

/** The value of a key's only column, or else the key as JSON. */
function keyText(key: Part | undefined): string | undefined {
  if (key === undefined || key.value === null) return undefined;
  if (typeof key.value === "string") return key.value;
  const names = isObject(key.value) ? Object.keys(key.value) : [];
  if (names.length !== 1) return textOf(key.raw);
  const one = legible(key, { key: names[0] });
  return typeof (one.value as Fields)[names[0]] === "object" ? textOf(key.raw) : textAt(one, names[0]);
}

/** What the outbox's payload holds: JSON, a text that is JSON, or any text. */
function payloadOf(payload: Piece | undefined): Uint8Array | undefined {
  if (payload === undefined || payload.value === null) return undefined;
  return typeof payload.value === "string" ? (parsed(payload.value)?.raw ?? payload.raw) : payload.raw;
}

/** When the database made the change, as exact as it is known; or else when the event was made of it. */
function timeOf(source: Source, event: Part): { time?: string } {
  for (const given of [source, (name: string) => textAt(event, name)]) {
    for (const unit of ["ns", "us", "ms"] as const) {
      const text = given(`ts_${unit}`);
      // Rows of a snapshot may have no time.
      if (text !== undefined && text !== "0") return { time: toTime(text, unit) };
    }
  }
  return {};
}

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
 * so may rows that were written together: hence the table, by all of its name, and the key, which several of them may have where
 * it is not the table's own: so what the message has for its key, and the row, too. None where the place alone does not tell two
 * changes of a key apart, or where equal rows of a snapshot have no key of a message.
 */
function idOf({ op, table, row, source }: Change, key: string, own: Part | undefined): { id?: string } {
  const isKeyed = own !== undefined && own.value !== null;
  if (op === "r" && !isKeyed) return {};
  for (const names of positions) {
    const place = names.map(source);
    if (place.some((part) => part === undefined)) continue;
    const whole = [...["connector", "name", "db", "schema"].map(source), table];
    const rest = createHash("sha256")
      .update(isKeyed ? own.raw : "")
      .update("\n")
      .update(row.raw)
      .digest("base64url");
    return { id: `${place.join("/")}:${whole.map(escaped).join("/")}:${op}:${key}:${rest.slice(0, 22)}` };
  }
  return {};
}

const escaped = (name = "") => name.replaceAll(/[%/:]/g, encodeURIComponent);
