/** What an operator sees of a delivery, and may do to it. */
import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Delivery } from "./delivery.ts";
import { type Lane, recordOf, type Try } from "./item.ts";
import type { Letter } from "./letters.ts";
import type { Lost, Paused } from "./told.ts";

/** How far a group is on one partition. Times are ms since 1970. */
export interface Status {
  readonly partition: number;
  /** First record that is not finished. */
  readonly head: number;
  /** Next record to be read. */
  readonly cursor: number;
  readonly tail: number;
  /** Records that are not finished. */
  readonly lag: number;
  readonly oldestUnacked: number | undefined;
  readonly inFlight: number;
  readonly redeliveries: number;
  readonly lanes: {
    readonly retrying: number;
    readonly parked: number;
    readonly others: number;
    readonly full: boolean;
  };
  readonly deadLetters: number;
  readonly members: readonly { readonly member: string; readonly inFlight: number }[];
  readonly paused: Paused | undefined;
  /** The partition that this one continues is not finished; `keys`: all but so many of its keys are. */
  readonly waitsFor: { readonly partition: number; readonly keys?: number } | undefined;
  readonly lost: readonly Lost[];
  readonly rowsWritten: number;
}

/** A lane as it is shown. */
export interface LaneView {
  readonly lane: number;
  readonly key: string | undefined;
  /** Its first unfinished record, where that is known. */
  readonly offset: number | undefined;
  readonly state: Lane["state"] | "held";
  readonly attempts: number;
  readonly due: number | undefined;
  readonly tries: readonly Try[];
}

/** Which dead letters: all, or those at these offsets. */
export type Which = "all" | readonly number[];

/** The orders, by name; each takes the time last. */
export type OrderName =
  | "status"
  | "pause"
  | "resume"
  | "lanes"
  | "resumeLane"
  | "skipLane"
  | "letters"
  | "known"
  | "redrive"
  | "discard"
  | "forget";

/** What an order takes, without the time. */
export type OrderArgs<N extends OrderName> = Parameters<Admin[N]> extends [...infer Args, number] ? Args : never;

/** What a fulfilled order answers. */
export type OrderValue<N extends OrderName> = Extract<ReturnType<Admin[N]>, { ok: true }>["value"];

export class Admin {
  constructor(readonly delivery: Delivery) {}

  status(now: number): Result<Status> {
    const { state } = this.delivery;
    const lanes = [...state.lanes.byId.values()];
    const lag = this.#lag();
    const unread = state.leases.unread(now);
    const members = new Map(state.leases.members());
    for (const [member, count] of unread.members) members.set(member, (members.get(member) ?? 0) + count);
    const count = (of: Lane["state"]) => lanes.filter((lane) => lane.state === of).length;
    return ok({
      partition: state.spec.partition,
      head: state.head,
      cursor: state.cursor,
      tail: state.known ?? state.cursor,
      lag,
      oldestUnacked: lag === 0 ? undefined : this.#oldest(),
      inFlight: state.leases.size + unread.count,
      redeliveries: state.redeliveries,
      lanes: {
        retrying: count("retry"),
        parked: count("parked"),
        others: lanes.length - count("retry") - count("parked"),
        full: lanes.length >= this.delivery.reader.lanesMax,
      },
      deadLetters: state.letters.count,
      members: [...members].map(([member, inFlight]) => ({ member, inFlight })),
      paused: state.paused,
      waitsFor: this.#waitsFor(),
      lost: state.lost.all,
      rowsWritten: state.sql.rowsWritten(),
    });
  }

  pause(reason: string, now: number): Result<undefined> {
    this.delivery.state.pause({ reason, at: now });
    return ok(undefined);
  }

  resume(_now: number): Result<undefined> {
    this.delivery.state.resume();
    return ok(undefined);
  }

  /** Starts anew at an offset: what lies before is finished, what lies after is not, whatever was acked. */
  seek(offset: number, now: number): void {
    const { state, redriving } = this.delivery;
    state.jump(offset);
    this.delivery.admitOnly(now);
    // Dead letters of before the place stay, and so does what has become of them.
    redriving.restart(now);
    state.save();
  }

  lanes(_now: number): Result<LaneView[]> {
    const lanes = [...this.delivery.state.lanes.byId.values()];
    const shown = lanes.map((lane) => ({
      lane: lane.id,
      key: lane.key,
      offset: recordOf(lane),
      state: lane.held ? ("held" as const) : lane.state,
      attempts: lane.attempts,
      due: lane.state === "retry" ? lane.due : undefined,
      tries: lane.tries,
    }));
    return ok(shown);
  }

  /** Tries a lane's first record again, now. */
  resumeLane(id: number, now: number): Result<undefined> {
    const { state, redriving } = this.delivery;
    const lane = state.lanes.byId.get(id);
    if (lane === undefined) return noLane(id);
    if (lane.held) return isHeld(id);
    // Only one that is parked stands at a letter: what lies at the place of an open one may be of another key.
    const letter = lane.state === "parked" ? state.letters.get(lane.from) : undefined;
    if (letter?.state === "dead") redriving.begin(letter, undefined, now);
    else {
      lane.due = now;
      state.lanes.changed.add(lane);
      state.lanes.schedule(lane, now);
    }
    state.save();
    return ok(undefined);
  }

