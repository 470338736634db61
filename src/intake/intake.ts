/** From a request's body to frames that may be stored: whatever the format, the records end up packed and inspected. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { AppendQuery } from "../../schemas/record.ts";
import { concat } from "../lib/bytes.ts";
import { type Frame, flags, readHeader, receiveFrames, stampFrame } from "../log/frame.ts";
import { type Inspected, inspect, type Rules } from "../log/inspect.ts";
import { FrameWriter, type Rec } from "../log/record.ts";
import type { Batch } from "../log/spec.ts";
import { binaryEvent, eventBatch, hasAttributes, hasRequired, structuredEvent } from "./cloudevents.ts";
import { jsonRecords, ndjsonRecords, tooMany } from "./json.ts";
import { bodyData, contentTypeProblem, type IntakeConfig, noData } from "./record.ts";

export const media = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  event: "application/cloudevents+json",
  events: "application/cloudevents-batch+json",
  frames: "application/vnd.millrace.frames",
} as const;

/** A frame of records that have been checked, with what the check found. */
export interface Checked extends Inspected {
  readonly frame: Frame;
}

export function rulesOf(config: IntakeConfig, now: number): Rules {
  return {
    recordBytesMax: config.recordBytesMax,
    ownOffsets: config.offsets === "producer",
    ownTimestamps: config.timestamps === "client",
    timestampMax: now + limits.timestampAheadMsMax,
  };
}

/** Reads the records of a body. Refused as a whole where one of them is not valid: nothing is half-taken. */
export function takeIn(
  headers: Headers,
  body: Uint8Array,
  terms: AppendQuery,
  config: IntakeConfig,
  now: number,
): Result<readonly Checked[]> {
  const type = headers.get("content-type")?.split(";")[0].trim().toLowerCase();
  if (type === media.frames && !terms.raw) {
    return hasRequired(headers) ? besideFrames : takeFrames(body, config, now);
  }
  const records = parseRecords(type, headers, body, terms, config, now);
  if (!records.ok) return records;
  return pack(records.value, config, now);
}

/** Adds records to a writer, until one of them is too large. */
function addAll(
  writer: FrameWriter,
  records: readonly Rec[],
  { recordBytesMax: limit }: IntakeConfig,
): { ok: false; refusal: Refusal } | undefined {
  for (let index = 0; index < records.length; index++) {
    const size = writer.add(records[index], limit);
    if (size > limit) return tooLarge(index, size, limit);
  }
  return undefined;
}

export function tooLarge(record: number, size: number, limit: number) {
  const detail = `record ${record} has ${size} bytes; at most ${limit} are allowed`;
  return refuse("record-too-large", detail, { record, limit });
}

/** What was packed here, with what its storing wants to know. */
export function checkedOf(writer: FrameWriter, config: IntakeConfig, now: number): Result<Checked[]> {
  const frames = writer.finish(flags.checked).map((bytes) => readHeader(bytes, 0));
  return inspectAll(
    frames.flatMap((frame) => (frame.ok ? [frame.value] : [])),
    flags.checked,
    config,
    now,
  );
}

/** Records, packed. */
export function pack(records: readonly Rec[], config: IntakeConfig, now: number): Result<readonly Checked[]> {
  const writer = new FrameWriter();
  return addAll(writer, records, config) ?? checkedOf(writer, config, now);
}

/** What was taken in. `refused`: why it is not, unless it is known; see `Terms`. */
export interface Taken<T> {
  readonly taken: T;
  readonly refused?: Refusal;
}

/**
 * Takes in what may be the repeat of something from before `recordBytesMax` was lowered: whether it is, those know who
 * took it.
 */
export function takeKnown<T>(config: IntakeConfig, take: (config: IntakeConfig) => Result<T>): Result<Taken<T>> {
  const taken = take(config);
  if (taken.ok) return ok({ taken: taken.value });
  if (taken.refusal.code !== "record-too-large") return taken;
  const wide = take({ ...config, recordBytesMax: limits.recordBytesMax });
  return wide.ok ? ok({ taken: wide.value, refused: taken.refusal }) : taken;
}

/** Whether there is something by which a partition may know what comes again, beside a producer's number. */
export const hasNames = (frames: readonly Checked[]): boolean =>
  frames.some(({ frame }) => (frame.flags & (flags.ids | flags.offsets)) !== 0);

/** Frames that a client packed. */
export function takeFrames(body: Uint8Array, config: IntakeConfig, now: number): Result<Checked[]> {
  const frames = receiveFrames(body);
  return frames.ok ? inspectAll(frames.value, 0, config, now) : frames;
}

