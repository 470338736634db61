/** What an operator sees of a delivery, and may do to it. */
import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Delivery } from "./delivery.ts";
import { lettersOf } from "./forget.ts";
import type { Item, Lane, Try } from "./item.ts";
import type { Letter } from "./letters.ts";
import type { Lost, Paused } from "./state.ts";

/** How far a group is on one partition. Times are ms since 1970. */
export interface Status {
  readonly partition: number;
  /** First record that is not finished. */
  readonly head: number;
  /** Next record to be read. */
  readonly cursor: number;
  readonly tail: number;
  /** Records that are not finished. After a restart, those behind a lane's first one count as they are seen again. */
  readonly lag: number;
  readonly oldestUnacked: number | undefined;
  readonly inFlight: number;
  readonly redeliveries: number;
  readonly lanes: { readonly retrying: number; readonly parked: number; readonly others: number };
  readonly deadLetters: number;
  readonly members: readonly { readonly member: string; readonly inFlight: number }[];
  readonly paused: Paused | undefined;
  readonly lost: readonly Lost[];
  readonly rowsWritten: number;
}

/** A lane as it is shown. */
export interface LaneView {
  readonly lane: number;
  readonly key: string | undefined;
  readonly offset: number;
  readonly state: Lane["state"];
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

  status(_now: number): Result<Status> {
    const { state } = this.delivery;
    const lanes = [...state.lanes.byId.values()];
    const count = (of: Lane["state"]) => lanes.filter((lane) => lane.state === of).length;
    const tail = state.known ?? state.cursor;
    const apart = lanes.reduce((sum, lane) => sum + behind(lane), 0);
    return ok({
      partition: state.spec.partition,
      head: state.head,
      cursor: state.cursor,
      tail,
      lag: Math.max(0, tail - state.cursor) + state.window.size + apart,
      oldestUnacked: this.#oldest(),
      inFlight: state.leases.size,
      redeliveries: state.redeliveries,
      lanes: {
        retrying: count("retry"),
        parked: count("parked"),
        others: lanes.length - count("retry") - count("parked"),
      },
      deadLetters: state.letters.count,
      members: [...state.leases.members()].map(([member, inFlight]) => ({ member, inFlight })),
      paused: state.paused,
      lost: state.lost,
      rowsWritten: state.sql.rowsWritten(),
    });
  }

  pause(reason: string, now: number): Result<undefined> {
    this.delivery.state.pause({ reason, at: now });
    return ok(undefined);
  }

  resume(_now: number): Result<undefined> {
    this.delivery.state.pause(undefined);
    return ok(undefined);
  }

  /** Starts anew at an offset: what lies before is finished, what lies after is not, whatever was acked. */
  seek(offset: number, now: number): void {
    this.delivery.state.jump(offset);
    this.delivery.admitOnly(now);
  }

  lanes(_now: number): Result<LaneView[]> {
    const lanes = [...this.delivery.state.lanes.byId.values()];
    const shown = lanes.map(({ id, key, from, state, attempts, due, tries }) => ({
      lane: id,
      key,
      offset: from,
      state,
      attempts,
      due: state === "retry" ? due : undefined,
      tries,
    }));
    return ok(shown);
  }

  /** Tries a lane's first record again, now. */
  resumeLane(id: number, now: number): Result<undefined> {
    const lane = this.delivery.state.lanes.byId.get(id);
    if (lane === undefined || lane.state === "held") return noLane(id);
    const letter = this.delivery.state.letters.get(lane.from);
    if (letter !== undefined) return this.redrive([lane.from], undefined, now);
    lane.due = now;
    lane.dirty = true;
    this.delivery.state.lanes.schedule(lane, now);
    this.delivery.state.save();
    return ok(undefined);
  }

  /** Leaves a lane's first record to the dead letters, and lets the ones behind it go on. */
  skipLane(id: number, now: number): Result<undefined> {
    const { state } = this.delivery;
    const lane = state.lanes.byId.get(id);
    if (lane === undefined || lane.state === "held") return noLane(id);
    if (lane.state === "parked") {
      this.#pass(lane, now);
      state.save();
      return ok(undefined);
    }
    const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
    if (item === undefined) return refuse("unavailable", "the lane's record is yet to be read; try again in a moment");
    state.leases.end(item);
    this.delivery.bury(item, lane, "skip", "skipped by an operator", now);
    state.save();
    return ok(undefined);
  }

  letters(after: number, limit: number, _now: number): Result<Letter[]> {
    return ok(this.delivery.state.letters.list(after, limit));
  }

