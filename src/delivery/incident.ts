/**
 * Which leases were given out amid an incident, when only some keys are let through: by lanes of those keys, which go ahead of
 * the window. So it can be said of a record which the window has not come to whether its lane has left it behind.
 */
import { limits } from "../../schemas/limits.ts";
import type { Store } from "./store.ts";

const never = Number.POSITIVE_INFINITY;

/** As it is kept. `to` is null as long as it lasts; the keys are left out where they were not kept yet. */
type Kept = [after: number, to: number | null, keys?: readonly string[]];

export class Incident {
  /** Generations `(after, to]` of the last incident, or the present one. */
  #after = never;
  #to = never;
  /** Every key that was let through meanwhile; undefined: any. */
  #keys: Set<string> | undefined;

  constructor(readonly store: Store) {
    const kept = store.meta("incident");
    if (kept === undefined) return;
    const [after, to, keys] = JSON.parse(kept) as Kept;
    this.#after = after;
    this.#to = to ?? never;
    this.#keys = keys && new Set(keys);
  }

  /** It begins, goes on with other keys, or (`only` is null) is over, after the lease of a generation. */
  change(only: readonly string[] | null, generation: number): void {
    if (only === null) this.#to = Math.min(this.#to, generation);
    else if (this.#to !== never || this.#after === never) this.#begin(only, generation);
    else {
      for (const key of only) this.#keys?.add(key);
      if (this.#keys !== undefined && this.#keys.size > limits.onlyKeysMax) this.#begin(only, generation);
    }
    this.#keep();
  }

  /** A lane that may have given some of them out is no more: whose they were cannot be said any longer. */
  forget(generation: number): void {
    if (this.#after >= Math.min(generation, this.#to)) return;
    this.#after = generation;
    this.#keep();
  }

  /** That a key was let through is not kept any longer, or that any were: any may have been. */
  unname(key: string | undefined): void {
    if (this.#keys === undefined || (key !== undefined && !this.#keys.has(key))) return;
    this.#keys = undefined;
    this.#keep();
  }

  has(generation: number): boolean {
    return generation > this.#after && generation <= this.#to;
  }

  /** Whether the lease of a generation may be of the lane of a key. */
  mayBeOf(generation: number, key: string | undefined): boolean {
    return !this.has(generation) || this.#keys === undefined || (key !== undefined && this.#keys.has(key));
  }

  #begin(only: readonly string[], generation: number): void {
    this.#after = generation;
    this.#to = never;
    this.#keys = new Set(only);
  }

  #keep(): void {
    if (this.#after >= this.#to) {
      this.store.dropMeta("incident");
      return;
    }
    const span = [this.#after, this.#to === never ? null : this.#to] as const;
    const kept: Kept = this.#keys === undefined ? [...span] : [...span, [...this.#keys]];
    this.store.setMeta("incident", JSON.stringify(kept));
  }
}
