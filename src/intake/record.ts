/** One record of a JSON body: checked, and turned into what is stored. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { type RecordInput, recordInput } from "../../schemas/record.ts";
import type { StreamConfig } from "../../schemas/stream.ts";
import { isJsonType, mediaType } from "../../schemas/text.ts";
import { instantOf } from "../../schemas/time.ts";
import { anyText } from "../../schemas/unicode.ts";
import { fromBase64 } from "../lib/base64.ts";
import { decodeText, encodeText, isText, markBytes } from "../lib/bytes.ts";
import { check } from "../lib/check.ts";
import { type Kind, kinds, type Rec } from "../log/record.ts";

/** What a stream's configuration says of its records. */
export type IntakeConfig = Pick<StreamConfig, "offsets" | "timestamps" | "recordBytesMax">;

export const noData = new Uint8Array(0);

/**
 * Turns a parsed record into what is stored. `raw` are the bytes of its `data` as they were sent, undefined where it has
 * none; `now` stamps a record of a stream with client timestamps that brings none.
 */
export function toRecord(
  value: unknown,
  raw: Uint8Array | undefined,
  config: IntakeConfig,
  now: number,
  what: string,
): Result<Rec> {
  const plain = isPlain(value);
  const checked = plain ? ok(value) : check(recordInput, value, what, "JSON");
  if (!checked.ok) return withHint(checked, "what is yours goes under data");
  const input = checked.value;
  if (raw !== undefined && input.data_base64 !== undefined) {
    return refuse("invalid", `${what}: send data or data_base64, not both`, field("data_base64"));
  }
  const record: Rec = { kind: kinds.none, data: noData };
  const problem = setData(record, input, raw);
  if (problem !== undefined) return refuse("invalid", `${what}: data: ${problem}`, field("data"));
  copyFields(record, input);
  if (config.offsets === "producer" && input.offset === undefined) {
    return refuse("invalid", `${what}: the stream takes its offsets from the producer; add an offset`, field("offset"));
  }
  if (config.offsets === "assigned" && input.offset !== undefined) {
    return refuse("invalid", `${what}: the stream assigns offsets; leave offset out`, field("offset"));
  }
  if (input.offset !== undefined) record.offset = input.offset;
  if (config.timestamps === "client") return stamp(record, input, now, what);
  if (input.timestamp !== undefined) {
    const detail = `${what}: the stream stamps records on arrival; leave timestamp out, or use time`;
    return refuse("invalid", detail, field("timestamp"));
  }
  return ok(record);
}

/** Of a field at the top that is not known, what to do with it: it is the user's own, most often. */
export function withHint(refused: Refused, hint: string): Refused {
  const { code, detail, facts } = refused.refusal;
  if (code !== "unknown-field" || facts?.path !== "") return refused;
  return refuse(code, `${detail}; ${hint}`, facts);
}

type Refused = ReturnType<typeof refuse>;

const field = (name: string) => ({ path: name, pointer: `/${name}` });

/** Most records are a key and data: they are passed without the schema's cost, where their texts break no rule. */
function isPlain(value: unknown): value is RecordInput {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const name in value) {
    if (name === "data") continue;
    const field: unknown = (value as Record<string, unknown>)[name];
    const plain = plainFields.get(name);
    if (plain === undefined || typeof field !== "string" || field.length === 0) return false;
    // Three bytes a character at most.
    if (field.length * 3 > plain.bytesMax || !plain.fits(field)) return false;
  }
  return true;
}

const isVisible = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 33 || code > 126) return false;
  }
  return true;
};
interface Plain {
  readonly bytesMax: number;
  readonly fits: (text: string) => boolean;
}
const attribute: Plain = { bytesMax: limits.attributeBytesMax, fits: isVisible };

/** Fields with a quick answer that is sometimes no where the schema's is yes. */
const plainFields = new Map<string, Plain>([
  ["key", { bytesMax: limits.keyBytesMax, fits: (text: string) => text.isWellFormed() }],
  ["id", attribute],
  ["source", attribute],
  ["type", attribute],
  ["subject", attribute],
]);

function copyFields(record: Rec, input: RecordInput): void {
  if (input.key !== undefined) record.key = input.key;
  if (input.id !== undefined) record.id = input.id;
  if (input.source !== undefined) record.source = input.source;
  if (input.type !== undefined) record.type = input.type;
  if (input.subject !== undefined) record.subject = input.subject;
  if (input.time !== undefined) record.time = input.time;
  if (input.datacontenttype !== undefined) record.datacontenttype = input.datacontenttype;
  if (input.dataschema !== undefined) record.dataschema = input.dataschema;
  if (input.tags !== undefined) record.tags = input.tags;
  if (input.extensions !== undefined) record.extensions = input.extensions;
}

/**
 * As CloudEvents' JSON format has it: a string under a content type that is not JSON is that text, and then it must have a
 * UTF-8. JSON keeps its bytes, escapes and all. Answers what is wrong, if so.
 */
function setData(record: Rec, input: RecordInput, raw: Uint8Array | undefined): string | undefined {
  if (input.data_base64 !== undefined) {
    record.kind = kinds.binary;
    record.data = fromBase64(input.data_base64);
  } else if (raw !== undefined) {
    const type = input.datacontenttype;
    if (type !== undefined && !isJsonType(type) && typeof input.data === "string") {
      const problem = anyText(input.data);
      if (problem !== undefined) return `as ${type} it ${problem}`;
      record.kind = kinds.text;
      record.data = encodeText(input.data);
    } else {
      record.kind = kinds.json;
      record.data = raw;
    }
  }
  return undefined;
}

function stamp(record: Rec, input: RecordInput, now: number, what: string): Result<Rec> {
  const given = input.timestamp ?? input.time ?? now;
  const timestamp = typeof given === "number" ? given : instantOf(given);
  if (timestamp === undefined || timestamp < 0) {
    return refuse("invalid", `${what}: timestamp: must not be before 1970`, field("timestamp"));
  }
  if (timestamp > now + limits.timestampAheadMsMax) {
    const limit = limits.timestampAheadMsMax;
    return refuse("invalid", `${what}: timestamp is more than ${limit} ms ahead of the clock`, {
      ...field("timestamp"),
      limit,
    });
  }
  record.timestamp = timestamp;
  return ok(record);
}

/** What is wrong with a Content-Type that is to be a record's, if so. */
export const contentTypeProblem = (type: string): string | undefined =>
  mediaType(type) ??
  (type.length > limits.attributeBytesMax ? `must have at most ${limits.attributeBytesMax} bytes` : undefined);

/**
 * Data that came as a body of its own, by its content type. JSON that is none is refused: an ack means valid. A byte order
 * mark is part of the data: JSON behind one is kept as bytes, because within another JSON text it could not stand.
 */
export function bodyData(type: string | undefined, body: Uint8Array): Result<{ kind: Kind; data: Uint8Array }> {
  if (body.length === 0) return ok({ kind: kinds.none, data: noData });
  if (type !== undefined && isJsonType(type)) {
    const mark = markBytes(body);
    try {
      JSON.parse(decodeText(body, mark));
    } catch (error) {
      return refuse("bad-json", `the content type is ${type}, but the body is not: ${(error as Error).message}`);
    }
    return ok({ kind: mark === 0 ? kinds.json : kinds.binary, data: body });
  }
  const text = type !== undefined && /^text\//i.test(type) && !/charset=(?!"?utf-?8)/i.test(type);
  return ok({ kind: text && isText(body) ? kinds.text : kinds.binary, data: body });
}
