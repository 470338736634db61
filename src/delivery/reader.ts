/** What is to be read from the log, and what becomes of it: the window's records in order, and those of hungry lanes. */
import { type Filter, filterOf } from "../log/filter.ts";
import { type Item, isWorn, type Lane } from "./item.ts";
import { LaneReader } from "./lane-reader.ts";
import type { Lanes } from "./lanes.ts";
import type { Restored } from "./lease-row.ts";
import { itemsOf } from "./page.ts";
import type { State } from "./state.ts";
import type { Read, Wish } from "./wish.ts";

/** Unfinished records, and bytes, that a delivery keeps in memory. */
const windowMax = 20_000;
const windowBytesMax = 8_388_608;
/** Fewer than so many ready records in a full window: it is full of what is worked on, and of what is finished beside it. */
const compactBelow = 100;
const pageBytes = 1_048_576;
const pageRecords = 10_000;
/** Records of one key that may wait in the window before they become a lane of their own. */
const lineMax = 256;
const lanesMaxRead = 8;

export class Reader {
  readonly lanes: LaneReader;

  constructor(
    readonly state: State,
    readonly lanesMax: number,
    readonly on: {
      /** The window is back where it was before a restart. */
      back(now: number): void;
      /** A record of a lease that ran out, or was given back, before it was read again. */
      overdue(item: Item, lease: Restored, now: number): void;
    },
  ) {
    this.lanes = new LaneReader(state, () => this.filter(), on.overdue);
  }

  /** True where the window takes more: there is more, and there is room. */
  get wantsMore(): boolean {
    const { window, cursor, known, lanes, paused, horizon, inherits } = this.state;
    // What waits for another partition is read no further than it was before a restart, for an incident to go on.
    if (inherits && (lanes.only === undefined || cursor >= horizon)) return false;
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
    const { lanes, cursor, stands } = this.state;
    if (stands) return [];
    lanes.come(now);
    const wishes: Wish[] = [];
    for (const lane of lanes.hungry) {
      if (wishes.length >= lanesMaxRead || !lanes.room) break;
      const wish = this.lanes.wish(lane, now);
      if (wish !== undefined) wishes.push(wish);
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

  /** Takes what was read. Answers false where it does not fit: something else was read meanwhile, or is wanted by now. */
  take(wish: Pick<Wish, "lane" | "filter">, read: Read, now: number): boolean {
    this.learn(read.tail);
    if (read.sealed) this.state.sealed = true;
    // Records that are wanted since may lie in what the filter of before has passed over.
    if (wish.filter !== undefined && JSON.stringify(wish.filter) !== JSON.stringify(this.#filterFor(wish)))
      return false;
    const taken = wish.lane === undefined ? this.#takeWindow(read, now) : this.lanes.take(wish.lane, read, now);
    this.lanes.endPassed();
    return taken;
  }

  /** The log begins at `head` by now: what lay before is lost to the group. */
  trimmed(wish: Pick<Wish, "lane">, head: number, now: number): void {
    const { state } = this;
    const lane = wish.lane === undefined ? undefined : state.lanes.byId.get(wish.lane);
    if (lane !== undefined) this.lanes.trimmed(lane, head, now);
    else if (head > state.cursor) {
      state.lost.add({ from: state.cursor, to: head, why: "trimmed" });
      this.#placeAll([], head, now);
      // Whoever was behind is told nothing: what came behind the head it learns by reading.
      if (state.known !== undefined && state.known <= head) state.known = undefined;
      state.done.dropBefore(head);
      state.lanes.overtake(head);
      this.#forsake(now);
    }
    this.lanes.endPassed();
    state.unsaved++;
    state.save();
  }

  /** The log has come to `tail`. What it had come to before the place that was jumped to says nothing: it is read for more. */
  learn(tail: number): void {
    const { state } = this;
    const known = Math.max(state.known ?? 0, tail);
    state.known = known < state.cursor ? undefined : known;
  }

  /** The group's filter, as the log understands it. */
  filter(): Filter | undefined {
    const { filter } = this.state.spec.config;
    return filter === null ? undefined : filterOf(filter);
  }

  /** By which filter a wish is read. */
  #filterFor({ lane: id }: Pick<Wish, "lane">): Filter | undefined {
    const lane = id === undefined ? undefined : this.state.lanes.byId.get(id);
    return lane?.kind === "key" ? { ...this.filter(), key: lane.key } : this.filter();
  }

  #takeWindow(read: Read, now: number): boolean {
    const { state } = this;
    const { only } = state.lanes;
    if (read.from !== state.cursor || (only !== undefined && state.cursor >= state.horizon)) return false;
    const page = itemsOf(read.pieces, read.from, read.to, this.filter(), state.byKey);
    for (const { from, to } of page.damaged) {
      // What is finished is not lost, and what was given up once was told then.
      if (state.done.gapFrom(from) < to) state.lost.add({ from, to, why: "damaged" });
      state.finishedTo = Math.max(state.finishedTo, to);
    }
    this.#placeAll(page.items, read.to, now);
    state.done.dropBefore(read.to);
    state.lanes.overtake(read.to);
    this.#forsake(now);
    for (const lane of [...state.lanes.hungry]) this.lanes.settle(lane, now);
    this.#relieve(now);
    if (only !== undefined && state.cursor >= state.horizon) this.on.back(now);
    return true;
  }

  /** The window comes to an offset, over these records. */
  #placeAll(items: readonly Item[], to: number, now: number): void {
    const { state } = this;
    for (const item of this.#withLetters(items, to)) {
      state.cursor = item.offset + 1;
      this.#place(item, now);
    }
    state.cursor = to;
  }

  /** A letter that a lane stands at keeps its place, whatever has become of its record in the log, or of the filter. */
  #withLetters(items: readonly Item[], to: number): readonly Item[] {
    const { lanes, letters, cursor, byKey } = this.state;
    if (lanes.size === 0 || letters.count === 0) return items;
    const there = new Set(items.map(({ offset }) => offset));
    const kept: Item[] = [];
    for (const { kind, from } of standing(lanes, cursor, to)) {
      const letter = kind === "single" || there.has(from) ? undefined : letters.get(from);
      if (letter !== undefined) kept.push(letters.item(letter, byKey));
    }
    return kept.length === 0 ? items : [...items, ...kept].sort((a, b) => a.offset - b.offset);
  }

