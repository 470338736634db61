/**
 * Checks what a client packed, before any of it is trusted: every field inside its record, every text UTF-8 and by its
 * rule, every limit kept. On the way it takes the hashes that routing and the fingerprint want, so that the bytes are walked
 * once.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { attributeText, extensionName, fieldRules, uriReference } from "../../schemas/text.ts";
import { anyText, type Rule } from "../../schemas/unicode.ts";
import { ByteReader, decodeText, isText, textBytes } from "../lib/bytes.ts";
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
  /** They lie in a log, or the service made them: what their texts may hold was decided in their day, or by us. */
  readonly stored?: boolean;
}

export interface Inspected {
  /** Fingerprint hashes of all records, in any order. */
  readonly hashes: Uint32Array;
  /** Hash of each record's key, or -1 where it has none. */
  readonly keys: Float64Array;
  /** Of records without a key that have an id, the hash that routes them; -1 for others. Undefined where there is none. */
  readonly ids: Float64Array | undefined;
  /** The flags that the records call for. */
  readonly flags: number;
}

export function inspect(frame: Frame, rules: Rules): Result<Inspected> {
  return new Inspector(frame, rules).run();
}

const fields = textFields.map((name) => ({
  name,
  bytesMax: name === "key" ? limits.keyBytesMax : limits.attributeBytesMax,
  rule: fieldRules[name] as Rule,
}));
const [key, id, source, type] = [0, 1, 2, 3];
/** Rules that no text breaks whose bytes are all visible ASCII: most texts are. */
const easy: ReadonlySet<Rule> = new Set([attributeText, uriReference]);
/** An extension's value as JSON, which may escape each of its bytes. */
const valueJsonMax = 6 * limits.attributeBytesMax + 2;
/** Source and id, side by side. */
const event = new Uint8Array(2 * limits.attributeBytesMax + 1);

class Inspector {
  readonly #bytes: Uint8Array;
  readonly #reader: ByteReader;
  readonly #keys: Float64Array;
  #ids: Float64Array | undefined;
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
    const hashes = this.#hashes.subarray(0, this.#hashed);
    return ok({ hashes, keys: this.#keys, ids: this.#ids, flags: this.#flags });
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
    const texts = this.#texts(set, end, index);
    if (texts !== undefined) return texts;
    if (set & (bits.tags | bits.extensions)) {
      const problem = this.#tags(set, end) ?? this.#extensions(set, end);
      if (problem !== undefined) return problem;
    }
    if (reader.at > end) return "its fields are longer than it";
    if (((set >> kindShift) & 3) === kinds.none && reader.at < end) return "it has data without a kind";
    return undefined;
  }

  #texts(set: number, end: number, index: number): string | undefined {
    const bytes = this.#bytes;
    const reader = this.#reader;
    let [idAt, idTo, sourceAt, sourceTo] = [0, 0, 0, 0];
    for (let i = 0; i < fields.length; i++) {
      if ((set & (bits.key << i)) === 0) continue;
      const { name, bytesMax, rule } = fields[i];
      const start = reader.field();
      if (reader.failed || reader.at > end) return `${name} is cut off`;
      const problem = this.#text(start, bytesMax, rule);
      if (problem !== undefined) return `${name}: ${problem}`;
      if (i === key) {
        const hash = murmur3(bytes, seeds.key, start, reader.at);
        this.#keys[index] = hash;
        this.#hash(hash);
      } else if (i === id) {
        this.#flags |= flags.ids;
        [idAt, idTo] = [start, reader.at];
      } else if (i === source) {
        this.#hash(murmur3(bytes, seeds.source, start, reader.at));
        [sourceAt, sourceTo] = [start, reader.at];
      } else if (i === type) this.#hash(murmur3(bytes, seeds.type, start, reader.at));
    }
    if ((set & (bits.key | bits.id)) === bits.id) this.#route(index, idAt, idTo, sourceAt, sourceTo);
    return undefined;
  }

