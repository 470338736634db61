/** What lanes read: the records of their keys, one by one, or out of the dead letters; and what becomes of a lane then. */
import type { Filter } from "../log/filter.ts";
import { type Item, type Lane, ownBytes } from "./item.ts";
import type { Restored } from "./lease-row.ts";
import { itemsOf } from "./page.ts";
import { isFinished } from "./place.ts";
import type { State } from "./state.ts";
import type { Read, Wish } from "./wish.ts";

/** Records of a lane at hand. */
const lanePage = 256;
const pageBytes = 1_048_576;

export class LaneReader {
  constructor(
    readonly state: State,
    /** The group's filter, as the log understands it. */
    readonly filter: () => Filter | undefined,
    /** A record of a lease that ran out, or was given back, before it was read again. */
    readonly overdue: (item: Item, lease: Restored, now: number) => void,
  ) {}

  /** The read that brings a lane its next records; undefined where it has them, or there are none yet. */
  wish(lane: Lane, now: number): Wish | undefined {
    if (this.#reload(lane, now)) return undefined;
    if (lane.kind === "key" && this.excludes(lane.key)) {
      this.#passOver(lane, now);
      return undefined;
    }
    if (this.hasRead(lane)) return undefined;
    return {
      lane: lane.id,
      from: { at: "offset", offset: lane.read },
      limit: lane.kind === "key" ? lanePage : 1,
      bytesMax: pageBytes,
      ...(lane.kind === "key" ? { filter: { ...this.filter(), key: lane.key } } : {}),
    };
  }

  /** Whether a key's lane has read as far as lanes do for now. */
  hasRead({ kind, read }: Lane): boolean {
    return kind === "key" && read >= this.#target();
  }

  /** Whether the group's filter wants no record of a key. */
  excludes(key: string | undefined): boolean {
    const wanted = this.filter()?.key;
    return wanted !== undefined && wanted !== key;
  }

  /** Takes what was read. Answers false where it does not fit: something else was read meanwhile. */
  take(id: number, read: Read, now: number): boolean {
    const lane = this.state.lanes.byId.get(id);
    if (lane === undefined || lane.queue.length > 0 || lane.read !== read.from) return false;
    if (lane.kind === "key" && this.excludes(lane.key)) this.#passOver(lane, now);
    else if (lane.kind === "key") this.#takeKey(lane, read, now);
    else this.#takeSingle(lane, read, now);
    return true;
  }

  /** The log begins at `head` by now: what of the lane lay before is lost to the group. */
  trimmed(lane: Lane, head: number, now: number): void {
    const { state } = this;
    state.lost.add({ from: lane.from, to: head, why: "trimmed" });
    if (lane.kind === "single") {
      state.lanes.remove(lane);
      return;
    }
    lane.read = Math.max(lane.read, head);
    this.#open(lane, lane.read, false);
    this.settle(lane, now);
  }

  /** To be called when a lane has changed: it goes on, reads on, or, where it has caught up, is no lane any more. */
  settle(lane: Lane, now: number): void {
    const { state } = this;
    if (state.lanes.byId.get(lane.id) !== lane) return;
    if (lane.kind === "key" && lane.queue.length === 0 && lane.state === "open") {
      if (lane.from !== lane.read) state.lanes.move(lane, lane.read, false);
      // In an incident it goes ahead; but nothing comes any more where the partition was split, and waits for no other.
      const more = state.inherits || !state.sealed || state.known === undefined || lane.read < state.known;
      const goesAhead = state.lanes.only?.has(lane.key as string) === true && !this.excludes(lane.key);
      const stays = lane.held || (more && goesAhead);
      if (lane.read === state.cursor && state.cursor >= state.horizon && !stays) {
        // Of before a restart: it may have gone ahead, which is not known any more.
        if (lane.exact || state.lanes.unread.has(lane)) state.incident.forget(state.generation);
        this.#handBack(lane);
        state.lanes.remove(lane);
        state.unsaved++;
        return;
      }
    }
    state.lanes.schedule(lane, now);
  }

  /** The window reads the record that the lane stands at, and is to know what was tried of it. */
  #handBack({ exact, from, attempts, tries }: Lane): void {
    const { leases } = this.state;
    if (!exact || attempts === 0) return;
    leases.tried.load([[from, attempts, tries]]);
    leases.owe();
  }

  /** A lane's first record is finished, or left to the dead letters: the next one comes forward. */
  advance(lane: Lane, now: number): void {
    const [first] = lane.queue;
    this.#open(lane, first?.offset ?? lane.read, first !== undefined, first?.timestamp);
    this.settle(lane, now);
  }

  /** A lane's first record, which is not at hand, is finished. */
  pass(lane: Lane, now: number): void {
    if (lane.from < lane.counted) lane.behind = Math.max(0, lane.behind - 1);
    lane.read = Math.max(lane.read, lane.from + 1);
    this.advance(lane, now);
  }

  /** Whether a record was acked before it was read again: then it is finished. */
  wasAcked({ offset }: Item): boolean {
    const { state } = this;
    if (state.acked.size === 0 || !state.acked.has(offset)) return false;
    state.acked.remove(offset);
    state.leases.endRestored(offset);
    state.leases.tried.drop(offset);
    state.finishedTo = Math.max(state.finishedTo, offset + 1);
    state.unsaved++;
    return true;
  }

