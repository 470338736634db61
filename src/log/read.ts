/** Finding and reading: positions, pages, and what is said of chunks that cannot be read. Synchronous, no writes. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { openChunk } from "./chunk.ts";
import type { ChunkHead } from "./chunk-head.ts";
import { chunkMayMatch, type Filter, matches } from "./filter.ts";
import type { Frame } from "./frame.ts";
import { decodeFrame, eachPlaced } from "./record.ts";
import type { Chunks } from "./segments.ts";

/** Where a read starts. */
export type Position =
  | { readonly at: "offset"; readonly offset: number }
  /** Where a backward read goes on: the first record is the one before the offset. */
  | { readonly at: "before"; readonly offset: number }
  /** `snapshot`: where the newest snapshot ends, or else the earliest. */
  | { readonly at: "earliest" | "latest" | "snapshot" }
  | { readonly at: "last"; readonly count: number }
  | { readonly at: "time"; readonly time: number };

export interface ReadTerms {
  readonly from: Position;
  readonly backward?: boolean;
  readonly limit: number;
  readonly bytesMax: number;
  readonly filter?: Filter;
}

/** The frames of a chunk, or the offsets `[from, to)` of one that is damaged. */
export type Piece =
  | { readonly body: Uint8Array }
  | {
      readonly damaged: { readonly chunk: number; readonly from: number; readonly to: number; readonly reason: string };
    };

/**
 * Chunks that hold the records of `[from, to)`. The first and the last may hold others too, and a filter has only passed
 * over chunks without a match: whoever shows them picks the records. Backward pages come newest chunk first.
 */
export interface Page {
  readonly from: number;
  readonly to: number;
  readonly pieces: readonly Piece[];
  readonly upToDate: boolean;
  /** What was asked for lies in the archive: nothing was read, and whoever asked reads it there. */
  readonly cold?: Cold;
}

/** An archived segment, as far as a reader must know it. */
export interface ColdSegment {
  readonly n: number;
  readonly base: number;
  readonly next: number;
  readonly size: number;
  readonly indexBytes: number;
}

/** Archived segments to read, in the order of the read, from a position in the first one. */
export interface Cold {
  readonly segments: readonly ColdSegment[];
  readonly at: Position;
  /** The place of the read. Undefined where only the first segment can tell. */
  readonly start?: number;
  /** Where the read goes on when nothing was found in them: what lies between holds no match. */
  readonly on: number;
  readonly dense: boolean;
}

export interface Span {
  readonly head: number;
  readonly tail: number;
  readonly dense: boolean;
}

/** Bytes of chunks that one filtered read walks before it returns with an advanced cursor. */
const scanBytesMax = 33_554_432;
const scanChunksMax = 8_192;

/**
 * The offset that a position names: the first record of a forward read, the one after the first of a backward read. All
 * chunks of the span are at hand.
 */
export function locate(chunks: Chunks, span: Span, from: Position, backward: boolean): Result<number> {
  const { head, tail } = span;
  // A backward read goes on before an offset, and begins with the record that is named.
  const begins = (offset: number) => (backward ? Math.min(offset + 1, tail) : offset);
  switch (from.at) {
    case "earliest":
    case "snapshot":
      return ok(begins(head));
    case "latest":
      return ok(tail);
    case "last":
      return ok(begins(lastRecords(chunks, span, from.count)));
    case "time":
      return ok(begins(withHole(chunks, span, firstAtOrAfter(chunks, span, from.time))));
    case "before":
    case "offset": {
      const { offset } = from;
      if (offset > tail) {
        const detail = `offset ${offset} is past the tail; valid are ${head} to ${tail}, and ${tail} waits for what comes`;
        return refuse("past-tail", detail, { head, tail });
      }
      const lost = missed(from, head, backward);
      if (lost !== undefined) {
        const detail = `offset ${offset} has been trimmed; the first readable one is ${head}`;
        return refuse("trimmed", detail, { head, tail, lost });
      }
      return ok(from.at === "offset" ? begins(offset) : Math.max(offset, head));
    }
  }
}

/** Offsets `[from, to)`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * What a reader at a place below the head misses, in the direction in which it reads: offsets that were trimmed. Undefined
 * where it misses nothing: only a place that was named by an offset can be below the head.
 */
export function missed(from: Position, head: number, backward: boolean): Range | undefined {
  if (!("offset" in from) || from.offset >= head) return undefined;
  if (!backward) return { from: from.offset, to: head };
  const to = from.at === "offset" ? from.offset + 1 : from.offset;
  return to === 0 ? undefined : { from: 0, to };
}

/** A place behind a hole is before it: of which time the records were that are missing nobody knows, and its reader is told. */
function withHole(chunks: Chunks, { head, dense }: Span, offset: number): number {
  if (!dense || offset <= head) return offset;
  return Math.max(head, Math.min(offset, chunks.chunkAt(offset - 1)?.next ?? head));
}

/** The first offset whose record has a timestamp at or after `time`, or the tail. Binary search over chunk bases. */
export function firstAtOrAfter(chunks: Chunks, span: Span, time: number): number {
  let low = span.head;
  let high = span.tail;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const chunk = chunks.chunkAt(middle);
    if (chunk === undefined || chunk.next <= low) {
      // Sparse offsets, or a hole: nothing between the chunk and the middle.
      low = middle + 1;
    } else if (chunk.last < time) low = Math.max(middle + 1, chunk.next);
    else if (chunk.first >= time) high = Math.max(chunk.base, span.head);
    else return insideChunk(chunks, span, chunk, time);
    if (high < low) return high;
  }
  return low;
}

