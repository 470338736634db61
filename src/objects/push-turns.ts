/**
 * Whose turn the next request is. A request may take all of its time: what has failed may do so again, so it gets a part of
 * the time, and not only of the turns, and leaves a request to the others where there is more than one.
 */
import type { Health } from "../delivery/health.ts";
import type { Room } from "../delivery/room.ts";
import { turnsBetween } from "../delivery/turns.ts";

export class PushTurns {
  /** Requests with a record that failed more than once, and since how many others there was none. */
  #worn = 0;
  #since = 0;
  /** While others wait, such records take no more than a tenth of the time, and so do those that failed once. In ms since 1970. */
  #wornFrom = 0;
  #triedFrom = 0;

  constructor(readonly room: Room) {}

  /** Whether the next request is for a record that failed more than once; `slots`: requests at a time. */
  isWorns(health: Health, slots: number, now: number): boolean {
    if (!health.mayAsk(now, false) || !this.room.ready(now, undefined, "worn")) return false;
    if (!this.room.ready(now, undefined, "fresh")) return this.#worn < Math.max(1, slots - 1);
    return this.#since >= turnsBetween && this.#worn < Math.max(1, Math.floor(slots / 4)) && now >= this.#wornFrom;
  }

  /** Of the others, whose it is. */
  fresh(health: Health, now: number): "fresh" | "untried" {
    // In a rest, one that was never tried shows whether the receiver is there again, and so it does after it.
    if (!health.mayAsk(now, false)) return "untried";
    const first = health.inDoubt || now < this.#triedFrom;
    return first && this.room.ready(now, undefined, "untried") ? "untried" : "fresh";
  }

  /** A request is on its way. */
  began(worn: boolean): void {
    this.#since = worn ? 0 : this.#since + 1;
    if (worn) this.#worn++;
  }

  /** It is over. `attempt`: of its first record, this one included. */
  ended(worn: boolean, attempt: number, began: number, now: number): void {
    if (worn) this.#worn--;
    if (attempt < 2) return;
    // What took long when it came again is worn by now, and takes as long.
    this.#wornFrom = now + turnsBetween * (now - began);
    if (!worn) this.#triedFrom = this.#wornFrom;
  }
}
