/** Chunks: packing the frames of one commit into rows, and opening a row again with everything checked. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { assert } from "../lib/assert.ts";
import { concat } from "../lib/bytes.ts";
import type { ChunkRow } from "./chunk-head.ts";
import { fingerprint } from "./fingerprint.ts";
import { type Frame, flags, headerBytes, headersSum, openFrames, readHeaders, sealFrame, stampFrame } from "./frame.ts";
import { eachPlaced } from "./record.ts";

/** Frames below this are joined with their neighbours under one header; larger ones are stored without a copy. */
const joinBelow = 16_384;

interface Piece {
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly base: number;
  readonly timestamp: number;
  readonly count: number;
}

/** Collects the frames of a commit, gives them their offsets and timestamps, and cuts them into chunks. */
export class ChunkBuilder {
  readonly rows: ChunkRow[] = [];
  #pieces: Piece[] = [];
  #hashes: Uint32Array[] = [];
  #bytes = 0;
  #base: number;
  #first: number;

  /** `next` and `last` are the offset and the timestamp from which the commit goes on. */
  constructor(
    public next: number,
    public last: number,
  ) {
    this.#base = next;
    this.#first = last;
  }

  /** Adds a frame of checked records and returns the offset of its first one. */
  add(frame: Frame, hashes: Uint32Array): number {
    const length = frame.to - frame.at;
    if (this.#bytes + length > limits.chunkBytesMax) this.#cut();
    stampFrame(frame.bytes, frame.at, frame.flags, this.next, this.last);
    const piece: Piece = {
      bytes: frame.bytes.subarray(frame.at, frame.to),
      flags: frame.flags,
      base: this.next,
      timestamp: this.last,
      count: frame.count,
    };
    let base = this.next;
    if (frame.flags & (flags.offsets | flags.times)) {
      let first = true;
      eachPlaced({ ...frame, base: this.next, timestamp: this.last }, (_from, _to, offset, timestamp) => {
        if (first) {
          base = offset;
          if (this.#pieces.length === 0) {
            this.#base = offset;
            this.#first = timestamp;
          }
          first = false;
        }
        this.next = offset + 1;
        this.last = timestamp;
      });
    } else this.next += frame.count;
    this.#pieces.push(base === piece.base ? piece : { ...piece, base });
    if (base !== piece.base) stampFrame(frame.bytes, frame.at, frame.flags, base, piece.timestamp);
    this.#hashes.push(hashes);
    this.#bytes += length;
    return base;
  }

  /** The chunks of everything added. */
  finish(): ChunkRow[] {
    this.#cut();
    return this.rows;
  }

  #cut(): void {
    if (this.#pieces.length > 0) {
      const body = join(this.#pieces);
      this.rows.push({
        base: this.#base,
        next: this.next,
        first: this.#first,
        last: this.last,
        records: this.#pieces.reduce((sum, piece) => sum + piece.count, 0),
        flags: rowFlags(
          body,
          this.#pieces.reduce((set, piece) => set | piece.flags, 0),
        ),
        bytes: body.length,
        print: fingerprint(this.#hashes),
        body,
      });
    }
    this.#pieces = [];
    this.#hashes = [];
    this.#bytes = 0;
    this.#base = this.next;
    this.#first = this.last;
  }
}

/** The flags of a chunk's row: those of its frames, and its own, below the sum of the frames' headers. */
export function rowFlags(body: Uint8Array, set: number): number {
  const frames = readHeaders(body);
  assert(frames.ok, "a chunk is made of frames");
  return set + headersSum(frames.value);
}

/** Lays pieces one after another; small neighbours that agree on what has been checked share a header. */
function join(pieces: readonly Piece[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let small: Piece[] = [];
  const flush = () => {
    if (small.length > 1) parts.push(joinSmall(small));
    else if (small.length === 1) parts.push(small[0].bytes);
    small = [];
  };
  for (const piece of pieces) {
    const alike = small.length === 0 || (small[0].flags & flags.checked) === (piece.flags & flags.checked);
    if (piece.bytes.length >= joinBelow || !alike) flush();
    if (piece.bytes.length >= joinBelow) parts.push(piece.bytes);
    else small.push(piece);
  }
  flush();
  return concat(parts);
}

function joinSmall(pieces: readonly Piece[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.bytes.length - headerBytes, headerBytes);
  const bytes = new Uint8Array(length);
  let at = headerBytes;
  let count = 0;
  let set = 0;
  for (const piece of pieces) {
    bytes.set(piece.bytes.subarray(headerBytes), at);
    at += piece.bytes.length - headerBytes;
    count += piece.count;
    set |= piece.flags;
  }
  sealFrame(bytes, 0, at, count, set);
  stampFrame(bytes, 0, set, pieces[0].base, pieces[0].timestamp);
  return bytes;
}

/** The frames of a chunk. Refuses, as a whole, one whose bytes or numbers do not agree with its row. */
export function openChunk(row: ChunkRow, dense: boolean): Result<Frame[]> {
  if (row.broken) return refuse("bad-frame", "the row's numbers are not those that were written");
  const opened =
    row.body.length === row.bytes ? openFrames(row.body) : refuse("bad-frame", "the body's length is wrong");
  if (!opened.ok) return opened;
  const frames = opened.value;
  const thinned = (row.flags & flags.thinned) !== 0;
  const whole = dense && !thinned;
  let next = row.base;
  let records = 0;
  for (const frame of frames) {
    if (whole ? frame.base !== next : frame.base < next) return refuse("bad-frame", "a frame's base does not fit");
    next = frame.base + frame.count;
    records += frame.count;
  }
  if (records !== row.records) return refuse("bad-frame", "the number of records does not fit");
  if (!areHeaders(frames, row)) return refuse("bad-frame", "the frames' headers are not what the row says");
  if (thinned) return next > row.next ? refuse("bad-frame", "the offsets do not fit the row") : ok(frames);
  if (frames.length === 0 || frames[0].base !== row.base || (whole ? next !== row.next : next > row.next)) {
    return refuse("bad-frame", "the offsets do not fit the row");
  }
  return ok(frames);
}

/** Whether the headers are those that were written. Of a row that has no sum of them the numbers and flags say what they can. */
function areHeaders(frames: readonly Frame[], { first, last, flags: said }: ChunkRow): boolean {
  const sum = said - (said & flags.ofRow);
  if (sum !== 0) return sum === headersSum(frames);
  let set = 0;
  let times = false;
  for (const frame of frames) {
    set |= frame.flags;
    times ||= (frame.flags & flags.times) !== 0;
    if (frame.timestamp > last || (!times && frame.timestamp !== first)) return false;
  }
  return set === (said & ~flags.thinned);
}
