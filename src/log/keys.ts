/** Names of what lies in the bucket. */
import type { Segment } from "./segment-store.ts";

/** The name of a segment's object: in order of offsets, and never used again. */
export const segmentKey = (logId: string, partition: number, { base, n }: Pick<Segment, "base" | "n">): string =>
  `logs/${logId}/${partition}/${String(base).padStart(16, "0")}-${n}.seg`;

/** The name of its Parquet file. The log's id is in it, because a stream's name may be used again. */
export const parquetKey = (
  { logId, partition, names }: { logId: string; partition: number; names: { namespace: string; stream: string } },
  { base, n }: Pick<Segment, "base" | "n">,
): string =>
  `parquet/${names.namespace}/${names.stream}/${logId}/${partition}/${String(base).padStart(16, "0")}-${n}.parquet`;
