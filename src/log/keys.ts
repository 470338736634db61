/** Names of what lies in the bucket. */
import type { Segment } from "./segment-store.ts";

/** An offset as keys have it: in the order of the numbers. */
export const baseText = (base: number): string => String(base).padStart(16, "0");

/** All keys of a partition's segments begin so. */
export const segmentPrefix = (logId: string, partition: number): string => `logs/${logId}/${partition}/`;

/** The name of a segment's object: in order of offsets, and never used again. */
export const segmentKey = (logId: string, partition: number, { base, n }: Pick<Segment, "base" | "n">): string =>
  `${segmentPrefix(logId, partition)}${baseText(base)}-${n}.seg`;

/**
 * The segment whose object, or Parquet file, has this name: its first offset and its number. What is called otherwise counts as
 * being at the beginning.
 */
export function placeOfKey(key: string): { base: number; n: number } {
  const [, base, n] = /\/(\d{16})-(\d{1,15})\.(?:seg|parquet)$/.exec(key) ?? [key, "0", "0"];
  return { base: Number(base), n: Number(n) };
}

/** Whose Parquet files. */
interface Named {
  readonly logId: string;
  readonly partition: number;
  readonly names: { readonly namespace: string; readonly stream: string };
}

/** All keys of a partition's Parquet files begin so. The log's id is in it, because a stream's name may be used again. */
export const parquetPrefix = ({ logId, partition, names }: Named): string =>
  `parquet/${names.namespace}/${names.stream}/${logId}/${partition}/`;

/** The name of a segment's Parquet file. */
export const parquetKey = (named: Named, { base, n }: Pick<Segment, "base" | "n">): string =>
  `${parquetPrefix(named)}${baseText(base)}-${n}.parquet`;
