/** The objects of segments whose chunks are all there: whether they are what they should be, and made anew. */
import { hashedPart } from "../archive/segment.ts";
import { verifyObject } from "../archive/verify.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { segmentKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { discard } from "../log/notice.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import { sha256 } from "../platform/sha256.ts";

/** False where a segment's object is not what it should be; true where there need not be one. */
export async function hasObject({ spec, span }: Log, blobs: Blobs | undefined, segment: Segment): Promise<boolean> {
  if (segment.size === 0 || blobs === undefined) return true;
  const object = await blobs.get(segmentKey(spec.logId, spec.partition, segment), 0, segment.size + 1);
  if (object?.length !== segment.size) return false;
  const should = { ...segment, head: span.head };
  return verifyObject(object, should, await sha256(hashedPart(object)), span.dense).faults.length === 0;
}

/** The segment gets another object, of all its chunks, under another name. */
export function makeAgain(log: Log, segment: Segment, rows: readonly ChunkRow[], now: number): void {
  log.change(now, () => {
    const current = log.segments.store.at(segment.base);
    if (current?.n !== segment.n) return;
    discard(log.segments, log.spec, current, now);
    log.segments.replace([current], rows, now);
  });
}

/** The database's copy of a segment's chunks goes, where the bucket has a whole one. False where it has not. */
export async function leftToObject(
  log: Log,
  blobs: Blobs | undefined,
  segment: Segment,
  now: () => number,
): Promise<boolean> {
  const both = segment.hot === 1 && segment.size > 0 && blobs !== undefined;
  if (!both || !(await hasObject(log, blobs, segment))) return false;
  log.change(now(), () => {
    const current = log.segments.store.at(segment.base);
    if (current?.n === segment.n && current.hot === 1) log.segments.cool(current);
  });
  return true;
}
