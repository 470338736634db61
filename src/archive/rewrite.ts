/**
 * Putting other chunks in the place of a segment's, at the same offsets: without records that newer ones replace, or with a
 * tombstone where one is to be forgotten. A record that is packed anew carries its offset and its timestamp; a chunk that
 * has lost records says so in its row, and still covers the offsets that they had.
 */
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { tombstone } from "../log/forgetting.ts";
import { flags } from "../log/frame.ts";
import { decodeFrame, type Rec, recordBytes } from "../log/record.ts";
import { Packing } from "./packing.ts";

export type Fate = "keep" | "drop" | "erase";

/** Chunks of this size are left as they are where nothing of theirs goes; smaller ones are put together. */
const wholeBytes = 65_536;
const chunkBytes = 524_288;

/** A chunk that is being made. */
interface Open {
  readonly base: number;
  readonly first: number;
  last: number;
  next: number;
  thinned: boolean;
}

export class Rewriter {
  readonly rows: ChunkRow[] = [];
  kept = 0;
  dropped = 0;
  erased = 0;
  bytes = 0;
  #packing = new Packing();
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
    this.#open ??= { base, first, last: first, next: base, thinned: false };
    this.#open.thinned ||= this.#thin;
    return this.#open;
  }

  #end({ next, last }: Pick<ChunkRow, "next" | "last">): void {
    const { base, first } = this.#open ?? { base: next, first: last };
    Object.assign(this.#begin({ base, first }), { next, last });
    this.#thin = false;
  }

  #put(record: Rec, offset: number, timestamp: number, checked: boolean): void {
    const open = this.#begin({ base: offset, first: timestamp });
    const { records, bytes } = this.#packing;
    if (records > 0 && bytes + recordBytes(record) > chunkBytes) {
      Object.assign(open, { next: offset, last: timestamp });
      this.#flush();
      this.#begin({ base: offset, first: timestamp });
    }
    this.#packing.put(record, offset, timestamp, checked);
  }

  #whole(row: ChunkRow): void {
    this.#flush();
    this.rows.push(row);
    this.bytes += row.bytes;
  }

  #flush(): void {
    const open = this.#open;
    if (open === undefined) return;
    const packed = this.#packing.finish();
    const { base, next, first, last, thinned } = open;
    this.rows.push({ base, next, first, last, ...packed, flags: packed.flags + (thinned ? flags.thinned : 0) });
    this.bytes += packed.bytes;
    this.#packing = new Packing();
    this.#open = undefined;
  }
}
