/** The segment that appends go to, and its sums. */
import type { ChunkRow } from "./chunk-head.ts";
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
  const totals = table.totals(base);
  return { n, table, base, ...totals, next: totals.chunks === 0 ? undefined : totals.next };
}

/** A chunk was added behind the others. */
export function grew(open: Open, row: ChunkRow): void {
  open.chunks++;
  open.records += row.records;
  open.bytes += row.bytes;
  open.first ??= row.first;
  open.last = row.last;
  open.next = row.next;
}
