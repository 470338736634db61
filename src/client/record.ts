import { instantOf } from "../../schemas/time.ts";
import { anyText } from "../../schemas/unicode.ts";
import { kinds, type Rec, textFields } from "../log/record.ts";
import { known } from "./error.ts";
import type { NewRecord } from "./types.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

const kindsOfField: Readonly<Record<string, string>> = {
  ...Object.fromEntries(textFields.map((field) => [field, "string"])),
  tags: "list",
  extensions: "object",
  offset: "number",
};

/** A record as it is packed. What would not be, or not as it was meant, is an error here: the service would not see it. */
export function packable(record: NewRecord): Rec {
  const { data, data_base64, timestamp, ...rest } = record;
  for (const name in rest) {
    const kind = kindsOfField[name];
    const value = rest[name as keyof typeof rest];
    if (kind === undefined) throw known("unknown-field", `a record has no field '${name}'`);
    const is = Array.isArray(value) ? "list" : typeof value;
    if (value !== undefined && is !== kind) throw known("invalid", `${name}: must be a ${kind}`);
  }
  for (const field of textFields) demand(field, rest[field] ?? "");
  for (const tag of rest.tags ?? []) demand("tags", tag);
  for (const name of Object.keys(rest.extensions ?? {})) demand("extensions", name);
  const packed: Rec = { ...rest, kind: kinds.none, data: nothing };
  if (timestamp !== undefined) packed.timestamp = stampOf(timestamp);
  if (data_base64 !== undefined) {
    packed.kind = kinds.binary;
    packed.data = Uint8Array.from(atob(data_base64), (char) => char.charCodeAt(0));
  } else if (data !== undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("data: must be JSON");
    packed.kind = kinds.json;
    packed.data = encoder.encode(text);
  }
  return packed;
}

/** Packing would replace what has no UTF-8, and nobody would learn of it. Everything else the service tells. */
function demand(name: string, text: unknown): void {
  const problem = typeof text === "string" ? anyText(text) : "must be a string";
  if (problem !== undefined) throw known("invalid", `${name}: ${problem}`);
}

function stampOf(timestamp: number | string): number {
  const stamp = typeof timestamp === "number" ? timestamp : (instantOf(timestamp) ?? -1);
  if (!(stamp >= 0)) throw known("invalid", "timestamp: must be ms since 1970, or an RFC 3339 time from then on");
  return stamp;
}
