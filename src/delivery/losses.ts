/** What the group never got, and is yet to be told: written down with the place that has passed it, until a member was told. */
import type { Store } from "./store.ts";
import type { Lost } from "./told.ts";

const row = "lost";
/** Ranges that are told apart. Beyond it the newest two become one, with what lies between. */
const rangesMax = 1_000;

export class Losses {
  #ranges: Lost[];
  #changed = false;

  constructor(readonly store: Store) {
    this.#ranges = JSON.parse(store.meta(row) ?? "[]");
  }

  get all(): readonly Lost[] {
    return this.#ranges;
  }

  get size(): number {
    return this.#ranges.length;
  }

  /** It was not written down as it is. */
  get changed(): boolean {
    return this.#changed;
  }

  /** One that is known already, as where it was read again after a restart, is told once. */
  add(lost: Lost): void {
    const { from, to, why } = lost;
    if (this.#ranges.some((one) => one.why === why && one.from <= from && one.to >= to)) return;
    this.#changed = true;
    if (this.#ranges.length < rangesMax) this.#ranges.push(lost);
    else {
      const last = this.#ranges[rangesMax - 1];
      this.#ranges[rangesMax - 1] = { from: Math.min(last.from, from), to: Math.max(last.to, to), why };
    }
  }

  /** All of them, for a member that is told. */
  take(): readonly Lost[] {
    const ranges = this.#ranges;
    if (ranges.length > 0) this.#changed = true;
    this.#ranges = [];
    return ranges;
  }

  /** The member had gone: somebody else is told. */
  putBack(lost: readonly Lost[]): void {
    const since = this.take();
    for (const one of [...lost, ...since]) this.add(one);
  }

  save(): void {
    if (!this.#changed) return;
    this.#changed = false;
    if (this.#ranges.length > 0) this.store.setMeta(row, JSON.stringify(this.#ranges));
    else this.store.dropMeta(row);
  }
}
