/**
 * Rows of a table that do not agree with their sum. Most of what a row says is in its body as well, so that nothing is lost
 * with one wrong number; of what is left the place is known, by the rows around it.
 */
import { openChunk } from "./chunk.ts";
import { type ChunkHead, headSum } from "./chunk-head.ts";
import { everything } from "./fingerprint.ts";
import { eachRecord, flags, headersSum, openFrames } from "./frame.ts";
import { eachPlaced } from "./record.ts";

/** Of offsets: more than a chunk has, or a log leaves out between two, in all likelihood. */
const likelyMax = 2 ** 20;

/** What is known of a broken row's surroundings: where it may begin and end, and the times between which it lies. */
export interface Room {
  readonly from: number;
  readonly to: number;
  readonly first: number;
  readonly last: number;
}

/**
 * The head as it was, where the body leaves no doubt: with one number put right by the body the sum agrees, or the body
 * agrees with all of them, and it is the fingerprint that is wrong, or the sum.
 */
export function mendedHead(row: ChunkHead, sum: number, body: Uint8Array, room: Room): ChunkHead | undefined {
  const right = saidBy(row, body);
  if (right === undefined || row.base < room.from || row.base >= room.to) return undefined;
  const mended = withOneRight(row, sum, right);
  if (mended?.base === row.base) return mended;
  if (!openChunk({ ...row, body }, false).ok) return undefined;
  const { first, last } = right;
  // Where records were taken out, the row ended behind the last one that is left.
  const next = (row.flags & flags.thinned) !== 0 ? room.to : right.next;
  return { ...row, next, first, last, print: everything() };
}

/** As it counts in the sums of its table, where nothing is known yet of where that ends; `next` is where the one before does. */
export function countedHead(row: ChunkHead, sum: number, body: Uint8Array, next: number): ChunkHead | undefined {
  const right = saidBy(row, body);
  if (right !== undefined) return withOneRight(row, sum, right) ?? { ...row, ...right, base: row.base };
  const { base, records } = row;
  const likely = base >= next && base - next < likelyMax && row.next > base && row.next - base < likelyMax;
  return likely ? { ...row, records: Math.min(records, row.next - base), bytes: body.length } : undefined;
}

function withOneRight(row: ChunkHead, sum: number, right: Partial<ChunkHead>): ChunkHead | undefined {
  for (const [name, value] of Object.entries(right)) {
    const mended = { ...row, [name]: value };
    if (headSum(mended) === sum) return mended;
  }
  return undefined;
}

function saidBy(row: ChunkHead, body: Uint8Array) {
  const opened = openFrames(body);
  if (!opened.ok || opened.value.length === 0) return undefined;
  const frames = opened.value;
  const said = { base: frames[0].base, next: 0, first: -1, last: 0, records: 0, flags: 0, bytes: body.length };
  for (const frame of frames) {
    if (!eachRecord(frame, () => {})) return undefined;
    said.flags |= frame.flags;
    said.records += frame.count;
    eachPlaced(frame, (_from, _to, offset, timestamp) => {
      if (said.first < 0) said.first = timestamp;
      said.next = offset + 1;
      said.last = timestamp;
    });
  }
  said.flags += headersSum(frames) + (row.flags & flags.thinned);
  return said;
}

/** Stands for a row of which nothing is known but where it lies; undefined where its neighbours leave no room. */
export function brokenHead(row: ChunkHead, body: Uint8Array, { from, to, first, last }: Room): ChunkHead | undefined {
  const base = Math.max(row.base, from);
  if (base >= to) return undefined;
  // A body is found by the number with which it was stored.
  const bytes = base === row.base ? body.length : 0;
  return { base, next: to, first, last, records: to - base, flags: 0, bytes, print: everything(), broken: true };
}
