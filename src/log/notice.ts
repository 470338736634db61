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
  const n = Number(segments.meta.meta("notices") ?? 0);
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

/** Leaves a segment's objects to be deleted. One that is not noted may be on its way. */
export function discard(
  { store }: Segments,
  { logId, partition, names, retention }: Spec,
  segment: Segment,
  now: number,
): void {
  if (segment.size === 0 && !retention?.archive) return;
  const due = segment.size > 0 ? now : now + uploadMsMax;
  store.addGarbage(segmentKey(logId, partition, segment), due);
  if (!retention?.parquet || names === undefined) return;
  store.addGarbage(parquetKey({ logId, partition, names }, segment), due);
}
