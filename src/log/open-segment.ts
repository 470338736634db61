/** The segment that appends go to, and its sums. */
import type { ChunkTable } from "./chunk-store.ts";

/** `base`: the tail when it was opened. */
export interface Open {
  /** The number that its segment will have. */
  readonly n: number;
  readonly table: ChunkTable;
  readonly base: number;
  chunks: number;
  records: number;
  bytes: number;
  /** Timestamps of its first and last chunk, and the end of its last; undefined while it is empty. */
  first: number | undefined;
  last: number | undefined;
  next: number | undefined;
}

/** As its table has it. */
export function opened(n: number, table: ChunkTable, base: number): Open {
  const { chunks, records, bytes, first, last, next } = table.totals();
  const [from, to, end] = [first ?? undefined, last ?? undefined, next ?? undefined];
  return { n, table, base, chunks, records, bytes, first: from, last: to, next: end };
}
