import { assert } from "../lib/assert.ts";
import { openChunk } from "./chunk.ts";
import { missingSegment } from "./missing-segment.ts";
import type { Span } from "./read.ts";
import type { Segment } from "./segment-row.ts";
import type { Chunks, Segments } from "./segments.ts";

/** Offsets `[from, to)`, of a chunk by its first one, or of an object by its name, and what is wrong with it. */
export interface Damage {
  readonly chunk?: number;
  readonly object?: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** What a verification found. `next` is where to go on; absent at the end. */
export interface Report {
  chunks: number;
  records: number;
  bytes: number;
  damaged: Damage[];
  next?: number;
}

/** Checks checksums, continuity of offsets, and order of timestamps, from the chunk that holds `from` on. */
export function verifyChunks(chunks: Chunks, span: Span, from: number, bytesMax: number): Report {
  const report: Report = { chunks: 0, records: 0, bytes: 0, damaged: [] };
  const start = chunks.chunkAt(from);
  let next = start === undefined || start.next <= from ? from : start.base;
  let last = 0;
  for (const head of chunks.chunksFrom(next)) {
    if (head.base >= span.tail) break;
    if (report.bytes >= bytesMax) return { ...report, next };
    const damaged = (reason: string, base = head.base, to = head.next) =>
      report.damaged.push({ chunk: head.base, from: base, to, reason });
    if (span.dense && head.base > next) damaged("the chunk is missing", next, head.base);
    if (head.base < next) damaged("the chunk overlaps the one before it");
    if (!head.broken && (head.first < last || head.last < head.first)) damaged("timestamps go backwards");
    const body = chunks.body(head.base);
    const opened = openChunk({ ...head, body }, span.dense);
    if (!opened.ok) damaged(opened.refusal.detail);
    report.chunks++;
    report.records += head.records;
    // What the row says of it may be what is damaged.
    report.bytes += body.length;
    next = head.next;
    if (!head.broken) last = head.last;
  }
  if (span.dense && next < span.tail) {
    report.damaged.push({ chunk: next, from: next, to: span.tail, reason: "the chunk is missing" });
  }
  return report;
}

/** The same for what is hot around an offset; `next` is where it ends, unless at the tail. */
export function verifyHot(segments: Segments, span: Span, from: number, bytesMax: number): Report {
  const run = segments.run(from);
  if (run === undefined) return { chunks: 0, records: 0, bytes: 0, damaged: [], next: from };
  const to = Math.min(run.to, span.tail);
  const report = verifyChunks(segments, { ...span, head: run.from, tail: to }, from, bytesMax);
  for (const { base } of segments.hot) {
    const start = Math.max(base, span.head);
    if (start >= from && start < (report.next ?? to))
      report.damaged.push(...rowFaults(segments, segments.store.at(base)));
  }
  return report.next === undefined && to < span.tail ? { ...report, next: to } : report;
}

/** The same for what is in the archive alone: nothing is read, and `next` is where its segment ends. */
export function verifyCold(segments: Segments, span: Span, from: number): Report {
  const report: Report = { chunks: 0, records: 0, bytes: 0, damaged: [] };
  const missing = missingSegment(segments, span.head, from);
  const segment = segments.store.before(from);
  if (missing === undefined) return { ...report, damaged: rowFaults(segments, segment), next: segment?.next };
  report.damaged.push({ chunk: from, from, to: missing.to, reason: "the segment is missing" });
  return { ...report, next: missing.to };
}

/** What is wrong with what leads to a segment: nothing of its records is lost by that, until they cannot be found. */
function rowFaults({ store }: Segments, segment: Segment | undefined): Report["damaged"] {
  if (segment === undefined) return [];
  const { n, base, next, size, broken } = segment;
  const fault = (what: string) => [{ chunk: base, from: base, to: next, reason: `${what} is not what was written` }];
  if (broken) return fault("the segment's row");
  return size > 0 && !store.hasSoundPrint(n) ? fault("the segment's fingerprint") : [];
}

/** Asserts that segments lie side by side, and that everything hot is whole. */
export function checkSegments(segments: Segments, span: Span): void {
  let from = Math.max(span.head, segments.store.from(0).next().value?.base ?? 0);
  while (from < span.tail) {
    let next = span.tail;
    if (segments.isHot(from)) {
      const report = verifyHot(segments, span, from, Number.MAX_SAFE_INTEGER);
      assert(report.damaged.length === 0, `chunks are damaged: ${JSON.stringify(report.damaged)}`);
      next = report.next ?? next;
    } else next = segments.store.before(from)?.next ?? from;
    assert(next > from, "segments lie side by side");
    from = next;
  }
}