  #place(item: Item, now: number): void {
    const { state } = this;
    const { lanes } = state;
    const { offset, key } = item;
    const at = lanes.size === 0 ? undefined : lanes.at(offset);
    const lane = lanes.ofKey(key);
    // A letter that is on its way again is beside the others; the lane of its key may have left it ahead of the window.
    if (at?.kind === "single") {
      if (lane !== undefined) this.#passed(lane, offset);
      this.#leave(offset);
      return;
    }
    if (lane !== undefined) {
      this.#count(lane, offset);
      return;
    }
    if (state.done.has(offset)) {
      // It ended when that was not written down any more.
      state.leases.endRestored(offset);
      return;
    }
    if (this.lanes.wasAcked(item)) return;
    if (key !== undefined && state.heldKeys?.has(key)) {
      const held = lanes.create("key", key, offset, true);
      held.held = true;
      held.time = item.timestamp;
      this.#count(held, offset);
      return;
    }
    if (at?.kind === "whole") this.#join(item, at);
    const length = state.window.add(item);
    this.lanes.restore(item, now);
    // It takes its turn among those that failed again and again.
    if (item.state === "ready" && isWorn(item) && !state.window.ordered) this.#part(item, now);
    if (length > lineMax && key !== undefined) this.#part(state.window.lineOf(key), now);
  }

  /** In order, a record that failed stays in the window. */
  #join(item: Item, lane: Lane): void {
    item.lane = lane;
    item.attempt = lane.attempts;
    const letter = lane.redriven ? this.state.letters.get(item.offset) : undefined;
    if (letter !== undefined) Object.assign(item, { bytes: letter.body, from: 0, to: letter.body.length });
  }

  /**
   * In order, a record that failed stays in the window. One that the window has passed without it, because it was trimmed, or is
   * not wanted any more, holds nothing up; its letter, if that is on its way again, goes beside the others.
   */
  #forsake(now: number): void {
    const { window, lanes, cursor } = this.state;
    if (!window.ordered || lanes.size === 0) return;
    for (const lane of [...lanes.byId.values()]) {
      if (lane.kind !== "whole" || lane.from >= cursor || window.items.has(lane.from)) continue;
      const { from, redriven, attempts, due, tries, voided, time } = lane;
      lanes.remove(lane);
      if (!redriven) continue;
      this.#leave(from);
      const apart = lanes.create("single", undefined, from, true);
      Object.assign(apart, {
        state: "retry",
        redriven,
        attempts,
        due,
        tries,
        voided,
        time,
        behind: 1,
        counted: from + 1,
      });
      lanes.schedule(apart, now);
    }
  }

  /** A record that the window leaves to a lane. */
  #count(lane: Lane, offset: number): void {
    const { state } = this;
    // It went ahead of the window, and has finished what was acked there.
    if (offset < lane.read && state.acked.size > 0) state.acked.remove(offset);
    this.#passed(lane, offset);
    if (offset < lane.counted) return;
    lane.counted = offset + 1;
    if (offset >= lane.read) lane.behind++;
    state.lanes.counted.add(lane);
    this.#leave(offset);
  }

  /** As far as the window goes it is done with what it leaves to a lane. */
  #leave(offset: number): void {
    const { state } = this;
    state.finishedTo = Math.max(state.finishedTo, offset + 1);
  }

  /** The window comes to what a lane has finished ahead of it, if it has. */
  #passed(lane: Lane, offset: number): void {
    const { done, lanes } = this.state;
    if (offset >= lane.from || lane.ahead === 0 || done.has(offset)) return;
    lane.ahead--;
    lanes.counted.add(lane);
  }

  /** Gives a line a lane of its own, which goes on by itself. */
  #part(first: Item | undefined, now: number): void {
    if (first !== undefined) this.state.lanes.schedule(this.state.detach(first), now);
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
}

/** Lanes that stand at a record of `[from, to)`. */
function* standing(lanes: Lanes, from: number, to: number): Generator<Lane> {
  if (to - from > lanes.size) {
    for (const lane of lanes.byId.values()) if (lane.exact && lane.from >= from && lane.from < to) yield lane;
  } else {
    for (let offset = from; offset < to; offset++) {
      const lane = lanes.at(offset);
      if (lane !== undefined) yield lane;
    }
  }
}
