/** Dead letters: records that the group gave up on, kept whole, so that retention cannot take them. */
import type { Item, Lane, Try } from "./item.ts";
import { newItem } from "./item.ts";
import type { LetterRow, Store } from "./store.ts";

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
  #count: number;
  #forward: number;
  /** How many are to be sent to the dead-letter stream. */
  forwarding: number;

  constructor(readonly store: Store) {
    this.forwarding = store.countLettersToForward();
    this.#count = store.countLetters();
    this.#forward = Number(store.meta("forwarded") ?? 0);
  }

  get count(): number {
    return this.#count;
  }

  get(offset: number): LetterRow | undefined {
    return this.#count === 0 ? undefined : this.store.letter(offset);
  }

  list(after: number, limit: number): Letter[] {
    return this.store.letters(after, limit).map(shown);
  }

  /** Writes down that a record's last attempt failed. `forward`: it is to be sent to the dead-letter stream too. */
  bury(item: Item, lane: Lane, reason: string, now: number, forward: boolean): void {
    const known = this.get(item.offset);
    if (known === undefined) this.#count++;
    const before: Try[] = known === undefined ? [] : JSON.parse(known.tries);
    const tries = [...before, ...lane.tries].slice(-20);
    const number = known !== undefined ? known.forward : forward ? ++this.#forward : null;
    // The number must not be used again, even if the letter is gone before anything else dies.
    if (known === undefined && number !== null) {
      this.store.setMeta("forwarded", String(number));
      this.forwarding++;
    }
    this.store.setLetter({
      offset: item.offset,
      timestamp: item.timestamp,
      key: item.key ?? lane.key ?? null,
      died: now,
      attempts: (known?.attempts ?? 0) + Math.max(lane.attempts, item.attempt),
      reason,
      tries: JSON.stringify(tries),
      state: "dead",
      checked: item.checked ? 1 : 0,
      forward: number,
      body: item.bytes.slice(item.from, item.to),
    });
  }

  /** Notes that it is tried again, edited where `body` says so. */
  redrive(row: LetterRow, body: Uint8Array | undefined): void {
    this.store.setLetter({ ...row, state: "redriven", body: body ?? row.body });
  }

  /** Those from an offset on will be delivered from the log. */
  dropFrom(offset: number): void {
    if (this.#count === 0) return;
    this.store.dropLettersFrom(offset);
    this.#count = this.store.countLetters();
    this.forwarding = this.store.countLettersToForward();
  }

  drop(offset: number): void {
    this.store.dropLetter(offset);
    this.#count--;
    if (this.forwarding > 0) this.forwarding = this.store.countLettersToForward();
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
    return this.store.lettersToForward(limit).map((row) => ({ ...shown(row), number: row.forward as number }));
  }

  forwarded(offset: number): void {
    const row = this.store.letter(offset);
    if (row === undefined || row.forward === null) return;
    this.store.setLetter({ ...row, forward: null });
    this.forwarding--;
  }
}

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
