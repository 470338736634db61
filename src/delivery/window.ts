/**
 * The records that were read and are not finished, in the order of the log, and whose turn it is. Records of one key stand
 * in line: only the first of a line may be leased.
 *
 *     read ──▶  a1  b1  a2  -  a3  b2        lines   a: a1 a2 a3    b: b1 b2     (- has no key)
 *               ▲   ▲       ▲
 *               └───┴───────┴── ready
 */
import { assert } from "../lib/assert.ts";
import { Fifo } from "./fifo.ts";
import { type Item, ownBytes } from "./item.ts";

interface Line {
  first: Item;
  last: Item;
  length: number;
}

export class Window {
  readonly items = new Map<number, Item>();
  readonly #lines = new Map<string, Line>();
  readonly #ready = new Fifo<Item>();
  /** Bytes that are kept in memory for them. */
  bytes = 0;

  /** `ordered`: the whole window is one line, and it is walked in order instead of being asked for what is ready. */
  constructor(readonly ordered: boolean) {}

  get size(): number {
    return this.items.size;
  }

  /** How many records may be leased, roughly. */
  get readyCount(): number {
    return this.ordered ? this.items.size : this.#ready.size;
  }

  first(): Item | undefined {
    return this.items.values().next().value;
  }

  /** Adds the next record of the log, and returns how long the line of its key is now. */
  add(item: Item): number {
    this.items.set(item.offset, item);
    if (item.holding !== undefined && item.holding.items++ === 0) this.bytes += item.holding.bytes;
    const line = item.key === undefined ? undefined : this.#lines.get(item.key);
    if (line !== undefined) {
      line.last.next = item;
      line.last = item;
      return ++line.length;
    }
    if (item.key !== undefined) this.#lines.set(item.key, { first: item, last: item, length: 1 });
    if (item.state === "waiting") this.makeReady(item);
    return 1;
  }

  makeReady(item: Item): void {
    item.state = "ready";
    if (!this.ordered) this.#ready.push(item);
  }

  /** Back to the front: it was taken, and given back as if nothing had been. */
  putBack(item: Item): void {
    item.state = "ready";
    if (!this.ordered) this.#ready.unshift(item);
  }

  /** The next record whose turn it is. It stays where it is. */
  peek(): Item | undefined {
    for (let item = this.#ready.first; item !== undefined; item = this.#ready.first) {
      if (item.state === "ready" && this.items.get(item.offset) === item) return item;
      this.#ready.shift();
    }
    return undefined;
  }

  /** Takes the record that `peek` has shown. The caller leases it, or puts it back. */
  take(): void {
    this.#ready.shift();
  }

  /** Takes a record out, and lets the next of its key come forward. */
  finish(item: Item): void {
    this.#remove(item);
    if (item.key === undefined) return;
    const line = this.#lines.get(item.key);
    assert(line !== undefined, "a record with a key stands in line");
    const { next } = item;
    if (line.first !== item) this.#leave(line, item);
    else if (next === undefined) this.#lines.delete(item.key);
    else {
      line.first = next;
      line.length--;
      if (next.state === "waiting") this.makeReady(next);
    }
  }

  /** Finished out of turn: its ack comes from before a restart, which the one before it did not outlive. */
  #leave(line: Line, item: Item): void {
    let before = line.first;
    while (before.next !== item) before = before.next!;
    before.next = item.next;
    if (line.last === item) line.last = before;
    line.length--;
  }

  /** Takes the whole line of a record out, and returns it in order. */
  detach(item: Item): Item[] {
    const line = item.key === undefined ? undefined : this.#lines.get(item.key);
    if (line === undefined) {
      this.#remove(item);
      return [item];
    }
    const out: Item[] = [];
    for (let one: Item | undefined = line.first; one !== undefined; one = one.next) out.push(one);
    for (const one of out) {
      this.#remove(one);
      one.next = undefined;
    }
    this.#lines.delete(item.key as string);
    return out;
  }

  /** The longest lines' first records, longest first, down to a length. */
  longest(lengthMin: number): Item[] {
    const lines = [...this.#lines.values()].filter((line) => line.length >= lengthMin);
    return lines.sort((a, b) => b.length - a.length).map((line) => line.first);
  }

  lineOf(key: string): Item | undefined {
    return this.#lines.get(key)?.first;
  }

  keys(): IterableIterator<string> {
    return this.#lines.keys();
  }

  clear(): void {
    for (const item of this.items.values()) item.state = "done";
    this.items.clear();
    this.#lines.clear();
    this.#ready.clear();
    this.bytes = 0;
  }

  check(): void {
    let before = -1;
    for (const item of this.items.values()) {
      assert(item.offset > before && item.state !== "done", "the window is in order, and holds nothing finished");
      before = item.offset;
    }
    for (const [key, line] of this.#lines) {
      let length = 0;
      for (let one: Item | undefined = line.first; one !== undefined; one = one.next) {
        assert(one.key === key && this.items.get(one.offset) === one, "a line holds records of its key");
        assert(length === 0 || one.state === "waiting", "only the first of a line has its turn");
        length++;
      }
      assert(length === line.length, "a line knows its length");
    }
  }

  /**
   * Gives every record bytes of its own. A few that are worked on for long would otherwise keep a chunk each in memory, and
   * the window would be full of what is finished.
   */
  compact(): void {
    for (const item of this.items.values()) {
      if (item.holding === undefined || item.holding.bytes === item.to - item.from) continue;
      this.unhold(item);
      ownBytes(item);
      item.holding = { bytes: item.to, items: 1 };
      this.bytes += item.to;
    }
  }

  /** The record no longer needs the bytes it came in. */
  unhold(item: Item): void {
    const { holding } = item;
    if (holding === undefined) return;
    item.holding = undefined;
    if (--holding.items === 0) this.bytes -= holding.bytes;
  }

  #remove(item: Item): void {
    this.items.delete(item.offset);
    this.unhold(item);
  }
}
