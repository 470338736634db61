/** The objects of segments whose chunks are all there: whether they are what they should be, and made anew. */
import { foundIn, segmentOf } from "../archive/rebuild.ts";
import type { Index } from "../archive/segment.ts";
import { hex } from "../lib/bytes.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { baseText, segmentKey, segmentPrefix } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { discard } from "../log/notice.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import { checkedObject } from "./checked-object.ts";
import { chunkRows, indexOf } from "./cold.ts";
import { listed, readEnd } from "./object-ends.ts";
import { reached } from "./out-of-reach.ts";
import { hotRows } from "./segment-rows.ts";

/**
 * False where a segment's object is not what it should be, or there is none out of which a row could be had that is not what was written;
 * true where there need not be one.
 */
export async function hasObject({ spec, span }: Log, blobs: Blobs | undefined, segment: Segment): Promise<boolean> {
  if (segment.size === 0) return !segment.broken;
  if (blobs === undefined) return true;
  const key = segmentKey(spec.logId, spec.partition, segment);
  return reached(await checkedObject(blobs, key, { ...segment, head: span.head }, span.dense)).faults.length === 0;
}

/** The segment gets another row, and another object, of all its chunks, under another name. */
export function makeAgain(log: Log, segment: Segment, rows: readonly ChunkRow[], now: number): void {
  log.change(now, () => {
    const current = log.segments.store.at(segment.base);
    if (current?.n !== segment.n) return;
    discard(log.segments, log.spec, current, now);
    log.segments.replace([current], rows, now);
  });
}

/** The row of a segment that can be read, and its fingerprint, where they are not what was written: what the object says, or the table. */
export async function writeRowAgain(
  log: Log,
  blobs: Blobs | undefined,
  segment: Segment,
  now: () => number,
): Promise<void> {
  const { logId, partition } = log.spec;
  const { segments } = log;
  if (!segment.broken && segments.store.hasSoundPrint(segment.n)) return;
  const archived = segment.size > 0 && blobs !== undefined;
  // Where its index begins the row may not say rightly.
  const index = archived ? await readEnd(blobs, segmentKey(logId, partition, segment), segment.size) : undefined;
  if (segment.size > 0 && index === undefined) return;
  log.change(now(), () => {
    const current = segments.store.at(segment.base);
    if (current?.n !== segment.n) return;
    if (index === undefined) return segments.put(current);
    const row = segmentOf(foundIn(segment.size, index));
    segments.put({ ...row, hot: current.hot, sealed: current.broken ? row.sealed : current.sealed });
    segments.store.setPrint(segment.n, index.print);
  });
}

/** By which hashes the segment behind one may know it; undefined where nothing can be said. */
export const hashesOf = ({ size, broken, sha, origin }: Segment): readonly Uint8Array[] | undefined =>
  size === 0 || broken ? undefined : [sha, origin].filter((hash) => hash.length > 0);

/** Where a segment knows the one before it by another hash than it has, that one has it from now on: nothing is lost by that. */
export function joinChain(log: Log, base: number, now: number): void {
  const { store } = log.segments;
  const [before, segment] = [store.before(base - 1), store.at(base)];
  if (before?.next !== base || segment === undefined || segment.broken || segment.prev.length === 0) return;
  const known = hashesOf(before);
  if (known === undefined || known.some((sha) => hex(sha) === hex(segment.prev))) return;
  log.change(now, () => log.segments.put({ ...before, origin: segment.prev }));
}

/**
 * The row of an archived segment of which only the place is known, or also that the database has its chunks, out of the bucket. False
 * where no object is that segment's.
 */
export async function findRow(
  log: Log,
  blobs: Blobs | undefined,
  segment: Segment,
  now: () => number,
): Promise<boolean> {
  const { logId, partition } = log.spec;
  const { segments } = log;
  let found: { size: number; index: Index } | undefined;
  const prefix = `${segmentPrefix(logId, partition)}${baseText(segment.base)}-`;
  for await (const { key, size } of blobs === undefined ? [] : listed(blobs, prefix)) {
    const index = segments.store.isGarbage(key) ? undefined : await readEnd(blobs as Blobs, key, size);
    const { footer } = index ?? {};
    const same = footer?.logId === logId && footer.partition === partition && footer.next === segment.next;
    // By its number the table was found, so that this is right.
    const other = segment.hot === 1 && footer?.n !== segment.n;
    if (index !== undefined && same && !other && !(found && found.index.footer.n > index.footer.n))
      found = { size, index };
  }
  if (found === undefined) return false;
  const { size, index } = found;
  log.change(now(), () => {
    const current = segments.store.at(segment.base);
    if (!current?.broken || current.hot !== segment.hot) return;
    segments.put({ ...segmentOf(foundIn(size, index)), hot: segment.hot });
    segments.store.setPrint(index.footer.n, index.print);
  });
  return true;
}

/** The row of the segment behind one that is to be replaced says by which hash it knows that one: it is mended before. */
export async function mendBehind(
  log: Log,
  blobs: Blobs | undefined,
  { next }: Pick<Segment, "next">,
  now: () => number,
): Promise<void> {
  const behind = log.segments.store.at(next);
  if (behind?.broken) await findRow(log, blobs, behind, now);
}

/**
 * Where both copies of a segment's chunks are damaged, it is made anew of what either has. False where the object has nothing that the
 * database has not.
 */
export async function joinCopies(
  log: Log,
  blobs: Blobs | undefined,
  segment: Segment,
  now: () => number,
): Promise<boolean> {
  if (segment.hot === 0 || segment.size === 0 || segment.broken || blobs === undefined) return false;
  const { logId, partition } = log.spec;
  const where = { logId, partition, blobs };
  const index = await indexOf(where, segment);
  if (!index?.ok || hex(index.value.footer.sha) !== hex(segment.sha)) return false;
  const isSound = (row: ChunkRow) => openChunk(row, log.span.dense).ok;
  const own = new Map<number, ChunkRow>();
  for await (const row of hotRows(log, segment)) if (isSound(row)) own.set(row.base, row);
  const rows: ChunkRow[] = [];
  let gained = 0;
  for (const placed of index.value.chunks) {
    const mine = own.get(placed.base);
    if (mine !== undefined) rows.push(mine);
    else {
      const theirs = reached(await chunkRows(where, segment, [placed], placed.bytes));
      if (theirs === undefined) return false;
      // Damaged in both it keeps its place, for which that is made a hole.
      rows.push(...theirs);
      gained += theirs.filter(isSound).length;
    }
  }
  if (gained > 0) makeAgain(log, segment, rows, now());
  return gained > 0;
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
