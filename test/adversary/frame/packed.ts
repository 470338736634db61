/**
 * Packed frames, and the messages of sockets that carry them, as the documents on storage and the protocol have them. Texts are
 * bytes here: what they mean, and whether they are texts at all, is for the programs to know.
 */
import { crc32c } from "@aws-crypto/crc32c";

const headBytes = 32;
const flags = { times: 1, damaged: 128 } as const;
const firstText = 2;
const tagsBit = 10;
const extensionsBit = 11;
const kindBits = 12;

export const kinds = ["none", "json", "text", "binary"] as const;
export type Kind = (typeof kinds)[number];

/** The fields that are texts, in the order of their bits. */
const texts = ["key", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"] as const;

/** A record as a writer has it. */
export interface Parts {
  /** In ms; only where clients stamp their records. */
  readonly timestamp?: number | undefined;
  readonly fields: ReadonlyMap<string, Buffer>;
  readonly tags: readonly Buffer[];
  readonly extensions: readonly (readonly [name: Buffer, json: Buffer])[];
  readonly kind: Kind;
  readonly data: Buffer;
}

/** A record as a reader gets it. */
export interface Unpacked extends Parts {
  readonly offset: number;
  readonly timestamp: number;
}

/** Offsets of which nothing can be read. */
export interface Hole {
  readonly from: number;
  readonly to: number;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Buffer.from([...bytes, left]);
}

const text = (bytes: Buffer): Buffer => Buffer.concat([varint(bytes.length), bytes]);

function record({ timestamp, fields, tags, extensions, kind, data }: Parts): Buffer {
  const parts: Buffer[] = [];
  let bits = kinds.indexOf(kind) << kindBits;
  if (timestamp !== undefined) {
    bits |= 1 << 1;
    parts.push(varint(timestamp));
  }
  for (const [i, name] of texts.entries()) {
    const value = fields.get(name);
    if (value === undefined) continue;
    bits |= 1 << (firstText + i);
    parts.push(text(value));
  }
  if (tags.length > 0) {
    bits |= 1 << tagsBit;
    parts.push(varint(tags.length), ...tags.map(text));
  }
  if (extensions.length > 0) {
    bits |= 1 << extensionsBit;
    parts.push(varint(extensions.length), ...extensions.flat().map(text));
  }
  const head = Buffer.alloc(2);
  head.writeUInt16LE(bits);
  return text(Buffer.concat([head, ...parts, data]));
}

/** One frame of these records, as an append has it. */
export function frameOf(records: readonly Parts[]): Buffer {
  const body = Buffer.concat(records.map(record));
  const head = Buffer.alloc(headBytes);
  head.write("MR", "latin1");
  head[2] = 1;
  head[3] = records.some(({ timestamp }) => timestamp !== undefined) ? flags.times : 0;
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(records.length, 8);
  head.writeUInt32LE(crc32c(body), 12);
  return Buffer.concat([head, body]);
}

class Reading {
  at = 0;
  constructor(readonly bytes: Buffer) {}

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("a frame ends amid a number");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(size: number): Buffer {
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  text(): Buffer {
    return this.take(this.varint());
  }
}

function unpackedRecord(bytes: Buffer, place: number, highest: number): Unpacked {
  const reading = new Reading(bytes);
  const bits = reading.take(2).readUInt16LE();
  const has = (bit: number) => (bits & (1 << bit)) !== 0;
  if (has(14) || has(15)) throw new Error(`the record at ${place} has bits that are reserved`);
  const offset = has(0) ? reading.varint() : place;
  const timestamp = has(1) ? reading.varint() : highest;
  const fields = new Map<string, Buffer>();
  for (const [i, name] of texts.entries()) if (has(firstText + i)) fields.set(name, reading.text());
  const tags = has(tagsBit) ? Array.from({ length: reading.varint() }, () => reading.text()) : [];
  const pair = () => [reading.text(), reading.text()] as const;
  const extensions = has(extensionsBit) ? Array.from({ length: reading.varint() }, pair) : [];
  const kind = kinds[(bits >> kindBits) & 3] as Kind;
  const data = bytes.subarray(reading.at);
  // It is the highest so far, beginning with the frame's.
  return { offset, timestamp: Math.max(highest, timestamp), fields, tags, extensions, kind, data };
}

/** Every record of some frames, and every hole between; throws where they are not as they should be. */
export function unpacked(bytes: Buffer): { records: Unpacked[]; holes: Hole[] } {
  const records: Unpacked[] = [];
  const holes: Hole[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.toString("latin1", at, at + 2) !== "MR") throw new Error(`no frame begins at byte ${at}`);
    if (bytes[at + 2] !== 1) throw new Error(`the frame at byte ${at} has version ${bytes[at + 2]}`);
    const size = bytes.readUInt32LE(at + 4);
    const body = bytes.subarray(at + headBytes, at + headBytes + size);
    if (body.length !== size) throw new Error(`the frame at byte ${at} is cut off`);
    const base = Number(bytes.readBigUInt64LE(at + 16));
    if (((bytes[at + 3] as number) & flags.damaged) !== 0)
      holes.push({ from: base, to: Number(body.readBigUInt64LE()) });
    else records.push(...frameRecords(bytes.subarray(at, at + headBytes), body, at));
    at += headBytes + size;
  }
  return { records, holes };
}

function frameRecords(head: Buffer, body: Buffer, at: number): Unpacked[] {
  if (crc32c(body) !== head.readUInt32LE(12)) throw new Error(`the frame at byte ${at} has a wrong checksum`);
  const base = Number(head.readBigUInt64LE(16));
  const found: Unpacked[] = [];
  let highest = Number(head.readBigUInt64LE(24));
  const reading = new Reading(body);
  for (let i = head.readUInt32LE(8); i > 0; i--) {
    const one = unpackedRecord(reading.text(), base + found.length, highest);
    highest = one.timestamp;
    found.push(one);
  }
  if (reading.at !== body.length) throw new Error(`the frame at byte ${at} has more, or less, than its records`);
  return found;
}

/** An append as a binary message: its terms as JSON, or none, and then frames. */
export function appendMessage(id: number, frames: Buffer, terms?: object): Buffer {
  const json = terms === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(terms));
  const head = Buffer.alloc(8);
  head[0] = 1;
  head.writeUInt16LE(json.length, 2);
  head.writeUInt32LE(id, 4);
  return Buffer.concat([head, json, frames]);
}

export interface RecordsMessage {
  readonly upToDate: boolean;
  /** Of the subscription. */
  readonly id: number;
  readonly cost: number;
  readonly partition: number;
  /** Where to go on in it. */
  readonly next: number;
  readonly records: readonly Unpacked[];
}

/** Records as a binary message; throws where it is none. */
export function recordsIn(bytes: Buffer): RecordsMessage {
  const flag = bytes[1] as number;
  if (bytes.length < 24 || bytes[0] !== 2 || flag > 1 || bytes.readUInt16LE(2) !== 0) {
    throw new Error(`a binary message begins with ${bytes.toString("hex", 0, 24)}`);
  }
  const { records, holes } = unpacked(bytes.subarray(24));
  // What is damaged is told by `lost`.
  if (holes.length > 0) throw new Error(`a message of records has holes: ${JSON.stringify(holes)}`);
  return {
    upToDate: flag === 1,
    id: bytes.readUInt32LE(4),
    cost: bytes.readUInt32LE(8),
    partition: bytes.readUInt32LE(12),
    next: bytes.readDoubleLE(16),
    records,
  };
}
