/** What a change of a segment leaves to be done outside: in its transaction, so that no crash takes it. */

import { parquetKey, segmentKey } from "./keys.ts";
import type { Segment } from "./segment-store.ts";
import type { Segments } from "./segments.ts";
import type { Spec } from "./spec.ts";
import type { Store } from "./store.ts";

/** The data of an event. Times are RFC 3339. */
export interface SegmentEvent {
  readonly event: "archived" | "dropped";
  readonly namespace: string;
  readonly stream: string;
  readonly logId: string;
  readonly partition: number;
  /** Offsets `[base, next)`. */
  readonly base: number;
  readonly next: number;
  readonly records: number;
  readonly bytes: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  /** Of its object, where it has one, or had. */
  readonly object?: string;
  readonly time: string;
}

/** Records below it came with a dump: what has become of their segments was told where they were dumped. */
const broughtName = "brought";
export const setBrought = ({ meta }: Segments, tail: number): void => meta.setMeta(broughtName, String(tail));

/** Notes, for the stream that the configuration names, an event in the transaction that it is about, if somebody wants to know. */
export function notice(
  segments: Segments,
  { logId, partition, names, retention }: Spec,
  event: SegmentEvent["event"],
  segment: Segment,
  now: number,
): void {
  if (names === undefined || retention === undefined || retention.segmentEvents === null) return;
  const { base, next, records, bytes, first, last, size } = segment;
  if (event === "archived" && next <= Number(segments.meta.meta(broughtName) ?? 0)) return;
  // Above those that the log gave out before it was deleted, and came back from a dump, which does not tell them.
  const n = Math.max(Number(segments.meta.meta("notices") ?? 0), now);
  const body: SegmentEvent = {
    event,
    ...names,
    logId,
    partition,
    base,
    next,
    records,
    bytes,
    firstTimestamp: new Date(first).toISOString(),
    lastTimestamp: new Date(last).toISOString(),
    ...(size > 0 ? { object: segmentKey(logId, partition, segment) } : {}),
    time: new Date(now).toISOString(),
  };
  segments.store.addNotice(n, JSON.stringify(body));
  segments.meta.setMeta("notices", String(n + 1));
}

/** Nothing is on its way into the bucket for longer: what nobody noted by then is nobody's. */
const uploadMsMax = 600_000;
const uploadsName = "uploads";

/** What this log has ever begun to upload: from then on there may be objects that nobody noted. */
interface Uploads {
  readonly segments: boolean;
  readonly parquet: boolean;
  /** Number of the segment that is being uploaded. One that another finds there was cut off by a crash. */
  readonly begun?: number;
  /** Segments of which an attempt was cut off: it may yet bring their objects, until then, in ms since 1970. */
  readonly late?: readonly (readonly [n: number, until: number])[];
}

const uploadsOf = ({ meta }: Pick<Segments, "meta">): Uploads =>
  JSON.parse(meta.meta(uploadsName) ?? '{"segments":false,"parquet":false}');

const setUploads = ({ meta }: Segments, uploads: Uploads): void =>
  meta.setMeta(uploadsName, JSON.stringify({ ...uploads, late: uploads.late?.length ? uploads.late : undefined }));

/** Nothing was ever uploaded: no object in the bucket is this log's. */
export const neverUploaded = (segments: Segments): boolean =>
  !uploadsOf(segments).segments && segments.store.archived().segments === 0;

/** There may be objects of which nothing is known. */
export const mayHaveUploaded = (segments: Segments): void =>
  setUploads(segments, { ...uploadsOf(segments), segments: true, parquet: true });

/** To be called before the upload of a segment. */
export function uploading(segments: Segments, n: number, parquet: boolean, now: number): void {
  const { begun, ...known } = uploadsOf(segments);
  const late = lateOf(known, now, begun);
  setUploads(segments, { segments: true, parquet: known.parquet || parquet, begun: n, late });
}

/** The upload of a segment is over; `cutOff`: an attempt was given up without an answer, and may yet be done. */
export function uploadOver(segments: Segments, n: number, cutOff: boolean, now: number): void {
  const { begun: _, ...known } = uploadsOf(segments);
  setUploads(segments, { ...known, late: lateOf(known, now, cutOff ? n : undefined) });
}

/** What may come late, with one more; what was to come by now has. */
function lateOf({ late = [] }: Uploads, now: number, n?: number): Uploads["late"] {
  const left = late.filter((one) => one[0] !== n && one[1] > now);
  return n === undefined ? left : [...left, [n, now + uploadMsMax]];
}

/** Numbers of segments of which objects may yet come, each with until when, in ms since 1970; and whether Parquet files may. */
export function stillComing(meta: Store, now: number): { late: NonNullable<Uploads["late"]>; parquet: boolean } {
  const { begun, parquet, ...known } = uploadsOf({ meta });
  return { late: lateOf({ ...known, parquet }, now, begun) ?? [], parquet };
}

/**
 * From when on nothing brings a segment's objects any more, and what is deleted stays so. One that is not noted may be on its
 * way; of one that is, an attempt before the one that was noted.
 */
function lastsUntil(segments: Segments, { n, size }: Pick<Segment, "n" | "size">, now: number): number {
  const late = uploadsOf(segments).late?.find((one) => one[0] === n)?.[1] ?? 0;
  return Math.max(late, size > 0 ? now : now + uploadMsMax);
}

/** Leaves a segment's objects to be deleted. */
export function discard(segments: Segments, spec: Spec, segment: Segment, now: number): void {
  if (segment.size === 0 && !uploadsOf(segments).segments) return;
  const due = lastsUntil(segments, segment, now);
  segments.store.setGarbage(segmentKey(spec.logId, spec.partition, segment), due);
  leaveParquet(segments, spec, segment, due);
}

/** The same for its Parquet file alone, which is there. */
export const discardParquet = (segments: Segments, spec: Spec, segment: Segment, now: number): void =>
  leaveParquet(segments, spec, segment, lastsUntil(segments, { n: segment.n, size: 1 }, now));

function leaveParquet(segments: Segments, { logId, partition, names }: Spec, segment: Segment, due: number): void {
  if (names === undefined || !uploadsOf(segments).parquet) return;
  segments.store.setGarbage(parquetKey({ logId, partition, names }, segment), due);
}
