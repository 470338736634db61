import { openChunk } from "./chunk.ts";
import type { Span } from "./read.ts";
import type { Store } from "./store.ts";

/** What a verification found. `next` is where to go on; absent at the end. */
export interface Report {
  chunks: number;
  records: number;
  bytes: number;
  damaged: { chunk: number; from: number; to: number; reason: string }[];
  next?: number;
}

/** Checks checksums, continuity of offsets, and order of timestamps, from the chunk that holds `from` on. */
export function verifyChunks(store: Store, span: Span, from: number, bytesMax: number): Report {
  const report: Report = { chunks: 0, records: 0, bytes: 0, damaged: [] };
  const start = store.chunkAt(from);
  let next = start === undefined || start.next <= from ? from : start.base;
  let last = 0;
  for (const head of store.chunksFrom(next)) {
    if (report.bytes >= bytesMax) return { ...report, next };
    const damaged = (reason: string, base = head.base, to = head.next) =>
      report.damaged.push({ chunk: head.base, from: base, to, reason });
    if (span.dense && head.base > next) damaged("the chunk is missing", next, head.base);
    if (head.base < next) damaged("the chunk overlaps the one before it");
    if (head.first < last || head.last < head.first) damaged("timestamps go backwards");
    const opened = openChunk({ ...head, body: store.body(head.base) }, span.dense);
    if (!opened.ok) damaged(opened.refusal.detail);
    report.chunks++;
    report.records += head.records;
    report.bytes += head.bytes;
    next = head.next;
    last = head.last;
  }
  if (span.dense && next < span.tail) {
    report.damaged.push({ chunk: next, from: next, to: span.tail, reason: "the chunk is missing" });
  }
  return report;
}
