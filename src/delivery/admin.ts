/** What an operator sees of a delivery, and may do to it. */
import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { isEqual } from "../lib/bytes.ts";
import type { Delivery } from "./delivery.ts";
import { type Lane, recordOf, type Try } from "./item.ts";
import type { Letter } from "./letters.ts";
import { type Status, statusOf } from "./status.ts";
import type { LetterRow } from "./store.ts";

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

/**
 * Which lane, by its number; with the offset of its first record where that was said: as one value, so that a version before
 * takes it for a lane that is not there, and never for another time.
 */
export type LaneAt = number | { readonly lane: number; readonly offset: number };

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

/** About as many characters as it is shown in. */
const charsOf = ({ key = "", tries }: Lane): number =>
  tries.reduce((sum, { member, reason }) => sum + member.length + reason.length + 100, key.length + 200);

export class Admin {
  constructor(readonly delivery: Delivery) {}

  status(now: number): Result<Status> {
    return ok(statusOf(this.delivery, now));
  }

  /** `at` and `version`: when the catalog said so, in ms since 1970, and with which version of the group. */
  pause(reason: string, at: number, version: number | undefined, _now: number): Result<undefined> {
    this.#told(version, { reason, at });
    return ok(undefined);
  }

  /** What it has paused by itself goes on in any case. A version before says the time only. */
  resume(group: number | { readonly version: number }, _now: number): Result<undefined> {
    this.delivery.state.pause(undefined);
    this.#told(typeof group === "number" ? undefined : group.version, undefined);
    return ok(undefined);
  }

