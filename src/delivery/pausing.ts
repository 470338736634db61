/** Why a delivery stands still: an operator's word, the receiver's doing, or that it was restored and is yet to be resumed. */
import { isSameReceiver } from "./push.ts";
import type { DeliverySpec } from "./spec.ts";
import type { Store } from "./store.ts";
import type { Paused } from "./told.ts";

const name = "paused";
const byHand = "paused by an operator";

export class Pausing {
  #own: Paused | undefined;

  constructor(readonly store: Store) {
    const paused = store.meta(name);
    this.#own = paused === undefined ? undefined : JSON.parse(paused);
  }

  /** Its own reason comes first; it is of the place, and in a dump, as that of a restore is not. */
  why({ restored, because }: DeliverySpec): Paused | undefined {
    return this.#own ?? (restored ? because : undefined);
  }

  set(paused: Paused | undefined): void {
    if (paused !== undefined) this.store.setMeta(name, JSON.stringify(paused));
    else if (this.#own !== undefined) this.store.dropMeta(name);
    this.#own = paused;
  }

  /** The catalog has said something newer; `before` is undefined where the delivery has just come to be. */
  change(before: DeliverySpec | undefined, after: DeliverySpec, now: number): void {
    const { paused, restored, because, config } = after;
    // It stood still for a receiver that was being replaced: nobody has heard of it.
    if (this.#own?.untold && before !== undefined && !isSameReceiver(before.config.push, config.push))
      this.set(undefined);
    if (before?.paused && !paused) this.set(undefined);
    const isNews = !before?.paused || before.restored === true;
    if (isNews && paused && !restored) this.set(because ?? this.#own ?? { reason: byHand, at: now });
  }
}
