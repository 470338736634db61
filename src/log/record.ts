/**
 * One record inside a frame: a bitmap that says which fields follow, then the fields in the order of the bits, then the
 * data up to the record's end. `docs/STORAGE.md` has the bytes.
 */

import { frameLimits } from "../../schemas/frame-limits.ts";
import { assert } from "../lib/assert.ts";
import { ByteReader, decodeText, textBytes, varintBytes, writeText, writeVarint } from "../lib/bytes.ts";
import { brought, type Frame, headerBytes, sealFrame } from "./frame.ts";

export const kinds = { none: 0, json: 1, text: 2, binary: 3 } as const;
export type Kind = 0 | 1 | 2 | 3;

/** The text fields, in the order of their bits from 2 upwards. */
export const textFields = ["key", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"] as const;
export type TextField = (typeof textFields)[number];

export const bits = { offset: 1, timestamp: 2, key: 4, id: 8, source: 16, type: 32, tags: 1024, extensions: 2048 };
export const kindShift = 12;
export const reservedBits = 0xc000;

export type Extension = string | number | boolean;

/** A record as the server works with it. `data` is bytes; `kind` says how to show them. */
export interface Rec extends Partial<Record<TextField, string>> {
  offset?: number;
  timestamp?: number;
  tags?: string[];
  extensions?: Record<string, Extension>;
  kind: Kind;
  data: Uint8Array;
}

const none = /* @__PURE__ */ new Uint8Array(0);

/** Decodes the record in `bytes[from, to)`, which `inspect` (or a checksum over checked bytes) has found well-formed. */
export function decodeRecord(bytes: Uint8Array, from: number, to: number): Rec {
  const set = bytes[from] | (bytes[from + 1] << 8);
  const reader = new ByteReader(bytes, from + 2, to);
  const text = () => {
    const start = reader.field();
    return decodeText(bytes, start, reader.at);
  };
  const record: Rec = { kind: ((set >> kindShift) & 3) as Kind, data: none };
  if (set & bits.offset) record.offset = reader.varint();
  if (set & bits.timestamp) record.timestamp = reader.varint();
  for (let i = 0; i < textFields.length; i++) if (set & (bits.key << i)) record[textFields[i]] = text();
  if (set & bits.tags) record.tags = Array.from({ length: reader.varint() }, text);
  if (set & bits.extensions) {
    record.extensions = {};
    for (let left = reader.varint(); left > 0; left--) {
      const name = text();
      record.extensions[name] = JSON.parse(text()) as Extension;
    }
  }
  assert(!reader.failed, "a stored record is well-formed");
  record.data = bytes.subarray(reader.at, to);
  return record;
}

/** The key of the record in `bytes[from, to)`, without decoding the rest. */
export function keyOf(bytes: Uint8Array, from: number, to: number): string | undefined {
  const set = bytes[from] | (bytes[from + 1] << 8);
  if ((set & bits.key) === 0) return undefined;
  const reader = new ByteReader(bytes, from + 2, to);
  if (set & bits.offset) reader.varint();
  if (set & bits.timestamp) reader.varint();
  const start = reader.field();
  return decodeText(bytes, start, reader.at);
}

/** Packs records into frames of at most `frameBytesMax`, in the order in which they are added. */
export class FrameWriter {
  readonly #frames: Uint8Array[] = [];
  #bytes = new Uint8Array(512);
  #at = headerBytes;
  #count = 0;
  #flags = 0;
  #sealed = 0;
  count = 0;

  /** Bytes of the frames so far, headers included. */
  get length(): number {
    return this.#sealed + (this.#count === 0 ? 0 : this.#at);
  }

  /** Adds a record, unless it has more than `bytesMax`; returns its encoded length. Without one it must fit a frame. */
  add(record: Rec, bytesMax?: number): number {
    const length = recordBytes(record);
    if (length > (bytesMax as number)) return length;
    this.#open(length);
    const set = bitsOf(record);
    this.#at = writeRecord(this.#bytes, this.#at, record, set);
    this.#close(set);
    return length;
  }

  /** Adds a record that is encoded already. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    this.#open(to - from);
    this.#bytes.set(bytes.subarray(from, to), this.#at);
    this.#at += to - from;
    this.#close(bytes[from] | (bytes[from + 1] << 8));
  }

  /** The frames so far. `set` is added to the flags (`ids`, `times` and `offsets` set themselves). */
  finish(set: number): Uint8Array[] {
    this.#seal();
    for (const frame of this.#frames) frame[3] |= set;
    return this.#frames;
  }

  #open(length: number): void {
    const needed = varintBytes(length) + length;
    if (this.#at + needed > frameLimits.frameBytesMax) this.#seal();
    if (this.#at + needed > this.#bytes.length) {
      const grown = new Uint8Array(
        Math.min(frameLimits.frameBytesMax, Math.max(this.#bytes.length * 2, this.#at + needed)),
      );
      grown.set(this.#bytes.subarray(0, this.#at));
      this.#bytes = grown;
    }
    if (this.#at + needed > this.#bytes.length) throw new Error("a record fits a frame");
    this.#at = writeVarint(this.#bytes, this.#at, length);
  }

  #close(set: number): void {
    this.#count++;
    this.count++;
    // An id has the same bit here and there; the other two have each other's.
    this.#flags |= (set & brought.ids) | ((set & bits.offset) * brought.offsets) | ((set & bits.timestamp) / 2);
  }

  #seal(): void {
    if (this.#count === 0) return;
    sealFrame(this.#bytes, 0, this.#at, this.#count, this.#flags);
    this.#frames.push(this.#bytes.slice(0, this.#at));
    this.#sealed += this.#at;
    this.#at = headerBytes;
    this.#count = 0;
    this.#flags = 0;
  }
}

const hasExtensions = (record: Rec): boolean => {
  for (const _ in record.extensions) return true;
  return false;
};

function bitsOf(record: Rec): number {
  let set = record.kind << kindShift;
  if (record.offset !== undefined) set |= bits.offset;
  if (record.timestamp !== undefined) set |= bits.timestamp;
  for (let i = 0; i < textFields.length; i++) if (record[textFields[i]] !== undefined) set |= bits.key << i;
  if (record.tags !== undefined && record.tags.length > 0) set |= bits.tags;
  if (hasExtensions(record)) set |= bits.extensions;
  return set;
}

/** Visits a record's fields, in the order of the bits: numbers, and texts. */
function eachField(record: Rec, number: (value: number) => void, text: (value: string) => void): void {
  const { offset, timestamp, tags = [], extensions } = record;
  if (offset !== undefined) number(offset);
  if (timestamp !== undefined) number(timestamp);
  for (const field of textFields) {
    const value = record[field];
    if (value !== undefined) text(value);
  }
  if (tags.length > 0) number(tags.length);
  for (const tag of tags) text(tag);
  if (!hasExtensions(record)) return;
  const entries = Object.entries(extensions!);
  number(entries.length);
  for (const [name, value] of entries) {
    text(name);
    text(JSON.stringify(value));
  }
}

/** The encoded length of a record, without its length prefix. */
export function recordBytes(record: Rec): number {
  let length = 2 + record.data.length;
  eachField(
    record,
    (value) => {
      length += varintBytes(value);
    },
    (value) => {
      const bytes = textBytes(value);
      length += varintBytes(bytes) + bytes;
    },
  );
  return length;
}

/** Writes a record's fields and data, in the order of the bits, and returns the place after them. */
function writeRecord(bytes: Uint8Array, at: number, record: Rec, set: number): number {
  bytes[at++] = set & 255;
  bytes[at++] = set >> 8;
  eachField(
    record,
    (value) => {
      at = writeVarint(bytes, at, value);
    },
    (value) => {
      at = writeText(bytes, writeVarint(bytes, at, textBytes(value)), value);
    },
  );
  bytes.set(record.data, at);
  return at + record.data.length;
}

/** Calls `visit` with each record of a stored frame, its offset and its timestamp. Data are views into the frame. */
export function decodeFrame(frame: Frame, visit: (record: Rec, offset: number, timestamp: number) => void): void {
  eachPlaced(frame, (from, to, offset, timestamp) => visit(decodeRecord(frame.bytes, from, to), offset, timestamp));
}

/** Calls `visit` with the bounds, the offset and the timestamp of each record of a stored frame. */
export function eachPlaced(
  frame: Frame,
  visit: (from: number, to: number, offset: number, timestamp: number) => void,
): void {
  const { bytes } = frame;
  const own = frame.flags & (brought.offsets | brought.times);
  const reader = new ByteReader(bytes, frame.from, frame.to);
  let { base: offset, timestamp } = frame;
  for (let left = frame.count; left > 0; left--) {
    const from = reader.field();
    const to = reader.at;
    assert(!reader.failed, "a stored frame is well-formed");
    if (own !== 0) {
      const fields = new ByteReader(bytes, from + 2, to);
      if (bytes[from] & bits.offset) offset = fields.varint();
      if (bytes[from] & bits.timestamp) timestamp = Math.max(timestamp, fields.varint());
    }
    visit(from, to, offset, timestamp);
    offset++;
  }
}
