/** A token bucket. The clock is an argument. */

/** What comes together within so long need not be told apart: timers are not finer, and a bucket of one would run over between them. */
const grainMs = 20;

export class Rate {
  readonly #capacity: number;
  #tokens: number;
  #at: number | undefined;

  /** `burst` may be less than one record: a part of a group's, over several partitions. */
  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {
    this.#capacity = Math.max(1, burst, (perSecond * grainMs) / 1_000);
    this.#tokens = burst;
  }

  /** How many records may go now. */
  available(now: number): number {
    const gained = ((now - (this.#at ?? now)) / 1_000) * this.perSecond;
    this.#at = Math.max(this.#at ?? now, now);
    if (gained > 0) this.#tokens = Math.min(this.#capacity, this.#tokens + gained);
    return Math.max(0, Math.floor(this.#tokens + 1e-9));
  }

  take(records: number): void {
    this.#tokens -= records;
  }

  /** When the next record may go, in ms since 1970. */
  readyAt(now: number): number {
    return this.available(now) >= 1 ? now : now + Math.ceil(((1 - this.#tokens) / this.perSecond) * 1_000);
  }
}