function parseRecords(
  type: string | undefined,
  headers: Headers,
  body: Uint8Array,
  terms: AppendQuery,
  config: IntakeConfig,
  now: number,
): Result<Rec[]> {
  if (terms.raw) return rawRecord(headers, body, terms, config, now);
  const raw = (["key", "type", "tag"] as const).find((name) => terms[name] !== undefined);
  const structured = [media.json, media.ndjson, media.event, media.events].some((one) => one === type);
  // A whole event is in such a body, whose attributes may stand in headers too: the type decides, as the HTTP binding has it.
  const records = type === media.json || type === media.ndjson;
  const binary =
    !type?.startsWith("application/cloudevents") && (records ? hasRequired(headers) : hasAttributes(headers));
  if (raw !== undefined && (structured || binary)) {
    return refuse("invalid", `query: ${raw} is for a raw body; put it into the records, or add raw=true`, {
      path: raw,
    });
  }
  if (binary) return binaryEvent(headers, body, config, now);
  switch (type) {
    case media.json:
      return jsonRecords(body, config, now);
    case media.ndjson:
    case "application/ndjson":
    case "application/jsonl":
      return ndjsonRecords(body, config, now);
    case media.event:
      return structuredEvent(body, config, now);
    case media.events:
      return eventBatch(body, config, now);
    case undefined:
      return refuse("unsupported-media-type", 'send a content-type: application/json for {"records": [ … ]}');
    case "application/x-www-form-urlencoded":
    case "multipart/form-data": {
      // What curl sends when nobody said otherwise: hardly ever meant as a record.
      return refuse("unsupported-media-type", `${type} is not supported; add -H 'content-type: application/json'`);
    }
    default:
      return rawRecord(headers, body, terms, config, now);
  }
}

const besideFrames = refuse(
  "bad-event",
  "headers: ce-…: packed frames have their records' attributes in themselves; leave the headers out, or add raw=true",
);

/** The body as one record, with its content type. */
function rawRecord(
  headers: Headers,
  body: Uint8Array,
  terms: AppendQuery,
  config: IntakeConfig,
  now: number,
): Result<Rec[]> {
  if (config.offsets === "producer") return refuse("invalid", "a raw body has no offset; send JSON with an offset");
  const type = headers.get("content-type") ?? undefined;
  const problem = type === undefined ? undefined : contentTypeProblem(type);
  if (problem !== undefined) return refuse("invalid", `headers: content-type: ${problem}`, { path: "content-type" });
  const data = bodyData(type, body);
  if (!data.ok) return data;
  const record: Rec = { ...data.value };
  if (record.data === noData) return refuse("invalid", "the body is empty; send what the record is to hold");
  if (type !== undefined) record.datacontenttype = type;
  if (terms.key !== undefined) record.key = terms.key;
  if (terms.type !== undefined) record.type = terms.type;
  if (terms.tag !== undefined) record.tags = terms.tag;
  if (config.timestamps === "client") record.timestamp = now;
  return ok([record]);
}

function inspectAll(frames: readonly Frame[], checked: number, config: IntakeConfig, now: number): Result<Checked[]> {
  const rules = rulesOf(config, now);
  const all: Checked[] = [];
  let count = 0;
  for (const frame of frames) {
    count += frame.count;
    if (count > limits.batchRecordsMax) return tooMany(count);
    const inspected = inspect(frame, rules);
    if (!inspected.ok) return inspected;
    // What a client says of a frame is replaced by what was found.
    const set = inspected.value.flags | checked;
    stampFrame(frame.bytes, frame.at, set, 0, 0);
    all.push({ ...inspected.value, frame: { ...frame, flags: set } });
  }
  return ok(all);
}

/** True where every record has the same key: what a condition on a key's last record is about. */
export function ofOneKey(frames: readonly Checked[]): boolean {
  const [first] = frames[0].keys;
  return first >= 0 && frames.every(({ keys }) => keys.every((key) => key === first));
}

export const notOneKey: Refusal = {
  code: "bad-key",
  detail: "expectedKeyOffset is about one key: send records of that key only",
};

/** The frames as they travel to the partition. What came in as one body goes on as it is. */
export function batchOf(frames: readonly Checked[]): Omit<Batch, "terms"> {
  const [first] = frames;
  const whole = frames.every(
    ({ frame }, index) =>
      frame.bytes === first.frame.bytes && frame.at === (index === 0 ? 0 : frames[index - 1].frame.to),
  );
  const covers = frames[frames.length - 1].frame.to === first.frame.bytes.length;
  const bytes =
    whole && covers ? first.frame.bytes : concat(frames.map(({ frame }) => frame.bytes.subarray(frame.at, frame.to)));
  const hashes = new Uint32Array(frames.reduce((sum, frame) => sum + 1 + frame.hashes.length, 0));
  let at = 0;
  for (const frame of frames) {
    hashes[at] = frame.hashes.length;
    hashes.set(frame.hashes, at + 1);
    at += 1 + frame.hashes.length;
  }
  return { bytes, hashes };
}
