/**
 * A sealed segment as one object: a header, the chunks' bodies as they are, an index over them, a footer. What it says of
 * itself is enough to rebuild the manifest from the bucket alone. `docs/STORAGE.md` has the bytes.
 *
 *     header │ body body body … │ index: an entry a chunk, then the fingerprint │ footer: sums, hashes
 *            └ read by range    └──────────── one read, at the end ─────────────┘
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { hex, readNumber, writeNumber } from "../lib/bytes.ts";
import { crc32c } from "../lib/crc32c.ts";
import type { ChunkHead, ChunkRow } from "../log/chunk-head.ts";

export const headerBytes = 48;
export const footerBytes = 200;
const entryBytes = 56;
/** Of the fingerprint over a segment: 8 bits for each of 32 768 hashes. The manifest keeps it. */
export const printBytesMax = 32_768;
const magic = "MRSG";
const footMagic = "MRSF";
const endMagic = "MRSE";
const formatVersion = 1;
/** The hash covers everything before it. */
const shaAt = 160;

/** What a segment says of itself. */
export interface SegmentFacts {
  readonly logId: string;
  readonly partition: number;
  readonly n: number;
  readonly base: number;
  readonly next: number;
  readonly first: number;
  readonly last: number;
  readonly records: number;
  /** SHA-256 of the segment before it, and of the one that this one was made from; zeros where there is none. */
  readonly prev: Uint8Array;
  readonly origin: Uint8Array;
}

export interface Footer extends SegmentFacts {
  readonly chunks: number;
  readonly sha: Uint8Array;
  /** Where the index begins, in bytes, and how long it is, with the fingerprint that ends it. */
  readonly indexAt: number;
  readonly indexLength: number;
  readonly printLength: number;
  readonly indexCrc: number;
}

/** A chunk of a segment: its row, and where its body lies in the object. */
export interface Placed extends ChunkHead {
  readonly at: number;
}

