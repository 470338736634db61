/** What a push holds against its receiver, written down: an object sleeps in a rest, and would wake with a good opinion. */
import { Health } from "../delivery/health.ts";
import type { State } from "../delivery/state.ts";

const row = "health";

export class Opinion {
  health: Health;
  #kept: string | undefined;

  constructor(readonly state: State) {
    this.#kept = state.store.meta(row);
    this.health = Health.of(this.#kept);
  }

  /** To be called when something was learnt of the receiver. */
  keep(): void {
    const { store, spec } = this.state;
    const { kept } = this.health;
    if (kept === this.#kept || !spec.config.durable) return;
    this.#kept = kept;
    if (kept === undefined) store.dropMeta(row);
    else store.setMeta(row, kept);
  }

  /** Nothing is held against it any more. */
  forget(): void {
    this.health = new Health();
    this.keep();
  }
}
