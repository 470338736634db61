/** A set of offsets as ranges: what is finished above the first record that is not. */
import { ByteReader, varintBytes, writeVarint } from "../lib/bytes.ts";

export class Ranges {
  /** Ranges `[from, to)`, sorted and apart, flat: from, to, from, to … */
  readonly #bounds: number[] = [];

  get size(): number {
    return this.#bounds.length / 2;
  }

  /** How many offsets there are from one on. */
  countFrom(offset: number): number {
    let count = 0;
    for (const [from, to] of this) count += Math.max(0, to - Math.max(from, offset));
    return count;
  }

  /** How many offsets there are in `[from, to)`. */
  countWithin(from: number, to: number): number {
    let count = 0;
    const first = this.#after(from);
    for (let at = first - (first % 2); at < this.#bounds.length && this.#bounds[at] < to; at += 2)
      count += Math.max(0, Math.min(this.#bounds[at + 1], to) - Math.max(this.#bounds[at], from));
    return count;
  }

  /** The first offset, from one on, that is not in it. */
  gapFrom(offset: number): number {
    const at = this.#after(offset);
    return at % 2 === 1 ? this.#bounds[at] : offset;
  }

  has(offset: number): boolean {
    return this.#after(offset) % 2 === 1;
  }

  add(from: number, to: number = from + 1): void {
    const bounds = this.#bounds;
    const last = bounds.length - 1;
    // Nearly always it is the next one.
    if (last < 0 || from > bounds[last]) {
      bounds.push(from, to);
      return;
    }
    if (from === bounds[last]) {
      bounds[last] = to;
      return;
    }
    let first = this.#after(from - 1);
    let next = this.#after(to);
    if (first % 2 === 1) from = bounds[--first];
    if (next % 2 === 1) to = bounds[next++];
    bounds.splice(first, next - first, from, to);
  }

  remove(offset: number): void {
    const bounds = this.#bounds;
    const at = this.#after(offset);
    if (at % 2 === 0) return;
    const [from, to] = [bounds[at - 1], bounds[at]];
    const left = from < offset ? [from, offset] : [];
    const right = offset + 1 < to ? [offset + 1, to] : [];
    bounds.splice(at - 1, 2, ...left, ...right);
  }

  /** Forgets what lies before an offset. */
  dropBefore(offset: number): void {
    const at = this.#after(offset);
    if (at % 2 === 1) this.#bounds.splice(0, at, offset);
    else this.#bounds.splice(0, at);
  }

  clear(): void {
    this.#bounds.length = 0;
  }

  *[Symbol.iterator](): Generator<[from: number, to: number]> {
    for (let at = 0; at < this.#bounds.length; at += 2) yield [this.#bounds[at], this.#bounds[at + 1]];
  }

  /** As bytes: for each range the gap before it, and its length, as variable-length integers; gaps count from `floor`. */
  encode(floor: number): Uint8Array {
    const numbers: number[] = [];
    let at = floor;
    for (const bound of this.#bounds) {
      numbers.push(bound - at);
      at = bound;
    }
    const bytes = new Uint8Array(numbers.reduce((sum, number) => sum + varintBytes(number), 0));
    let to = 0;
    for (const number of numbers) to = writeVarint(bytes, to, number);
    return bytes;
  }

  static decode(bytes: Uint8Array, floor: number): Ranges {
    const ranges = new Ranges();
    const reader = new ByteReader(bytes, 0, bytes.length);
    let at = floor;
    while (reader.at < bytes.length && !reader.failed) {
      at += reader.varint();
      ranges.#bounds.push(at);
    }
    return ranges;
  }

  /** How many bounds lie at or before an offset; odd inside a range. */
  #after(offset: number): number {
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bounds[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
