/**
 * Records as JSON, straight from the bytes they are stored in: a text that needs no escape is copied, JSON data are copied
 * as they were sent. Building a string for each record, or an object, would cost several times as much.
 */
import { base64Length, writeBase64 } from "../lib/base64.ts";
import { ByteReader, decodeText, encodeText, isJson, isText } from "../lib/bytes.ts";
import { bits, kindShift, kinds, textFields } from "./record.ts";

/** One stored record, with what its place in the log adds. */
export interface Item {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly offset: number;
  readonly timestamp: number;
  /** Its data are known to be what its kind says. */
  readonly checked: boolean;
}

const ascii = (text: string) => encodeText(text);
const fieldNames = textFields.map((field) => ascii(`,"${field}":`));
const partitionName = ascii('{"partition":');
const offsetName = ascii(',"offset":');
const tagsName = ascii(',"tags":[');
const extensionsName = ascii(',"extensions":{');
const dataName = ascii(',"data":');
const base64Name = ascii(',"data_base64":');

/** Members that are written behind a record's own. */
export interface Members {
  /** Each behind a comma. */
  write(writer: JsonWriter): void;
}

/** The largest power of a radix below 2^30, and its exponent: whole numbers below that are reckoned with as such. */
const powers = { 10: [10 ** 9, 9], 32: [2 ** 25, 5], 36: [36 ** 5, 5] } as const;
const digitChars = encodeText("0123456789abcdefghijklmnopqrstuvwxyz");
/** The longest number: 2^53 in the smallest radix, and what it is filled up to. */
const digitsMax = 24;
const scratch = new Uint8Array(digitsMax);

export class JsonWriter {
  #bytes = new Uint8Array(65_536);
  #at = 0;
  #time = -1;
  #timeText = "";

  /** `lines`: a record takes one line, whatever white space its data have. */
  constructor(readonly lines = false) {}

  get length(): number {
    return this.#at;
  }

