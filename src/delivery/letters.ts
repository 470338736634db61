/** Dead letters: records that the group gave up on, kept whole, so that retention cannot take them. */
import type { Target } from "../../schemas/erasure.ts";
import { isOf } from "../log/forgetting.ts";
import { decodeRecord } from "../log/record.ts";
import { type Item, type Lane, lastTries, newItem, type Try } from "./item.ts";
import { LetterPages } from "./letter-pages.ts";
import { isWaiting, type LetterRow, type Store, unsent } from "./store.ts";

/** A dead letter as it is shown. Times are ms since 1970. */
export interface Letter {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | undefined;
  readonly died: number;
  readonly attempts: number;
  readonly reason: string;
  readonly tries: readonly Try[];
  readonly state: "dead" | "redriven";
  readonly checked: boolean;
  /** The record, as it is packed in frames, without its length. */
  readonly body: Uint8Array;
}

export class Letters {
  readonly pages: LetterPages;
  #count: number;
  /** The last number that was given out for the dead-letter stream, and whether it is written down. */
  #forwarded: number;
  #numbered = false;
  /** Numbers, and offsets, of those that are to be sent there. */
  readonly #toForward: Map<number, number>;

  constructor(readonly store: Store) {
    this.pages = new LetterPages(store);
    this.#count = this.pages.count;
    this.#forwarded = Number(store.meta("forwarded") ?? 0);
    const waiting: [number, number][] = [];
    for (const { forward, offset } of this.pages.after(-1, (head) => head.forward > 0)) {
      if (isWaiting(forward)) waiting.push([forward, offset]);
    }
    // The stream's partition knows a repeat by its number, so that they go in the order of their numbers.
    this.#toForward = new Map(waiting.sort(([a], [b]) => a - b));
  }

  get count(): number {
    return this.#count;
  }

  /** How many are to be sent to the dead-letter stream. */
  get forwarding(): number {
    return this.#toForward.size;
  }

  get changed(): boolean {
    return this.#numbered || this.pages.changed;
  }

  get(offset: number): LetterRow | undefined {
    return this.#count === 0 ? undefined : this.pages.get(offset);
  }

  /** Letters behind an offset, of a MiB or one at least. `more`: there are others. */
  list(after: number, limit: number): { letters: Letter[]; more: boolean } {
    const letters: Letter[] = [];
    let bytes = 0;
    for (const row of this.pages.after(after)) {
      bytes += row.body.length + row.tries.length;
      if (letters.length >= limit || (letters.length > 0 && bytes > listBytes)) return { letters, more: true };
      letters.push(shown(row));
    }
    return { letters, more: false };
  }

  *all(): Generator<LetterRow> {
    yield* this.pages.after(-1);
  }

  /** Offsets of those below one whose records are of a key, or of a subject. */
  of(target: Target, to = Number.POSITIVE_INFINITY): number[] {
    const found: number[] = [];
    for (const { offset, key, body } of this.all()) {
      if (offset >= to) break;
      const isKeys = "key" in target && key === target.key;
      if (isKeys || isOf(target, decodeRecord(body, 0, body.length))) found.push(offset);
    }
    return found;
  }

  /** Those that are being redriven, behind an offset. */
  *redriven(after: number): Generator<LetterRow> {
    for (const row of this.pages.after(after, ({ redriven }) => redriven > 0)) if (row.state === "redriven") yield row;
  }

  /** Notes that a record's last attempt failed. `forward`: it is to be sent to the dead-letter stream too. */
  bury(item: Item, lane: Lane, reason: string, now: number, forward: boolean): void {
    const known = this.get(item.offset);
    const before: Try[] = known === undefined ? [] : JSON.parse(known.tries);
    // What died when there was no such stream has never been sent.
    const number =
      known === undefined || known.forward === unsent ? this.#number(item.offset, forward, now) : known.forward;
    if (known === undefined) this.#count++;
    this.pages.put({
      offset: item.offset,
      timestamp: item.timestamp,
      key: item.key ?? lane.key ?? null,
      died: now,
      attempts: (known?.attempts ?? 0) + Math.max(lane.attempts, item.attempt),
      reason,
      tries: JSON.stringify(lastTries(before, lane.tries)),
      state: "dead",
      checked: item.checked ? 1 : 0,
      forward: number,
      body: item.bytes.slice(item.from, item.to),
    });
  }

