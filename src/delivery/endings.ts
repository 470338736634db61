/** How a record's lease ends, and what follows: the one place where a record is finished, fails, dies, or goes back. */
import { assert } from "../lib/assert.ts";
import { planAfter } from "./attempts.ts";
import { type Item, isWorn, type Lane, lastTries, type Try } from "./item.ts";
import type { Restored } from "./lease-row.ts";
import type { Lease } from "./leases.ts";
import type { Reader } from "./reader.ts";
import type { Redriving } from "./redriving.ts";
import type { State } from "./state.ts";

/** A failed attempt. `delayMs`: how long it is to wait, where that was asked for. */
export interface Failure {
  readonly reason: string;
  readonly delayMs?: number | undefined;
  /** Its member gave it back. */
  readonly nacked?: boolean;
}

/** Whose attempt it was. */
type Holder = Pick<Lease, "member" | "generation">;

/** A number in [0, 1), a new one at each call. */
export type Chance = () => number;

export const noAnswer = (member: string) => `no ack from '${member}' in time`;

export class Endings {
  constructor(
    readonly state: State,
    readonly reader: Reader,
    readonly redriving: Redriving,
  ) {}

  finish(item: Item, now: number): void {
    const { state } = this;
    const { lane } = item;
    this.state.leases.end(item);
    state.unsaved++;
    state.finishedTo = Math.max(state.finishedTo, item.offset + 1);
    item.state = "done";
    state.leases.tried.drop(item.offset);
    if (lane === undefined || lane.kind === "whole") state.window.finish(item);
    if (lane === undefined) return;
    state.finishedBy(lane, item.offset);
    this.#settleLetter(lane);
    if (lane.kind === "key") {
      state.lanes.shift(lane);
      this.reader.lanes.advance(lane, now);
    } else this.#end(lane, now);
  }

  /** A lane's first record, which is not at hand, is finished. */
  finishAhead(lane: Lane, now: number): void {
    const { state } = this;
    const { from } = lane;
    assert(lane.exact, "what is finished is a record of the lane");
    state.unsaved++;
    state.finishedTo = Math.max(state.finishedTo, from + 1);
    this.#settleLetter(lane);
    if (lane.kind === "key") {
      state.finishedBy(lane, from);
      this.reader.lanes.pass(lane, now);
      return;
    }
    // The window has yet to come to it.
    if (lane.kind === "whole") state.acked.add(from);
    this.#end(lane, now);
  }

  /**
   * An attempt failed. What follows is the group's to say: again later, or a dead letter. `before`: whose it was, where the
   * lease is over already.
   */
  fail(item: Item, failure: Failure, now: number, chance: Chance, before?: Restored): void {
    const { state } = this;
    const holder = state.leases.end(item) ?? before;
    const lane = item.lane ?? state.detach(item);
    item.state = "waiting";
    this.#note(item, lane, tryOf(item, failure, holder, now));
    if (lane.kind === "whole") {
      this.withdraw(item.offset, before?.nacked?.at ?? Math.min(now, holder?.expires ?? now));
    }
    const plan = planAfter(state.spec.config, item.attempt, failure.delayMs, chance());
    if (plan.next === "retry") {
      lane.state = "retry";
      lane.due = now + plan.delayMs;
      state.lanes.spare(lane);
      state.lanes.schedule(lane, now);
    } else this.bury(item, lane, plan.next, failure.reason, now);
  }

  /** Makes a dead letter of a lane's first record. `park` holds what comes after it; a record without a key holds nothing. */
  bury(item: Item, lane: Lane, then: "park" | "skip", reason: string, now: number): void {
    const { state } = this;
    state.letters.bury(item, lane, reason, now, state.spec.config.deadLetterStream !== null);
    lane.redriven = false;
    state.lanes.changed.add(lane);
    if (then === "park" && lane.kind !== "single") {
      lane.state = "parked";
      state.lanes.giveUp(lane);
      state.lanes.schedule(lane, now);
    } else this.finish(item, now);
  }

  /** The member has gone, and with it the lease. The attempt counts: the record may be what its members die of. */
  leave(item: Item, reason: string, now: number): void {
    const { state } = this;
    if (this.#wasLast(item.attempt)) {
      this.fail(item, { reason }, now, () => 0);
      return;
    }
    const lease = this.state.leases.end(item);
    if (lease === undefined) return;
    const lane = item.lane ?? (isWorn(item) && !state.window.ordered ? state.detach(item) : undefined);
    this.#note(item, lane, tryOf(item, { reason }, lease, now));
    this.#backInLine(item, now);
  }

  /** The same, where the lease is of before a restart, and its record has not been read again. */
  leaveUnread(lease: Restored, reason: string, now: number): void {
    const { leases, lanes } = this.state;
    const { offset, attempt } = lease;
    const lane = lanes.at(offset);
    leases.owe();
    if (this.#wasLast(attempt)) {
      Object.assign(lease, { expires: Math.min(lease.expires, now), reason });
    } else {
      leases.endRestored(offset);
      const one = tryOf(lease, { reason }, lease, now);
      if (lane === undefined) leases.tried.noteUnread(offset, one);
      else this.#tell(lane, one);
    }
    this.withdrawUnread(offset, now);
  }

