/** Packed frames, written and read as STORAGE has them. */
import { crc32c } from "@aws-crypto/crc32c";
import { fieldsInOrder } from "./plan.ts";
import { type Binary, bytesOf } from "./values.ts";
import type { Made } from "./want.ts";

const headBytes = 32;
const kinds = ["none", "json", "text", "binary"] as const;

function varint(value: number): Binary {
  let written = "";
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) written += String.fromCharCode(0x80 | (left % 128));
  return written + String.fromCharCode(left);
}

const text = (bytes: Binary): Binary => varint(bytes.length) + bytes;

function record({ fields, tags, extensions, data, bytes }: Made): Binary {
  let bits = kinds.indexOf(data.kind) << 12;
  let body = "";
  for (const [i, name] of fieldsInOrder.entries()) {
    const value = fields.get(name);
    if (value === undefined) continue;
    bits |= 1 << (2 + i);
    body += text(bytesOf(value));
  }
  if (tags.length > 0) {
    bits |= 1 << 10;
    body += varint(tags.length) + tags.map((tag) => text(bytesOf(tag))).join("");
  }
  if (extensions.length > 0) {
    bits |= 1 << 11;
    body += varint(extensions.length);
    for (const [name, value] of extensions) {
      const json = value.json ?? (value.bytes === undefined ? JSON.stringify(textIn(value)) : undefined);
      body +=
        text(bytesOf(name)) + text(json === undefined ? `"${bytesOf(value)}"` : bytesOf({ name: "", text: json }));
    }
  }
  const rest = String.fromCharCode(bits & 255, bits >> 8) + body + bytes;
  return varint(rest.length) + rest;
}

const textIn = (value: { text?: string; times?: number }) => (value.text ?? "").repeat(value.times ?? 1);

/** One frame of these records. */
export function frameOf(records: readonly Made[]): Buffer {
  const body = Buffer.from(records.map(record).join(""), "latin1");
  const head = Buffer.alloc(headBytes);
  head.write("MR", "latin1");
  head[2] = 1;
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(records.length, 8);
  head.writeUInt32LE(crc32c(body), 12);
  return Buffer.concat([head, body]);
}

/** A record as a frame has it; texts are still bytes. */
export interface Unpacked {
  readonly partition?: number;
  readonly offset: number;
  readonly fields: ReadonlyMap<string, Binary>;
  readonly tags: readonly Binary[];
  readonly extensions: readonly (readonly [name: Binary, json: Binary])[];
  readonly kind: (typeof kinds)[number];
  readonly data: Binary;
}

class Reading {
  at = 0;
  constructor(readonly bytes: Buffer) {}

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("a frame ends amid a number");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  text(): Binary {
    const size = this.varint();
    this.at += size;
    return this.bytes.toString("latin1", this.at - size, this.at);
  }
}

function unpackedRecord(bytes: Buffer, place: number): Unpacked {
  const reading = new Reading(bytes);
  const bits = bytes.readUInt16LE(0);
  reading.at = 2;
  const has = (bit: number) => (bits & (1 << bit)) !== 0;
  const offset = has(0) ? reading.varint() : place;
  if (has(1)) reading.varint();
  const fields = new Map<string, Binary>();
  for (const [i, name] of fieldsInOrder.entries()) if (has(2 + i)) fields.set(name, reading.text());
  const tags = has(10) ? Array.from({ length: reading.varint() }, () => reading.text()) : [];
  const pair = () => [reading.text(), reading.text()] as const;
  const extensions = has(11) ? Array.from({ length: reading.varint() }, pair) : [];
  const kind = kinds[(bits >> 12) & 3] as (typeof kinds)[number];
  return { offset, fields, tags, extensions, kind, data: bytes.toString("latin1", reading.at) };
}

/** Every record of some frames; why not, where they are not as they should be. */
export function unpacked(bytes: Buffer): Unpacked[] {
  const found: Unpacked[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.toString("latin1", at, at + 2) !== "MR") throw new Error(`no frame begins at byte ${at}`);
    const size = bytes.readUInt32LE(at + 4);
    const count = bytes.readUInt32LE(at + 8);
    const base = Number(bytes.readBigUInt64LE(at + 16));
    const body = bytes.subarray(at + headBytes, at + headBytes + size);
    if (crc32c(body) !== bytes.readUInt32LE(at + 12)) throw new Error(`the frame at byte ${at} has a wrong checksum`);
    const reading = new Reading(body);
    for (let i = 0; i < count; i++) {
      const length = reading.varint();
      found.push(unpackedRecord(body.subarray(reading.at, reading.at + length), base + i));
      reading.at += length;
    }
    if (reading.at !== body.length) throw new Error(`the frame at byte ${at} has more than its records`);
    at += headBytes + size;
  }
  return found;
}