  #told(version: number | undefined, because: { readonly reason: string; readonly at: number } | undefined): void {
    const { state } = this.delivery;
    const { spec } = state;
    const newest = Math.max(spec.version, spec.decided ?? 0);
    state.told({ version: version ?? newest, paused: because !== undefined, because });
  }

  /**
   * Starts anew at an offset: what lies before is finished, what lies after is not, whatever was acked. `heirs`: partitions that
   * continue this one, whose deliveries are to hear of it before anything goes out.
   */
  seek(offset: number, heirs: readonly number[], now: number): void {
    const { state, redriving } = this.delivery;
    state.unheard.add(heirs);
    state.jump(offset);
    this.delivery.admitOnly(now);
    // Dead letters of before the place stay, and so does what has become of them.
    redriving.restart(now);
    state.save();
  }

  /** Lanes with a higher number, by number; no more than there is room for in `bytesMax`, about, but one at least. */
  lanes(after: number, limit: number, bytesMax: number, _now: number): Result<{ lanes: LaneView[]; more: boolean }> {
    const behind = [...this.delivery.state.lanes.byId.values()]
      .filter(({ id }) => id > after)
      .sort((a, b) => a.id - b.id);
    let bytes = 0;
    const some = behind.slice(0, limit).filter((lane, index) => {
      const fits = index === 0 || bytes < bytesMax;
      bytes += charsOf(lane);
      return fits;
    });
    const shown = some.map((lane) => ({
      lane: lane.id,
      key: lane.key,
      offset: recordOf(lane),
      state: lane.held ? ("held" as const) : lane.state,
      attempts: lane.attempts,
      due: lane.state === "retry" ? lane.due : undefined,
      tries: lane.tries,
    }));
    return ok({ lanes: shown, more: some.length < behind.length });
  }

  /** Tries a lane's first record again, now. Answers false, and does nothing, where it is another than the one that was named. */
  resumeLane(at: LaneAt, now: number): Result<boolean> {
    const { state, redriving } = this.delivery;
    const lane = this.laneAt(at);
    if (lane === undefined) return noLane(this.#named(numberOf(at)));
    if (lane.held) return isHeld(this.#named(lane.id));
    if (this.#isAnother(lane, at)) return ok(false);
    // Only one that is parked stands at a letter: what lies at the place of an open one may be of another key.
    const letter = lane.state === "parked" ? state.letters.get(lane.from) : undefined;
    if (letter?.state === "dead") redriving.begin(letter, undefined, now);
    else {
      lane.due = now;
      state.lanes.changed.add(lane);
      state.lanes.schedule(lane, now);
    }
    state.save();
    return ok(true);
  }

  /**
   * Leaves a lane's first record to the dead letters, and lets the ones behind it go on. Where it is no letter yet, it must
   * be at hand. Answers false, and does nothing, where it is another than the one that was named.
   */
  skipLane(at: LaneAt, now: number): Result<boolean> {
    const { state, endings } = this.delivery;
    const lane = this.laneAt(at);
    if (lane === undefined) return noLane(this.#named(numberOf(at)));
    if (lane.held) return isHeld(this.#named(lane.id));
    if (this.#isAnother(lane, at)) return ok(false);
    if (lane.state === "parked") this.#pass(lane, now);
    else {
      const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
      if (item === undefined) return this.#notAtHand(lane);
      endings.skip(item, lane, now);
    }
    state.save();
    return ok(true);
  }

  laneAt(at: LaneAt): Lane | undefined {
    return this.delivery.state.lanes.byId.get(numberOf(at));
  }

  letters(after: number, limit: number, _now: number): Result<{ letters: Letter[]; more: boolean }> {
    return ok(this.delivery.state.letters.list(after, limit));
  }

  /**
   * Delivers dead letters again, as new; `body` instead of the record, where it was edited. Answers how many: one that is on its
   * way, and is to be as it is, goes on.
   */
  redrive(which: Which, body: Uint8Array | undefined, now: number): Result<number> {
    const { state, redriving } = this.delivery;
    const missing = this.#missing(which);
    if (missing !== undefined) return missing;
    let count = 0;
    for (const offset of this.#each(which)) {
      const row = state.letters.get(offset);
      if (row === undefined || (row.state === "redriven" && isAs(row, body))) continue;
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
    if (which === "all") return undefined;
    const missing = which.filter((one) => letters.get(one) === undefined);
    return missing.length === 0 ? undefined : noLetters(missing.map((offset) => this.#named(offset)));
  }

  *#each(which: Which): Generator<number> {
    if (which !== "all") yield* new Set(which);
    else for (const { offset } of this.delivery.state.letters.all()) yield offset;
  }

  /** A lane, or a letter, as it is listed: numbers are of a partition. */
  #named(number: number): string {
    return `${this.delivery.state.spec.partition}.${number}`;
  }

  /** Whether a lane is known to stand at another record than the one that was named. */
  #isAnother(lane: Lane, at: LaneAt): boolean {
    if (typeof at === "number") return false;
    const first = recordOf(lane);
    return first === undefined ? this.delivery.reader.lanes.hasRead(lane) : first !== at.offset;
  }

  /** Why a lane's first record, which was to be brought, is not there. What only waits for an operator is no passing matter. */
  #notAtHand(lane: Lane) {
    const { state, reader } = this.delivery;
    if (!lane.exact && reader.lanes.hasRead(lane))
      return refuse("conflict", `lane ${this.#named(lane.id)} has no unfinished record: there is nothing to skip`);
    if (state.stands) {
      const why = state.paused === undefined ? "until the partition before is finished" : "while the group is paused";
      return refuse(
        "conflict",
        `the first record of lane ${this.#named(lane.id)} is yet to be read, and nothing is read ${why}`,
      );
    }
    return refuse("unavailable", "the lane's first record could not be read; try again in a moment");
  }

  /** The lane goes on behind its first record, which stays a dead letter, or is none. */
  #pass(lane: Lane, now: number): void {
    const { state, endings } = this.delivery;
    const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
    lane.redriven = false;
    if (item !== undefined && item.offset === lane.from) endings.finish(item, now);
    else endings.finishAhead(lane, now);
  }
}

const numberOf = (at: LaneAt) => (typeof at === "number" ? at : at.lane);
const noLane = (id: string) => refuse("lane-not-found", `there is no lane ${id}; it may have gone on by itself`);
const isHeld = (id: string) =>
  refuse(
    "conflict",
    `lane ${id} waits for its key in the partition that this one continues; settle the lane there first`,
  );
/** Whether a letter would be the same with this record instead of its own. */
const isAs = ({ body }: LetterRow, edited: Uint8Array | undefined) => edited === undefined || isEqual(body, edited);
/** `letters`: each, as a request names it. */
const noLetters = (letters: readonly string[]) =>
  refuse("letter-not-found", `there is no dead letter ${letters[0]}; it may have been redriven or discarded`, {
    letters,
  });
