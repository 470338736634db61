/**
 * Whose turn it is. A record that has failed more than once is worn: it may fail for ever. While others wait, such records get
 * one turn in ten, and no more than a tenth of the leases; when nothing else waits they get every turn, and all leases but one,
 * which is for what comes next.
 */
import { type Item, isWorn, wearOf } from "./item.ts";
import type { State } from "./state.ts";

/** `any`: as above. `fresh`, `worn`: those only; `untried`: those that have never failed. */
export type Turn = "any" | "fresh" | "worn" | "untried";

/** Turns of others between two of worn records, and of those that never failed between two of those that have once. */
export const turnsBetween = 9;
const untriedBetween = 2;

export class Turns {
  #since = 0;
  #sinceTried = 0;
  /** Untried records of lanes and of the window take turns. */
  #windowNext = true;

  constructor(readonly state: State) {}

  /** Takes the record whose turn it is out of its line; the caller leases it, or gives it back. */
  next(turn: Turn, now: number): Item | undefined {
    const { lanes, window } = this.state;
    lanes.come(now);
    const worn = turn === "any" || turn === "worn" ? this.#worn(now) : undefined;
    const fresh = turn === "worn" ? undefined : this.#fresh(turn === "untried", now);
    if (worn !== undefined && (fresh === undefined || this.#isWorns())) {
      lanes.take("worn");
      this.#since = 0;
      return worn;
    }
    if (fresh === undefined) return undefined;
    this.#since++;
    const { lane } = fresh;
    const wear = lane === undefined ? "untried" : wearOf(fresh);
    this.#sinceTried = wear === "untried" ? this.#sinceTried + 1 : 0;
    if (wear === "untried") this.#windowNext = lane !== undefined;
    if (lane === undefined) window.take();
    else if (lane.kind !== "whole") lanes.take(wear);
    return fresh;
  }

  /** Whether such a record waits for a turn. */
  waits(turn: Turn, now: number): boolean {
    const { lanes } = this.state;
    lanes.come(now);
    if (turn !== "worn" && this.#fresh(turn === "untried", now) !== undefined) return true;
    return (turn === "any" || turn === "worn") && this.#worn(now) !== undefined;
  }

  /** It was leased, and is given back as if that had not been. */
  undo(item: Item): void {
    this.#since = isWorn(item) ? turnsBetween : Math.max(0, this.#since - 1);
  }

  #isWorns(): boolean {
    const { leases, spec } = this.state;
    return this.#since >= turnsBetween && leases.worn < Math.max(1, Math.floor(spec.config.maxInFlight / 10));
  }

  #worn(now: number): Item | undefined {
    const { lanes, leases, spec } = this.state;
    return leases.worn < Math.max(1, spec.config.maxInFlight - 1) ? lanes.peek("worn", now) : undefined;
  }

  #fresh(untried: boolean, now: number): Item | undefined {
    const tried = untried ? undefined : this.state.lanes.peek("tried", now);
    const never = this.#untried(now);
    if (tried === undefined || never === undefined) return tried ?? never;
    return this.#sinceTried >= untriedBetween ? tried : never;
  }

  #untried(now: number): Item | undefined {
    const { lanes, window } = this.state;
    const ofLane = lanes.peek("untried", now);
    const ofWindow = window.ordered ? this.#inOrder(now) : lanes.only === undefined ? window.peek() : undefined;
    if (ofLane === undefined || ofWindow === undefined) return ofLane ?? ofWindow;
    return this.#windowNext ? ofWindow : ofLane;
  }

  #inOrder(now: number): Item | undefined {
    for (const item of this.state.window.items.values()) {
      if (item.state === "leased") continue;
      const { lane } = item;
      const waits = lane !== undefined && (lane.state === "parked" || (lane.state === "retry" && lane.due > now));
      return waits ? undefined : item;
    }
    return undefined;
  }
}
