/** What is to be read from the log, and what becomes of it: the window's records in order, and those of hungry lanes. */
import { type Filter, filterOf } from "../log/filter.ts";
import type { Piece, Position } from "../log/read.ts";
import { type Item, type Lane, ownBytes } from "./item.ts";
import { itemsOf } from "./page.ts";
import type { State } from "./state.ts";

/** A read that the delivery wants done. Without a lane it is the window's. */
export interface Wish {
  readonly lane?: number;
  readonly from: Extract<Position, { at: "offset" }>;
  readonly limit: number;
  readonly bytesMax: number;
  readonly filter?: Filter;
}

/** What a partition answered, or pushed: the records of `[from, to)`. */
export interface Read {
  readonly from: number;
  readonly to: number;
  readonly pieces: readonly Piece[];
  readonly tail: number;
  readonly sealed: boolean;
}

/** Unfinished records, and bytes, that a delivery keeps in memory. */
const windowMax = 20_000;
const windowBytesMax = 8_388_608;
/** Fewer than so many ready records in a full window: it is full of what is worked on, and of what is finished beside it. */
const compactBelow = 100;
const pageBytes = 1_048_576;
const pageRecords = 10_000;
/** Records of one key that may wait in the window before they become a lane of their own. */
const lineMax = 256;
/** Records of a lane at hand. */
const lanePage = 256;
const lanesMaxRead = 8;

export class Reader {
  constructor(
    readonly state: State,
    readonly lanesMax: number,
    /** Called when the window is back where it was before a restart. */
    readonly back: (now: number) => void,
  ) {}

  /** True where the window takes more: there is more, and there is room. */
  get wantsMore(): boolean {
    const { window, cursor, known, lanes, paused, horizon, inherits } = this.state;
    if (inherits) return false;
    if (window.bytes >= windowBytesMax && window.readyCount < compactBelow) window.compact();
    const room = window.size < windowMax && window.bytes < windowBytesMax && lanes.size < this.lanesMax;
    return (
      room &&
      (known === undefined || cursor < known) &&
      paused === undefined &&
      (lanes.only === undefined || cursor < horizon)
    );
  }

  /** Reads to be done now, lanes first. */
  wishes(now: number): Wish[] {
    const { lanes, cursor, paused, inherits } = this.state;
    if (paused !== undefined || inherits) return [];
    if (now >= lanes.nextDue) lanes.scheduleAll(now);
    const wishes: Wish[] = [];
    for (const lane of lanes.hungry) {
      if (wishes.length >= lanesMaxRead) break;
      if (lane.kind === "key" && lane.read >= this.#target()) continue;
      wishes.push({
        lane: lane.id,
        from: { at: "offset", offset: lane.read },
        limit: lane.kind === "key" ? lanePage : 1,
        bytesMax: pageBytes,
        ...(lane.kind === "key" ? { filter: { ...this.filter(), key: lane.key } } : {}),
      });
    }
    if (this.wantsMore) {
      const filter = this.filter();
      wishes.push({
        from: { at: "offset", offset: cursor },
        limit: pageRecords,
        bytesMax: pageBytes,
        ...(filter === undefined ? {} : { filter }),
      });
    }
    return wishes;
  }

  /** Takes what was read. Answers false where it does not fit: something else was read meanwhile. */
  take(wish: Pick<Wish, "lane">, read: Read, now: number): boolean {
    const { state } = this;
    this.learn(read.tail);
    if (read.sealed) state.sealed = true;
    if (wish.lane === undefined) return this.#takeWindow(read, now);
    const lane = state.lanes.byId.get(wish.lane);
    if (lane === undefined || lane.queue.length > 0 || lane.read !== read.from) return false;
    if (lane.kind === "key") this.#takeLane(lane, read, now);
    else this.#takeSingle(lane, read, now);
    return true;
  }

  /** The log begins at `head` by now: what lay before is lost to the group. */
  trimmed(wish: Pick<Wish, "lane">, head: number, now: number): void {
    const { state } = this;
    const lane = wish.lane === undefined ? undefined : state.lanes.byId.get(wish.lane);
    if (lane !== undefined) {
      state.lost.push({ from: lane.from, to: head, why: "trimmed" });
      if (lane.kind === "single") state.lanes.remove(lane);
      else {
        lane.from = lane.read = Math.max(lane.read, head);
        lane.state = "open";
        lane.attempts = 0;
        lane.dirty = true;
        this.settle(lane, now);
      }
    } else if (head > state.cursor) {
      state.lost.push({ from: state.cursor, to: head, why: "trimmed" });
      state.cursor = head;
      this.learn(0);
      state.done.dropBefore(head);
    }
    state.unsaved++;
    state.save();
  }

  /** The log has come to `tail`. What it had come to before the place that was jumped to says nothing: it is read for more. */
  learn(tail: number): void {
    const { state } = this;
    const known = Math.max(state.known ?? 0, tail);
    state.known = known < state.cursor ? undefined : known;
  }

  /** To be called when a lane has changed: it goes on, reads on, or, where it has caught up, is no lane any more. */
  settle(lane: Lane, now: number): void {
    const { state } = this;
    if (lane.kind === "key" && lane.queue.length === 0 && lane.state === "open") {
      lane.from = lane.read;
      const stays = state.lanes.only?.has(lane.key as string) ?? false;
      if (lane.read === state.cursor && state.cursor >= state.horizon && !stays) {
        state.lanes.remove(lane);
        state.unsaved++;
        return;
      }
    }
    state.lanes.schedule(lane, now);
  }

  /** What is being redriven comes from the dead letters, where it may have been edited. */
  reload(lane: Lane): void {
    const { letters, byKey } = this.state;
    const letter = lane.redriven && lane.kind !== "whole" ? letters.get(lane.from) : undefined;
    if (letter === undefined) return;
    const item = letters.item(letter, byKey);
    item.lane = lane;
    item.attempt = lane.attempts;
    lane.queue = [item];
    lane.read = lane.from + 1;
  }

  /** A lane's first record is finished, or left to the dead letters: the next one comes forward. */
  advance(lane: Lane, now: number): void {
    lane.state = "open";
    lane.attempts = 0;
    lane.tries = [];
    lane.from = lane.queue[0]?.offset ?? lane.read;
    lane.dirty = true;
    this.settle(lane, now);
  }

  /** The group's filter, as the log understands it. */
  filter(): Filter | undefined {
    const { filter } = this.state.spec.config;
    return filter === null ? undefined : filterOf(filter);
  }

  /** Up to where lanes read: to the window's cursor, and in incident mode, where the window stands still, to the tail. */
  #target(): number {
    return this.state.lanes.only === undefined ? this.state.cursor : (this.state.known ?? Number.MAX_SAFE_INTEGER);
  }

