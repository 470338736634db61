/** How long records are kept, and where. Pure: what the stream's configuration says of its segments. */
import { defaults } from "../../schemas/limits.ts";
import type { Segment } from "./segment-store.ts";
import { segmentBytes, segmentChunks } from "./segments.ts";
import type { Retention, Spec } from "./spec.ts";

export const keepAll: Retention = {
  retentionAgeMs: null,
  retentionBytes: null,
  retentionRecords: null,
  keepForGroups: false,
  keepForSnapshot: false,
  snapshotsKept: defaults.snapshotsKept,
  archive: false,
  archiveAgeMs: null,
  compact: false,
  deleteMarkerGraceMs: defaults.deleteMarkerGraceMs,
  segmentEvents: null,
  parquet: null,
};

export const retentionOf = ({ retention }: Spec): Retention => retention ?? keepAll;

/** Retention is kept to an eighth: it drops whole segments, and there are at least so many within its bounds. */
const parts = 8;
/** A stream that is compacted is sealed so often: only what is sealed is. */
const compactMs = 600_000;

/** When the open segment is to be sealed. */
export function cutAt(spec: Spec): { bytes: number; chunks: number; records: number } {
  const { retentionBytes, retentionRecords } = retentionOf(spec);
  return {
    bytes: Math.min(segmentBytes, Math.ceil((retentionBytes ?? Number.POSITIVE_INFINITY) / parts)),
    chunks: segmentChunks,
    records: Math.ceil((retentionRecords ?? Number.POSITIVE_INFINITY) / parts),
  };
}

/** True where a segment that has so much is to be sealed. */
export function isFull(open: { bytes: number; chunks: number; records: number }, spec: Spec): boolean {
  const at = cutAt(spec);
  return open.bytes >= at.bytes || open.chunks >= at.chunks || open.records >= at.records;
}

/** When the open segment, which got its first record at `first`, is to be sealed for its age, in ms; undefined: never. */
export function cutTime(spec: Spec, first: number | undefined): number | undefined {
  const { retentionAgeMs, compact } = retentionOf(spec);
  if (first === undefined || (retentionAgeMs === null && !compact)) return undefined;
  const age = retentionAgeMs === null ? Number.POSITIVE_INFINITY : Math.ceil(retentionAgeMs / parts);
  return first + Math.min(age, compact ? compactMs : Number.POSITIVE_INFINITY);
}

/** What is over the bounds of a log that has these sums behind a segment. */
export interface Behind {
  readonly bytes: number;
  readonly records: number;
}

/** True where a segment is not to be kept: it is older than the age, or what is behind it fills the bounds. */
export function overdue(retention: Retention, segment: Pick<Segment, "last">, behind: Behind, now: number): boolean {
  const { retentionAgeMs, retentionBytes, retentionRecords } = retention;
  if (retentionAgeMs !== null && segment.last <= now - retentionAgeMs) return true;
  if (retentionBytes !== null && behind.bytes >= retentionBytes) return true;
  return retentionRecords !== null && behind.records >= retentionRecords;
}

/** True where what is kept is more than an eighth beyond the bounds: it was cut when they were wider. */
export function beyond(retention: Retention, kept: Behind, first: number, now: number): boolean {
  const { retentionAgeMs, retentionBytes, retentionRecords } = retention;
  if (retentionAgeMs !== null && first <= now - withPart(retentionAgeMs)) return true;
  if (retentionBytes !== null && kept.bytes > withPart(retentionBytes)) return true;
  return retentionRecords !== null && kept.records > withPart(retentionRecords);
}

/** A bound, and the part by which what is kept may be more. */
export const withPart = (bound: number): number => bound + Math.ceil(bound / parts);

/** True where retention has bounds of its own, and does not just follow the groups. */
export const bounded = ({ retentionAgeMs, retentionBytes, retentionRecords }: Retention): boolean =>
  retentionAgeMs !== null || retentionBytes !== null || retentionRecords !== null;
