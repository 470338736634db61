/**
 * When records were forgotten last. What was read, or sent, before that may hold them, and arrives after it: it is not taken,
 * and read again.
 */
import type { Store } from "./store.ts";

const row = "forgotten";

export class Forgotten {
  /** How often, since the delivery is in memory. Whatever was under way at another count is out of date. */
  count = 0;
  /** All of them lay below it. */
  to: number;

  constructor(readonly store: Store) {
    this.to = Number(store.meta(row) ?? 0);
  }

  note(to: number): void {
    this.count++;
    if (to <= this.to) return;
    this.to = to;
    this.store.setMeta(row, String(to));
  }
}
