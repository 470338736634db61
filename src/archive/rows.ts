/** The rows of one row group, column by column, taken straight from the bytes of records. */
import { ByteReader, decodeText, encodeText, isText } from "../lib/bytes.ts";
import { bits, kindShift, kinds, textFields } from "../log/record.ts";
import { type Column, Extractor, type Value } from "./typed.ts";

/** A column most of whose rows may be null: those cost nothing until the end. */
export class Sparse<T> {
  readonly #values: (T | null)[] = [];

  /** Sets the value of a row; rows come in order. */
  set(row: number, value: T): void {
    this.#pad(row);
    this.#values.push(value);
  }

  /** The value that was set last. */
  get latest(): T | null | undefined {
    return this.#values[this.#values.length - 1];
  }

  /** The values of `rows` rows. */
  all(rows: number): (T | null)[] {
    this.#pad(rows);
    return this.#values;
  }

  #pad(rows: number): void {
    while (this.#values.length < rows) this.#values.push(null);
  }
}

export class Rows {
  count = 0;
  /** Bytes of the records. */
  bytes = 0;
  readonly offsets: number[] = [];
  readonly timestamps: number[] = [];
  /** In the order of `textFields`. */
  readonly texts = textFields.map(() => new Sparse<Uint8Array>());
  readonly tags = new Sparse<Uint8Array[]>();
  readonly extensions = new Sparse<Uint8Array>();
  readonly data = new Sparse<Uint8Array>();
  readonly binary = new Sparse<Uint8Array>();
  /** In the order of the user's columns. */
  readonly typed: readonly Sparse<Value>[];
  readonly #extractors: readonly Extractor[];

  constructor(columns: readonly Column[]) {
    this.typed = columns.map(() => new Sparse<Value>());
    this.#extractors = columns.map((column) => new Extractor(column));
  }

  /** Adds the well-formed record in `bytes[from, to)`. `checked`: its data are known to be what its kind says. */
  add(bytes: Uint8Array, from: number, to: number, offset: number, timestamp: number, checked: boolean): void {
    const row = this.count++;
    this.bytes += to - from;
    this.offsets.push(offset);
    this.timestamps.push(timestamp);
    const set = bytes[from] | (bytes[from + 1] << 8);
    const reader = new ByteReader(bytes, from + 2, to);
    if (set & bits.offset) reader.varint();
    if (set & bits.timestamp) reader.varint();
    for (let i = 0; i < textFields.length; i++) {
      if (set & (bits.key << i)) this.#text(this.texts[i], row, reader);
    }
    if (set & bits.tags) this.tags.set(row, tagsOf(reader));
    if (set & bits.extensions) this.extensions.set(row, extensionsOf(reader));
    this.#data((set >> kindShift) & 3, row, bytes, reader.at, to, checked);
  }

  #text(column: Sparse<Uint8Array>, row: number, reader: ByteReader): void {
    const start = reader.field();
    const { bytes, at } = reader;
    // Types and sources come in runs: the same view again is an allocation less, and a comparison less to the writer.
    const latest = column.latest;
    column.set(row, latest && equal(latest, bytes, start, at) ? latest : bytes.subarray(start, at));
  }

  #data(kind: number, row: number, bytes: Uint8Array, from: number, to: number, checked: boolean): void {
    if (kind === kinds.none) return;
    const data = bytes.subarray(from, to);
    let value: unknown;
    let good = kind !== kinds.binary && (checked || isText(bytes, from, to));
    if (good && kind === kinds.json && (!checked || this.#extractors.length > 0)) {
      value = parse(decodeText(bytes, from, to));
      good = value !== undefined;
    }
    (good ? this.data : this.binary).set(row, data);
    if (value === undefined) return;
    for (let i = 0; i < this.#extractors.length; i++) {
      const found = this.#extractors[i].of(value);
      if (found !== null) this.typed[i].set(row, found);
    }
  }
}

function equal(view: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (view.length !== to - from) return false;
  // From the end, where ids and numbered keys differ.
  for (let i = view.length - 1; i >= 0; i--) if (view[i] !== bytes[from + i]) return false;
  return true;
}

/** Undefined where the text is not JSON, which JSON itself cannot say. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function tagsOf(reader: ByteReader): Uint8Array[] {
  const tags: Uint8Array[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const start = reader.field();
    tags.push(reader.bytes.subarray(start, reader.at));
  }
  return tags;
}

/** The extensions as one JSON object; their values are JSON already. */
function extensionsOf(reader: ByteReader): Uint8Array {
  const members: string[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.field();
    const quoted = JSON.stringify(decodeText(reader.bytes, name, reader.at));
    const value = reader.field();
    members.push(`${quoted}:${decodeText(reader.bytes, value, reader.at)}`);
  }
  return encodeText(`{${members.join(",")}}`);
}
