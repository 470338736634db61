/**
 * What lanes have finished ahead of the window, as in an incident, since the delivery is in memory: no place says so, except
 * by what the lane stands at, and a receipt does not say of which lane it was.
 */

/** As many are kept, the last ones: a call is repeated soon, or not at all. */
const keptMax = 10_000;

export class Ahead {
  readonly #offsets = new Set<number>();

  add(offset: number): void {
    for (const oldest of this.#offsets) {
      if (this.#offsets.size < keptMax) break;
      this.#offsets.delete(oldest);
    }
    this.#offsets.add(offset);
  }

  has(offset: number): boolean {
    return this.#offsets.has(offset);
  }

  clear(): void {
    this.#offsets.clear();
  }
}