  /** Delivers dead letters again, as new; `body` instead of the record, where it was edited. */
  redrive(which: Which, body: Uint8Array | undefined, now: number): Result<undefined> {
    const { state } = this.delivery;
    const missing = this.#missing(which);
    if (missing !== undefined) return missing;
    for (const offset of this.#each(which)) {
      const row = state.letters.get(offset);
      if (row === undefined) continue;
      if (row.state === "redriven" && body === undefined) continue;
      state.letters.redrive(row, body);
      const item = state.letters.item({ ...row, body: body ?? row.body }, state.byKey);
      this.#redriveItem(item, now);
    }
    state.save();
    return ok(undefined);
  }

  /** Dead letters of a key, or of a subject, go; what waits behind them goes on. */
  forget(target: Target, now: number): Result<undefined> {
    const offsets = lettersOf(this.delivery.state.letters, target);
    return offsets.length === 0 ? ok(undefined) : this.discard(offsets, now);
  }

  /** Forgets dead letters. A lane that is parked at one goes on behind it. */
  discard(which: Which, now: number): Result<undefined> {
    const { state } = this.delivery;
    const missing = this.#missing(which);
    if (missing !== undefined) return missing;
    for (const offset of this.#each(which)) {
      const lane = this.#laneAt(offset);
      if (lane !== undefined) this.#pass(lane, now);
      state.letters.drop(offset);
    }
    state.save();
    return ok(undefined);
  }

  /** All, or none: what names a letter that is not there changes nothing. */
  #missing(which: Which) {
    const offset =
      which === "all" ? undefined : which.find((one) => this.delivery.state.letters.get(one) === undefined);
    return offset === undefined ? undefined : noLetter(offset);
  }

  /** Whether all of some letters are there. */
  known(which: Which, _now: number): Result<undefined> {
    return this.#missing(which) ?? ok(undefined);
  }

  *#each(which: Which): Generator<number> {
    if (which !== "all") return yield* which;
    for (let after = -1; ; ) {
      const some = this.delivery.state.letters.list(after, 256);
      for (const letter of some) yield letter.offset;
      if (some.length < 256) return;
      after = some[some.length - 1].offset;
    }
  }

  /** Into the lane that is parked at it, or, where the group went on without it, on its own. */
  #redriveItem(item: Item, now: number): void {
    const { state } = this.delivery;
    const parked = this.#laneAt(item.offset);
    if (parked?.kind === "whole") {
      const first = state.window.items.get(item.offset);
      if (first !== undefined) {
        Object.assign(first, { bytes: item.bytes, from: item.from, to: item.to, attempt: 0 });
        state.window.unhold(first);
      }
    }
    const lane = parked ?? state.lanes.create("single", undefined, item.offset);
    if (lane.kind !== "whole") {
      item.lane = lane;
      if (lane.queue[0]?.offset === item.offset) {
        this.delivery.state.leases.end(lane.queue[0]);
        lane.queue[0].state = "done";
        lane.queue[0] = item;
      } else lane.queue.unshift(item);
      lane.read = Math.max(lane.read, item.offset + 1);
    }
    lane.redriven = true;
    lane.state = "retry";
    lane.attempts = 0;
    lane.tries = [];
    lane.due = now;
    lane.dirty = true;
    state.lanes.schedule(lane, now);
  }

  #laneAt(offset: number): Lane | undefined {
    const { lanes } = this.delivery.state;
    const single = lanes.ofOffset(offset);
    if (single !== undefined) return single;
    for (const lane of lanes.byId.values()) {
      if (lane.from === offset && (lane.state === "parked" || lane.redriven)) return lane;
    }
    return undefined;
  }

  /** The lane goes on behind its first record, which stays a dead letter, or is none. */
  #pass(lane: Lane, now: number): void {
    const { state } = this.delivery;
    const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
    lane.redriven = false;
    if (item !== undefined && item.offset === lane.from) this.delivery.finish(item, now);
    else if (lane.kind === "key") {
      lane.read = Math.max(lane.read, lane.from + 1);
      lane.from = lane.read;
      lane.state = "open";
      lane.attempts = 0;
      lane.tries = [];
      lane.dirty = true;
      this.delivery.reader.settle(lane, now);
    } else {
      if (lane.kind === "whole") state.done.add(lane.from);
      state.lanes.remove(lane);
    }
  }

  #oldest(): number | undefined {
    const { window, lanes, unread } = this.delivery.state;
    let oldest = window.first()?.timestamp ?? unread;
    for (const lane of lanes.byId.values()) {
      const first = lane.queue[0]?.timestamp;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }
}

const noLane = (id: number) => refuse("lane-not-found", `there is no lane ${id}; it may have gone on by itself`);
const noLetter = (offset: number) =>
  refuse("letter-not-found", `there is no dead letter of offset ${offset}; it may have been redriven or discarded`);

/** Records of a lane that are not finished, besides those that stay in the window. */
function behind({ kind, queue, held, state }: Lane): number {
  if (kind === "whole") return 0;
  const unread = queue.length === 0 && (state === "retry" || state === "parked") ? 1 : 0;
  return queue.length + held + unread;
}
