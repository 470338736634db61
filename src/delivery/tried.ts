/**
 * Records that wait in line although they were tried: their members left, which counts, and they stay where they are. What
 * was tried of a record that has a lane, the lane knows.
 */
import { type Item, lastTries, type Try } from "./item.ts";

/** A record, and what was tried of it, as it is kept. */
export type TriedRow = [offset: number, attempts: number, tries: readonly Try[]];

/** Characters of a row, about. */
const rowCharsMax = 262_144;

export class Tried {
  readonly #items = new Map<number, Item>();
  /** Of before a restart: records that have not been read again. */
  readonly #restored = new Map<number, TriedRow>();

  /** Notes an attempt that has failed. */
  note(item: Item, one: Try): void {
    item.tries = lastTries(item.tries ?? [], [one]);
    this.#items.set(item.offset, item);
  }

  /** The same of a record of before a restart. */
  noteUnread(offset: number, one: Try): void {
    const [, , tries] = this.#restored.get(offset) ?? [offset, 0, []];
    this.#restored.set(offset, [offset, one.attempt, lastTries(tries, [one])]);
  }

  /** It is finished, or a lane knows from now on. */
  drop(offset: number): void {
    if (this.#items.size > 0) this.#items.delete(offset);
    if (this.#restored.size > 0) this.#restored.delete(offset);
  }

  load(rows: readonly TriedRow[]): void {
    for (const row of rows) this.#restored.set(row[0], row);
  }

  get hasUnread(): boolean {
    return this.#restored.size > 0;
  }

  /** Offsets of those of before a restart. */
  unread(): IterableIterator<number> {
    return this.#restored.keys();
  }

  /** Puts something else in the place of the reasons of one of before a restart. */
  blank(offset: number, reason: string): void {
    const row = this.#restored.get(offset);
    if (row !== undefined) this.#restored.set(offset, [offset, row[1], row[2].map((one) => ({ ...one, reason }))]);
  }

  /** Forgets those of before a restart that are over. */
  settle(isOver: (offset: number, generation: number) => boolean): void {
    for (const [offset, [, , tries]] of this.#restored) {
      if (isOver(offset, tries.at(-1)?.generation ?? 0)) this.#restored.delete(offset);
    }
  }

  /** A record is read again after a restart, into the line or first of its lane. */
  restore(item: Item): void {
    const row = this.#restored.size === 0 ? undefined : this.#restored.get(item.offset);
    if (row === undefined) return;
    this.#restored.delete(item.offset);
    const [, attempts, tries] = row;
    const { lane } = item;
    item.attempt = Math.max(item.attempt, attempts);
    if (lane === undefined) {
      item.tries = [...tries];
      this.#items.set(item.offset, item);
    } else if (lane.tries.length === 0) {
      lane.tries = [...tries];
      lane.attempts = item.attempt;
    }
  }

  /** As they are kept, in portions of a row each. */
  rows(): TriedRow[][] {
    const rows: TriedRow[][] = [];
    let chars = 0;
    for (const row of this.#all()) {
      chars += JSON.stringify(row).length;
      if (rows.length === 0 || chars > rowCharsMax) {
        rows.push([]);
        chars = 0;
      }
      rows.at(-1)?.push(row);
    }
    return rows;
  }

  clear(): void {
    this.#items.clear();
    this.#restored.clear();
  }

  *#all(): Generator<TriedRow> {
    yield* this.#restored.values();
    for (const { offset, attempt, state, tries = [] } of this.#items.values()) {
      const attempts = state === "leased" ? attempt - 1 : attempt;
      if (attempts > 0) yield [offset, attempts, tries];
    }
  }
}
