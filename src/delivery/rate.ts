/** A token bucket. The clock is an argument. */
export class Rate {
  #tokens: number;
  #at = 0;

  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {
    this.#tokens = burst;
  }

  /** How many records may go now. */
  available(now: number): number {
    const gained = ((now - this.#at) / 1_000) * this.perSecond;
    if (gained > 0) {
      this.#tokens = Math.min(this.burst, this.#tokens + gained);
      this.#at = now;
    }
    return Math.floor(this.#tokens + 1e-9);
  }

  take(records: number): void {
    this.#tokens -= records;
  }

  /** When the next record may go, in ms since 1970. */
  readyAt(now: number): number {
    return this.available(now) >= 1 ? now : now + Math.ceil(((1 - this.#tokens) / this.perSecond) * 1_000);
  }
}