  /** The letter with attempts that were made since it was redriven. */
  withTries(row: LetterRow, attempts: number, tries: readonly Try[]): LetterRow {
    const all = lastTries(JSON.parse(row.tries), [...tries]);
    return { ...row, attempts: row.attempts + attempts, tries: JSON.stringify(all) };
  }

  /** What was tried of a letter by a lane that is given up is not lost with it. */
  keepTries({ from, attempts, tries }: Lane): void {
    const row = attempts === 0 ? undefined : this.get(from);
    if (row !== undefined) this.pages.put(this.withTries(row, attempts, tries));
  }

  /** Notes that it is tried again, edited where `body` says so. */
  redrive(row: LetterRow, body: Uint8Array | undefined): void {
    this.pages.put({ ...row, state: "redriven", body: body ?? row.body });
  }

  /** Those from an offset on will be delivered from the log. */
  dropFrom(offset: number): void {
    if (this.#count === 0) return;
    for (const letter of this.pages.after(offset - 1)) this.drop(letter.offset);
  }

  /** False where there is none. */
  drop(offset: number): boolean {
    const row = this.get(offset);
    if (row === undefined) return false;
    this.pages.drop(offset);
    this.#count--;
    if (isWaiting(row.forward)) this.#toForward.delete(row.forward);
    return true;
  }

  /** The record of a letter, to be delivered. */
  item(row: LetterRow, byKey: boolean): Item {
    return newItem({
      offset: row.offset,
      timestamp: row.timestamp,
      key: byKey ? (row.key ?? undefined) : undefined,
      bytes: row.body,
      from: 0,
      to: row.body.length,
      checked: row.checked === 1,
    });
  }

  /** What is to be sent to the dead-letter stream, in the order of dying; `number` tells the stream's partition a repeat. */
  toForward(limit: number): (Letter & { number: number })[] {
    const found: (Letter & { number: number })[] = [];
    for (const [number, offset] of this.#toForward) {
      if (found.length >= limit) break;
      const row = this.get(offset);
      if (row !== undefined) found.push({ ...shown(row), number });
    }
    return found;
  }

  /** Whether the letter of a number is still to be sent. */
  awaits(number: number): boolean {
    return this.#toForward.has(number);
  }

  /** They were sent. */
  forwarded(offsets: readonly number[]): void {
    for (const offset of offsets) {
      const row = this.get(offset);
      if (row === undefined || !isWaiting(row.forward)) continue;
      this.#toForward.delete(row.forward);
      this.pages.put({ ...row, forward: null });
    }
  }

  /** Writes what changed. */
  flush(): void {
    if (this.#numbered) this.store.setMeta("forwarded", String(this.#forwarded));
    this.#numbered = false;
    this.pages.flush();
  }

  /**
   * A number must not be used again, even if the letter is gone before anything else dies, or if the group has come back from a
   * dump, which does not tell how many died after it: the clock does.
   */
  #number(offset: number, forward: boolean, now: number): number {
    if (!forward) return unsent;
    this.#forwarded = Math.max(this.#forwarded + 1, now);
    this.#toForward.set(this.#forwarded, offset);
    this.#numbered = true;
    return this.#forwarded;
  }
}

const listBytes = 1_048_576;

const shown = (row: LetterRow): Letter => ({
  offset: row.offset,
  timestamp: row.timestamp,
  key: row.key ?? undefined,
  died: row.died,
  attempts: row.attempts,
  reason: row.reason,
  tries: JSON.parse(row.tries),
  state: row.state,
  checked: row.checked === 1,
  body: row.body,
});
