/**
 * What a stream's bounds do not keep of a log, oldest first. It is said here once, for those who drop it and for those who
 * want to know beforehand; what holds it up for a while (groups, a snapshot, ids that may come again) is theirs to ask.
 */
import { defaults } from "../../schemas/limits.ts";
import { headsIn } from "../log/heads.ts";
import type { Log } from "../log/log.ts";
import { type Behind, beyond, bounded, overdue } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Segments } from "../log/segments.ts";
import type { Retention } from "../log/spec.ts";

/** A segment, or a chunk: it goes as a whole. */
export interface Part {
  readonly base: number;
  readonly next: number;
  readonly last: number;
}

/** Segments, each with what is behind it. */
function* withBehind(segments: readonly Segment[], open: Behind): Generator<{ segment: Segment; behind: Behind }> {
  const sum = (of: (one: Behind) => number) => segments.reduce((total, segment) => total + of(segment), of(open));
  let [records, bytes] = [sum((one) => one.records), sum((one) => one.bytes)];
  for (const segment of segments) {
    records -= segment.records;
    bytes -= segment.bytes;
    yield { segment, behind: { records, bytes } };
  }
}

/** With an archive: hot segments that are not kept in the database. */
export function* overAtHand({ segments, hotBytesMax }: Log, bounds: Retention, now: number): Generator<Segment> {
  // However much is to be kept at hand, there must be room for appends.
  const retentionBytes = Math.min(bounds.retentionBytes ?? defaults.hotBytes, hotBytesMax / 2);
  for (const { segment, behind } of withBehind(segments.hot, segments.open)) {
    if (!overdue({ ...bounds, retentionBytes }, segment, behind, now)) return;
    yield segment;
  }
}

/** Of what lies in the archive alone, what is older than it goes back. What is kept in the database is not its own. */
export function* overInArchive(
  { segments }: Log,
  { archiveAgeMs }: Retention,
  now: number,
  isCold = ({ hot }: Segment) => hot === 0,
): Generator<Segment> {
  if (archiveAgeMs === null) return;
  for (const segment of segments.store.from(0)) {
    if (!isCold(segment) || segment.last > now - archiveAgeMs) return;
    yield segment;
  }
}

/** Records go as soon as all groups have finished them: there is no bound, and no archive. */
export const followsGroups = (retention: Retention): boolean =>
  retention.keepForGroups && !bounded(retention) && !retention.archive;

/**
 * Without an archive: segments, those too that were archived before, and, where the one that a bound lies in was cut under
 * wider bounds, chunks of it. A bound that is lowered need not wait until so much comes behind that segment.
 */
export function* overWithoutArchive({ segments, span }: Log, bounds: Retention, now: number): Generator<Part> {
  if (followsGroups(bounds)) yield* segments.store.from(0);
  if (!bounded(bounds)) return;
  for (const { segment, behind } of withBehind([...segments.store.from(0)], segments.open)) {
    if (overdue(bounds, segment, behind, now)) yield segment;
    else return yield* chunksOver(segments, segment, behind, bounds, span.head, now);
  }
  const { base, records, bytes, last } = segments.open;
  const open = { base, next: span.tail, records, bytes };
  const behind = { records: 0, bytes: 0 };
  if (last !== undefined && overdue(bounds, { last }, behind, now)) yield { ...open, last };
  else yield* chunksOver(segments, open, behind, bounds, span.head, now);
}

function* chunksOver(
  segments: Segments,
  whole: Pick<Segment, "base" | "next" | "records" | "bytes">,
  behind: Behind,
  bounds: Retention,
  head: number,
  now: number,
): Generator<Part> {
  let records = behind.records + whole.records;
  let bytes = behind.bytes + whole.bytes;
  const first = segments.chunkAt(Math.max(head, whole.base))?.first ?? now;
  if (!beyond(bounds, { records, bytes }, first, now)) return;
  for (const chunk of headsIn(segments, whole.base, whole.next)) {
    records -= chunk.records;
    bytes -= chunk.bytes;
    if (!overdue(bounds, chunk, { records, bytes }, now)) return;
    if (chunk.next > head) yield chunk;
  }
}

/** What holds records up that bounds do not keep: what reaches beyond an offset waits. */
export interface Holds {
  /** For what held it up, and would not any more. */
  readonly lifted: number;
  /** For what holds it up before and after. */
  readonly left: number;
}

/** How many records that other bounds would not keep are kept by those that a log has, or by what they waited for. */
export function loss(log: Log, bounds: Retention, bucket: boolean, now: number, holds: Holds = nothingHolds): number {
  const { retention } = log.spec;
  const before = (held: number) =>
    retention === undefined ? log.span.head : goneBelow(log, retention, bucket, now, held);
  const due = before(unheld);
  const gone = goneBelow(log, bounds, bucket, now);
  const freed = recordsIn(log, before(holds.lifted), Math.min(due, before(holds.left), gone));
  return freed + recordsIn(log, due, gone);
}

const unheld = Number.POSITIVE_INFINITY;
const nothingHolds: Holds = { lifted: unheld, left: unheld };

/** The offset below which bounds keep nothing. */
function goneBelow(log: Log, bounds: Retention, bucket: boolean, now: number, held = Number.POSITIVE_INFINITY): number {
  const { segments } = log;
  const { head, tail } = log.span;
  if (followsGroups(bounds) && held >= tail) return tail;
  // What is to be archived, and cannot be for want of a bucket, stays.
  if (bounds.archive && !bucket) return head;
  const over = bounds.archive ? new Set([...overAtHand(log, bounds, now)].map(({ base }) => base)) : new Set<number>();
  const isCold = ({ base, hot }: Segment) => hot === 0 || over.has(base);
  let next = head;
  const gone = (part: Part) => {
    if (part.next <= held) next = Math.max(next, part.next);
  };
  if (bucket) for (const segment of overInArchive(log, bounds, now, isCold)) gone(segment);
  if (!bounds.archive) for (const part of overWithoutArchive(log, bounds, now)) gone(part);
  else if (next >= segments.open.base && openIsOver(log, bounds, now) && tail <= held) return tail;
  return next;
}

/** The open segment would be sealed for its age, archived, and be too old for the archive. */
function openIsOver({ segments: { open } }: Log, bounds: Retention, now: number): boolean {
  const { last } = open;
  if (last === undefined || bounds.archiveAgeMs === null || last > now - bounds.archiveAgeMs) return false;
  return overdue(bounds, { last }, { records: 0, bytes: 0 }, now);
}

/** How many records lie in `[from, to)`, both between chunks or at the head. */
function recordsIn({ segments }: Log, from: number, to: number): number {
  let records = 0;
  const heads = (base: number, next: number) =>
    headsIn(segments, base, next).reduce((sum, chunk) => sum + chunk.records, 0);
  for (const segment of segments.store.from(segments.store.before(from)?.base ?? 0)) {
    const [base, next] = [Math.max(from, segment.base), Math.min(to, segment.next)];
    if (base >= next) continue;
    const part = base > segment.base || next < segment.next;
    records += part && segment.hot === 1 ? heads(base, next) : Math.min(segment.records, next - base);
  }
  const open = Math.max(from, segments.open.base);
  return open < to ? records + heads(open, to) : records;
}
