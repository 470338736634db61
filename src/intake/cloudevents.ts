/** Intake of CloudEvents 1.0: binary, structured and batched mode of the HTTP binding. `partitionkey` is the key. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { RecordInput } from "../../schemas/record.ts";
import { extensionName } from "../../schemas/text.ts";
import { parseJson, partOf, pointerTo } from "../lib/check.ts";
import type { Rec } from "../log/record.ts";
import { tagsOf } from "../log/tags.ts";
import { tooMany } from "./json.ts";
import { RawJson } from "./raw-json.ts";
import { bodyData, type IntakeConfig, toRecord } from "./record.ts";

const tagsAre = "must be a text with commas between the tags, and %2C and %25 for a comma and a % within one";
/** What a push says of where a record comes from, and which attempt it is: not of the event, should it go on to another stream. */
const ofAHop = (name: string): boolean => name.startsWith("millrace");

const attributes = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

type Event = Record<string, unknown>;

export function structuredEvent(body: Uint8Array, config: IntakeConfig, now: number): Result<Rec[]> {
  const parsed = parseJson(body);
  if (!parsed.ok) return parsed;
  if (!isObject(parsed.value)) return refuse("bad-event", "the body must be one JSON object");
  const record = event(parsed.value, dataOf(new RawJson(body)), config, now, "event");
  return record.ok ? ok([record.value]) : record;
}

export function eventBatch(body: Uint8Array, config: IntakeConfig, now: number): Result<Rec[]> {
  const parsed = parseJson(body);
  if (!parsed.ok) return parsed;
  const list = parsed.value;
  if (!Array.isArray(list) || list.length === 0) return refuse("bad-event", "the body must be a JSON array of events");
  if (list.length > limits.batchRecordsMax) return tooMany(list.length);
  if (!list.every(isObject)) return refuse("bad-event", "every element of the array must be an event");
  const raw = new RawJson(body);
  const data: (Uint8Array | undefined)[] = [];
  raw.elements(() => data.push(dataOf(raw)));
  const records: Rec[] = [];
  for (let index = 0; index < list.length; index++) {
    const record = event(list[index], data[index], config, now, `event ${index}`);
    if (!record.ok) return partOf(record, [index]);
    records.push(record.value);
  }
  return ok(records);
}

/** Whether a header is one that every event has. To look through all of them costs each request, where few have any. */
export const hasRequired = (headers: Headers): boolean =>
  headers.has("ce-specversion") || headers.has("ce-id") || headers.has("ce-source") || headers.has("ce-type");

/** Whether a header is an attribute of an event, and be it an extension. */
export function hasAttributes(headers: Headers): boolean {
  for (const name of headers.keys()) if (name.startsWith("ce-")) return true;
  return false;
}

/** Binary mode: attributes are `ce-` headers, percent-encoded; the body is the data. */
export function binaryEvent(headers: Headers, body: Uint8Array, config: IntakeConfig, now: number): Result<Rec[]> {
  // Without a prototype, so that every name is one like another.
  const attributesSent: Event = Object.create(null);
  for (const [name, value] of headers) {
    if (!name.startsWith("ce-")) continue;
    const attribute = name.slice(3);
    if (ofTheBody.includes(attribute)) {
      return refuse("bad-event", `event: ${attribute}: the body is the data, and content-type says what it is`);
    }
    const text = headerText(value);
    if (text === undefined) {
      return refuse("bad-event", `event: ${attribute}: the header ${name} is not percent-encoded UTF-8`);
    }
    attributesSent[attribute] = text;
  }
  const type = headers.get("content-type") ?? undefined;
  if (type !== undefined) attributesSent.datacontenttype = type;
  const record = event(attributesSent, undefined, config, now, "event");
  if (!record.ok) return ofHeaders(record.refusal);
  const data = bodyData(type ?? "application/json", body);
  return data.ok ? ok([{ ...record.value, ...data.value }]) : data;
}

/** An attribute that came as a header lies nowhere in a text of JSON. */
function ofHeaders({ code, detail, facts: { pointer: _, ...facts } = {} }: Refusal): Result<never> {
  return refuse(code, detail, facts);
}

/** What no header may say of an event in binary mode. */
const ofTheBody = ["data", "data_base64", "datacontenttype"];

/**
 * The text of an attribute's header: unquoted, as older senders quote, then decoded once. Undefined where it is no UTF-8.
 * The platform has decoded the header's own bytes and put U+FFFD for those that it could not: that character, which may be
 * sent percent-encoded, is therefore none.
 */
function headerText(value: string): string | undefined {
  if (value.includes("\ufffd")) return undefined;
  const plain = /^".*"$/.test(value) ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
  try {
    return decodeURIComponent(plain);
  } catch {
    return undefined;
  }
}

function event(
  event: Event,
  raw: Uint8Array | undefined,
  config: IntakeConfig,
  now: number,
  what: string,
): Result<Rec> {
  const missing = required(event, what);
  if (missing !== undefined) return missing;
  const input: Event = {};
  const extensions: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(event)) {
    // Null is no attribute. As data it is a payload, whose bytes are in `raw`.
    if (name === "specversion" || value === null) continue;
    if (attributes.includes(name) || name === "data_base64") input[name] = value;
    else if (name === "data") input.data = value;
    else if (name === "partitionkey") input.key = value;
    else if (name === "tags") {
      const tags = typeof value === "string" ? tagsOf(value) : undefined;
      if (tags === undefined) return refuse("bad-event", `${what}: tags: ${tagsAre}`, attribute("tags"));
      input.tags = tags;
    } else if (!ofAHop(name)) {
      const problem = extensionName(name);
      if (problem !== undefined) return refuse("bad-event", `${what}: '${name}' ${problem}`, attribute(name));
      extensions[name] = value;
    }
  }
  if (Object.keys(extensions).length > 0) input.extensions = extensions;
  const record = toRecord(input as RecordInput, raw, config, now, what);
  if (record.ok) return record;
  const { code, detail, facts } = record.refusal;
  // The sender knows the key by its name in CloudEvents, and extensions and tags as attributes like others.
  return refuse(
    code === "unknown-field" ? "bad-event" : code,
    detail.replace(`${what}: key:`, `${what}: partitionkey:`),
    facts?.pointer ? attribute(attributeOf(String(facts.pointer))) : undefined,
  );
}

const attribute = (name: string) => ({ path: name, pointer: pointerTo([name]) });

function attributeOf(pointer: string): string {
  const [, first = "", second = ""] = pointer.split("/");
  if (first === "key") return "partitionkey";
  return first === "extensions" ? second : first;
}

function required(event: Event, what: string): { ok: false; refusal: Refusal } | undefined {
  if (event.specversion !== "1.0") {
    return refuse(
      "bad-event",
      `${what}: specversion must be "1.0", not ${JSON.stringify(event.specversion ?? null)}`,
      attribute("specversion"),
    );
  }
  for (const name of ["id", "source", "type"]) {
    if (typeof event[name] !== "string" || event[name] === "")
      return refuse("bad-event", `${what}: ${name} is missing`, attribute(name));
  }
  return undefined;
}

function dataOf(raw: RawJson): Uint8Array | undefined {
  let data: Uint8Array | undefined;
  raw.members((name, from, to) => {
    if (name === "data") data = raw.bytes.subarray(from, to);
  });
  return data;
}

const isObject = (value: unknown): value is Event =>
  typeof value === "object" && value !== null && !Array.isArray(value);
