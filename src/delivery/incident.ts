/**
 * Which leases were given out amid an incident, when only some keys are let through: by lanes of those keys, which go ahead of
 * the window. So it can be said of a record which the window has not come to whether its lane has left it behind.
 */
import type { Store } from "./store.ts";

const never = Number.POSITIVE_INFINITY;

export class Incident {
  /** Generations `(after, to]` of the last incident, or the present one. */
  #after = never;
  #to = never;

  constructor(readonly store: Store) {
    const kept = store.meta("incident");
    if (kept === undefined) return;
    const [after, to] = JSON.parse(kept) as [number, number | null];
    this.#after = after;
    this.#to = to ?? never;
  }

  /** It begins, or is over, after the lease of a generation. */
  change(begins: boolean, generation: number): void {
    if (begins) this.#after = generation;
    this.#to = begins ? never : generation;
    this.#keep();
  }

  /** A lane that may have given some of them out is no more: whose they were cannot be said any longer. */
  forget(generation: number): void {
    if (this.#after >= Math.min(generation, this.#to)) return;
    this.#after = generation;
    this.#keep();
  }

  has(generation: number): boolean {
    return generation > this.#after && generation <= this.#to;
  }

  #keep(): void {
    if (this.#after >= this.#to) this.store.dropMeta("incident");
    else this.store.setMeta("incident", JSON.stringify([this.#after, this.#to === never ? null : this.#to]));
  }
}
