/**
 * Putting other chunks in the place of a segment's, at the same offsets: without records that newer ones replace, or with a
 * tombstone where one is to be forgotten. A record that is packed anew carries its offset and its timestamp; a chunk that
 * has lost records says so in its row, and still covers the offsets that they had.
 */
import { concat } from "../lib/bytes.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-store.ts";
import { flags, readHeader, stampFrame } from "../log/frame.ts";
import { decodeFrame, eachPlaced, FrameWriter, kinds, type Rec, recordBytes } from "../log/record.ts";
import { Prints } from "./prints.ts";

export type Fate = "keep" | "drop" | "erase";

/** What a tombstone is: the place is left, and nothing of what was there. */
export const erasedType = "millrace.erased";

/** Chunks of this size are left as they are where nothing of theirs goes; smaller ones are put together. */
const wholeBytes = 65_536;
const chunkBytes = 524_288;
const printBytes = 4_096;

/** A chunk that is being made. */
interface Open {
  readonly base: number;
  readonly first: number;
  last: number;
  next: number;
  records: number;
  bytes: number;
  thinned: boolean;
}
const none = new Uint8Array(0);
const tombstone: Rec = { type: erasedType, kind: kinds.none, data: none };

export class Rewriter {
  readonly rows: ChunkRow[] = [];
  kept = 0;
  dropped = 0;
  erased = 0;
  bytes = 0;
  #writers: { writer: FrameWriter; checked: boolean }[] = [];
  #prints = new Prints();
  #open: Open | undefined;
  /** The chunk that is taken has lost records before. */
  #thin = false;

  constructor(
    readonly dense: boolean,
    readonly fate: (record: Rec, offset: number, timestamp: number) => Fate,
  ) {}

  /** Something would be different. */
  get changed(): boolean {
    return this.dropped + this.erased > 0;
  }

  /**
   * Takes the next chunk. Answers false where it is damaged: it is kept as it is, and nothing is known of its records; or
   * left out, where `sound` asks for that.
   */
  add(row: ChunkRow, sound = false): boolean {
    const frames = openChunk(row, this.dense);
    if (!frames.ok) {
      if (!sound) this.#whole(row);
      return false;
    }
    const fates: Fate[] = [];
    let goes = 0;
    for (const frame of frames.value) {
      decodeFrame(frame, (record, offset, timestamp) => {
        const fate = this.fate(record, offset, timestamp);
        fates.push(fate);
        if (fate !== "keep") goes++;
        if (fate === "drop") this.dropped++;
        else if (fate === "erase") this.erased++;
        else this.kept++;
      });
    }
    if (goes === 0 && row.bytes >= wholeBytes) {
      this.#whole(row);
      return true;
    }
    this.#thin = (row.flags & flags.thinned) !== 0;
    this.#begin(row);
    let index = 0;
    for (const frame of frames.value) {
      const checked = (frame.flags & flags.checked) !== 0;
      decodeFrame(frame, (record, offset, timestamp) => {
        const fate = fates[index++];
        if (fate === "drop") this.#begin(row).thinned = true;
        else if (fate === "erase") this.#put(tombstone, offset, timestamp, true);
        else this.#put(record, offset, timestamp, checked);
      });
    }
    this.#end(row);
    return true;
  }

  /** Puts a hole in the place of a chunk. */
  lose(row: Pick<ChunkRow, "base" | "next" | "first" | "last">): void {
    this.#begin(row).thinned = true;
    this.#end(row);
  }

  finish(): ChunkRow[] {
    this.#flush();
    return this.rows;
  }

  #begin({ base, first }: Pick<ChunkRow, "base" | "first">): Open {
    this.#open ??= { base, first, last: first, next: base, records: 0, bytes: 0, thinned: false };
    this.#open.thinned ||= this.#thin;
    return this.#open;
  }

  #end({ next, last }: Pick<ChunkRow, "next" | "last">): void {
    const { base, first } = this.#open ?? { base: next, first: last };
    Object.assign(this.#begin({ base, first }), { next, last });
    this.#thin = false;
  }

  #put(record: Rec, offset: number, timestamp: number, checked: boolean): void {
    let open = this.#begin({ base: offset, first: timestamp });
    if (open.records > 0 && open.bytes + recordBytes(record) > chunkBytes) {
      Object.assign(open, { next: offset, last: timestamp });
      this.#flush();
      open = this.#begin({ base: offset, first: timestamp });
    }
    let last = this.#writers[this.#writers.length - 1];
    if (last === undefined || last.checked !== checked) {
      last = { writer: new FrameWriter(), checked };
      this.#writers.push(last);
    }
    // A record that was of the largest size may exceed it by its place.
    open.bytes += last.writer.add({ ...record, offset, timestamp }, Number.POSITIVE_INFINITY);
    open.records++;
  }

  #whole(row: ChunkRow): void {
    this.#flush();
    this.rows.push(row);
    this.bytes += row.bytes;
  }

  #flush(): void {
    const open = this.#open;
    if (open === undefined) return;
    const frames = this.#writers.flatMap(({ writer, checked }) => writer.finish(checked ? flags.checked : 0));
    let set = open.thinned ? flags.thinned : 0;
    for (const bytes of frames) {
      const header = readHeader(bytes, 0);
      if (!header.ok) continue;
      this.#prints.add(header.value);
      let first = true;
      eachPlaced(header.value, (_from, _to, offset, timestamp) => {
        if (first) stampFrame(bytes, 0, bytes[3], offset, timestamp);
        first = false;
      });
      set |= bytes[3];
    }
    const body = concat(frames);
    const { base, next, first, last, records } = open;
    const print = this.#prints.finish(printBytes);
    this.rows.push({ base, next, first, last, records, flags: set, bytes: body.length, print, body });
    this.bytes += body.length;
    this.#writers = [];
    this.#prints = new Prints();
    this.#open = undefined;
  }
}
