/**
 * Checks what a client packed, before any of it is trusted: every field inside its record, every text UTF-8, every limit
 * kept. On the way it takes the hashes that routing and the fingerprint want, so that the bytes are walked once.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { ByteReader, decodeText, isText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { seeds } from "./fingerprint.ts";
import { type Frame, flags } from "./frame.ts";
import { bits, kindShift, kinds, reservedBits, textFields } from "./record.ts";

/** What the stream asks of its records. */
export interface Rules {
  readonly recordBytesMax: number;
  readonly ownOffsets: boolean;
  readonly ownTimestamps: boolean;
  /** Highest timestamp that a record may bring, in ms: one far ahead would hold back every later one. */
  readonly timestampMax: number;
}

export interface Inspected {
  /** Fingerprint hashes of all records, in any order. */
  readonly hashes: Uint32Array;
  /** Hash of each record's key, or -1 where it has none. */
  readonly keys: Float64Array;
  /** The flags that the records call for. */
  readonly flags: number;
}

export function inspect(frame: Frame, rules: Rules): Result<Inspected> {
  return new Inspector(frame, rules).run();
}

const fieldBytesMax = textFields.map((field) => (field === "key" ? limits.keyBytesMax : limits.attributeBytesMax));
const extensionName = /^[a-z0-9]{1,64}$/;

class Inspector {
  readonly #bytes: Uint8Array;
  readonly #reader: ByteReader;
  readonly #keys: Float64Array;
  #hashes: Uint32Array;
  #hashed = 0;
  #flags = 0;

  constructor(
    readonly frame: Frame,
    readonly rules: Rules,
  ) {
    this.#bytes = frame.bytes;
    this.#reader = new ByteReader(frame.bytes, frame.from, frame.to);
    // A record has at least three bytes, so that a count beyond that is a lie which must not allocate.
    const count = Math.min(frame.count, Math.ceil((frame.to - frame.from) / 3));
    this.#keys = new Float64Array(count);
    this.#hashes = new Uint32Array(count);
  }

