/** The records of bytes that the log has handed out. */
import { type Filter, matches } from "./filter.ts";
import { flags, readHeaders } from "./frame.ts";
import type { Item } from "./json.ts";
import { decodeRecord, eachPlaced } from "./record.ts";

/** Offsets `[from, to)`, and what a record must be like. */
export interface Wanted {
  readonly from: number;
  readonly to: number;
  readonly filter?: Filter | undefined;
}

/** Calls `visit` with each record that is wanted, in order. Checksums are not looked at: whoever handed it out has. */
export function eachItem(body: Uint8Array, { from, to, filter }: Wanted, visit: (item: Item) => void): void {
  const frames = readHeaders(body);
  if (!frames.ok) return;
  for (const frame of frames.value) {
    const { bytes } = frame;
    const checked = (frame.flags & flags.checked) !== 0;
    eachPlaced(frame, (start, end, offset, timestamp) => {
      if (offset < from || offset >= to) return;
      if (filter !== undefined && !matches(filter, decodeRecord(bytes, start, end))) return;
      visit({ bytes, from: start, to: end, offset, timestamp, checked });
    });
  }
}
