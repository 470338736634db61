/**
 * Records that a request to a receiver is about. One that is forgotten meanwhile has had its last delivery: what is on the
 * wire is not taken back, nothing is sent again, and nothing is kept of the answer.
 */
import type { Delivery, Leased } from "../delivery/delivery.ts";

export class Underway {
  readonly #count: number;

  constructor(
    readonly core: Delivery,
    readonly leased: readonly Leased[],
  ) {
    this.#count = core.state.forgotten.count;
  }

  /** Some of them were, or may have been. */
  get forgotten(): boolean {
    const { core, leased } = this;
    return core.state.forgotten.count !== this.#count && core.held(leased).length < leased.length;
  }
}

/** It was never sent. */
export class Unsent extends Error {}
