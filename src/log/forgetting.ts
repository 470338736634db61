/**
 * Forgetting a record: whose, what stays at its offset, and every place where its text may lie. The lists below are the only
 * ones. Each place has one step that empties it, and whoever adds a table, or keeps something new in memory, adds it here.
 */
import type { Target } from "../../schemas/erasure.ts";
import { parquetPrefix, segmentPrefix } from "./keys.ts";
import { kinds, type Rec } from "./record.ts";
import type { Spec } from "./spec.ts";

/** What a tombstone is: the place is left, and nothing of what was there. */
export const erasedType = "millrace.erased";
export const tombstone: Rec = { type: erasedType, kind: kinds.none, data: new Uint8Array(0) };

/** One that a client has called so has more than the type. */
export const isTombstone = ({ type, key, id, source, kind }: Rec): boolean =>
  type === erasedType && kind === kinds.none && (key ?? id ?? source) === undefined;

/** Whether a record is one of those that are to be forgotten. */
export const isOf = (target: Target, { key, subject }: Rec): boolean =>
  "key" in target ? key === target.key : subject === target.subject;

/** Steps in a partition, in their order, with the tables, and rows of `meta`, that they empty. A segment's table is `chunk`. */
export const partitionPlaces = {
  chunks: ["chunk"],
  keys: ["last_of_key"],
  groups: [],
  objects: ["garbage"],
  request: ["meta:erasure"],
} as const;

/** Steps in a delivery, in their order. Those without a table empty memory. */
export const deliveryPlaces = {
  letters: ["letters"],
  lanes: ["lanes", "place"],
  window: [],
  leases: ["leases"],
  incident: ["meta:incident"],
  heritage: [],
  attempts: ["meta:attempts"],
} as const;

export type PartitionStep = keyof typeof partitionPlaces;
export type DeliveryStep = keyof typeof deliveryPlaces;

/** Tables, and rows of `meta`, that never hold any: offsets, times, hashes, numbers, and what was configured by name. */
export const withoutText = {
  partition: [
    ...["segment", "segment_print", "notice", "producer", "inherited", "follower"],
    ...[
      "format",
      "spec",
      "marks",
      "segments",
      "compaction",
      "uploads",
      "arrivals",
      "lost",
      "rebuilt",
      "unreadable",
      "unasked",
      "bereft",
      "brought",
      "notices",
      "restore",
      "buried",
    ].map((name) => `meta:${name}`),
  ],
  delivery: [
    "format",
    "spec",
    "secret",
    "paused",
    "heritage",
    "rate",
    "heirs",
    "unheard",
    "forwarded",
    "forgotten",
    "lost",
    "health",
    "restoring",
    "restored",
  ].map((name) => `meta:${name}`),
  catalog: [
    ...[
      "stream",
      "opened",
      "purge",
      "consumer",
      "pause",
      "telling",
      "through",
      "lifetime",
      "namespace",
      "restore",
      "restored",
    ],
  ] as string[],
};

/** What users say of their snapshots, which are theirs. */
export const notOurs = ["snapshot", "snapshot_sum", "snapshot_upload", "meta:snapshot-lease"];

/** What the bucket's keys begin with, where objects of the log's records are: what is deleted of those is waited for. */
export function objectPrefixes({ logId, partition, names }: Pick<Spec, "logId" | "partition" | "names">): string[] {
  const parquet = names === undefined ? [] : [parquetPrefix({ logId, partition, names })];
  return [segmentPrefix(logId, partition), ...parquet];
}
