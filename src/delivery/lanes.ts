/**
 * Lanes that run apart from the window, because a record of theirs failed, or because their key takes too much room in it.
 * The window goes on without them; such a lane is a place in the log, not a copy of it:
 *
 *     log   … k5 … k9 ……… k20 …………▶ cursor of the window
 *             │     └──────┴── found again by the key, when their time comes
 *             └── `from`: the first unfinished record of the key; it failed, and is tried again at `due`
 *
 * So a key that fails for ever costs one row and a few hundred bytes, however many records wait behind it.
 */
import { assert } from "../lib/assert.ts";
import type { Item, Lane, Try } from "./item.ts";

const triesMax = 10;

export class Lanes {
  readonly byId = new Map<number, Lane>();
  readonly #byKey = new Map<string, Lane>();
  readonly #singles = new Map<number, Lane>();
  /** Lanes without a record at hand that may go on. */
  readonly hungry = new Set<Lane>();
  /** Lanes that were stored and are no more. */
  readonly gone: Lane[] = [];
  readonly #ready: Lane[] = [];
  readonly #inPlace = new Map<number, Lane>();
  /** Incident mode: only these keys go on. */
  only: ReadonlySet<string> | undefined;
  #nextDue = Number.POSITIVE_INFINITY;
  #nextId = 1;

  get size(): number {
    return this.byId.size;
  }

  ofKey(key: string | undefined): Lane | undefined {
    return key === undefined ? undefined : this.#byKey.get(key);
  }

  /** The lane of a record that stays where it is in the window. */
  inPlace(offset: number): Lane | undefined {
    return this.#inPlace.get(offset);
  }

  ofOffset(offset: number): Lane | undefined {
    return this.#singles.get(offset);
  }

  create(kind: Lane["kind"], key: string | undefined, from: number, state: Lane["state"] = "open"): Lane {
    const lane: Lane = {
      id: this.#nextId,
      kind,
      key,
      from,
      read: from,
      state,
      attempts: 0,
      due: 0,
      tries: [],
      redriven: false,
      queue: [],
      held: 0,
      dirty: true,
      stored: false,
    };
    this.add(lane);
    return lane;
  }

  add(lane: Lane): void {
    this.#nextId = Math.max(this.#nextId, lane.id + 1);
    this.byId.set(lane.id, lane);
    if (lane.kind === "key") this.#byKey.set(lane.key as string, lane);
    else if (lane.kind === "single") this.#singles.set(lane.from, lane);
    else this.#inPlace.set(lane.from, lane);
  }

  remove(lane: Lane): void {
    this.byId.delete(lane.id);
    this.hungry.delete(lane);
    if (lane.kind === "key") this.#byKey.delete(lane.key as string);
    else if (lane.kind === "single") this.#singles.delete(lane.from);
    else this.#inPlace.delete(lane.from);
    if (lane.stored) this.gone.push(lane);
  }

  clear(): void {
    for (const lane of [...this.byId.values()]) {
      for (const item of lane.queue) item.state = "done";
      this.remove(lane);
    }
    this.#ready.length = 0;
    this.#nextDue = Number.POSITIVE_INFINITY;
  }

  /** Notes a failed attempt; the last ones are kept. */
  note(lane: Lane, tried: Try): void {
    lane.tries = [...lane.tries, tried].slice(-triesMax);
    lane.attempts = tried.attempt;
    lane.dirty = true;
  }

  /** Whether incident mode lets it go on. */
  allows(lane: Lane): boolean {
    return this.only === undefined || (lane.key !== undefined && this.only.has(lane.key)) || lane.redriven;
  }

  /** To be called after every change: sees to it that a lane that can go on does so when it is time. */
  schedule(lane: Lane, now: number): void {
    this.hungry.delete(lane);
    if (lane.kind === "whole") {
      if (lane.state === "retry" && lane.due > now) this.#nextDue = Math.min(this.#nextDue, lane.due);
      return;
    }
    if (lane.state === "parked" || lane.state === "held" || !this.allows(lane)) return;
    if (lane.state === "retry" && lane.due > now) this.#nextDue = Math.min(this.#nextDue, lane.due);
    else if (lane.queue.length === 0) this.hungry.add(lane);
    else if (lane.queue[0].state === "waiting") this.#ready.push(lane);
  }

  scheduleAll(now: number): void {
    this.#nextDue = Number.POSITIVE_INFINITY;
    for (const lane of this.byId.values()) this.schedule(lane, now);
  }

  /** A record of a lane whose turn it is. */
  take(now: number): Item | undefined {
    if (now >= this.#nextDue) this.scheduleAll(now);
    for (let lane = this.#ready.shift(); lane !== undefined; lane = this.#ready.shift()) {
      const [item] = lane.queue;
      const waits = lane.state === "parked" || lane.state === "held" || (lane.state === "retry" && lane.due > now);
      if (this.byId.get(lane.id) === lane && item?.state === "waiting" && !waits && this.allows(lane)) return item;
    }
    return undefined;
  }

  /** When the next lane is tried again, in ms since 1970. */
  get nextDue(): number {
    return this.#nextDue;
  }

  get anyReady(): boolean {
    return this.#ready.length > 0;
  }

  check(): void {
    for (const lane of this.byId.values()) {
      let before = lane.from - 1;
      for (const item of lane.queue) {
        assert(item.offset > before && item.lane === lane && item.state !== "done", "a lane's records are in order");
        before = item.offset;
      }
      assert(lane.kind !== "key" || before < lane.read || lane.queue.length === 0, "a lane has read what it holds");
      assert(
        lane.queue.slice(1).every((item) => item.state === "waiting"),
        "only a lane's first record has its turn",
      );
    }
  }
}
