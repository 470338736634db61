/** Dead letters on their way again: marked at once, delivered a few at a time, so that any number can be redriven. */
import type { Lane } from "./item.ts";
import type { State } from "./state.ts";
import type { LetterRow } from "./store.ts";

/** Letters that have a lane of their own at a time. */
const lanesMax = 256;

export class Redriving {
  readonly #lanes = new Set<Lane>();
  /** Behind this offset letters may wait for a lane. */
  #fed = -1;

  constructor(readonly state: State) {
    for (const lane of state.lanes.byId.values()) if (lane.kind === "single" && lane.redriven) this.#lanes.add(lane);
  }

  /** Delivers a letter again, as new; with `body` instead of its record, where that was edited. */
  begin(row: LetterRow, body: Uint8Array | undefined, now: number): void {
    const { letters, lanes } = this.state;
    const lane = lanes.at(row.offset);
    // What was tried since it was redriven before is not lost with the edit.
    letters.redrive(lane?.redriven ? letters.withTries(row, lane.attempts, lane.tries) : row, body);
    if (lane !== undefined) this.#again(lane, now);
    else this.#fed = Math.min(this.#fed, row.offset - 1);
  }

  /** The lanes are gone: all that were on their way begin again. */
  restart(now: number): void {
    this.#lanes.clear();
    this.#fed = -1;
    this.feed(now);
  }

  /** Gives lanes to those that wait for one. */
  feed(now: number): void {
    const { letters, lanes, byKey } = this.state;
    if (letters.count === 0) return;
    for (const lane of this.#lanes) if (lanes.byId.get(lane.id) !== lane) this.#lanes.delete(lane);
    if (this.#lanes.size >= lanesMax) return;
    for (const { offset, key, timestamp } of letters.redriven(this.#fed)) {
      if (this.#lanes.size >= lanesMax) return;
      this.#fed = offset;
      if (lanes.at(offset) !== undefined) continue;
      const lane = lanes.create("single", byKey ? (key ?? undefined) : undefined, offset, true);
      lane.behind = 1;
      lane.counted = offset + 1;
      lane.time = timestamp;
      this.#lanes.add(lane);
      this.#again(lane, now);
    }
  }

  /** Into the lane that stands at it: parked, or, where the group went on without it, its own. */
  #again(lane: Lane, now: number): void {
    const { leases, lanes, letters, window, generation } = this.state;
    const item = lane.kind === "whole" ? window.items.get(lane.from) : lane.queue[0];
    if (item !== undefined) leases.end(item);
    else leases.endRestored(lane.from);
    // What was tried before it became a letter, a crash may have brought back.
    leases.tried.drop(lane.from);
    if (lane.kind !== "whole") lanes.giveUp(lane);
    else if (item !== undefined) {
      const letter = letters.get(item.offset);
      window.unhold(item);
      if (letter !== undefined) Object.assign(item, { bytes: letter.body, from: 0, to: letter.body.length });
      Object.assign(item, { attempt: 0, state: "waiting" });
    }
    lane.redriven = true;
    lane.state = "retry";
    lane.attempts = 0;
    lane.tries = [];
    lane.due = now;
    // Receipts of before are for the record as it was then.
    lane.voided = generation;
    lanes.changed.add(lane);
    lanes.schedule(lane, now);
  }
}