function insideChunk(chunks: Chunks, span: Span, chunk: ChunkHead, time: number): number {
  const frames = openChunk({ ...chunk, body: chunks.body(chunk.base) }, span.dense);
  if (!frames.ok) return Math.max(chunk.base, span.head);
  let found = chunk.next;
  for (const frame of frames.value) {
    eachPlaced(frame, (_from, _to, offset, timestamp) => {
      if (timestamp >= time && offset >= span.head && offset < found) found = offset;
    });
  }
  return found;
}

/** The offset of the last but `count` record of the chunks in `span`, or its head where there are fewer. */
export function lastRecords(chunks: Chunks, span: Span, count: number): number {
  let left = count;
  for (const chunk of chunks.chunksBack(span.tail - 1)) {
    if (chunk.next <= span.head) break;
    if (chunk.records < left) {
      left -= chunk.records;
      continue;
    }
    const frames = openChunk({ ...chunk, body: chunks.body(chunk.base) }, false);
    if (!frames.ok) return Math.max(span.head, chunk.base);
    const offsets: number[] = [];
    for (const frame of frames.value) eachPlaced(frame, (_from, _to, offset) => offsets.push(offset));
    return Math.max(span.head, offsets[offsets.length - left]);
  }
  return span.head;
}

/** Reads the chunks from `start` on (backward: those before `start`), up to the terms' bounds. */
export function readPage(chunks: Chunks, span: Span, terms: ReadTerms, start: number): Page {
  return terms.backward ? readBackward(chunks, span, terms, start) : readForward(chunks, span, terms, start);
}

class Budget {
  readonly pieces: Piece[] = [];
  #records = 0;
  #bytes = 0;
  #scanned = 0;
  #chunks = 0;

  constructor(
    readonly chunks: Chunks,
    readonly span: Span,
    readonly terms: ReadTerms,
  ) {}

  get spent(): boolean {
    return (
      this.#records >= this.terms.limit ||
      this.#bytes >= this.terms.bytesMax ||
      this.#scanned >= scanBytesMax ||
      this.#chunks >= scanChunksMax
    );
  }

  /** True where the chunk would lengthen a page that holds something beyond its bytes. */
  tooMuch(chunk: ChunkHead): boolean {
    return this.#bytes > 0 && this.#bytes + chunk.bytes > this.terms.bytesMax;
  }

  damaged(chunk: number, from: number, to: number, reason: string): void {
    this.pieces.push({ damaged: { chunk, from, to, reason } });
    this.#records++;
  }

  /** Adds a chunk of which the records `[from, to)` are wanted, unless the filter finds nothing in it. */
  take(chunk: ChunkHead, from: number, to: number): void {
    this.#chunks++;
    const { filter } = this.terms;
    if (filter !== undefined && !chunkMayMatch(filter, chunk.print)) return;
    const body = this.chunks.body(chunk.base);
    this.#scanned += body.length;
    const frames = openChunk({ ...chunk, body }, this.span.dense);
    if (!frames.ok) {
      this.damaged(chunk.base, Math.max(from, chunk.base), Math.min(to, chunk.next), frames.refusal.detail);
      return;
    }
    const whole = from <= chunk.base && to >= chunk.next;
    const found = filter === undefined && whole ? chunk.records : count(frames.value, filter, from, to);
    if (found === 0) return;
    this.#records += found;
    this.#bytes += body.length;
    this.pieces.push({ body });
  }
}

function count(frames: readonly Frame[], filter: Filter | undefined, from: number, to: number): number {
  let found = 0;
  for (const frame of frames) {
    if (filter === undefined) {
      eachPlaced(frame, (_from, _to, offset) => {
        if (offset >= from && offset < to) found++;
      });
    } else {
      decodeFrame(frame, (record, offset) => {
        if (offset >= from && offset < to && matches(filter, record)) found++;
      });
    }
  }
  return found;
}

function readForward(chunks: Chunks, span: Span, terms: ReadTerms, start: number): Page {
  const budget = new Budget(chunks, span, terms);
  let to = start;
  if (start < span.tail) {
    const first = chunks.chunkAt(start);
    for (const chunk of chunks.chunksFrom(first === undefined || first.next <= start ? start : first.base)) {
      if (chunk.base >= span.tail) break;
      if (budget.spent || budget.tooMuch(chunk)) return { from: start, to, pieces: budget.pieces, upToDate: false };
      if (span.dense && chunk.base > to) budget.damaged(to, to, chunk.base, "the chunk is missing");
      budget.take(chunk, start, chunk.next);
      to = chunk.next;
    }
    // Whatever is missing before the tail is missing for good: the tail itself is kept apart.
    if (span.dense && to < span.tail) budget.damaged(to, to, span.tail, "the chunk is missing");
    to = span.tail;
  }
  return { from: start, to, pieces: budget.pieces, upToDate: true };
}

function readBackward(chunks: Chunks, span: Span, terms: ReadTerms, start: number): Page {
  const budget = new Budget(chunks, span, terms);
  let from = start;
  for (const chunk of chunks.chunksBack(start - 1)) {
    if (chunk.next <= span.head) break;
    if (budget.spent || budget.tooMuch(chunk)) return { from, to: start, pieces: budget.pieces, upToDate: false };
    if (span.dense && chunk.next < from) budget.damaged(chunk.next, chunk.next, from, "the chunk is missing");
    budget.take(chunk, span.head, start);
    from = Math.max(chunk.base, span.head);
  }
  if (span.dense && from > span.head) budget.damaged(span.head, span.head, from, "the chunk is missing");
  return { from: span.head, to: start, pieces: budget.pieces, upToDate: true };
}
