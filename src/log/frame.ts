/**
 * The frame: many records with one checksum. A chunk's body is one or more frames, and so is the binary wire format: the
 * same bytes are sent, stored and read back. `docs/STORAGE.md` has them byte by byte.
 *
 *     0   2  magic "MR"
 *     2   1  version (1)
 *     3   1  flags
 *     4   4  length of the records, in bytes
 *     8   4  number of records
 *    12   4  CRC-32C of the records
 *    16   8  base: offset of the first record       } zero in an append;
 *    24   8  timestamp of the first record, in ms   } the partition fills them in at commit
 *    32      the records, each a variable-length integer (its length) and its bytes
 *
 * Numbers are little-endian.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { frameLimits } from "../../schemas/frame-limits.ts";
import { ByteReader, readNumber, writeNumber } from "../lib/bytes.ts";
import { crc32c, smallCrc32c } from "../lib/crc32c.ts";

/** The library is built with it, and loaded by browsers. */
declare const LITTLE_CODE: true | undefined;

export const headerBytes = 32;
const magic = 0x524d;
const formatVersion = 1;

/** What the records of a frame bring: all that a client's bundle carries of the flags. */
export const brought = {
  /** Their own timestamps: effective is the highest so far. */
  times: 1,
  /** Their own offsets. */
  offsets: 2,
  /** At least one has an id, and takes part in deduplication. */
  ids: 8,
} as const;

const others = {
  /** Data that calls itself JSON or text has been checked by the server. */
  checked: 4,
  /** Only of a chunk's row: it was rewritten, and has a part of the records that its offsets had. */
  thinned: 16,
  /** Of a row, those of its frames and its own; above them is the sum of the headers. */
  ofRow: 255,
  /** Not records but a hole: `[base, to)` could not be read. Its body is `to`, eight bytes. Only in answers. */
  damaged: 128,
} as const;

export const flags = /* @__PURE__ */ Object.assign({}, brought, others);
const flagsKnown = 15;

export interface Frame {
  /** The bytes that hold the frame, and where it starts in them. */
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly flags: number;
  readonly count: number;
  /** The records lie in `bytes[from, to)`; the next frame begins at `to`. */
  readonly from: number;
  readonly to: number;
  readonly base: number;
  readonly timestamp: number;
}

const view = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer, bytes.byteOffset + at, headerBytes);

const bad = (detail: string, at: number) => refuse("bad-frame", `${detail} (frame at byte ${at})`, { at });

/** Reads the header at `at` and checks what it says against the bytes, and the checksum over them. */
export function openFrame(bytes: Uint8Array, at: number): Result<Frame> {
  const frame = readHeader(bytes, at);
  if (!frame.ok) return frame;
  const { from, to } = frame.value;
  if (crc32c(bytes, from, to) !== view(bytes, at).getUint32(12, true)) {
    return bad("the checksum does not match the records", at);
  }
  return frame;
}

/** The checksum over a frame's records, as its header says it. */
export const checksumOf = ({ bytes, at }: Frame): number => view(bytes, at).getUint32(12, true);

/** As `openFrame`, for bytes whose checksum has been checked, or has just been made, in this process or its caller. */
export function readHeader(bytes: Uint8Array, at: number): Result<Frame> {
  if (bytes.length - at < headerBytes) return bad("the frame's header is cut off", at);
  const header = view(bytes, at);
  if (header.getUint16(0, true) !== magic) return bad("the frame does not begin with 'MR'", at);
  const version = header.getUint8(2);
  if (version !== formatVersion) return bad(`frame version ${version} is not known; send version 1`, at);
  const length = header.getUint32(4, true);
  const from = at + headerBytes;
  if (length > frameLimits.frameBytesMax - headerBytes) {
    return bad(`the frame has more than ${frameLimits.frameBytesMax} bytes; split it`, at);
  }
  if (length > bytes.length - from) return bad("the frame's records are cut off", at);
  return ok({
    bytes,
    at,
    flags: header.getUint8(3),
    count: header.getUint32(8, true),
    from,
    to: from + length,
    base: readNumber(header, 16),
    timestamp: readNumber(header, 24),
  });
}

