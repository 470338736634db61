/** Intake of `application/json` (`{"records": […]}`) and of NDJSON (a record a line). */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { appendBody, recordInput } from "../../schemas/record.ts";
import { markBytes } from "../lib/bytes.ts";
import { check, parseJson, partOf } from "../lib/check.ts";
import type { Rec } from "../log/record.ts";
import { RawJson } from "./raw-json.ts";
import { type IntakeConfig, toRecord, withHint } from "./record.ts";

export const tooMany = (count: number) =>
  refuse("batch-too-large", `the batch has ${count} records; send at most ${limits.batchRecordsMax}`, {
    limit: limits.batchRecordsMax,
  });

export function jsonRecords(body: Uint8Array, config: IntakeConfig, now: number): Result<Rec[]> {
  const parsed = parseJson(body);
  if (!parsed.ok) return parsed;
  const value = parsed.value as { records?: unknown };
  const list = typeof value === "object" && value !== null ? value.records : undefined;
  if (!Array.isArray(list) || list.length === 0 || Object.keys(value).length !== 1) {
    const checked = check(appendBody, value, "body", "JSON");
    if (!checked.ok && isBare(value)) return refuse("invalid", 'body: is not wrapped; wrap it: {"records":[ … ]}');
    if (checked.ok) return refuse("invalid", 'body: must be {"records": [ … ]}');
    return list === undefined
      ? withHint(checked, 'send {"records":[{"data": … }]}, with what is yours under data')
      : checked;
  }
  if (list.length > limits.batchRecordsMax) return tooMany(list.length);
  return recordList(list, body, config, now);
}

/** A record by itself, or a list of some: what was meant is plain. */
function isBare(value: unknown): boolean {
  const [one] = Array.isArray(value) ? value : [value];
  return recordInput.safeParse(one).success && Object.keys(one).length > 0;
}

/** The records of a parsed list, which is the member `records` of the object in `body`. */
export function recordList(
  list: readonly unknown[],
  body: Uint8Array,
  config: IntakeConfig,
  now: number,
): Result<Rec[]> {
  const raw = new RawJson(body);
  const data: (Uint8Array | undefined)[] = [];
  let found: number | undefined;
  raw.members((name, from) => {
    if (name === "records") found = from;
  });
  // Of a member that stands twice, JSON.parse keeps the last, and so do the spans.
  raw.at = found!;
  raw.elements(() => data.push(dataSpan(raw)));
  const records: Rec[] = [];
  for (let index = 0; index < list.length; index++) {
    const record = toRecord(list[index], data[index], config, now, `records.${index}`);
    if (!record.ok) return partOf(record, ["records", index]);
    records.push(record.value);
  }
  return ok(records);
}

export function ndjsonRecords(body: Uint8Array, config: IntakeConfig, now: number): Result<Rec[]> {
  const records: Rec[] = [];
  for (let at = 0, line = 1; at < body.length; line++) {
    const newline = body.indexOf(10, at);
    const end = newline === -1 ? body.length : newline;
    // Each line may have a mark: what was put together of several files has some in its middle.
    const bytes = body.subarray(at + markBytes(body.subarray(at, end)), end);
    at = end + 1;
    if (bytes.every((byte) => byte === 32 || byte === 13 || byte === 9)) continue;
    const parsed = parseJson(bytes);
    if (!parsed.ok) return refuse("bad-json", `record on line ${line}: ${parsed.refusal.detail}`, { line });
    if (records.length === limits.batchRecordsMax) return tooMany(records.length + 1);
    const record = toRecord(parsed.value, dataSpan(new RawJson(bytes)), config, now, `line ${line}`);
    if (!record.ok) return partOf(record, [], line);
    records.push(record.value);
  }
  return records.length === 0 ? refuse("invalid", "body: no record; send one JSON object a line") : ok(records);
}

/** The bytes of `data` of the record at the reader's place, which passes over the record. */
function dataSpan(raw: RawJson): Uint8Array | undefined {
  let data: Uint8Array | undefined;
  while (raw.bytes[raw.at] === 32 || (raw.bytes[raw.at] >= 9 && raw.bytes[raw.at] <= 13)) raw.at++;
  if (raw.bytes[raw.at] !== 123) {
    raw.value(); // Not an object: the schema will say so.
    return undefined;
  }
  raw.members((name, from, to) => {
    if (name === "data") data = raw.bytes.subarray(from, to);
  });
  return data;
}
