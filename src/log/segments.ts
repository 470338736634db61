/**
 * The log's chunks, cut into segments. The open one takes appends; a sealed one never changes: it is replaced as a whole,
 * archived as one object, and dropped as one table.
 *
 *     offset   0 ────────────┬──────────────┬──────────────┬───────────▶ tail
 *              archived      │ archived     │ sealed       │ open
 *              (object only) │ and hot      │ (hot only)   │
 *
 * Segments lie side by side, so that each offset belongs to one. What is hot, in the database, is read at once; what lies
 * in objects only is cold, and is read by whoever asks. A segment that was rewritten is hot again for a while, wherever it
 * lies.
 */
import { assert } from "../lib/assert.ts";
import { hex } from "../lib/bytes.ts";
import type { Sql } from "../lib/sql.ts";
import type { ChunkHead, ChunkRow } from "./chunk-head.ts";
import type { ChunkTable, Within } from "./chunk-store.ts";
import { headsIn } from "./heads.ts";
import { grew, type Open, opened } from "./open-segment.ts";
import { mendedRow, type Segment, sealedNow } from "./segment-row.ts";
import { SegmentStore } from "./segment-store.ts";
import { SnapshotStore } from "./snapshot-store.ts";
import type { Store } from "./store.ts";
import { Tables } from "./tables.ts";

/** Where chunks are found: in tables, or in a segment's object. */
export interface Chunks {
  /** The chunk that begins at or before an offset, nearest first. */
  chunkAt(offset: number): ChunkHead | undefined;
  /** Heads of the chunks that begin at or after an offset, in order. */
  chunksFrom(offset: number): Iterable<ChunkHead>;
  /** Heads of the chunks that begin at or before an offset, newest first. */
  chunksBack(offset: number): Iterable<ChunkHead>;
  body(base: number): Uint8Array;
}

/** Bytes and chunks at which a segment is sealed: one object, one table, and an index that fits memory. */
export const segmentBytes = 8_388_608;
export const segmentChunks = 4_096;

const none = new Uint8Array(0);

export class Segments implements Chunks {
  readonly store: SegmentStore;
  snapshots!: SnapshotStore;
  #tables!: Tables;
  #hot: Segment[] = [];
  #open!: Open;
  /** The number that the next segment gets. */
  #next = 1;
  #newest: Segment | undefined;
  /** Bytes of the sealed segments that are hot. */
  #sealedBytes = 0;