  /**
   * Leaves a lane's first record to the dead letters, and lets the ones behind it go on. Where it is no letter yet, it must
   * be at hand.
   */
  skipLane(id: number, now: number): Result<undefined> {
    const { state, endings } = this.delivery;
    const lane = state.lanes.byId.get(id);
    if (lane === undefined) return noLane(id);
    if (lane.held) return isHeld(id);
    if (lane.state === "parked") this.#pass(lane, now);
    else {
      const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
      if (item === undefined)
        return refuse("unavailable", "the lane's first record could not be read; try again in a moment");
      endings.skip(item, lane, now);
    }
    state.save();
    return ok(undefined);
  }

  letters(after: number, limit: number, _now: number): Result<{ letters: Letter[]; more: boolean }> {
    return ok(this.delivery.state.letters.list(after, limit));
  }

  /** Delivers dead letters again, as new; `body` instead of the record, where it was edited. Answers how many. */
  redrive(which: Which, body: Uint8Array | undefined, now: number): Result<number> {
    const { state, redriving } = this.delivery;
    const missing = this.#missing(which);
    if (missing !== undefined) return missing;
    let count = 0;
    for (const offset of this.#each(which)) {
      const row = state.letters.get(offset);
      if (row === undefined || (row.state === "redriven" && body === undefined)) continue;
      redriving.begin(row, body, now);
      count++;
    }
    redriving.feed(now);
    state.save();
    return ok(count);
  }

  /** What a partition of the version before asks for: dead letters of a key, or of a subject, go. */
  forget(target: Target, now: number): Result<number> {
    const offsets = this.delivery.state.letters.of(target);
    return offsets.length === 0 ? ok(0) : this.discard(offsets, now);
  }

  /** Forgets dead letters. A lane that is parked at one goes on behind it. Answers how many. */
  discard(which: Which, now: number): Result<number> {
    const { state } = this.delivery;
    const missing = this.#missing(which);
    if (missing !== undefined) return missing;
    let count = 0;
    for (const offset of this.#each(which)) {
      const lane = state.lanes.at(offset);
      if (lane !== undefined && (lane.state === "parked" || lane.redriven)) this.#pass(lane, now);
      if (state.letters.drop(offset)) count++;
    }
    state.save();
    return ok(count);
  }

  /** Whether all of some letters are there. */
  known(which: Which, _now: number): Result<undefined> {
    return this.#missing(which) ?? ok(undefined);
  }

  /** All, or none: what names a letter that is not there changes nothing. */
  #missing(which: Which) {
    const { letters } = this.delivery.state;
    const offset = which === "all" ? undefined : which.find((one) => letters.get(one) === undefined);
    return offset === undefined ? undefined : noLetter(offset);
  }

  *#each(which: Which): Generator<number> {
    if (which !== "all") yield* new Set(which);
    else for (const { offset } of this.delivery.state.letters.all()) yield offset;
  }

  /** The lane goes on behind its first record, which stays a dead letter, or is none. */
  #pass(lane: Lane, now: number): void {
    const { state, endings } = this.delivery;
    const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
    lane.redriven = false;
    if (item !== undefined && item.offset === lane.from) endings.finish(item, now);
    else endings.finishAhead(lane, now);
  }

  /** What the window holds, what lanes hold and have behind them, and what is yet to be read and not known as finished. */
  #lag(): number {
    const { known, cursor, done, acked, window, lanes, letters } = this.delivery.state;
    // Letters that are on their way again, and have no lane yet.
    let apart = letters.pages.redriven;
    for (const { kind, queue, behind, ahead, redriven } of lanes.byId.values()) {
      if (redriven) apart--;
      if (kind === "whole") continue;
      // In an incident lanes go beyond the window: what they have there counts as unread, but for what they have finished,
      // and for what the window had left to them before a restart.
      const beyond = kind === "key" && queue.length > 0 && queue[queue.length - 1].offset >= cursor;
      const within = (offset: number) => offset < cursor || done.has(offset);
      apart += behind - ahead + (beyond ? queue.filter(({ offset }) => within(offset)).length : queue.length);
    }
    // What was acked where every lane has read was finished already.
    const read = Math.min(cursor, ...[...lanes.unread].map(({ from }) => from));
    const unread = Math.max(0, (known ?? cursor) - cursor) - done.countFrom(cursor) - acked.countFrom(read);
    return Math.max(0, unread + window.size + apart);
  }

  #oldest(): number | undefined {
    const { window, lanes, unread } = this.delivery.state;
    let oldest = window.first()?.timestamp ?? unread;
    for (const lane of lanes.byId.values()) {
      const first = lane.queue[0]?.timestamp ?? lane.time;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }

  #waitsFor(): Status["waitsFor"] {
    const { spec, inherits, heldKeys } = this.delivery.state;
    if (spec.parent === undefined || (!inherits && heldKeys === undefined)) return undefined;
    return { partition: spec.parent, ...(inherits || heldKeys === undefined ? {} : { keys: heldKeys.size }) };
  }
}

const noLane = (id: number) => refuse("lane-not-found", `there is no lane ${id}; it may have gone on by itself`);
const isHeld = (id: number) =>
  refuse(
    "conflict",
    `lane ${id} waits for its key in the partition that this one continues; settle the lane there first`,
  );
const noLetter = (offset: number) =>
  refuse("letter-not-found", `there is no dead letter of offset ${offset}; it may have been redriven or discarded`);
