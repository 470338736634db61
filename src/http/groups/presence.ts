/**
 * Whether whoever asked is still there. On the platform a client that goes away is told of at once. On bare workerd it is found
 * out by writing to it: the connection of one that has gone breaks within a moment.
 */
export class Presence {
  gone = false;
  readonly #request: Request;
  #attended = false;
  readonly #listeners = new Set<() => void>();

  constructor(request: Request) {
    this.#request = request;
  }

  /** From here on it is heard of. Most answers are there at once, and need none of this. */
  attend(): void {
    if (this.#attended) return;
    this.#attended = true;
    const { signal } = this.#request;
    if (signal?.aborted) this.leave();
    else signal?.addEventListener("abort", () => this.leave(), { once: true });
  }

  leave(): void {
    this.gone = true;
    for (const listener of this.#listeners) listener();
  }

  /** Calls back when it has gone, as long as `work` goes on. */
  async during<T>(work: Promise<T>, left: () => void): Promise<T> {
    this.attend();
    this.#listeners.add(left);
    try {
      if (this.gone) left();
      return await work;
    } finally {
      this.#listeners.delete(left);
    }
  }
}
