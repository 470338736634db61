import { kinds, type Rec } from "../log/record.ts";
import type { NewRecord } from "./types.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

/** A record as it is packed. */
export function packable(record: NewRecord): Rec {
  const { data, data_base64, timestamp, ...rest } = record;
  const packed: Rec = { ...rest, kind: kinds.none, data: nothing };
  if (timestamp !== undefined) packed.timestamp = typeof timestamp === "number" ? timestamp : Date.parse(timestamp);
  if (data_base64 !== undefined) {
    packed.kind = kinds.binary;
    packed.data = Uint8Array.from(atob(data_base64), (char) => char.charCodeAt(0));
  } else if (data !== undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("data: JSON has no form for it");
    packed.kind = kinds.json;
    packed.data = encoder.encode(text);
  }
  return packed;
}
