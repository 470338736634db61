/** The fingerprint over records that are packed: of a whole segment, or of a chunk that was rewritten. */
import { ByteReader } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { everything, fingerprint, seeds } from "../log/fingerprint.ts";
import type { Frame } from "../log/frame.ts";
import { bits, eachPlaced, textFields } from "../log/record.ts";

/** With more hashes the fingerprint would say yes to nearly everything: it does. */
const hashesMax = 262_144;

const hashed: Readonly<Record<string, number>> = { key: seeds.key, source: seeds.source, type: seeds.type };

export class Prints {
  readonly #hashes = new Set<number>();
  #all = false;

  /** Adds the records of a frame whose checksum has been checked. */
  add(frame: Frame): void {
    if (this.#hashes.size >= hashesMax) this.#all = true;
    if (this.#all) return;
    const { bytes } = frame;
    eachPlaced(frame, (from, to) => this.#record(bytes, from, to));
  }

  /** There are records that nobody can read: it says yes to everything. */
  unknown(): void {
    this.#all = true;
  }

  finish(bytesMax: number): Uint8Array {
    if (this.#all) return everything();
    return fingerprint([Uint32Array.from(this.#hashes)], bytesMax);
  }

  #record(bytes: Uint8Array, from: number, to: number): void {
    const set = bytes[from] | (bytes[from + 1] << 8);
    const reader = new ByteReader(bytes, from + 2, to);
    if (set & bits.offset) reader.varint();
    if (set & bits.timestamp) reader.varint();
    for (let i = 0; i < textFields.length; i++) {
      if ((set & (bits.key << i)) === 0) continue;
      const start = reader.field();
      const seed = hashed[textFields[i]];
      if (seed !== undefined) this.#hashes.add(murmur3(bytes, seed, start, reader.at));
    }
    if ((set & bits.tags) === 0) return;
    for (let left = reader.varint(); left > 0; left--) {
      const start = reader.field();
      this.#hashes.add(murmur3(bytes, seeds.tag, start, reader.at));
    }
  }
}
