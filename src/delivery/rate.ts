/** A token bucket. The clock is an argument. */

/** What comes together within so long need not be told apart: timers are not finer, and a bucket of one would run over between them. */
const grainMs = 20;
/** Records of so long are written down as gone before they are, so that not each of them is written: a crash may lose as many turns. */
const aheadMs = 1_000;

/**
 * What is written down of a bucket: after a crash there is no more in it. `at` in ms since 1970. `ahead`: so many may have been taken
 * of it at any time since, which `tokens` are without.
 */
export interface Bucket {
  readonly tokens: number;
  readonly burst: number;
  readonly at: number;
  readonly ahead?: number;
}

export class Rate {
  readonly #capacity: number;
  #tokens: number;
  #at: number | undefined;
  /** Records that may go before it is written down anew. */
  #ahead = 0;
  /** Of what there was before: what may have been taken a moment ago, and is not in the bucket however long that was at rest. */
  #owed = 0;

  /**
   * `burst` may be less than one record: a part of a group's, over several partitions. `before`: what is left of the bucket in whose
   * place this one comes. What others are to have now it gives up, and what it gets more it has to fill.
   */
  constructor(
    readonly perSecond: number,
    readonly burst: number,
    before?: Bucket,
  ) {
    this.#capacity = Math.max(1, burst, (perSecond * grainMs) / 1_000);
    this.#tokens = burst;
    if (before === undefined) return;
    const part = before.tokens > 0 && before.burst > burst ? burst / before.burst : 1;
    this.#owed = (before.ahead ?? 0) * part;
    this.#tokens = Math.min(this.#capacity, before.tokens * part + this.#owed);
    this.#at = before.at;
  }

  /** How many records may go now. */
  available(now: number): number {
    const gained = ((now - (this.#at ?? now)) / 1_000) * this.perSecond;
    this.#at = Math.max(this.#at ?? now, now);
    if (gained > 0) this.#tokens = Math.min(this.#capacity, this.#tokens + gained);
    this.#tokens -= this.#owed;
    this.#owed = 0;
    return Math.max(0, Math.floor(this.#tokens + 1e-9));
  }

  take(records: number): void {
    this.#tokens -= records;
    this.#ahead -= records;
  }

  /** What it has now. */
  left(now: number): Bucket {
    this.available(now);
    return { tokens: this.#tokens, burst: this.burst, at: this.#at ?? now };
  }

  /** What is to be written down before what was taken goes out; undefined where what is written has room for it. */
  toSave(now: number): Bucket | undefined {
    if (this.#ahead >= 0) return undefined;
    this.#ahead = (this.perSecond * aheadMs) / 1_000;
    const left = this.left(now);
    return { ...left, tokens: left.tokens - this.#ahead, ahead: this.#ahead };
  }

  /** When the next record may go, in ms since 1970. */
  readyAt(now: number): number {
    return this.available(now) >= 1 ? now : now + Math.ceil(((1 - this.#tokens) / this.perSecond) * 1_000);
  }
}
