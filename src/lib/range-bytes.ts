/** Ranges as bytes: for each the gap before it, and its length, as variable-length integers. */
import { ByteReader } from "./bytes.ts";

/** Whether bytes are ranges above an offset. */
export function areRanges(bytes: Uint8Array, floor: number): boolean {
  const { length } = bytes;
  const reader = new ByteReader(bytes, 0, length);
  let count = 0;
  for (let at = floor; reader.at < length; count++) {
    const number = reader.varint();
    at += number;
    if (reader.failed || (number === 0 && count > 0) || at > Number.MAX_SAFE_INTEGER) return false;
  }
  return count % 2 === 0;
}
