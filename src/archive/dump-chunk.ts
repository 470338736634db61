/** Chunks on their way into a dump and out of one: cut at the bounds of what is dumped, and looked through before they are believed. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { lastTime } from "../../schemas/time.ts";
import { isJson, isText } from "../lib/bytes.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { mayContain } from "../log/fingerprint.ts";
import { type Frame, flags } from "../log/frame.ts";
import { type Inspected, inspect } from "../log/inspect.ts";
import { decodeFrame, eachPlaced, kinds, type Rec } from "../log/record.ts";
import { Packing } from "./packing.ts";

/** A record that was packed anew carries its place: two numbers, ten bytes at most each. It may be a dead letter. */
export const storedBytesMax = limits.recordBytesMax + limits.deadLetterBytesMax + 20;
const frameFlags = flags.times | flags.offsets | flags.checked | flags.ids;
const printBytesMax = 4_097;

/**
 * The part `[from, to)` of a chunk, which a later merge may have made of several: what it would have been, as far as that
 * can be told. A chunk that lies within the bounds is left as it is.
 */
export function cutChunk(row: ChunkRow, dense: boolean, from: number, to: number): Result<ChunkRow> {
  if (row.base >= from && row.next <= to) return ok(row);
  const opened = openChunk(row, dense);
  if (!opened.ok) return refuse("damaged", `the chunk at offset ${row.base} is damaged: ${opened.refusal.detail}`);
  const packing = new Packing();
  const times: number[] = [];
  for (const frame of opened.value) {
    const checked = (frame.flags & flags.checked) !== 0;
    decodeFrame(frame, (record, offset, timestamp) => {
      if (offset < from || offset >= to) return;
      packing.put(record, offset, timestamp, checked);
      times.push(timestamp);
    });
  }
  const packed = packing.finish();
  return ok({
    base: Math.max(row.base, from),
    next: Math.min(row.next, to),
    first: row.base >= from ? row.first : (times[0] ?? row.last),
    last: row.next <= to ? row.last : (times[times.length - 1] ?? row.first),
    ...packed,
    flags: packed.flags + (row.flags & flags.thinned),
  });
}

/** Key hashes `[from, to)` that the partition owns. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

const lies = (row: ChunkRow, detail: string) =>
  refuse("bad-dump", `the chunk at offset ${row.base}: ${detail}`, { chunk: row.base });

/**
 * Whether a chunk is what the log would have stored: checksums, every field of every record, its numbers, its fingerprint.
 * Nothing of it has to be believed afterwards.
 */
export function checkChunk(row: ChunkRow, dense: boolean, range: Range): Result<undefined> {
  if (row.bytes > limits.chunkBytesMax) return lies(row, `it has more than ${limits.chunkBytesMax} bytes`);
  if (row.last > lastTime) return lies(row, "its last record's time cannot be shown");
  const said = row.flags & flags.ofRow;
  if ((said & ~(frameFlags | flags.thinned)) !== 0) return lies(row, "its flags are not known");
  if (!isPrint(row.print)) return lies(row, "its fingerprint is none");
  const opened = openChunk(row, dense);
  if (!opened.ok) return lies(row, opened.refusal.detail);
  let set = said & flags.thinned;
  const place = { next: row.base, last: row.first };
  for (const frame of opened.value) {
    const why = ofFrame(frame, row, range, place);
    if (why !== undefined) return lies(row, why);
    set |= frame.flags;
  }
  return set === said ? ok(undefined) : lies(row, "its flags are not those of its frames");
}

function ofFrame(frame: Frame, row: ChunkRow, range: Range, place: { next: number; last: number }): string | undefined {
  if (frame.count === 0 || (frame.flags & ~frameFlags) !== 0)
    return "a frame is empty, or has flags that are not known";
  const inspected = inspect(frame, {
    recordBytesMax: storedBytesMax,
    ownOffsets: (frame.flags & flags.offsets) !== 0,
    ownTimestamps: (frame.flags & flags.times) !== 0,
    timestampMax: lastTime,
    stored: true,
  });
  if (!inspected.ok) return inspected.refusal.detail;
  if ((inspected.value.flags | (frame.flags & flags.checked)) !== frame.flags) return "a frame's flags do not fit it";
  const strange = hashesOf(inspected.value, row, range);
  if (strange !== undefined) return strange;
  let why: string | undefined;
  eachPlaced(frame, (_from, _to, offset, timestamp) => {
    if (offset < place.next || offset >= row.next) why = `offset ${offset} is out of order`;
    if (timestamp < place.last || timestamp > row.last) why = `the timestamp at offset ${offset} is out of order`;
    place.next = offset + 1;
    place.last = timestamp;
  });
  return why ?? (frame.flags & flags.checked ? unchecked(frame) : undefined);
}

function hashesOf({ keys, hashes }: Inspected, row: ChunkRow, { from, to }: Range): string | undefined {
  for (const key of keys) if (key >= 0 && (key < from || key >= to)) return "a key belongs to another partition";
  for (const hash of hashes) if (!mayContain(row.print, hash)) return "its fingerprint leaves out what it holds";
  return undefined;
}

/** A frame that says its data were checked, and holds some that would not have passed. */
function unchecked(frame: Frame): string | undefined {
  let why: string | undefined;
  decodeFrame(frame, ({ kind, data }: Rec, offset) => {
    if (kind === kinds.json ? !isJson(data) : kind === kinds.text && !isText(data)) {
      why = `the data at offset ${offset} are not what they are called`;
    }
  });
  return why;
}

function isPrint(print: Uint8Array): boolean {
  const bits = print.length - 1;
  if (print[0] === 1) return bits % 4 === 0 && bits <= 64;
  return print[0] === 2 && print.length <= printBytesMax && bits > 0 && (bits & (bits - 1)) === 0;
}
