/** How many records may go out: the limits of the group, and of a member, its rate, and what waits for a turn. */
import { Resting } from "./resting.ts";
import type { State } from "./state.ts";
import type { Turn, Turns } from "./turns.ts";

export class Room {
  readonly resting = new Resting();

  constructor(
    readonly state: State,
    readonly turns: Turns,
  ) {}

  /** Records that may be leased now; by a member, where one is named. */
  left(member: string | undefined, now: number): number {
    const { rate } = this.state;
    return Math.min(this.#slots(member, now), rate === undefined ? Number.POSITIVE_INFINITY : rate.available(now));
  }

  /** True where a record could be leased now; by a member, where one is named. */
  ready(now: number, member?: string, turn: Turn = "any"): boolean {
    return !this.state.stands && this.left(member, now) > 0 && this.turns.waits(turn, now);
  }

  /** How many records members that wait could take, about; without end where there is something to tell them. */
  readyCount(now: number): number {
    const { lost, sealed, window, lanes } = this.state;
    if (lost.size > 0 || sealed) return Number.POSITIVE_INFINITY;
    if (!this.ready(now)) return 0;
    return Math.max(1, Math.min(this.left(undefined, now), window.readyCount + lanes.readyCount));
  }

  /** When it is worth to look again whether a record can be leased, in ms since 1970. */
  lookAt(now: number): number {
    const { leases, lanes, paused, rate, unheard } = this.state;
    if (paused !== undefined || unheard.size > 0) return leases.soonest;
    const overAt = Math.min(leases.soonest, leases.unread(now).until);
    if (this.#slots(undefined, now) <= 0) return overAt;
    if (rate !== undefined && rate.available(now) < 1) return Math.min(overAt, rate.readyAt(now));
    return Math.min(overAt, lanes.nextDue, this.resting.overAt(now));
  }

  #slots(member: string | undefined, now: number): number {
    const { leases, spec } = this.state;
    const { maxInFlight, memberMaxInFlight } = spec.config;
    const unread = leases.unread(now);
    const room = maxInFlight - leases.size - unread.count;
    if (member !== undefined && this.resting.has(member, now)) return 0;
    if (member === undefined || memberMaxInFlight === null) return room;
    return Math.min(room, memberMaxInFlight - leases.of(member) - (unread.members.get(member) ?? 0));
  }
}
