/** What a change of a segment leaves to be done outside: in its transaction, so that no crash takes it. */

import { parquetKey, segmentKey } from "./keys.ts";
import type { Segment } from "./segment-store.ts";
import type { Segments } from "./segments.ts";
import type { Spec } from "./spec.ts";

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

/** No upload takes longer: an object that nobody noted by then is nobody's. */
const uploadMsMax = 600_000;
const uploadsName = "uploads";

/** What this log has ever begun to upload: from then on there may be objects that nobody noted. */
export interface Uploads {
  readonly segments: boolean;
  readonly parquet: boolean;
}

const uploadsOf = ({ meta }: Segments): Uploads =>
  JSON.parse(meta.meta(uploadsName) ?? '{"segments":false,"parquet":false}');

/** To be called before an upload: written once, and never taken back. */
export function uploading(segments: Segments, parquet: boolean): void {
  const known = uploadsOf(segments);
  if (known.segments && (known.parquet || !parquet)) return;
  segments.meta.setMeta(uploadsName, JSON.stringify({ segments: true, parquet: known.parquet || parquet }));
}

/** Leaves a segment's objects to be deleted. One that is not noted may be on its way. */
export function discard(segments: Segments, spec: Spec, segment: Segment, now: number): void {
  if (segment.size === 0 && !uploadsOf(segments).segments) return;
  const due = segment.size > 0 ? now : now + uploadMsMax;
  segments.store.addGarbage(segmentKey(spec.logId, spec.partition, segment), due);
  discardParquet(segments, spec, segment, due);
}

/** The same for its Parquet file alone, if there may be one. */
export function discardParquet(
  segments: Segments,
  { logId, partition, names }: Spec,
  segment: Segment,
  due: number,
): void {
  if (names === undefined || !uploadsOf(segments).parquet) return;
  segments.store.addGarbage(parquetKey({ logId, partition, names }, segment), due);
}
