/** A record as each way in has it: bytes, headers, a query. */
import { gzipSync } from "node:zlib";
import { appendMessage } from "../frame/packed.ts";
import { frameOf } from "./frames.ts";
import type { Way } from "./plan.ts";
import { reserved } from "./rules.ts";
import { type Binary, binaryOf, byteLength, bytesOf, plain, type Value } from "./values.ts";
import type { Made } from "./want.ts";

export interface Request {
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const escapedMax = 5000;

/** A text of JSON; `escaped`: every unit of it. What is no UTF-8 stands there as it is. */
export function jsonText(value: Value, escaped: boolean): Binary {
  if (value.json !== undefined) return binaryOf(value.json);
  if (value.bytes !== undefined) return `"${bytesOf(value)}"`;
  const text = plain(value) as string;
  if (!escaped || text.length > escapedMax) return binaryOf(JSON.stringify(text));
  return `"${Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("")}"`;
}

function dataMember({ data, bytes }: Made): Binary[] {
  if (data.kind === "none") return [];
  if (data.kind === "json") return [`"data":${bytes}`];
  if (data.kind === "text") return [`"data":${binaryOf(JSON.stringify(Buffer.from(bytes, "latin1").toString()))}`];
  return [`"data_base64":"${Buffer.from(bytes, "latin1").toString("base64")}"`];
}

export function jsonRecord(made: Made, escaped: boolean): Binary {
  const members = [...made.fields].map(([name, value]) => `"${name}":${jsonText(value, escaped)}`);
  if (made.tags.length > 0) members.push(`"tags":[${made.tags.map((tag) => jsonText(tag, escaped)).join()}]`);
  if (made.extensions.length > 0) {
    const pairs = made.extensions.map(([name, value]) => `${jsonText(name, escaped)}:${jsonText(value, escaped)}`);
    members.push(`"extensions":{${pairs.join()}}`);
  }
  return `{${[...members, ...dataMember(made)].join()}}`;
}

/** Tags as one attribute. */
const tagsText = (tags: readonly Value[]): Value => {
  const one = (tag: Value) => bytesOf(tag).replace(/[,%]/g, (char) => (char === "," ? "%2C" : "%25"));
  const halves = tags.some((tag) => tag.text?.isWellFormed() === false);
  if (halves) return { name: "tags", text: tags.map((tag) => (plain(tag) ?? "").replace(/%/g, "%25")).join() };
  return { name: "tags", bytes: Buffer.from(tags.map(one).join(), "latin1").toString("hex") };
};

/** Attributes of CloudEvents, by their names. */
function attributesOf(made: Made): (readonly [Value, Value])[] {
  const named = (name: string): Value => ({ name: "", text: name });
  const found: (readonly [Value, Value])[] = [[named("specversion"), named("1.0")]];
  for (const [name, value] of made.fields) found.push([named(name === "key" ? "partitionkey" : name), value]);
  if (made.tags.length > 0) found.push([named("tags"), tagsText(made.tags)]);
  return [...found, ...made.extensions];
}

function eventJson(made: Made, escaped: boolean): Binary {
  const members = attributesOf(made).map(([name, value]) => {
    // Tags are put together as bytes, and are a text nevertheless.
    const isText = value.bytes !== undefined && value.name === "tags";
    const text = isText ? `"${jsonSafe(bytesOf(value))}"` : jsonText(value, escaped);
    return `${jsonText(name, escaped)}:${text}`;
  });
  return `{${[...members, ...dataMember(made)].join()}}`;
}

/** Bytes as they stand in a text of JSON. */
const jsonSafe = (bytes: Binary): Binary =>
  [...bytes].map((char) => (char < " " || char === '"' || char === "\\" ? `\\u00${hex(char)}` : char)).join("");

const hex = (char: string): string => char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");

const hexCode = (char: string): string => `%${hex(char)}`;

/** `escaped`: all that is not ASCII too; the platform decodes what is not. */
const headerText = (value: Value, escaped: boolean): string =>
  bytesOf(value).replace(escaped ? /[^\x21\x23\x24\x26-\x7e]/g : /[^\x21\x23\x24\x26-\x7e\x80-\xff]/g, hexCode);

export const queryText = (bytes: Binary): string => bytes.replace(/[^A-Za-z0-9._~-]/g, hexCode);

function binaryEvent(made: Made, escaped: boolean): Request {
  const headers: Record<string, string> = {};
  for (const [name, value] of attributesOf(made)) {
    if (name.text === "datacontenttype") headers["content-type"] = bytesOf(value);
    else headers[`ce-${plain(name)}`] = headerText(value, escaped);
  }
  return { query: "", headers, body: Buffer.from(made.bytes, "latin1") };
}

function raw(made: Made): Request {
  const parts = ["raw=true"];
  const add = (name: string, value: Value | undefined) => value && parts.push(`${name}=${queryText(bytesOf(value))}`);
  add("key", made.fields.get("key"));
  add("type", made.fields.get("type"));
  for (const tag of made.tags) add("tag", tag);
  const type = bytesOf(made.fields.get("datacontenttype") as Value);
  return { query: `&${parts.join("&")}`, headers: { "content-type": type }, body: Buffer.from(made.bytes, "latin1") };
}

/** The request of a way that goes by HTTP. */
export function requestOf(way: Way, list: readonly Made[], escaped: boolean): Request {
  const [first] = list as readonly [Made];
  const body = (type: string, bytes: Binary | Buffer, more = {}): Request => {
    const buffer = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    return { query: "", headers: { "content-type": type, ...more }, body: buffer };
  };
  const records = () => `{"records":[${list.map((made) => jsonRecord(made, escaped)).join()}]}`;
  switch (way) {
    case "ndjson":
      return body("application/x-ndjson", list.map((made) => `${jsonRecord(made, escaped)}\n`).join(""));
    case "gzip": {
      const packed = gzipSync(Buffer.from(records(), "latin1"));
      return body("application/json", packed, { "content-encoding": "gzip" });
    }
    case "structured":
      return body("application/cloudevents+json", eventJson(first, escaped));
    case "batch":
      return body("application/cloudevents-batch+json", `[${list.map((made) => eventJson(made, escaped)).join()}]`);
    case "binary":
      return binaryEvent(first, escaped);
    case "raw":
      return raw(first);
    case "frames":
      return body("application/vnd.millrace.frames", frameOf(list));
    default:
      return body("application/json", records());
  }
}

/** The message of a way that goes by a socket. */
export function messageOf(way: Way, id: number, list: readonly Made[], escaped: boolean): Buffer {
  if (way === "socket-frames") return appendMessage(id, frameOf(list));
  const records = list.map((made) => jsonRecord(made, escaped)).join();
  return Buffer.from(`{"type":"append","id":${id},"records":[${records}]}`, "latin1");
}

/** Requests of one record. */
export const single = new Set<Way>(["structured", "binary", "raw"]);

const headMax = 14_000;

/** Whether a record can be said by a way at all. */
export function canSay(way: Way, made: Made): boolean {
  const { fields, tags, extensions, data, bytes } = made;
  const texts = [...fields.values(), ...tags, ...extensions.flat()];
  const event = way === "structured" || way === "batch" || way === "binary";
  if (event && extensions.some(([name]) => reserved.has(plain(name) ?? "") && !placeNames.has(plain(name) ?? "")))
    return false;
  // A second member of the name would count, or the only one be the data.
  const asData = extensions.some(([name]) => plain(name) === "data_base64");
  if ((way === "structured" || way === "batch") && asData && (data.kind === "binary" || data.kind === "none"))
    return false;
  if (event && tags.some(({ json }) => json !== undefined)) return false;
  if (event && tags.some((tag) => tag.text === undefined)) return way === "binary";
  // What is no UTF-8 in a message is replaced by the platform; data are to be what was sent.
  if (way === "socket" && data.kind === "json" && data.hex !== undefined) return false;
  // A message, too, is a line.
  if (way === "ndjson" || way === "socket") return !/[\r\n]/.test(bytes) || data.kind !== "json";
  if (way === "raw") {
    const known = [...fields.keys()].every((name) => ["key", "type", "datacontenttype"].includes(name));
    if (!known || extensions.length > 0) return false;
  }
  if (way === "frames" || way === "socket-frames") {
    return texts.every((value, i) => value.json === undefined || i >= fields.size + tags.length) && !wrongName(made);
  }
  if (way !== "binary" && way !== "raw") return true;
  if (texts.some(({ json }) => json !== undefined) || data.kind === "none" || bytes.length === 0) return false;
  if (texts.reduce((sum, value) => sum + 3 * byteLength(value), 0) > headMax) return false;
  if (!extensions.every(([name]) => /^[a-z0-9!#$&'*+.^_`|~-]+$/.test(plain(name) ?? ""))) return false;
  return /^[\x21-\x7e](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e])?$/.test(bytesOf(fields.get("datacontenttype") as Value));
}

/** Names that mean nothing in an event, and are none of its extensions'. */
const placeNames = new Set(["key", "partition", "offset", "timestamp"]);

const wrongName = ({ extensions }: Made) => extensions.some(([name]) => name.json !== undefined);
