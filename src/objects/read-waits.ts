/**
 * Reads that wait for something to happen in a partition, each for a bounded time. Many of them are woken in turns, so that an
 * append is answered before the readers who waited for it.
 */

/** As many are woken at once, and between two turns. */
const turn = 64;
/** Names of ends that are kept: one may arrive before the wait that it ends. */
const endsKept = 10_000;

/** Wakes who waits; true where nobody wants the answer any more. */
type Wake = (ended: boolean) => void;

export class ReadWaits {
  readonly #waiting = new Set<Wake>();
  readonly #named = new Map<string, Wake>();
  readonly #ends = new Set<string>();
  #waking = false;

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves when something happens, or after a time; with true where the wait of this name has been ended. */
  wait(ms: number, name?: string): Promise<boolean> {
    if (name !== undefined && this.#ends.delete(name)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const wake: Wake = (ended) => {
        // A timer that is left would keep the object awake.
        clearTimeout(timer);
        this.#waiting.delete(wake);
        if (name !== undefined) this.#named.delete(name);
        resolve(ended);
      };
      const timer = setTimeout(() => wake(false), ms);
      this.#waiting.add(wake);
      if (name !== undefined) this.#named.set(name, wake);
    });
  }

  /** Something has happened. */
  wake(): void {
    if (this.#waking || this.#waiting.size === 0) return;
    if (this.#waiting.size > turn) void this.#wakeInTurns();
    else for (const wake of [...this.#waiting]) wake(false);
  }

  /** The wait of this name is over, or will be as soon as it begins. */
  end(name: string): void {
    const wake = this.#named.get(name);
    if (wake !== undefined) {
      wake(true);
      return;
    }
    for (const oldest of this.#ends) {
      if (this.#ends.size < endsKept) break;
      this.#ends.delete(oldest);
    }
    this.#ends.add(name);
  }

  async #wakeInTurns(): Promise<void> {
    this.#waking = true;
    await scheduler.wait(0);
    // What happens from here on wakes them anew.
    this.#waking = false;
    const all = [...this.#waiting];
    for (let at = 0; at < all.length; at += turn) {
      if (at > 0) await scheduler.wait(0);
      for (const wake of all.slice(at, at + turn)) if (this.#waiting.has(wake)) wake(false);
    }
  }
}
