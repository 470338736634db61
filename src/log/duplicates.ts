/**
 * The ids seen within a stream's deduplication window, in memory: 24 bytes a slot, no row written. It is rebuilt from the
 * chunks of the window when the object wakes. A hit is a 64-bit match, which the log confirms by the stored record.
 *
 * Two tables take turns, each for one window: an id is found for at least the window, and for at most two of them.
 */
import { limits } from "../../schemas/limits.ts";

/** Where a record lies or lay, and when it came, in ms since 1970: the window is counted from there, whatever became of it. */
export interface Seen {
  readonly offset: number;
  readonly time: number;
}

class Table {
  #hashes = new Uint32Array(512);
  #offsets = new Float64Array(256);
  #times = new Float64Array(256);
  size = 0;

  find(first: number, second: number): Seen | undefined {
    const at = this.#slot(first, second);
    return this.#offsets[at] === 0 ? undefined : { offset: this.#offsets[at] - 1, time: this.#times[at] };
  }

  set(first: number, second: number, offset: number, time: number): void {
    if (this.size * 2 >= this.#offsets.length) this.#grow();
    const at = this.#slot(first, second);
    if (this.#offsets[at] === 0) this.size++;
    this.#hashes[at * 2] = first;
    this.#hashes[at * 2 + 1] = second;
    // Zero marks a free slot.
    this.#offsets[at] = offset + 1;
    this.#times[at] = time;
  }

  #slot(first: number, second: number): number {
    const mask = this.#offsets.length - 1;
    let at = (first ^ (second >>> 7)) & mask;
    while (this.#offsets[at] !== 0 && (this.#hashes[at * 2] !== first || this.#hashes[at * 2 + 1] !== second)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  #grow(): void {
    const hashes = this.#hashes;
    const offsets = this.#offsets;
    const times = this.#times;
    this.#hashes = new Uint32Array(hashes.length * 2);
    this.#offsets = new Float64Array(offsets.length * 2);
    this.#times = new Float64Array(offsets.length * 2);
    this.size = 0;
    for (let at = 0; at < offsets.length; at++) {
      if (offsets[at] !== 0) this.set(hashes[at * 2], hashes[at * 2 + 1], offsets[at] - 1, times[at]);
    }
  }
}

export class Duplicates {
  #young = new Table();
  #old = new Table();
  #since: number;

  constructor(
    readonly windowMs: number,
    now: number,
  ) {
    this.#since = now;
  }

  /** Forgets what is older than the window. */
  advance(now: number): void {
    if (now - this.#since < this.windowMs) return;
    this.#old = now - this.#since < 2 * this.windowMs ? this.#young : new Table();
    this.#young = new Table();
    this.#since = now;
  }

  get full(): boolean {
    return this.#young.size + this.#old.size >= limits.deduplicationIdsMax;
  }

  find([first, second]: [number, number]): Seen | undefined {
    return this.#young.find(first, second) ?? this.#old.find(first, second);
  }

  add([first, second]: [number, number], offset: number, time: number): void {
    this.#young.set(first, second, offset, time);
  }
}
