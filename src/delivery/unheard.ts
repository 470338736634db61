/**
 * Deliveries that continue this one and are yet to hear that it begins anew. Until they have, nothing goes out here: what they
 * give out meanwhile still comes before it. Written with the new place, so that whoever was about to tell them may die.
 */
import type { Store } from "./store.ts";

const name = "unheard";

export class Unheard {
  readonly #left: Set<number>;

  constructor(readonly store: Store) {
    this.#left = new Set(JSON.parse(store.meta(name) ?? "[]"));
  }

  get size(): number {
    return this.#left.size;
  }

  /** The partition of the one that is to hear next: before those that continue it, which would find it done with everything. */
  get next(): number | undefined {
    return this.size === 0 ? undefined : Math.min(...this.#left);
  }

  has(heir: number): boolean {
    return this.#left.has(heir);
  }

  add(heirs: readonly number[]): void {
    for (const heir of heirs) this.#left.add(heir);
    this.#save();
  }

  heard(heir: number): void {
    if (this.#left.delete(heir)) this.#save();
  }

  #save(): void {
    if (this.#left.size === 0) this.store.dropMeta(name);
    else this.store.setMeta(name, JSON.stringify([...this.#left]));
  }
}
