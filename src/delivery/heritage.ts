/**
 * What a partition that continues another one leaves to that one: until it has read everything, nothing goes out here, and
 * then no key of which it has unfinished records. So order per key survives a split.
 */
import type { Delivery } from "./delivery.ts";

/** How far a delivery is, for the one that continues it. */
export interface Unfinished {
  /** The partition takes no more appends, and everything was read. */
  readonly caughtUp: boolean;
  /** Keys with unfinished records; undefined where they are too many to say. */
  readonly keys: readonly string[] | undefined;
  readonly records: number;
}

const keysMax = 5_000;

export class Heritage {
  #stage: "waiting" | "holding" | "done";

  constructor(readonly delivery: Delivery) {
    const { spec, store } = delivery.state;
    const stored = store.meta("heritage");
    if (stored === "holding" || stored === "done") this.#stage = stored;
    else this.#stage = spec.parent === undefined || spec.config.order === "none" ? "done" : "waiting";
    delivery.state.inherits = this.#stage === "waiting";
  }

  /** True while the other delivery is to be asked. */
  get pending(): boolean {
    return this.#stage !== "done";
  }

  /** Takes what the other delivery answered; undefined where there is none, and never was. */
  take(answer: Unfinished | undefined, now: number): void {
    const { state, reader } = this.delivery;
    if (answer === undefined) {
      this.#become("done");
      return;
    }
    const inOrder = state.spec.config.order === "partition";
    if (!answer.caughtUp || answer.keys === undefined || (inOrder && answer.records > 0)) return;
    const keys = new Set(inOrder ? [] : answer.keys);
    if (this.#stage === "waiting") {
      for (const key of keys)
        if (state.lanes.ofKey(key) === undefined) state.lanes.create("key", key, state.cursor, "held");
    }
    let held = 0;
    for (const lane of [...state.lanes.byId.values()]) {
      if (lane.state !== "held") continue;
      if (keys.has(lane.key as string)) held++;
      else {
        lane.state = "open";
        lane.dirty = true;
        reader.settle(lane, now);
      }
    }
    state.save();
    this.#become(held > 0 ? "holding" : "done");
  }

  /** What the delivery that continues this one is answered. */
  unfinished(): Unfinished {
    const { state } = this.delivery;
    const keys = new Set(state.window.keys());
    for (const lane of state.lanes.byId.values()) if (lane.key !== undefined) keys.add(lane.key);
    const caughtUp = !this.pending && state.sealed && state.known !== undefined && state.cursor >= state.known;
    return {
      caughtUp,
      keys: keys.size > keysMax ? undefined : [...keys],
      records: state.window.size + state.lanes.size,
    };
  }

  #become(stage: "holding" | "done"): void {
    if (stage === this.#stage) return;
    this.#stage = stage;
    this.delivery.state.inherits = false;
    this.delivery.state.store.setMeta("heritage", stage);
  }
}
