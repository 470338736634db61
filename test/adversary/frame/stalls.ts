/**
 * When this process did not get to work: the machine is shared. What came amid a stall came earlier than it was seen, and
 * what depends on being in time then proves nothing.
 */
const everyMs = 20;
const keptMs = 60_000;

export class Stalls {
  #stalls: { from: number; to: number }[] = [];
  #last = performance.now();
  readonly #timer = setInterval(() => this.#tick(), everyMs).unref();

  #tick(): void {
    const now = performance.now();
    const late = now - this.#last - everyMs;
    if (late > everyMs) this.#stalls.push({ from: this.#last, to: now });
    this.#last = now;
    while (this.#stalls.length > 0 && (this.#stalls[0] as { to: number }).to < now - keptMs) this.#stalls.shift();
  }

  /** The longest stall, in ms, of the last so many; also one that has not ended. */
  worst(withinMs: number): number {
    const now = performance.now();
    const recent = this.#stalls.filter(({ to }) => to > now - withinMs).map(({ from, to }) => to - from);
    return Math.max(now - this.#last, 0, ...recent);
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