  /** A record that was under lease before a restart still is. */
  restore(item: Item, now: number): void {
    const { leases } = this.state;
    leases.tried.restore(item);
    const lease = leases.restored.size === 0 ? undefined : leases.endRestored(item.offset);
    if (lease === undefined) return;
    item.attempt = Math.max(item.attempt, lease.attempt);
    if (lease.nacked === undefined && lease.expires > now) {
      item.state = "leased";
      leases.grant(item, lease.member, lease.generation, now, lease.expires, true);
    } else this.overdue(item, lease, now);
  }

  /** Leases and attempts of before a restart whose records were passed, because they are gone, or not wanted any more, are over. */
  endPassed(): void {
    const { leases, lanes } = this.state;
    if ((leases.restored.size === 0 && !leases.tried.hasUnread) || lanes.unread.size > 0) return;
    const isPassed = (offset: number, generation: number) =>
      lanes.at(offset) === undefined && isFinished(this.state, offset, generation);
    leases.settle(isPassed);
    leases.tried.settle(isPassed);
  }

  #open(lane: Lane, from: number, exact: boolean, time?: number): void {
    lane.state = "open";
    lane.attempts = 0;
    lane.tries = [];
    lane.redriven = false;
    this.state.lanes.move(lane, from, exact, time);
  }

  /** What is being redriven comes from the dead letters, where it may have been edited. False where it is in the log. */
  #reload(lane: Lane, now: number): boolean {
    const { letters, lanes, byKey } = this.state;
    const letter = lane.redriven ? letters.get(lane.from) : undefined;
    if (letter === undefined) return false;
    const item = letters.item(letter, byKey);
    item.lane = lane;
    item.attempt = lane.attempts;
    lanes.fill(lane, [item]);
    if (lane.from < lane.counted) lane.behind = Math.max(0, lane.behind - 1);
    lane.read = lane.from + 1;
    this.restore(item, now);
    lanes.schedule(lane, now);
    return true;
  }

  /** Up to where lanes read: to the window's cursor, and in incident mode, where the window stands still, to the tail. */
  #target(): number {
    return this.state.lanes.only === undefined ? this.state.cursor : (this.state.known ?? Number.MAX_SAFE_INTEGER);
  }

  /** Nothing more is read of a lane whose key the filter leaves out: it has come to where the window is. */
  #passOver(lane: Lane, now: number): void {
    const { cursor } = this.state;
    if (lane.read >= cursor) return;
    lane.read = cursor;
    lane.behind = 0;
    lane.counted = Math.max(lane.counted, cursor);
    this.#hold(lane, [], now);
    this.endPassed();
  }

  #takeKey(lane: Lane, read: Read, now: number): void {
    const { state } = this;
    const to = Math.min(read.to, this.#target());
    const { items, damaged } = itemsOf(read.pieces, read.from, to, { ...this.filter(), key: lane.key }, true);
    for (const { from, to } of damaged) state.lost.add({ from, to, why: "damaged" });
    const max = state.lanes.room ? lanePage : 1;
    const some: Item[] = [];
    let next = Math.max(to, lane.read);
    for (const item of items) {
      if (item.offset < lane.from) continue;
      // What the window knows as finished does not count here: it counts what it left to a lane as finished too.
      if (this.wasAcked(item)) {
        state.finishedBy(lane, item.offset);
        if (item.offset < lane.counted) lane.behind--;
        continue;
      }
      if (some.length === max) {
        next = item.offset;
        break;
      }
      if (item.offset < lane.counted) lane.behind--;
      item.lane = lane;
      ownBytes(item);
      item.holding = undefined;
      some.push(item);
    }
    lane.read = next;
    // After a restart it may know of records that the window has not come back to.
    lane.behind = next >= Math.max(state.cursor, lane.counted) ? 0 : Math.max(0, lane.behind);
    lane.counted = Math.max(lane.counted, Math.min(next, state.cursor));
    this.#hold(lane, some, now);
  }

  /** The lane's next records are at hand. */
  #hold(lane: Lane, items: Item[], now: number): void {
    const [first] = items;
    this.state.lanes.fill(lane, items);
    if (first === undefined || first.offset !== lane.from || !lane.exact) {
      this.#open(lane, first?.offset ?? lane.read, first !== undefined, first?.timestamp);
    } else {
      first.attempt = lane.attempts;
      lane.time = first.timestamp;
    }
    if (first !== undefined) this.restore(first, now);
    this.settle(lane, now);
  }

  /** The one record of a lane, where it is still there. */
  #takeSingle(lane: Lane, read: Read, now: number): void {
    const { state } = this;
    const of = (filter: Filter | undefined) =>
      itemsOf(read.pieces, lane.from, lane.from + 1, filter, false).items[0] as Item | undefined;
    const item = of(undefined);
    // What was redriven was wanted by an operator, whatever the filter says since.
    const wanted = lane.redriven || this.filter() === undefined || of(this.filter()) !== undefined;
    if (item === undefined || this.wasAcked(item) || !wanted) {
      if (item === undefined) state.lost.add({ from: lane.from, to: lane.from + 1, why: "damaged" });
      state.lanes.remove(lane);
      state.unsaved++;
      return;
    }
    item.lane = lane;
    ownBytes(item);
    item.holding = undefined;
    lane.behind = 0;
    lane.read = lane.from + 1;
    this.#hold(lane, [item], now);
  }
}
