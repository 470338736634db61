import type { PackedFrame } from "./chunk.ts";
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
  /** True for a partition that was split: it takes no appends. */
  readonly sealed: boolean;
}

/** Records of one caller, checked and packed by the Worker. */
export interface Batch {
  readonly frames: readonly PackedFrame[];
  readonly terms: Terms;
}
