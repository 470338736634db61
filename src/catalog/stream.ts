import type { PartitionRange, StreamConfig } from "../../schemas/stream.ts";

/** A stream as callers route by it. Times are ms since 1970. */
export interface Stream {
  readonly name: string;
  readonly logId: string;
  readonly version: number;
  readonly config: StreamConfig;
  readonly map: readonly PartitionRange[];
  readonly created: number;
  readonly updated: number;
}

export interface Listed<T> {
  readonly items: T[];
  /** The name to go on after; absent on the last page. */
  readonly after?: string;
}
