/** The records of the deduplication window that have an id, read from their chunks: no row holds them. */
import type { Arrivals } from "./arrivals.ts";
import { openChunk } from "./chunk.ts";
import { flags } from "./frame.ts";
import { decodeFrame, type Rec } from "./record.ts";
import type { Segments } from "./segments.ts";

/** Every stored record that came since a time and has an id, with when it came. Oldest first: of two with one id, the newer is the one to find. */
export function eachId(
  chunks: Segments,
  arrivals: Arrivals,
  dense: boolean,
  tail: number,
  since: number,
  visit: (record: Rec, offset: number, time: number) => void,
): void {
  const bases: number[] = [];
  for (const chunk of chunks.chunksBack(tail)) {
    if (arrivals.by(chunk) < since) break;
    if (chunk.flags & flags.ids) bases.push(chunk.base);
  }
  for (const base of bases.reverse()) {
    const chunk = chunks.chunkAt(base)!;
    const frames = openChunk({ ...chunk, body: chunks.body(base) }, dense);
    if (!frames.ok) continue;
    for (const frame of frames.value) {
      decodeFrame(frame, (record, offset, timestamp) => {
        if (record.id === undefined) return;
        const time = arrivals.by({ next: offset + 1, last: timestamp });
        if (time >= since) visit(record, offset, time);
      });
    }
  }
}
