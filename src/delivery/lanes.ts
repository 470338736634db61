/**
 * Lanes that run apart from the window, because a record of theirs failed, or because their key takes too much room in it.
 * The window goes on without them; such a lane is a place in the log, not a copy of it:
 *
 *     log   … k5 … k9 ……… k20 …………▶ cursor of the window
 *             │     └──────┴── found again by the key, when their time comes
 *             └── `from`: the first unfinished record of the key; it failed, and is tried again at `due`
 *
 * So a key that fails for ever costs a few hundred bytes, however many records wait behind it.
 */
import TinyQueue from "tinyqueue";
import { assert } from "../lib/assert.ts";
import { Fifo } from "./fifo.ts";
import { type Item, type Lane, type Wear, wearOf } from "./item.ts";

/** Bytes of records at hand, of all lanes together: beyond it a lane that waits gives its own up, and reads them again. */
const bytesMax = 8_388_608;

export class Lanes {
  readonly byId = new Map<number, Lane>();
  readonly #byKey = new Map<string, Lane>();
  /** Lanes that stand at a record, by its offset. */
  readonly #at = new Map<number, Lane>();
  /** Lanes without a record at hand that may go on. */
  readonly hungry = new Set<Lane>();
  /** Lanes that changed, and those that are no more, since they were written down. */
  readonly changed = new Set<Lane>();
  readonly gone = new Set<number>();
  /** Lanes from before a restart that have read nothing yet: their first record is at `from`, or behind it. */
  readonly unread = new Set<Lane>();
  /** Lanes that stand at no record that is known: after a restart they are such. */
  readonly adrift = new Set<Lane>();
  /** Lanes of which only the number of records has changed: to be written down with the next change. */
  readonly counted = new Set<Lane>();
  /** Lanes that have finished records where the window has yet to come. */
  readonly leading = new Set<Lane>();
  /** Those whose turn it is, by what has become of their first record. */
  readonly #lines = { untried: new Fifo<Lane>(), tried: new Fifo<Lane>(), worn: new Fifo<Lane>() };
  readonly #waiting = new TinyQueue<{ readonly lane: Lane; readonly due: number }>([], (a, b) => a.due - b.due);
  /** Incident mode: only these keys go on. */
  only: ReadonlySet<string> | undefined;
  /** Bytes of the records at hand. */
  bytes = 0;
  #nextId = 1;

  get size(): number {
    return this.byId.size;
  }

  /** How many there have been, about. */
  get made(): number {
    return this.#nextId;
  }

  ofKey(key: string | undefined): Lane | undefined {
    return key === undefined ? undefined : this.#byKey.get(key);
  }

  /** The lane that stands at the record of an offset. */
  at(offset: number): Lane | undefined {
    return this.#at.get(offset);
  }

  /** There is room for records of lanes. */
  get room(): boolean {
    return this.bytes < bytesMax;
  }

  create(kind: Lane["kind"], key: string | undefined, from: number, exact: boolean): Lane {
    const lane: Lane = {
      id: this.#nextId,
      kind,
      key,
      from,
      exact,
      read: from,
      state: "open",
      held: false,
      attempts: 0,
      due: 0,
      tries: [],
      redriven: false,
      voided: 0,
      queue: [],
      behind: 0,
      counted: from,
      ahead: 0,
      time: undefined,
      listed: false,
      timed: undefined,
      stored: false,
    };
    this.add(lane);
    this.changed.add(lane);
    return lane;
  }

  add(lane: Lane): void {
    this.#nextId = Math.max(this.#nextId, lane.id + 1);
    this.byId.set(lane.id, lane);
    if (lane.kind === "key") this.#byKey.set(lane.key as string, lane);
    this.#stand(lane);
    if (!lane.exact && lane.stored && lane.kind === "key") this.unread.add(lane);
    if (lane.ahead > 0) this.leading.add(lane);
  }

  remove(lane: Lane): void {
    this.byId.delete(lane.id);
    if (lane.kind === "key") this.#byKey.delete(lane.key as string);
    this.#leave(lane);
    this.empty(lane);
    this.hungry.delete(lane);
    this.unread.delete(lane);
    this.leading.delete(lane);
    this.changed.delete(lane);
    this.counted.delete(lane);
    if (lane.stored) this.gone.add(lane.id);
  }

  clear(): void {
    for (const lane of [...this.byId.values()]) {
      for (const item of lane.queue) item.state = "done";
      this.remove(lane);
    }
  }

  /**
   * The lane's first unfinished record is at an offset, or, where not `exact`, behind it: then it is no older than the one
   * before.
   */
  move(lane: Lane, from: number, exact: boolean, time?: number): void {
    this.#leave(lane);
    lane.from = from;
    lane.exact = exact;
    lane.time = time ?? (lane.behind > 0 ? lane.time : undefined);
    if (this.byId.get(lane.id) === lane) this.#stand(lane);
    this.changed.add(lane);
  }

  /** Records at hand. */
  fill(lane: Lane, items: Item[]): void {
    for (const item of items) this.bytes += item.to - item.from;
    lane.queue = items;
    if (items.length > 0) this.unread.delete(lane);
  }

  /** The first one is no more. */
  shift(lane: Lane): void {
    const item = lane.queue.shift();
    if (item !== undefined) this.bytes -= item.to - item.from;
  }