  /** Notes where a record goes that has an id and no key: by the text that its repeats have in common, see `identityOf`. */
  #route(index: number, idAt: number, idTo: number, sourceAt: number, sourceTo: number): void {
    this.#ids ??= new Float64Array(this.#keys.length).fill(-1);
    const middle = sourceTo - sourceAt;
    event.set(this.#bytes.subarray(sourceAt, sourceTo));
    event[middle] = 0;
    event.set(this.#bytes.subarray(idAt, idTo), middle + 1);
    this.#ids[index] = murmur3(event, seeds.key, 0, middle + 1 + idTo - idAt);
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
      const problem = this.#text(start, limits.tagBytesMax, anyText);
      if (problem !== undefined) return `tags: a tag ${problem}`;
      this.#hash(murmur3(this.#bytes, seeds.tag, start, this.#reader.at));
    }
    return undefined;
  }

  #extensions(set: number, end: number): string | undefined {
    if ((set & bits.extensions) === 0) return undefined;
    const reader = this.#reader;
    const count = reader.varint();
    const max = limits.extensionsMax + (this.rules.stored ? limits.deadLetterExtensions : 0);
    if (count === 0 || count > max) return `extensions: there are ${count}; 1 to ${max} are allowed`;
    for (let left = count; left > 0; left--) {
      const name = reader.field();
      const nameEnd = reader.at;
      const value = reader.field();
      if (reader.failed || reader.at > end) return "an extension is cut off";
      const problem = isText(this.#bytes, name, nameEnd)
        ? this.#extension(decodeText(this.#bytes, name, nameEnd), value)
        : "a name is not UTF-8";
      if (problem !== undefined) return `extensions: ${problem}`;
    }
    return undefined;
  }

  #extension(name: string, value: number): string | undefined {
    const { stored } = this.rules;
    const unfit = stored ? (/^[a-z0-9]{1,64}$/.test(name) ? undefined : "is no name") : extensionName(name);
    if (unfit !== undefined) return `'${name.slice(0, 64)}' ${unfit}`;
    const problem =
      this.#text(value, valueJsonMax, anyText) ?? valueProblem(decodeText(this.#bytes, value, this.#reader.at), stored);
    return problem === undefined ? undefined : `${name}: ${problem}`;
  }

  /** What is wrong with the text that ends at the reader's place, if anything is. */
  #text(start: number, bytesMax: number, rule: Rule): string | undefined {
    const bytes = this.#bytes;
    const end = this.#reader.at;
    if (end === start) return "must not be empty";
    if (end - start > bytesMax) return `must have at most ${bytesMax} bytes`;
    if (rule === anyText || this.rules.stored) return isText(bytes, start, end) ? undefined : "must be UTF-8";
    let odd = 0;
    // Negative where a byte is below 33 or above 126.
    for (let i = start; i < end; i++) odd |= (bytes[i] - 33) | (126 - bytes[i]);
    if (odd >= 0 && easy.has(rule)) return undefined;
    return isText(bytes, start, end) ? rule(decodeText(bytes, start, end)) : "must be UTF-8";
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

/**
 * An extension's value is stored as JSON, and goes out as it is: a string, a boolean, or a 32-bit integer, with nothing
 * around it.
 */
function valueProblem(json: string, stored = false): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return valueKinds;
  }
  if (typeof value === "string") return stored ? undefined : stringProblem(value, json);
  if (typeof value !== "boolean" && !(Number.isInteger(value) && value === (Number(value) | 0))) return valueKinds;
  return stored || json === String(value) ? undefined : valueKinds;
}

const valueKinds = "must be the JSON of a string, a boolean or an integer of 32 bits";

function stringProblem(value: string, json: string): string | undefined {
  if (json[0] !== '"' || !json.endsWith('"')) return valueKinds;
  if (value === "") return "must not be empty";
  const max = limits.attributeBytesMax;
  return attributeText(value) ?? (textBytes(value) > max ? `must have at most ${max} bytes` : undefined);
}
