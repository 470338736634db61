/** Packed frames, written and read as the document on storage has them. */
import { Crc32c } from "@aws-crypto/crc32c";
import type { Fields, Sent } from "./sent.ts";

const headerBytes = 32;
const texts = ["key", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"] as const;
const kinds = { none: 0, json: 1, text: 2, binary: 3 } as const;
const flags = { times: 1, offsets: 2, damaged: 128 } as const;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Buffer.from([...bytes, left]);
}

function prefixed(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(bytes.length), bytes]);
}

function packedRecord({ fields, data }: Sent): Buffer {
  const parts: Buffer[] = [];
  let bits = 0;
  for (const [i, name] of texts.entries()) {
    const value = fields[name as keyof Fields];
    if (value === undefined) continue;
    bits |= 1 << (i + 2);
    parts.push(prefixed(value as string));
  }
  if (fields.tags) {
    bits |= 1 << 10;
    parts.push(varint(fields.tags.length), ...fields.tags.map(prefixed));
  }
  if (fields.extensions) {
    bits |= 1 << 11;
    const entries = Object.entries(fields.extensions);
    parts.push(varint(entries.length));
    for (const [name, value] of entries) parts.push(prefixed(name), prefixed(JSON.stringify(value)));
  }
  if (data !== undefined) {
    bits |= ("json" in data ? kinds.json : kinds.binary) << 12;
    parts.push("json" in data ? Buffer.from(data.json) : data.bytes);
  }
  const head = Buffer.alloc(2);
  head.writeUInt16LE(bits);
  const body = Buffer.concat([head, ...parts]);
  return Buffer.concat([varint(body.length), body]);
}

/** One frame, as an append has it. */
export function packed(records: readonly Sent[]): Buffer {
  const body = Buffer.concat(records.map(packedRecord));
  const head = Buffer.alloc(headerBytes);
  head.write("MR", 0, "latin1");
  head[2] = 1;
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(records.length, 8);
  head.writeUInt32LE(new Crc32c().update(body).digest(), 12);
  return Buffer.concat([head, body]);
}

class Bytes {
  at = 0;

  constructor(readonly buffer: Buffer) {}

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.buffer[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Buffer {
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  text(): string {
    return this.take(this.varint()).toString();
  }
}

export interface Unpacked {
  readonly offset: number;
  readonly timestamp: number;
  readonly fields: Fields;
  readonly kind: number;
  readonly data: Buffer;
}

function unpackedRecord(body: Bytes, offset: number, timestamp: number): Unpacked {
  const bits = body.take(2).readUInt16LE();
  const has = (bit: number) => (bits & (1 << bit)) !== 0;
  const place = has(0) ? body.varint() : offset;
  const stamp = has(1) ? body.varint() : timestamp;
  const fields: Record<string, unknown> = {};
  for (const [i, name] of texts.entries()) if (has(i + 2)) fields[name] = body.text();
  if (has(10)) fields.tags = Array.from({ length: body.varint() }, () => body.text());
  if (has(11)) {
    const entries = Array.from({ length: body.varint() }, () => [body.text(), JSON.parse(body.text())]);
    fields.extensions = Object.fromEntries(entries);
  }
  const kind = (bits >> 12) & 3;
  const data = body.take(body.buffer.length - body.at);
  return { offset: place, timestamp: Math.max(timestamp, stamp), fields: fields as Fields, kind, data };
}

/** The records of frames, one after another. Throws where a frame is not what the document says. */
export function unpacked(bytes: Buffer): Unpacked[] {
  const found: Unpacked[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4);
    const body = bytes.subarray(at + headerBytes, at + headerBytes + length);
    if (bytes.toString("latin1", at, at + 2) !== "MR" || body.length !== length) throw new Error("no frame");
    const flag = bytes[at + 3] as number;
    if ((flag & flags.damaged) === 0) {
      if (new Crc32c().update(body).digest() !== bytes.readUInt32LE(at + 12))
        throw new Error("a checksum that is wrong");
      found.push(...recordsOf(body, Number(bytes.readBigUInt64LE(at + 16)), Number(bytes.readBigUInt64LE(at + 24))));
    }
    at += headerBytes + length;
  }
  return found;
}

function recordsOf(body: Buffer, base: number, stamp: number): Unpacked[] {
  const records: Unpacked[] = [];
  let highest = stamp;
  for (const reader = new Bytes(body); reader.at < body.length; ) {
    const record = unpackedRecord(new Bytes(reader.take(reader.varint())), base + records.length, highest);
    highest = record.timestamp;
    records.push(record);
  }
  return records;
}

export { kinds };
