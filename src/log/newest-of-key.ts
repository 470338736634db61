/** The newest record of a key that can still be read, where the key index names one that is gone. */
import { openChunk } from "./chunk.ts";
import type { ChunkHead } from "./chunk-head.ts";
import { hashText, mayContain, seeds } from "./fingerprint.ts";
import type { Span } from "./read.ts";
import { decodeRecord, eachPlaced } from "./record.ts";
import type { Segments } from "./segments.ts";

/** Chunks that are looked at for one question: a commit waits for it. */
const chunksMax = 4_096;

/**
 * The offset of the newest record of a key at or below the one that was `noted`, undefined where none is left. What is damaged, lies
 * in the archive alone, or too far back may be one: then `noted` stands.
 */
export function newestOfKey(
  segments: Segments,
  { head, dense }: Pick<Span, "head" | "dense">,
  key: string,
  noted: number,
): number | undefined {
  const hash = hashText(key, seeds.key);
  let left = chunksMax;
  for (let at = noted; at >= head; ) {
    const run = segments.run(at);
    if (run === undefined) {
      const segment = segments.store.before(at);
      if (segment === undefined || segment.next <= at || segment.broken) return noted;
      const print = segments.store.print(segment.n);
      if (print === undefined || mayContain(print, hash)) return noted;
      at = segment.base - 1;
      continue;
    }
    for (const chunk of segments.chunksBack(at)) {
      if (chunk.base < run.from) break;
      if (left-- === 0) return noted;
      if (chunk.print.length > 0 && !chunk.broken && !mayContain(chunk.print, hash)) continue;
      const found = newestIn(segments, chunk, dense, key, at);
      if (found === undefined) return noted;
      if (found >= head) return found;
    }
    at = run.from - 1;
  }
  return undefined;
}

/** The last record of a key in a chunk, up to an offset, or -1; undefined where it cannot be read. */
function newestIn(segments: Segments, chunk: ChunkHead, dense: boolean, key: string, to: number): number | undefined {
  const frames = openChunk({ ...chunk, body: segments.body(chunk.base) }, dense);
  if (!frames.ok) return undefined;
  let found = -1;
  for (const frame of frames.value) {
    eachPlaced(frame, (start, end, offset) => {
      if (offset <= to && decodeRecord(frame.bytes, start, end).key === key) found = offset;
    });
  }
  return found;
}