/** The frames of a body, all or none, each with its checksum checked. */
export const openFrames = (body: Uint8Array): Result<Frame[]> => every(body, openFrame);

/** The frames of a body whose checksums the partition has checked before it handed the body out. */
export const readHeaders = (body: Uint8Array): Result<Frame[]> => every(body, readHeader);

/** One number for the checksums of a body's frames. */
export function checksumsOf(body: Uint8Array): number {
  const frames = readHeaders(body);
  if (!frames.ok) return 0;
  let sum = 0;
  for (const { at } of frames.value) sum = (Math.imul(sum, 31) + view(body, at).getUint32(12, true)) | 0;
  return sum;
}

/**
 * What a chunk's row says of the headers of its frames, in the bits above its flags: the checksums in the frames leave the
 * headers out, because they are filled in after the records were checked. Zero in rows of before there was one, and in no other.
 */
export function headersSum(frames: readonly Pick<Frame, "bytes" | "at">[]): number {
  let sum = 0;
  for (const { bytes, at } of frames) sum = (Math.imul(sum, 31) + crc32c(bytes, at, at + headerBytes)) | 0;
  const folded = (sum ^ (sum >>> 24)) & 0xff_ffff;
  return (folded === 0 ? 1 : folded) * 256;
}

function every(body: Uint8Array, open: (bytes: Uint8Array, at: number) => Result<Frame>): Result<Frame[]> {
  const frames: Frame[] = [];
  for (let at = 0; at < body.length; ) {
    const frame = open(body, at);
    if (!frame.ok) return frame;
    frames.push(frame.value);
    at = frame.value.to;
  }
  return ok(frames);
}

/** As `openFrames` for what a client sent: only the flags that a client may set, at least one record, no offset yet. */
export function receiveFrames(body: Uint8Array): Result<Frame[]> {
  const frames = openFrames(body);
  if (!frames.ok) return frames;
  if (frames.value.length === 0) return refuse("bad-frame", "the body is empty; send at least one frame");
  for (const { at, flags: set, count } of frames.value) {
    if ((set & ~flagsKnown) !== 0) return bad(`flags ${set} are not known`, at);
    if (count === 0) return bad("the frame has no records", at);
  }
  return frames;
}

/** Calls `visit(from, to)` with the bounds of each record's bytes. False where the lengths do not fit the frame. */
export function eachRecord(frame: Frame, visit: (from: number, to: number, index: number) => void): boolean {
  const reader = new ByteReader(frame.bytes, frame.from, frame.to);
  for (let index = 0; index < frame.count; index++) {
    const from = reader.field();
    if (reader.failed) return false;
    visit(from, reader.at, index);
  }
  return reader.at === frame.to;
}

/** Fills in what only the partition knows. The checksum does not cover it: the chunk's row has one that does. */
export function stampFrame(bytes: Uint8Array, at: number, set: number, base: number, timestamp: number): void {
  const header = view(bytes, at);
  header.setUint8(3, set);
  writeNumber(header, 16, base);
  writeNumber(header, 24, timestamp);
}

/** Writes the header before records that already stand in `bytes[at + 32, to)`. */
export function sealFrame(bytes: Uint8Array, at: number, to: number, count: number, set: number): void {
  const header = view(bytes, at);
  header.setUint16(0, magic, true);
  header.setUint8(2, formatVersion);
  header.setUint8(3, set);
  const from = at + headerBytes;
  header.setUint32(4, to - from, true);
  header.setUint32(8, count, true);
  header.setUint32(12, (typeof LITTLE_CODE === "undefined" ? crc32c : smallCrc32c)(bytes, from, to), true);
  bytes.fill(0, at + 16, from);
}

/** A frame that says: the records `[base, to)` are damaged and left out. */
export function damagedFrame(base: number, to: number): Uint8Array {
  const bytes = new Uint8Array(headerBytes + 8);
  writeNumber(new DataView(bytes.buffer), headerBytes, to);
  sealFrame(bytes, 0, bytes.length, 0, flags.damaged);
  stampFrame(bytes, 0, flags.damaged, base, 0);
  return bytes;
}
