import type { ParquetColumn } from "../../schemas/stream.ts";
import type { Terms } from "./sequence.ts";

/** What retention asks of a stream; null where it does not. */
export interface Retention {
  readonly retentionAgeMs: number | null;
  readonly retentionBytes: number | null;
  readonly retentionRecords: number | null;
  readonly keepForGroups: boolean;
  /** Move what retention drops into the archive, where it stays readable. */
  readonly keepForSnapshot: boolean;
  readonly snapshotsKept: number;
  readonly archive: boolean;
  /** Archived records older than this go for good. */
  readonly archiveAgeMs: number | null;
  /** Keep only the latest record of each key; its deletion for so long. */
  readonly compact: boolean;
  readonly deleteMarkerGraceMs: number;
  readonly segmentEvents: string | null;
  readonly parquet: readonly ParquetColumn[] | null;
}

/** What the catalog tells a partition about itself. */
export interface Spec {
  readonly logId: string;
  readonly partition: number;
  /** Version of the stream's map and configuration; callers route by it. */
  readonly version: number;
  readonly deduplicationWindowMs: number;
  readonly timestamps: "arrival" | "client";
  readonly offsets: "assigned" | "producer";
  readonly keyIndex: boolean;
  /** What an append on a socket may have. Absent in the database of a partition from before there were sockets. */
  readonly recordBytesMax?: number;
  readonly batchBytesMax?: number;
  /** Absent where the partition is from before there was retention. */
  readonly retention?: Retention;
  /** Of the stream, for what others see of its segments. Absent as `retention` is. */
  readonly names?: { readonly namespace: string; readonly stream: string };
  /** True for a partition that was split: it takes no appends. */
  readonly sealed: boolean;
  /** It continues a partition that was split. */
  readonly continues: boolean;
}

/**
 * Records of one caller, checked and packed by the Worker. Flat, because a call between objects pays for every object in
 * its arguments: a twelfth of the round trip for three of them.
 */
export interface Batch {
  /** Frames, one after another. */
  readonly bytes: Uint8Array;
  /** For each frame: how many fingerprint hashes it has, then these. */
  readonly hashes: Uint32Array;
  readonly terms: Terms;
}
