/**
 * The chunks of an archived segment as a source of reads: the index is at hand, bodies come when they are wanted. Reading
 * is synchronous and the bucket is not, so that a read that misses a body stops, names what it misses, and is run again
 * when that is there.
 */
import { ok, type Result } from "../../schemas/errors.ts";
import { chunkMayMatch } from "../log/filter.ts";
import { locate, type Page, type Position, type ReadTerms, readPage, type Span } from "../log/read.ts";
import type { Chunks } from "../log/segments.ts";
import type { Index, Placed } from "./segment.ts";

/** Bytes `[at, at + length)` of the object, in which the bodies of the chunks `[from, to)`, by place, lie. */
export interface Miss {
  readonly from: number;
  readonly to: number;
  readonly at: number;
  readonly length: number;
}

/** How far a read goes. */
export type Extent = Pick<ReadTerms, "from" | "limit" | "bytesMax" | "backward" | "filter">;

class Missing extends Error {
  constructor(readonly base: number) {
    super("a body is not at hand");
  }
}

/** Bytes fetched at a time. */
const fetchBytes = 8_388_608;
/** Bytes between two wanted chunks that are fetched with them, rather than left out for a request more. */
const gapBytes = 131_072;

export class ColdChunks implements Chunks {
  readonly #bodies = new Map<number, Uint8Array>();

  constructor(readonly index: Index) {}

  chunkAt(offset: number): Placed | undefined {
    return this.index.chunks[this.#place(offset)];
  }

  *chunksFrom(offset: number): Generator<Placed> {
    const { chunks } = this.index;
    let at = this.#place(offset);
    if (at < 0 || chunks[at].base < offset) at++;
    for (; at < chunks.length; at++) yield chunks[at];
  }

  *chunksBack(offset: number): Generator<Placed> {
    for (let at = this.#place(offset); at >= 0; at--) yield this.index.chunks[at];
  }

  body(base: number): Uint8Array {
    const body = this.#bodies.get(base);
    if (body === undefined) throw new Missing(base);
    return body;
  }

  /** Takes what a miss named. */
  take(miss: Miss, bytes: Uint8Array): void {
    for (const chunk of this.index.chunks.slice(miss.from, miss.to)) {
      const from = chunk.at - miss.at;
      this.#bodies.set(chunk.base, bytes.subarray(from, from + chunk.bytes));
    }
  }

  /** What is to be fetched for the chunk at `base`, and for those with which the read goes on. */
  around(base: number, terms: Extent): Miss {
    const { chunks } = this.index;
    const { filter, limit } = terms;
    const step = terms.backward ? -1 : 1;
    const bytesMax = Math.min(terms.bytesMax, fetchBytes);
    let from = this.#place(base);
    let to = from + 1;
    let records = wanted(chunks[from], terms);
    for (let at = from + step; at >= 0 && at < chunks.length; at += step) {
      // How many records of a chunk a filter finds is not known before.
      if (filter === undefined && records >= limit) break;
      const low = chunks[Math.min(at, from)];
      const high = chunks[Math.max(at, to - 1)];
      if (high.at + high.bytes - low.at > bytesMax) break;
      records += chunks[at].records;
      if (filter === undefined || chunkMayMatch(filter, chunks[at].print)) {
        [from, to] = [Math.min(from, at), Math.max(to, at + 1)];
      } else if (Math.abs(chunks[at].at - chunks[terms.backward ? from : to - 1].at) > gapBytes) break;
    }
    const [low, high] = [chunks[from], chunks[to - 1]];
    return { from, to, at: low.at, length: high.at + high.bytes - low.at };
  }

  #place(offset: number): number {
    const { chunks } = this.index;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chunks[middle].base <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** At most so many records of a chunk are between the place from which a read goes, and the chunk's end. */
function wanted({ base, next, records }: Placed, { from, backward }: Extent): number {
  if (!("offset" in from)) return records;
  const span = backward ? from.offset - base : next - from.offset;
  return Math.min(records, Math.max(span, 0));
}

/** Runs a read over a segment's chunks: what it comes to, or what is to be fetched before it is run again. */
export function attempt<T>(
  chunks: ColdChunks,
  terms: Extent,
  read: () => T,
): { readonly done: T } | { readonly miss: Miss } {
  try {
    return { done: read() };
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    return { miss: chunks.around(error.base, terms) };
  }
}

/** What a reader of a segment must know of the log. */
export interface Around {
  readonly head: number;
  readonly tail: number;
  readonly dense: boolean;
}

/** The page of a read that begins in the segment, and ends in it. */
export function coldPage(chunks: ColdChunks, log: Around, terms: ReadTerms): Result<Page> {
  const backward = terms.backward === true;
  const span = spanOf(chunks, log);
  const start = locate(chunks, span, terms.from, backward);
  if (!start.ok) return start;
  const page = readPage(chunks, span, terms, start.value);
  const whole = backward ? span.head === log.head : span.tail === log.tail;
  return ok({ ...page, upToDate: page.upToDate && whole });
}

/** The offset that a position in the segment names. */
export const coldPlace = (chunks: ColdChunks, log: Around, from: Position): Result<number> =>
  locate(chunks, spanOf(chunks, log), from, false);

function spanOf({ index }: ColdChunks, { head, dense }: Around): Span {
  const { base, next } = index.footer;
  return { head: Math.max(base, head), tail: next, dense };
}
