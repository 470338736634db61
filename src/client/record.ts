import { slowInstantOf } from "../../schemas/time.ts";
import { encodeText } from "../lib/bytes.ts";
import { kinds, type Rec, textFields } from "../log/record.ts";
import { known } from "./error.ts";
import { demand, fromBase64, jsonOf, kindOf } from "./json.ts";
import type { NewRecord } from "./types.ts";

const nothing = new Uint8Array(0);

const kindsOfField: Readonly<Record<string, string>> = {
  ...Object.fromEntries(textFields.map((field) => [field, "string"])),
  tags: "list",
  extensions: "object",
  offset: "number",
};

/** A record as it is packed. What would not be, or not as it was meant, is an error here: the service would not see it. */
export function packable(record: NewRecord): Rec {
  demandObject(record, "record");
  const { data: _, data_base64, text: __, timestamp, ...rest } = record;
  for (const name in rest) {
    const kind = kindsOfField[name];
    const value = rest[name as keyof typeof rest];
    if (kind === undefined)
      throw known("unknown-field", `a record has no field '${name}'; what is yours goes under data`);
    if (value === undefined) continue;
    if (kind === "string") demand(name, value);
    else if (kind !== (Array.isArray(value) ? "list" : typeof value))
      throw known("invalid", `${name}: must be a ${kind}`);
  }
  for (const tag of rest.tags ?? []) demand("tags", tag);
  for (const name of Object.keys(rest.extensions ?? {})) demand("extensions", name);
  jsonOf(rest.extensions ?? {}, "extensions");
  if (!isWhole(rest.offset ?? 0)) throw known("invalid", "offset: must be a whole number");
  const packed: Rec = { ...rest, kind: kinds.none, data: nothing };
  if (timestamp !== undefined) packed.timestamp = stampOf(timestamp);
  const json = textOf(record, "data");
  if (json !== undefined) {
    packed.kind = kinds.json;
    packed.data = encodeText(json);
  }
  if (data_base64 !== undefined) {
    const bytes = json === undefined && fromBase64(data_base64);
    if (!bytes) throw known("invalid", "data_base64: must be base64, without data");
    packed.kind = kinds.binary;
    packed.data = bytes;
  }
  return packed;
}

/** A record as JSON. */
export function bodyOf(record: NewRecord, path: string): string {
  demandObject(record, path);
  const { data: _, text: __, ...rest } = record;
  const data = textOf(record, `${path}.data`);
  const fields = jsonOf(rest, path);
  if (data === undefined) return fields;
  return `{"data":${data}${fields === "{}" ? "" : ","}${fields.slice(1)}`;
}

/** A value alone is often meant to be its data; a promise, a Map or a Date has no members, and would be an empty record. */
function demandObject(record: unknown, path: string): void {
  if (kindOf(record) !== "Object") throw known("invalid", `${path}: must be an object, such as {data: 1}`);
}

/** JSON of a record's data; undefined where it has none of that kind. */
function textOf(record: NewRecord, path: string): string | undefined {
  const { data, text, data_base64 } = record;
  if (text === undefined) {
    // What has none at all forgets what its key had before: nobody is taken to mean that by a name that was mistyped.
    const none = data === undefined && (data_base64 !== undefined || !("data" in record));
    return none ? undefined : jsonOf(data, path);
  }
  if (data !== undefined) throw known("invalid", "text: must be without data");
  demand("text", text);
  try {
    JSON.parse(text);
  } catch (error) {
    throw known("invalid", `text: ${error}`);
  }
  return text;
}

function stampOf(timestamp: number | string): number {
  const stamp = typeof timestamp === "number" ? timestamp : (slowInstantOf(timestamp) ?? -1);
  if (!isWhole(stamp)) throw known("invalid", "timestamp: must be ms since 1970, or RFC 3339");
  return stamp;
}

/** What a packed number can be. */
const isWhole = (number: number) => Number.isSafeInteger(number) && number >= 0;
