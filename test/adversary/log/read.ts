/** Records as they come back, from every form of answer. */
import { type Unpacked, unpacked } from "../frame/packed.ts";
import { fieldsOf } from "./frames.ts";
import { elements, members } from "./json-text.ts";
import { type Fields, numberOf, type Sent } from "./sent.ts";

export interface Read {
  readonly partition: number;
  readonly offset: number;
  /** Its timestamp, in ms. */
  readonly at: number;
  readonly fields: Fields;
  /** The text of `data`, or the bytes of `data_base64`. */
  readonly json?: string;
  readonly bytes?: Buffer;
  /** It came as a line, by events or NDJSON. */
  readonly line: boolean;
}

export const placeOf = ({ partition, offset }: { partition: number; offset: number }) => `${partition}.${offset}`;

/** Throws where the text is no record. */
export function readRecord(text: string, line: boolean): Read {
  const parts = members(text);
  const data = parts.get("data");
  const base64 = parts.get("data_base64");
  for (const name of ["data", "data_base64"]) parts.delete(name);
  const values = Object.fromEntries([...parts].map(([name, value]) => [name, JSON.parse(value)]));
  const { partition, offset, timestamp, ...fields } = values;
  const at = typeof timestamp === "string" ? Date.parse(timestamp) : Number.NaN;
  if (!Number.isInteger(partition) || !Number.isInteger(offset) || Number.isNaN(at))
    throw new Error("a record has no place");
  return {
    partition,
    offset,
    at,
    fields,
    line,
    ...(data !== undefined && { json: data }),
    ...(base64 !== undefined && { bytes: Buffer.from(JSON.parse(base64), "base64") }),
  };
}

export function readPage(body: string): Read[] {
  const records = members(body).get("records");
  if (records === undefined) throw new Error("a page has no records");
  return elements(records).map((text) => readRecord(text, false));
}

/** Lines of records; others, as `{"damaged":…}`, are not expected. */
export function readLines(body: string): Read[] {
  const lines = body.split("\n").filter((line) => line !== "");
  return lines.map((line) => readRecord(line, true));
}

/** Frames with holes, where something is damaged, are not expected. */
export function readFrames(body: Buffer, partition: number): Read[] {
  return unpacked(body).records.map((record) => fromFrame(record, partition));
}

export function fromFrame(record: Unpacked, partition: number): Read {
  const { offset, timestamp, kind, data } = record;
  const json = kind === "json" ? data.toString() : kind === "text" ? JSON.stringify(data.toString()) : undefined;
  const bytes = kind === "binary" ? data : undefined;
  return {
    partition,
    offset,
    at: timestamp,
    fields: fieldsOf(record),
    line: false,
    ...(json !== undefined && { json }),
    ...(bytes && { bytes }),
  };
}

/** Which record it is, or undefined: none that was ever sent looks so. */
export function numberIn({ fields, json, bytes }: Read): number | undefined {
  if (bytes !== undefined) return numberOf(fields.tags, bytes.toString("latin1"));
  return numberOf(fields.tags, json ?? "");
}

const sorted = (fields: object) => JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What is not as it was sent. */
export function difference(read: Read, { fields, data }: Sent): string | undefined {
  if (sorted(read.fields) !== sorted(fields)) return `fields are ${sorted(read.fields)}, were ${sorted(fields)}`;
  if (data === undefined)
    return read.json === undefined && read.bytes === undefined ? undefined : "data where none were";
  if ("json" in data) {
    const wanted = read.line ? inLine(data.json) : data.json;
    return read.json === wanted ? undefined : `data are ${shown(read)}, were ${data.json.slice(0, 200)}`;
  }
  const bytes = read.bytes ?? (read.json === undefined ? undefined : Buffer.from(stringIn(read.json)));
  return bytes?.equals(data.bytes)
    ? undefined
    : `data are ${shown(read)}, were ${data.bytes.toString("latin1").slice(0, 200)}`;
}

function stringIn(json: string): string {
  const value: unknown = JSON.parse(json);
  return typeof value === "string" ? value : "";
}

/** What ends a line is a space there, one for one. */
const inLine = (json: string) => json.replace(/[\r\n]/g, " ");

const shown = ({ json, bytes }: Read) => (json ?? bytes?.toString("latin1") ?? "none").slice(0, 200);

/** Whether two readers got the same of a place. */
export function alike(a: Read, b: Read): boolean {
  if (a.at !== b.at || sorted(a.fields) !== sorted(b.fields)) return false;
  if (a.bytes !== undefined || b.bytes !== undefined) return a.bytes !== undefined && b.bytes?.equals(a.bytes) === true;
  const flat = ({ json }: Read) => (json !== undefined && (a.line || b.line) ? inLine(json) : json);
  return flat(a) === flat(b);
}