  text(text: string): this {
    this.#room(text.length * 3);
    const target = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) {
        at += new TextEncoder().encodeInto(text.slice(i), target.subarray(at)).written;
        break;
      }
      target[at++] = code;
    }
    this.#at = at;
    return this;
  }

  /** Bytes of text. */
  copy(bytes: Uint8Array): this {
    this.#copy(bytes, 0, bytes.length);
    return this;
  }

  /** A whole number, with zeros before it up to `least` digits. A text of it would cost several times as much. */
  digits(number: number, radix: keyof typeof powers = 10, least = 1): this {
    const [power, exponent] = powers[radix];
    let count = 0;
    for (let high = number; ; ) {
      const higher = high < power ? 0 : Math.floor(high / power);
      const end = higher > 0 ? count + exponent : 0;
      let low = high - higher * power;
      do {
        const rest = (low / radix) | 0;
        scratch[count++] = digitChars[low - rest * radix];
        low = rest;
      } while (low > 0 || count < end);
      if (higher === 0) break;
      high = higher;
    }
    while (count < least) scratch[count++] = digitChars[0];
    this.#room(count);
    while (count > 0) this.#bytes[this.#at++] = scratch[--count];
    return this;
  }

  /** What was written, which the caller owns; the writer starts anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return bytes;
  }

  /** Writes a record as one JSON object. */
  record(item: Item, partition: number, more?: Members): this {
    const { bytes, from, to, offset, timestamp } = item;
    if (timestamp !== this.#time) {
      this.#time = timestamp;
      this.#timeText = `,"timestamp":"${new Date(timestamp).toISOString()}"`;
    }
    this.#room(to - from + 256);
    this.copy(partitionName).digits(partition).copy(offsetName).digits(offset).text(this.#timeText);
    more?.write(this);
    const set = bytes[from] | (bytes[from + 1] << 8);
    const reader = new ByteReader(bytes, from + 2, to);
    if (set & bits.offset) reader.varint();
    if (set & bits.timestamp) reader.varint();
    for (let i = 0; i < fieldNames.length; i++) {
      if ((set & (bits.key << i)) === 0) continue;
      this.#copy(fieldNames[i], 0, fieldNames[i].length);
      const start = reader.field();
      this.#string(bytes, start, reader.at);
    }
    if (set & bits.tags) this.#tags(reader);
    if (set & bits.extensions) this.#extensions(reader);
    this.#data((set >> kindShift) & 3, item, reader.at);
    this.#bytes[this.#at++] = 125;
    return this;
  }

  #tags(reader: ByteReader): void {
    this.#copy(tagsName, 0, tagsName.length);
    for (let left = reader.varint(), first = true; left > 0; left--, first = false) {
      if (!first) this.#byte(44);
      const start = reader.field();
      this.#string(reader.bytes, start, reader.at);
    }
    this.#byte(93);
  }

  #extensions(reader: ByteReader): void {
    this.#copy(extensionsName, 0, extensionsName.length);
    for (let left = reader.varint(), first = true; left > 0; left--, first = false) {
      if (!first) this.#byte(44);
      const name = reader.field();
      this.#string(reader.bytes, name, reader.at);
      this.#byte(58);
      const value = reader.field();
      this.#copy(reader.bytes, value, reader.at);
    }
    this.#byte(125);
  }

  #data(kind: number, { bytes, to, checked }: Item, at: number): void {
    if (kind === kinds.none) return;
    if (kind === kinds.json && (checked || isJson(bytes, at, to))) {
      this.#copy(dataName, 0, dataName.length);
      const start = this.#at;
      this.#copy(bytes, at, to);
      if (this.lines) this.#straighten(start);
    } else if (kind === kinds.text && (checked || isText(bytes, at, to))) {
      this.#copy(dataName, 0, dataName.length);
      this.#string(bytes, at, to);
    } else {
      // Packed by a client that called it JSON or text, and was wrong: it is given back as what it is.
      this.#copy(base64Name, 0, base64Name.length);
      this.#base64(bytes, at, to);
    }
  }

  /** Bytes as a string of base64. */
  base64(bytes: Uint8Array): this {
    this.#base64(bytes, 0, bytes.length);
    return this;
  }

  #base64(bytes: Uint8Array, from: number, to: number): void {
    this.#room(base64Length(to - from) + 2);
    this.#bytes[this.#at++] = 34;
    this.#at = writeBase64(bytes, from, to, this.#bytes, this.#at);
    this.#bytes[this.#at++] = 34;
  }

  /** JSON has line ends only between its tokens. */
  #straighten(from: number): void {
    const written = this.#bytes.subarray(from, this.#at);
    for (const end of [10, 13]) {
      for (let at = written.indexOf(end); at >= 0; at = written.indexOf(end, at)) written[at] = 32;
    }
  }

  #string(bytes: Uint8Array, from: number, to: number): void {
    this.#room(to - from + 2);
    const start = this.#at;
    const target = this.#bytes;
    let at = start;
    target[at++] = 34;
    for (let i = from; i < to; i++) {
      const byte = bytes[i];
      if (byte < 32 || byte === 34 || byte === 92) {
        this.#at = start;
        this.text(JSON.stringify(decodeText(bytes, from, to)));
        return;
      }
      target[at++] = byte;
    }
    target[at++] = 34;
    this.#at = at;
  }

  #copy(bytes: Uint8Array, from: number, to: number): void {
    this.#room(to - from);
    if (to - from <= 64) {
      const target = this.#bytes;
      let at = this.#at;
      for (let i = from; i < to; i++) target[at++] = bytes[i];
      this.#at = at;
    } else {
      this.#bytes.set(bytes.subarray(from, to), this.#at);
      this.#at += to - from;
    }
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = byte;
  }

  /** Makes room for `bytes` and the closing of whatever is open. */
  #room(bytes: number): void {
    if (this.#at + bytes + 16 <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + bytes + 16));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
  }
}