const setText = (bytes: Uint8Array, at: number, text: string) => {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
};
const textAt = (bytes: Uint8Array, at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
const fromHex = (digits: string) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Builds an object of known size: bodies are copied into it as they come. */
export class SegmentBuilder {
  bytes: Uint8Array;
  readonly #entries: Placed[] = [];
  #at = headerBytes;

  /** `heads` of all chunks, in order. */
  constructor(
    readonly facts: SegmentFacts,
    heads: readonly ChunkHead[],
  ) {
    const bodies = heads.reduce((sum, head) => sum + head.bytes, 0);
    const index = heads.reduce((sum, head) => sum + entryBytes + head.print.length, printBytesMax + 1);
    this.bytes = new Uint8Array(headerBytes + bodies + index + footerBytes);
    const view = viewOf(this.bytes);
    setText(this.bytes, 0, magic);
    view.setUint8(4, formatVersion);
    this.bytes.set(fromHex(facts.logId), 8);
    view.setUint32(20, facts.partition, true);
    writeNumber(view, 24, facts.n);
    writeNumber(view, 32, facts.base);
    writeNumber(view, 40, facts.next);
  }

  add({ body, ...head }: ChunkRow): void {
    this.bytes.set(body, this.#at);
    this.#entries.push({ ...head, at: this.#at });
    this.#at += body.length;
  }

  /**
   * Writes index, the fingerprint over all records, and footer; answers the part that the hash is over, and how long index
   * and footer are.
   */
  finish(print: Uint8Array): { readonly hashed: Uint8Array; readonly indexBytes: number } {
    const { facts } = this;
    const indexAt = this.#at;
    for (const entry of this.#entries) this.#entry(viewOf(this.bytes), entry);
    this.bytes = this.bytes.subarray(0, this.#at + print.length + footerBytes);
    const { bytes } = this;
    const view = viewOf(bytes);
    bytes.set(print, this.#at);
    this.#at += print.length;
    const foot = this.#at;
    const indexLength = foot - indexAt;
    setText(bytes, foot, footMagic);
    view.setUint32(foot + 4, this.#entries.length, true);
    writeNumber(view, foot + 8, indexAt);
    view.setUint32(foot + 16, indexLength, true);
    view.setUint32(foot + 20, crc32c(bytes, indexAt, foot), true);
    writeNumber(view, foot + 24, facts.base);
    writeNumber(view, foot + 32, facts.next);
    writeNumber(view, foot + 40, facts.first);
    writeNumber(view, foot + 48, facts.last);
    writeNumber(view, foot + 56, facts.records);
    writeNumber(view, foot + 64, facts.n);
    view.setUint32(foot + 72, facts.partition, true);
    view.setUint32(foot + 76, print.length, true);
    bytes.set(fromHex(facts.logId), foot + 80);
    bytes.set(facts.prev, foot + 96);
    bytes.set(facts.origin, foot + 128);
    return { hashed: bytes.subarray(0, foot + shaAt), indexBytes: indexLength + footerBytes };
  }

  /** Adds the SHA-256 over what `finish` answered. The object is done. */
  sign(sha: Uint8Array): Uint8Array {
    const foot = this.#at;
    this.bytes.set(sha, foot + shaAt);
    viewOf(this.bytes).setUint32(foot + 192, crc32c(this.bytes, foot, foot + 192), true);
    setText(this.bytes, foot + 196, endMagic);
    return this.bytes;
  }

  #entry(view: DataView, entry: Placed): void {
    const at = this.#at;
    writeNumber(view, at, entry.base);
    writeNumber(view, at + 8, entry.next);
    writeNumber(view, at + 16, entry.first);
    writeNumber(view, at + 24, entry.last);
    writeNumber(view, at + 32, entry.at);
    view.setUint32(at + 40, entry.records, true);
    view.setUint32(at + 44, entry.flags, true);
    view.setUint32(at + 48, entry.bytes, true);
    view.setUint32(at + 52, entry.print.length, true);
    this.bytes.set(entry.print, at + entryBytes);
    this.#at = at + entryBytes + entry.print.length;
  }
}

const bad = (detail: string) => refuse("damaged", detail);

/** The footer, from bytes that end as the object does. */
export function readFooter(end: Uint8Array): Result<Footer> {
  if (end.length < footerBytes) return bad("the object is cut off before its footer");
  const bytes = end.subarray(end.length - footerBytes);
  const view = viewOf(bytes);
  if (textAt(bytes, 0) !== footMagic || textAt(bytes, 196) !== endMagic) {
    return bad("the object does not end as a segment does");
  }
  if (crc32c(bytes, 0, 192) !== view.getUint32(192, true)) return bad("the footer's checksum does not match");
  return ok({
    chunks: view.getUint32(4, true),
    indexAt: readNumber(view, 8),
    indexLength: view.getUint32(16, true),
    indexCrc: view.getUint32(20, true),
    base: readNumber(view, 24),
    next: readNumber(view, 32),
    first: readNumber(view, 40),
    last: readNumber(view, 48),
    records: readNumber(view, 56),
    n: readNumber(view, 64),
    partition: view.getUint32(72, true),
    printLength: view.getUint32(76, true),
    logId: hex(bytes.subarray(80, 90)),
    prev: bytes.slice(96, 128),
    origin: bytes.slice(128, 160),
    sha: bytes.slice(160, 192),
  });
}

export interface Index {
  readonly footer: Footer;
  readonly chunks: readonly Placed[];
  readonly print: Uint8Array;
}

/** Index and footer, from the last bytes of an object of `size`: from the index's beginning, or before it, to the end. */
export function readIndex(end: Uint8Array, size: number): Result<Index> {
  const read = readFooter(end);
  if (!read.ok) return read;
  const footer = read.value;
  const from = footer.indexAt - (size - end.length);
  const to = end.length - footerBytes;
  if (from < 0 || from + footer.indexLength !== to) return bad("the index does not lie where the footer says");
  if (crc32c(end, from, to) !== footer.indexCrc) return bad("the index's checksum does not match");
  const view = viewOf(end);
  const chunks: Placed[] = [];
  let at = from;
  for (let left = footer.chunks; left > 0; left--) {
    const print = view.getUint32(at + 52, true);
    chunks.push({
      base: readNumber(view, at),
      next: readNumber(view, at + 8),
      first: readNumber(view, at + 16),
      last: readNumber(view, at + 24),
      at: readNumber(view, at + 32),
      records: view.getUint32(at + 40, true),
      flags: view.getUint32(at + 44, true),
      bytes: view.getUint32(at + 48, true),
      print: end.slice(at + entryBytes, at + entryBytes + print),
    });
    at += entryBytes + print;
  }
  return ok({ footer, chunks, print: end.slice(at, at + footer.printLength) });
}

/** The part of a whole object that its hash is over. */
export const hashedPart = (object: Uint8Array): Uint8Array => object.subarray(0, object.length - footerBytes + shaAt);
