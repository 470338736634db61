/**
 * Repair: what cannot be read, or is not to be read, becomes a hole that is known. Offsets stay, and nothing that can be read
 * is lost by `isolate`.
 */
import type { LostRange } from "../../schemas/erasure.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { flags } from "../log/frame.ts";
import type { Log } from "../log/log.ts";
import { missingSegment } from "../log/missing-segment.ts";
import type { Segment } from "../log/segment-store.ts";
import { Rewriter } from "./rewrite.ts";

const metaName = "lost";

/** What repairs of this log have made holes. */
export function lostOf(log: Log): LostRange[] {
  const text = log.segments.meta.meta(metaName);
  return text === undefined ? [] : JSON.parse(text);
}

/** Ranges that are remembered: a row has room for them. */
export const lostMax = 8_192;

/** Why of a range that is not all lost. */
export const partsLost = "parts of this were lost";

/** Notes what a repair of this log makes holes. Each offset is noted once, in order. */
export const noteLost = (log: Log, lost: readonly LostRange[]): void =>
  log.segments.meta.setMeta(metaName, JSON.stringify(joined([...lostOf(log), ...lost])));

/** Where ranges overlap, the wider one says why. Of too many those are put together that are nearest to each other. */
export function joined(ranges: readonly LostRange[]): LostRange[] {
  const sorted = [...ranges].sort((a, b) => a.from - b.from || b.to - a.to);
  const all = fold(
    sorted,
    (last, next) => next.from < last.to || (next.from === last.to && next.reason === last.reason),
  );
  const gaps = all.slice(1).map(({ from }, index) => from - all[index].to);
  if (all.length <= lostMax) return all;
  const near = gaps.sort((a, b) => a - b)[all.length - lostMax - 1];
  const exact = new Set(all);
  const few = fold(all, (last, next) => next.from - last.to <= near);
  return few.map((range) => (exact.has(range) ? range : { ...range, reason: partsLost }));
}

function fold(sorted: readonly LostRange[], joins: (last: LostRange, next: LostRange) => boolean): LostRange[] {
  const all: LostRange[] = [];
  for (const next of sorted) {
    const last = all[all.length - 1];
    if (last === undefined || !joins(last, next)) all.push(next);
    else all[all.length - 1] = union(last, next);
  }
  return all;
}

function union(a: LostRange, b: LostRange): LostRange {
  const { reason } = a.to - a.from >= b.to - b.from ? a : b;
  return { from: a.from, to: Math.max(a.to, b.to), reason };
}

type Place = Pick<Segment, "base" | "next" | "first" | "last">;

/** A chunk without records, in the place of what is not there. */
export const holeRow = (place: Place): ChunkRow => ({
  ...place,
  records: 0,
  flags: flags.thinned,
  bytes: 0,
  print: Uint8Array.of(1),
  body: none,
});

const none = new Uint8Array(0);

/** Seals the open segment. Where the log goes on behind it, and all of its chunks are missing, a hole takes their place. */
export function sealOpen(log: Log, now: number): LostRange | undefined {
  const { segments, span } = log;
  const { base, first } = segments.open;
  const from = Math.max(base, span.head);
  const missing = first === undefined && from < span.tail;
  const lost = missing ? { from, to: span.tail, reason: "the chunks are missing" } : undefined;
  log.change(now, () => {
    const last = segments.newest?.last ?? 0;
    if (lost !== undefined) {
      log.thin();
      segments.insert(holeRow({ base, next: span.tail, first: last, last }));
      noteLost(log, [lost]);
    }
    segments.cut(span.tail, now);
  });
  return lost;
}

/** Where the row of the segment that holds an offset is missing, a hole takes its place. */
export function fillGap(log: Log, offset: number, now: number): LostRange | undefined {
  const { store } = log.segments;
  const missing = missingSegment(log.segments, log.span.head, offset);
  if (missing === undefined) return undefined;
  const { from: base, to: next } = missing;
  const last = store.before(base)?.last ?? 0;
  const hole = holeRow({ base, next, first: last, last });
  const lost = { from: Math.max(base, log.span.head), to: next, reason: "the segment is missing" };
  log.change(now, () => {
    log.thin();
    const unknown = {
      n: -1,
      chunks: 0,
      hot: 0,
      size: 0,
      indexBytes: 0,
      sha: none,
      prev: none,
      origin: none,
      sealed: now,
    };
    log.segments.replace([{ ...hole, ...unknown }], [hole], now);
    noteLost(log, [lost]);
  });
  return lost;
}

/** Goes through the chunks of one segment, and leaves holes where one is missing, damaged, or behind the cut. */
export class Repair {
  readonly lost: LostRange[] = [];
  /** Something could not be read. */
  damaged = false;
  readonly #rewriter: Rewriter;
  #next: number;
  #last: number;
  /** Of the chunk that was added last, the records that are cut off: offsets of the first and behind the last. */
  #off: { readonly from: number; readonly to: number } | undefined;

  constructor(
    readonly log: Log,
    readonly segment: Segment,
    /** Everything in `[cut, end)` is lost; `Infinity` where nothing is but what is damaged. */
    readonly cut: number,
    readonly end: number,
  ) {
    this.#rewriter = new Rewriter(log.span.dense, (_record, offset) => {
      if (offset < cut || offset >= end) return "keep";
      this.#off = { from: this.#off?.from ?? offset, to: offset + 1 };
      return "drop";
    });
    // What lies below the head is missing rightly.
    this.#next = Math.max(segment.base, log.span.head);
    this.#last = segment.first;
  }

  add(row: ChunkRow): void {
    // The bases of producers' offsets may leave room between chunks.
    if (row.base > this.#next && this.log.span.dense) this.#lose(this.#next, row.base, "the chunk is missing");
    this.#off = undefined;
    if (!this.#rewriter.add(row, true)) {
      this.#lose(row.base, row.next, "the chunk was damaged");
    } else if (this.#off !== undefined) {
      // What a hole has lost already is not lost again.
      const { from, to } = this.#off;
      if ((row.flags & flags.thinned) !== 0) this.#note(from, to, "cut off");
      else this.#note(Math.max(row.base, this.cut), Math.min(row.next, this.end), "cut off");
    }
    this.#next = row.next;
    this.#last = row.last;
  }

  /** There are no more chunks. */
  complete(): void {
    if (this.#next < this.segment.next && this.log.span.dense) {
      this.#lose(this.#next, this.segment.next, "the chunk is missing");
    }
    this.#next = this.segment.next;
  }

  /** The chunks could not be had at all. */
  missing(): void {
    this.#lose(this.#next, this.segment.next, "the object is missing or damaged");
    this.#next = this.segment.next;
  }

  /** Puts what is left in the segment's place. False where there was nothing to do, or the segment is gone. */
  finish(now: number): boolean {
    const { log, segment } = this;
    if (this.lost.length === 0) return false;
    if (!log.replace([segment], this.#rewriter.finish(), now)) return false;
    noteLost(log, this.lost);
    return true;
  }

  /** What there is of the segment. */
  get rows(): ChunkRow[] {
    return this.#rewriter.finish();
  }

  #lose(base: number, next: number, reason: string): void {
    this.damaged = true;
    this.#rewriter.lose({ base, next, first: this.#last, last: this.#last });
    this.#note(base, next, reason);
  }

  #note(from: number, to: number, reason: string): void {
    const last = this.lost[this.lost.length - 1];
    if (last !== undefined && last.to === from && last.reason === reason) last.to = to;
    else this.lost.push({ from, to, reason });
  }
}