  /** Puts a record before the others, which takes the place of the one that has its offset. */
  put(lane: Lane, item: Item): void {
    if (lane.queue[0]?.offset === item.offset) {
      lane.queue[0].state = "done";
      this.shift(lane);
    }
    lane.queue.unshift(item);
    this.bytes += item.to - item.from;
  }

  empty(lane: Lane): void {
    for (const item of lane.queue) this.bytes -= item.to - item.from;
    lane.queue = [];
  }

  /** A lane that waits gives its records up where there is no room for them: they are read again when its time comes. */
  spare(lane: Lane): void {
    if (!this.room) this.giveUp(lane);
  }

  /** The lane keeps no record at hand. */
  giveUp(lane: Lane): void {
    if (lane.queue.length === 0) return;
    lane.behind += lane.queue.filter(({ offset }) => offset < lane.counted).length;
    lane.read = lane.from;
    for (const item of lane.queue) item.state = "done";
    this.empty(lane);
  }

  /** Whether incident mode lets it go on. */
  allows(lane: Lane): boolean {
    return this.only === undefined || (lane.key !== undefined && this.only.has(lane.key));
  }

  /** To be called after every change: sees to it that a lane that can go on does so when it is time. One that is over does not. */
  schedule(lane: Lane, now: number): void {
    this.hungry.delete(lane);
    if (this.byId.get(lane.id) !== lane) return;
    const later = lane.state === "retry" && lane.due > now;
    if (later && lane.timed !== lane.due && lane.state === "retry") {
      lane.timed = lane.due;
      this.#waiting.push({ lane, due: lane.due });
    }
    if (later || lane.kind === "whole" || !this.#mayGo(lane, now)) return;
    if (lane.queue.length === 0) this.hungry.add(lane);
    else if (lane.queue[0].state === "waiting" && !lane.listed) {
      lane.listed = true;
      this.#lines[wearOf(lane.queue[0])].push(lane);
    }
  }

  /** The window has come to an offset. What it did not see again on the way, as it is gone, or not wanted any more, no lane is ahead with. */
  overtake(cursor: number): void {
    for (const lane of this.leading) {
      const most = Math.max(0, lane.from - cursor);
      if (lane.ahead > most) {
        lane.ahead = most;
        this.counted.add(lane);
      }
      if (lane.ahead === 0) this.leading.delete(lane);
    }
  }

  scheduleAll(now: number): void {
    for (const lane of this.byId.values()) this.schedule(lane, now);
  }

  /** Lanes whose time has come go on. */
  come(now: number): void {
    for (let first = this.#waiting.peek(); first !== undefined && first.due <= now; first = this.#waiting.peek()) {
      this.#waiting.pop();
      const { lane, due } = first;
      if (lane.timed !== due) continue;
      lane.timed = undefined;
      this.schedule(lane, now);
    }
  }

  /** The first record whose turn it is, of those that failed so often. It stays where it is. */
  peek(wear: Wear, now: number): Item | undefined {
    const list = this.#lines[wear];
    for (let lane = list.first; lane !== undefined; lane = list.first) {
      const [item] = lane.queue;
      const there = this.byId.get(lane.id) === lane && item?.state === "waiting" && this.#mayGo(lane, now);
      if (there && wearOf(item) === wear) return item;
      list.shift();
      lane.listed = false;
      if (there) this.schedule(lane, now);
    }
    return undefined;
  }

  /** Takes the record that `peek` has shown. */
  take(wear: Wear): void {
    const lane = this.#lines[wear].shift();
    if (lane !== undefined) lane.listed = false;
  }

  /** Lanes whose turn it is, about. */
  get readyCount(): number {
    const { untried, tried, worn } = this.#lines;
    return untried.size + tried.size + worn.size;
  }

  /** When the next lane is tried again, in ms since 1970, or a moment before it. */
  get nextDue(): number {
    return this.#waiting.peek()?.due ?? Number.POSITIVE_INFINITY;
  }

  #mayGo(lane: Lane, now: number): boolean {
    return lane.state !== "parked" && !lane.held && !(lane.state === "retry" && lane.due > now) && this.allows(lane);
  }

  #stand(lane: Lane): void {
    if (lane.exact) this.#at.set(lane.from, lane);
    else this.adrift.add(lane);
  }

  #leave(lane: Lane): void {
    this.adrift.delete(lane);
    if (this.#at.get(lane.from) === lane) this.#at.delete(lane.from);
  }

  check(): void {
    let bytes = 0;
    for (const lane of this.byId.values()) {
      let before = lane.from - 1;
      for (const item of lane.queue) {
        assert(item.offset > before && item.lane === lane && item.state !== "done", "a lane's records are in order");
        before = item.offset;
        bytes += item.to - item.from;
      }
      const [first] = lane.queue;
      assert(first === undefined || (lane.exact && lane.from === first.offset), "a lane stands at its first record");
      assert(!lane.exact || this.#at.get(lane.from) === lane, "a lane is found where it stands");
      assert(this.adrift.has(lane) !== lane.exact, "a lane stands at a record that is known, or is adrift");
      const untried = lane.state === "open" && !lane.redriven && lane.attempts === 0;
      assert(lane.exact || (untried && lane.kind === "key"), "what has failed, or is redriven, is known");
      assert(lane.kind !== "key" || before < lane.read || lane.queue.length === 0, "a lane has read what it holds");
      assert(
        lane.queue.slice(1).every((item) => item.state === "waiting"),
        "only a lane's first record has its turn",
      );
    }
    assert(bytes === this.bytes, "the lanes know how much they hold");
  }
}