  constructor(
    readonly sql: Sql,
    readonly meta: Store,
  ) {
    this.store = new SegmentStore(sql, (row, sum) => this.#mend(row, sum));
    this.reload();
  }

  /** Reads again what the database holds: when it opens, and after a transaction that failed. */
  reload(): void {
    this.snapshots = new SnapshotStore(this.sql);
    const text = this.meta.meta("segments");
    const { open, base, next, tables } = text === undefined ? { open: 0, base: 0, next: 1 } : JSON.parse(text);
    this.#tables = new Tables(this.sql, tables);
    const table = this.#tables.open(open);
    table.create();
    this.#open = opened(open, table, base);
    this.#next = next;
    this.#hot = this.store.hot().filter(({ hot }) => hot === 1);
    // One whose row does not say so is found by its table.
    if (this.#lost().length > 0) this.#hot = [...this.store.from(0)].filter(({ hot }) => hot === 1);
    for (const { n } of this.#hot) this.#tables.open(n);
    this.#newest = this.store.before(Number.MAX_SAFE_INTEGER);
    this.#sealedBytes = this.hot.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get open(): Readonly<Open> {
    return this.#open;
  }

  /** Sealed segments that are hot, oldest first. */
  get hot(): readonly Segment[] {
    return this.#hot;
  }

  /** The sealed segment before the open one. */
  get newest(): Segment | undefined {
    return this.#newest;
  }

  /** The first offset from which everything up to the tail is hot. */
  get hotFrom(): number {
    return this.run(this.#open.base)!.from;
  }

  get hotBytes(): number {
    return this.#sealedBytes + this.#open.bytes;
  }

  insert(row: ChunkRow): void {
    this.#open.table.insert(row);
    grew(this.#open, row);
  }

  /** Seals the open segment at the tail; undefined where there is nothing in it. In a transaction. */
  cut(tail: number, now: number): Segment | undefined {
    const { n, base, chunks, records, bytes, first, last } = this.#open;
    if (first === undefined || last === undefined) return undefined;
    const whole = { base, next: tail, first, last, chunks, records, bytes };
    const segment = sealedNow(n, whole, now);
    this.store.set(segment);
    this.#hot.push(segment);
    this.#sealedBytes += bytes;
    this.#newest = segment;
    this.#begin(tail);
    return segment;
  }

  /** More is known of a sealed segment by now: its object, or by which hash that is to know the one before it. */
  put({ broken: _, ...segment }: Segment): void {
    this.store.set(segment);
    this.#hot = this.#hot.map((hot) => (hot.base === segment.base ? segment : hot));
    if (this.#newest?.base === segment.base) this.#newest = segment;
  }

  /** The chunks of a segment that has an object leave the database. */
  cool({ base }: Segment): void {
    const at = this.#hot.findIndex((hot) => hot.base === base);
    assert(at >= 0 && this.#hot[at].size > 0, "only what is archived is dropped from the database");
    this.#evict(at);
    this.store.cool(base);
    if (this.#newest?.base === base) this.#newest = { ...this.#newest, hot: 0 };
  }

  /** A segment goes, with its chunks; what becomes of its object is the caller's. */
  remove(segment: Segment): void {
    const at = this.#hot.findIndex(({ base }) => base === segment.base);
    if (at >= 0) this.#evict(at);
    this.store.drop(segment);
    if (this.#newest?.base === segment.base) this.#newest = this.store.before(Number.MAX_SAFE_INTEGER);
  }

  /** Puts other chunks in the place of segments that lie side by side. They are hot, whatever those were. */
  replace(inputs: readonly Segment[], rows: readonly ChunkRow[], now: number): Segment {
    const [first, last] = [inputs[0], inputs[inputs.length - 1]];
    for (const input of inputs) this.remove(input);
    const table = this.#tables.make(this.#next);
    for (const row of rows) table.insert(row);
    const sum = (of: (row: ChunkRow) => number) => rows.reduce((total, row) => total + of(row), 0);
    const whole = {
      base: first.base,
      next: last.next,
      first: first.first,
      last: last.last,
      chunks: rows.length,
      records: sum(({ records }) => records),
      bytes: sum(({ bytes }) => bytes),
    };
    // What a broken row says of the segment before it may be wrong: it is looked up when the object is made.
    const prev = first.broken ? none : first.prev;
    const origin = this.#knownBy(last);
    const segment: Segment = { ...sealedNow(this.#next, whole, now), prev, origin };
    this.store.set(segment);
    this.#hot.push(segment);
    this.#sealedBytes += segment.bytes;
    this.#hot.sort((a, b) => a.base - b.base);
    if (this.#newest === undefined || this.#newest.base <= segment.base) this.#newest = segment;
    this.#next++;
    this.#remember();
    return segment;
  }

  /** Of the hashes that a segment, and what it replaced, had: the one that the segment behind it names, or may come to name. */
  #knownBy({ next, sha, origin, broken }: Segment): Uint8Array {
    const named = this.store.at(next)?.prev ?? none;
    // Of one whose row is not what was written, or missing, it alone tells.
    if (broken || (sha.length === 0 && origin.length === 0)) return named;
    return hex(origin) === hex(named) || sha.length === 0 ? origin : sha;
  }

  /** Gives a segment that is hot another number, and so its object another name. */
  renumber(segment: Segment): Segment {
    const bodies = headsIn(this, segment.base, segment.next).map((row) => ({ ...row, body: this.body(row.base) }));
    return this.replace([segment], bodies, segment.sealed);
  }

  /** Drops the open segment's chunks that end at or before an offset. */
  dropOpenBefore(offset: number): void {
    if (offset <= this.#open.base) return;
    this.#open.table.dropBefore(offset, this.#appended);
    this.#open = opened(this.#open.n, this.#open.table, this.#open.base);
  }

  /** The hot run that an offset, below the tail or at it, lies in: everything in `[from, to)` is hot. */
  run(offset: number): { from: number; to: number } | undefined {
    let [from, to] = [this.#open.base, Number.MAX_SAFE_INTEGER];
    for (let at = this.#hot.length - 1; at >= 0; at--) {
      const segment = this.#hot[at];
      if (segment.next === from) from = segment.base;
      else if (offset >= from) break;
      else [from, to] = [segment.base, segment.next];
    }
    return offset >= from && offset < to ? { from, to } : undefined;
  }

  /** True where the record at an offset, or what comes to be there, is read from the database. */
  isHot(offset: number): boolean {
    return offset >= this.#open.base || this.run(offset) !== undefined;
  }

  chunkAt(offset: number): ChunkHead | undefined {
    const open = offset >= this.#open.base ? this.#open.table.at(offset, this.#appended) : undefined;
    if (open !== undefined) return open;
    for (let at = this.#place(offset); at >= 0; at--) {
      const found = this.#table(at).at(offset, this.#hot[at]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  *chunksFrom(offset: number): Generator<ChunkHead> {
    if (offset < this.#open.base) {
      // Segments may come and go between two chunks: what is read is what there was.
      const hot = this.#hot.slice(Math.max(0, this.#place(offset)));
      const tables = hot.map((segment) => ({ segment, table: this.#tables.of(segment.n) }));
      for (const { segment, table } of tables) yield* table.from(offset, segment);
    }
    yield* this.#open.table.from(offset, this.#appended);
  }

  *chunksBack(offset: number): Generator<ChunkHead> {
    if (offset >= this.#open.base) yield* this.#open.table.back(offset, this.#appended);
    for (let at = this.#place(offset); at >= 0; at--) yield* this.#table(at).back(offset, this.#hot[at]);
  }

  body(base: number): Uint8Array {
    if (base >= this.#open.base) return this.#open.table.body(base) ?? none;
    const at = this.#place(base);
    return (at < 0 ? undefined : this.#table(at).body(base)) ?? none;
  }

  /** Segments that have a table, and of which no row of what is hot tells. */
  #lost(): number[] {
    return this.#tables.others(new Set([this.#open.n, ...this.store.hotNumbers()]));
  }

  /** What stands for a row that is not what was written. What is known for sure is written again. */
  #mend(row: Segment, sum: number): Segment | undefined {
    const { before, behind, next = this.#open.base, nexts } = this.store.around(row);
    const table = this.#tables.totals(row.n, { base: row.base, next });
    const mended = mendedRow(row, sum, { before, behind, next, nexts, table, lost: this.#lost() });
    if (mended !== undefined && !mended.broken) this.store.set(mended);
    return mended;
  }

  /** What the open segment has by now. */
  get #appended(): Within {
    return { base: this.#open.base, next: this.#open.next ?? this.#open.base };
  }

  /** Place of the last hot segment that begins at or before an offset, or -1. */
  #place(offset: number): number {
    let low = 0;
    let high = this.#hot.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#hot[middle].base <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #table(at: number): ChunkTable {
    return this.#tables.of(this.#hot[at].n);
  }

  #evict(at: number): void {
    const [{ n, bytes }] = this.#hot.splice(at, 1);
    this.#tables.drop(n);
    this.#sealedBytes -= bytes;
  }

  #begin(base: number): void {
    const n = this.#next++;
    this.#open = opened(n, this.#tables.make(n), base);
    this.#remember();
  }

  #remember(): void {
    const { n: open, base } = this.#open;
    this.meta.setMeta("segments", JSON.stringify({ open, base, next: this.#next, tables: this.#tables.numbers }));
  }
}