  /** Takes a lease of before a restart back as if it had never been, where its record has not been read again. */
  releaseUnread(offset: number, now: number): void {
    this.endUnread(offset);
    this.withdrawUnread(offset, now);
  }

  /** A lease of before a restart is over. */
  endUnread(offset: number): void {
    this.state.leases.endRestored(offset);
  }

  /** In order, those behind a record that goes again, and has not been read again, go after it; not behind a letter. */
  withdrawUnread(offset: number, since: number): void {
    const { window, lanes } = this.state;
    if (window.ordered && lanes.at(offset)?.kind !== "single") this.withdraw(offset, since);
  }

  /** An operator leaves a record to the dead letters, whether somebody has it or not. */
  skip(item: Item, lane: Lane, now: number): void {
    const reason = "skipped by an operator";
    const holder = this.state.leases.end(item);
    if (holder !== undefined) this.#note(item, lane, tryOf(item, { reason }, holder, now));
    this.bury(item, lane, "skip", reason, now);
  }

  /** Takes a lease back as if it had never been: the record is not to blame for what happened. */
  release(item: Item, now: number): void {
    if (this.state.leases.end(item) === undefined) return;
    item.attempt--;
    this.#backInLine(item, now);
  }

  /** A lease of before a restart had run out, or its record was given back, before the record was read again. */
  overdue(item: Item, lease: Restored, now: number, chance: Chance): void {
    const { window } = this.state;
    if (item.lane === undefined && item.key !== undefined && window.lineOf(item.key) !== item) return;
    if (lease.nacked === undefined) {
      this.fail(item, { reason: lease.reason ?? noAnswer(lease.member) }, now, chance, lease);
      return;
    }
    const { reason, at, delayMs } = lease.nacked;
    const left = delayMs === undefined ? undefined : Math.max(0, at + delayMs - now);
    this.fail(item, { reason, nacked: true, delayMs: left }, now, chance, lease);
  }

  /**
   * In order, those behind a record that goes again go again, after it; it is not their doing. A letter that is redriven was
   * passed over: it stands beside them. `since`: when it failed, or went back, which may be known only now.
   */
  withdraw(offset: number, since: number): void {
    const { leases, lanes } = this.state;
    for (const { item } of [...leases.all()]) {
      if (item.offset <= offset || item.lane?.kind === "single") continue;
      if (leases.end(item)?.saved) leases.owe();
      item.attempt--;
      item.state = "ready";
    }
    for (const [other, { nacked, reason, expires }] of leases.restored) {
      if (other <= offset || lanes.at(other)?.kind === "single") continue;
      // One that was given back, had run out before, or was its member's last, has failed by itself.
      if (nacked !== undefined || reason !== undefined || expires < since) continue;
      leases.endRestored(other);
      leases.owe();
    }
  }

  /** Back to where it was taken from. */
  giveBack(item: Item, now: number): void {
    this.#putBack(item, now);
  }

  #backInLine(item: Item, now: number): void {
    this.#putBack(item, now);
    // What was passed over, and is redriven beside the others, has no place in their order.
    const inOrder = this.state.window.ordered && (item.lane === undefined || item.lane.kind === "whole");
    if (inOrder) this.withdraw(item.offset, now);
  }

  #putBack(item: Item, now: number): void {
    if (item.lane === undefined || item.lane.kind === "whole") this.state.window.putBack(item);
    else {
      item.state = "waiting";
      this.state.lanes.schedule(item.lane, now);
    }
  }

  #end(lane: Lane, now: number): void {
    this.state.lanes.remove(lane);
    if (lane.kind === "single") this.redriving.feed(now);
  }

  #note(item: Item, lane: Lane | undefined, one: Try): void {
    if (lane === undefined) {
      this.state.leases.tried.note(item, one);
      this.state.leases.changed();
    } else {
      lane.time = item.timestamp;
      this.#tell(lane, one);
    }
  }

  #tell(lane: Lane, one: Try): void {
    lane.tries = lastTries(lane.tries, [one]);
    lane.attempts = one.attempt;
    this.state.lanes.changed.add(lane);
  }

  /** Whether no attempt follows this one. */
  #wasLast(attempt: number): boolean {
    const { onFailure, maxDeliveries } = this.state.spec.config;
    return onFailure !== "block" && attempt >= maxDeliveries;
  }

  /** What was redriven is done with. */
  #settleLetter(lane: Lane): void {
    if (!lane.redriven) return;
    lane.redriven = false;
    if (this.state.letters.get(lane.from)?.state === "redriven") this.state.letters.drop(lane.from);
  }
}

function tryOf(
  { attempt }: Pick<Item, "attempt">,
  { reason, nacked }: Failure,
  holder: Holder | undefined,
  at: number,
): Try {
  const { member = "", generation = 0 } = holder ?? {};
  return { attempt, at, member, reason, generation, ...(nacked === true ? { nacked } : {}) };
}
