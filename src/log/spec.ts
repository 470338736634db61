import type { Terms } from "./sequence.ts";

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
