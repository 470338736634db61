import type { ChunkHead } from "./chunk-head.ts";

/** Heads of the chunks that begin in `[from, to)`, in order, and of no others. */
export function headsIn(
  chunks: { chunksFrom(offset: number): Iterable<ChunkHead> },
  from: number,
  to: number,
): ChunkHead[] {
  const heads: ChunkHead[] = [];
  for (const head of chunks.chunksFrom(from)) {
    if (head.base >= to) break;
    heads.push(head);
  }
  return heads;
}