  run(): Result<Inspected> {
    const { count, to } = this.frame;
    if (count > this.#keys.length) return refuse("bad-frame", `${count} records do not fit the frame's bytes`);
    const reader = this.#reader;
    for (let index = 0; index < count; index++) {
      const from = reader.field();
      const end = reader.at;
      if (reader.failed || end - from < 2) return refuse("bad-frame", `record ${index} is cut off`, { record: index });
      if (end - from > this.rules.recordBytesMax) {
        const limit = this.rules.recordBytesMax;
        return refuse("record-too-large", `record ${index} has ${end - from} bytes; at most ${limit} are allowed`, {
          record: index,
          limit,
        });
      }
      const problem = this.#record(from, end, index);
      if (problem !== undefined) return refuse("bad-frame", `record ${index}: ${problem}`, { record: index });
      reader.at = end;
    }
    if (reader.at !== to) return refuse("bad-frame", "bytes are left over after the last record");
    return ok({ hashes: this.#hashes.subarray(0, this.#hashed), keys: this.#keys, flags: this.#flags });
  }

  #record(from: number, end: number, index: number): string | undefined {
    const bytes = this.#bytes;
    const reader = this.#reader;
    const set = bytes[from] | (bytes[from + 1] << 8);
    reader.at = from + 2;
    this.#keys[index] = -1;
    if (set & reservedBits) return "reserved bits are set";
    const numbers = this.#numbers(set);
    if (numbers !== undefined) return numbers;
    for (let i = 0; i < textFields.length; i++) {
      if ((set & (bits.key << i)) === 0) continue;
      const start = reader.field();
      if (reader.failed || reader.at > end) return `${textFields[i]} is cut off`;
      if (!this.#text(start, fieldBytesMax[i])) return `${textFields[i]} is empty, too long or not UTF-8`;
      if (i === 0) {
        const hash = murmur3(bytes, seeds.key, start, reader.at);
        this.#keys[index] = hash;
        this.#hash(hash);
      } else if (i === 1) this.#flags |= flags.ids;
      else if (i === 2) this.#hash(murmur3(bytes, seeds.source, start, reader.at));
      else if (i === 3) this.#hash(murmur3(bytes, seeds.type, start, reader.at));
    }
    if (set & (bits.tags | bits.extensions)) {
      const problem = this.#tags(set, end) ?? this.#extensions(set, end);
      if (problem !== undefined) return problem;
    }
    if (reader.at > end) return "its fields are longer than it";
    if (((set >> kindShift) & 3) === kinds.none && reader.at < end) return "it has data without a kind";
    return undefined;
  }

  #numbers(set: number): string | undefined {
    const { ownOffsets, ownTimestamps } = this.rules;
    if (ownOffsets !== ((set & bits.offset) !== 0)) {
      return ownOffsets ? "the stream takes its offsets from the producer; send one" : "the stream assigns offsets";
    }
    if (ownTimestamps !== ((set & bits.timestamp) !== 0)) {
      return ownTimestamps ? "the stream takes timestamps from the client; send one" : "the stream sets timestamps";
    }
    if (set & bits.offset) {
      this.#flags |= flags.offsets;
      if (this.#reader.varint() > Number.MAX_SAFE_INTEGER - 1) return "its offset is too large";
    }
    if (set & bits.timestamp) {
      this.#flags |= flags.times;
      if (this.#reader.varint() > this.rules.timestampMax) return "its timestamp is too far ahead of the clock";
    }
    return this.#reader.failed ? "its offset or timestamp is cut off" : undefined;
  }

  #tags(set: number, end: number): string | undefined {
    if ((set & bits.tags) === 0) return undefined;
    const count = this.#reader.varint();
    if (count === 0 || count > limits.tagsMax) return `it has ${count} tags; 1 to ${limits.tagsMax} are allowed`;
    for (let left = count; left > 0; left--) {
      const start = this.#reader.field();
      if (this.#reader.failed || this.#reader.at > end) return "a tag is cut off";
      if (!this.#text(start, limits.tagBytesMax)) return "a tag is empty, too long or not UTF-8";
      this.#hash(murmur3(this.#bytes, seeds.tag, start, this.#reader.at));
    }
    return undefined;
  }

  #extensions(set: number, end: number): string | undefined {
    if ((set & bits.extensions) === 0) return undefined;
    const reader = this.#reader;
    const count = reader.varint();
    if (count === 0 || count > limits.extensionsMax) return `1 to ${limits.extensionsMax} extensions are allowed`;
    for (let left = count; left > 0; left--) {
      const name = reader.field();
      const nameEnd = reader.at;
      const value = reader.field();
      if (reader.failed || reader.at > end) return "an extension is cut off";
      if (nameEnd - name > 64 || !isText(this.#bytes, name, nameEnd)) return "an extension's name is not valid";
      if (!extensionName.test(decodeText(this.#bytes, name, nameEnd))) return "an extension's name is not valid";
      if (!this.#text(value, limits.attributeBytesMax)) return "an extension's value is empty, too long or not UTF-8";
      if (!isExtension(decodeText(this.#bytes, value, reader.at))) return "an extension's value is not valid";
    }
    return undefined;
  }

  #text(start: number, max: number): boolean {
    const end = this.#reader.at;
    return end > start && end - start <= max && isText(this.#bytes, start, end);
  }

  #hash(hash: number): void {
    if (this.#hashed === this.#hashes.length) {
      const grown = new Uint32Array(this.#hashes.length * 2 + 16);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#hashed++] = hash;
  }
}

/** An extension's value is stored as JSON: a string, a boolean, or a 32-bit integer. */
function isExtension(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return (
      typeof value === "string" ||
      typeof value === "boolean" ||
      (Number.isInteger(value) && value === (Number(value) | 0))
    );
  } catch {
    return false;
  }
}
