import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { decodeFrame } from "../log/record.ts";

/** Each record of a chunk that has a key. What is damaged has none. */
export function eachKey(row: ChunkRow, dense: boolean, visit: (key: string, offset: number) => void): void {
  const frames = openChunk(row, dense);
  if (!frames.ok) return;
  for (const frame of frames.value) {
    decodeFrame(frame, ({ key }, offset) => {
      if (key !== undefined) visit(key, offset);
    });
  }
}
