/** A segment's object, as the document on storage has it: which byte belongs to what. */
import type { Part } from "./plan.ts";

const headerBytes = 48;
const entryBytes = 56;
const footerBytes = 200;
const frameHeadBytes = 32;

export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface ChunkForm extends Range {
  /** Where its body lies. */
  readonly at: number;
  readonly bytes: number;
}

export interface SegmentForm extends Range {
  readonly chunks: readonly ChunkForm[];
  readonly indexAt: number;
  readonly bytes: number;
}

const number = (bytes: Buffer, at: number) => Number(bytes.readBigUInt64LE(at));

export function segmentForm(bytes: Buffer): SegmentForm {
  const footer = bytes.subarray(bytes.length - footerBytes);
  const indexAt = number(footer, 8);
  const chunks: ChunkForm[] = [];
  let at = indexAt;
  for (let i = footer.readUInt32LE(4); i > 0; i--) {
    const [from, to, body] = [number(bytes, at), number(bytes, at + 8), number(bytes, at + 32)];
    chunks.push({ from, to, at: body, bytes: bytes.readUInt32LE(at + 48) });
    at += entryBytes + bytes.readUInt32LE(at + 52);
  }
  return { from: number(footer, 24), to: number(footer, 32), chunks, indexAt, bytes: bytes.length };
}

interface Piece {
  readonly at: number;
  readonly bytes: number;
  /** Offsets that it tells of: a chunk's, or the whole segment's. */
  readonly offsets: Range;
}

function pieces(bytes: Buffer, form: SegmentForm, part: Part): Piece[] {
  if (part === "header") return [{ at: 0, bytes: headerBytes, offsets: form }];
  if (part === "index") return [{ at: form.indexAt, bytes: bytes.length - footerBytes - form.indexAt, offsets: form }];
  if (part === "footer") return [{ at: bytes.length - footerBytes, bytes: footerBytes, offsets: form }];
  return form.chunks.flatMap((chunk) => {
    const found: Piece[] = [];
    for (let at = chunk.at; at < chunk.at + chunk.bytes; ) {
      const records = bytes.readUInt32LE(at + 4);
      if (part === "frames") found.push({ at, bytes: frameHeadBytes, offsets: chunk });
      else found.push({ at: at + frameHeadBytes, bytes: records, offsets: chunk });
      at += frameHeadBytes + records;
    }
    return found;
  });
}

/** The byte at a share of a part, and which offsets it tells of; undefined where the segment has no such part. */
export function byteOf(bytes: Buffer, part: Part, share: number): { at: number; offsets: Range } | undefined {
  const found = pieces(bytes, segmentForm(bytes), part);
  let left = Math.floor(share * found.reduce((sum, piece) => sum + piece.bytes, 0));
  for (const piece of found) {
    if (left < piece.bytes) return { at: piece.at + left, offsets: piece.offsets };
    left -= piece.bytes;
  }
  return undefined;
}

/** `{base, 16 digits}-{n}.seg` at the end of a key. */
export function placeInKey(key: string): { base: number; n: number } {
  const [, base, n] = /(\d{16})-(\d+)\.seg$/.exec(key) as unknown as [string, string, string];
  return { base: Number(base), n: Number(n) };
}