  #takeWindow(read: Read, now: number): boolean {
    const { state } = this;
    const { only } = state.lanes;
    if (read.from !== state.cursor || (only !== undefined && state.cursor >= state.horizon)) return false;
    const page = itemsOf(read.pieces, read.from, read.to, this.filter(), state.byKey);
    for (const { from, to } of page.damaged) state.lost.push({ from, to, why: "damaged" });
    for (const item of page.items) this.#place(item, now);
    state.cursor = read.to;
    state.done.dropBefore(read.to);
    for (const lane of [...state.lanes.hungry]) this.settle(lane, now);
    this.#relieve(now);
    if (only !== undefined && state.cursor >= state.horizon) this.back(now);
    return true;
  }

  #place(item: Item, now: number): void {
    const { state } = this;
    const { lanes } = state;
    if (state.done.has(item.offset) || lanes.ofOffset(item.offset) !== undefined) return;
    const lane = lanes.ofKey(item.key);
    if (lane !== undefined) {
      if (item.offset >= lane.read) lane.held++;
      return;
    }
    const inPlace = lanes.inPlace(item.offset);
    if (inPlace !== undefined) {
      item.lane = inPlace;
      item.attempt = inPlace.attempts;
      const letter = inPlace.redriven ? state.letters.get(item.offset) : undefined;
      if (letter !== undefined) Object.assign(item, { bytes: letter.body, from: 0, to: letter.body.length });
    }
    this.#restore(item, now);
    if (state.window.add(item) > lineMax) this.#part(state.window.lineOf(item.key as string) as Item, now);
  }

  /** Gives a line a lane of its own, which goes on by itself. */
  #part(first: Item, now: number): void {
    this.state.lanes.schedule(this.state.detach(first), now);
  }

  /** Where the window is full and nothing in it can go on, lines that wait in it become lanes. */
  #relieve(now: number): void {
    const { window, lanes } = this.state;
    if (window.ordered || window.readyCount > 0 || window.size < windowMax / 2) return;
    for (const item of window.longest(2)) {
      if (window.size < windowMax / 4 || lanes.size >= this.lanesMax) return;
      this.#part(item, now);
    }
  }

  #takeLane(lane: Lane, read: Read, now: number): void {
    const { state } = this;
    const to = Math.min(read.to, this.#target());
    const filter = { ...this.filter(), key: lane.key };
    const { items, damaged } = itemsOf(read.pieces, read.from, to, filter, true);
    for (const { from, to } of damaged) state.lost.push({ from, to, why: "damaged" });
    // What the window knows as finished does not count here: it counts what it left to a lane as finished too.
    const wanted = items.filter((item) => item.offset >= lane.from);
    const some = wanted.slice(0, lanePage);
    for (const item of some) {
      item.lane = lane;
      ownBytes(item);
      item.holding = undefined;
    }
    lane.queue = some;
    lane.read = some.length < wanted.length ? wanted[some.length].offset : Math.max(to, lane.read);
    lane.held = lane.read >= state.cursor ? 0 : Math.max(0, lane.held - some.length);
    const [first] = some;
    if (first !== undefined && first.offset === lane.from) first.attempt = lane.attempts;
    else if (first !== undefined) {
      lane.from = first.offset;
      lane.state = "open";
      lane.attempts = 0;
    }
    if (first !== undefined) this.#restore(first, now);
    this.settle(lane, now);
  }

  /** The one record of a lane, where it is still there. */
  #takeSingle(lane: Lane, read: Read, now: number): void {
    const { state } = this;
    const [item] = itemsOf(read.pieces, lane.from, lane.from + 1, undefined, false).items;
    if (item === undefined) {
      state.lost.push({ from: lane.from, to: lane.from + 1, why: "damaged" });
      state.lanes.remove(lane);
      state.unsaved++;
      return;
    }
    item.lane = lane;
    item.attempt = lane.attempts;
    ownBytes(item);
    item.holding = undefined;
    lane.queue = [item];
    this.#restore(item, now);
    this.settle(lane, now);
  }

  /** A record that was under lease before a restart still is. */
  #restore(item: Item, now: number): void {
    const { leases } = this.state;
    const saved = leases.restored.get(item.offset);
    if (saved === undefined) return;
    const [offset, generation, member, expires, attempt] = saved;
    leases.restored.delete(offset);
    if (expires <= now) return;
    item.state = "leased";
    item.attempt = attempt;
    leases.grant(item, member, generation, now, expires, true);
  }
}
