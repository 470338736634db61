/** What one group knows of one partition: in memory, and in the rows from which it is found again. */
import { assert } from "../lib/assert.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { Sql } from "../lib/sql.ts";
import { adopt } from "./dump.ts";
import type { Item, Lane } from "./item.ts";
import { Lanes } from "./lanes.ts";
import { Leases, type SavedLease } from "./leases.ts";
import { Letters } from "./letters.ts";
import { Ranges } from "./ranges.ts";
import { Rate } from "./rate.ts";
import type { DeliverySpec } from "./spec.ts";
import { type LaneRow, Store } from "./store.ts";
import { Window } from "./window.ts";

/** Why a delivery stands still. Times are ms since 1970. */
export interface Paused {
  readonly reason: string;
  readonly at: number;
}

/** Offsets `[from, to)` that the group never got: trimmed, or damaged, before it read them. */
export interface Lost {
  readonly from: number;
  readonly to: number;
  readonly why: "trimmed" | "damaged";
}

export class State {
  readonly store: Store;
  readonly leases = new Leases();
  readonly lanes = new Lanes();
  readonly letters: Letters;
  window: Window;
  /** Finished records that the window has not come to: acked early, or known from before a restart. */
  done: Ranges;
  /** Every record before it was read into the window, or passed over. */
  cursor: number;
  /** The tail of the partition, as far as it is known. */
  known: number | undefined;
  era: number;
  paused: Paused | undefined;
  rate: Rate | undefined;
  /** Not yet told to a member. */
  lost: Lost[] = [];
  sealed = false;
  /** Timestamp of the first record that is yet to be read, where somebody asked for it. */
  unread: number | undefined;
  /** The partition that this one continues has the first word. */
  inherits = false;
  /** Finished since progress was saved. */
  unsaved = 0;
  /** Something was finished, or given up, up to here. */
  finishedTo: number;
  redeliveries = 0;
  /**
   * Up to here the window had come before a restart. What it left to lanes before that counts as finished there, so that
   * no lane ends before the window is back where it was.
   */
  horizon = 0;

  #savedFloor: number;

  /** Makes the tables, and the place before the first record; or takes the place that has been restored. */
  static create(sql: Sql, spec: DeliverySpec, offset: number, now: number): void {
    if (adopt(sql, spec)) return;
    const store = new Store(sql);
    sql.transaction(() => {
      store.setMeta("format", "1");
      store.setMeta("spec", JSON.stringify(spec));
      // Receipts of another group, or of one of the same name before, must not be honoured here.
      const era = murmur3(encodeText(spec.groupId));
      store.setProgress({ floor: offset, era, done: new Uint8Array(0) });
      if (spec.paused) store.setMeta("paused", JSON.stringify({ reason: "paused by an operator", at: now }));
    });
  }

  constructor(
    readonly sql: Sql,
    store: Store,
    public spec: DeliverySpec,
  ) {
    this.store = store;
    this.letters = new Letters(store);
    this.window = new Window(spec.config.order === "partition");
    const progress = store.progress();
    assert(progress !== undefined, "a delivery has a place");
    this.cursor = progress.floor;
    this.finishedTo = progress.floor;
    this.#savedFloor = progress.floor;
    this.era = progress.era;
    this.done = Ranges.decode(progress.done, progress.floor);
    for (const [, to] of this.done) this.finishedTo = this.horizon = to;
    const paused = store.meta("paused");
    this.paused = paused === undefined ? undefined : JSON.parse(paused);
    for (const row of store.lanes()) this.lanes.add(laneOf(row));
    const saved: SavedLease[] = JSON.parse(store.meta("leases") ?? "[]");
    for (const lease of saved) this.leases.restored.set(lease[0], lease);
    this.configure(spec);
  }

  /** Takes a newer version of what the catalog says. */
  change(spec: DeliverySpec, now: number): void {
    const { paused } = this.spec;
    this.store.setMeta("spec", JSON.stringify(spec));
    if (paused && !spec.paused) this.pause(undefined);
    if (!paused && spec.paused && this.paused === undefined) this.pause({ reason: "paused by an operator", at: now });
    this.configure(spec);
  }

  configure(spec: DeliverySpec): void {
    this.spec = spec;
    const { rate, only } = spec.config;
    const perSecond = rate === null ? 0 : rate.perSecond * spec.share;
    if (rate === null) this.rate = undefined;
    else if (this.rate?.perSecond !== perSecond || this.rate.burst !== rate.burst) {
      this.rate = new Rate(perSecond, rate.burst);
    }
    this.lanes.only = only === null ? undefined : new Set(only);
  }

  get byKey(): boolean {
    return this.spec.config.order === "key";
  }

  /** Every record before it is finished, or belongs to a lane. */
  get floor(): number {
    return this.window.first()?.offset ?? this.cursor;
  }

  /** The partition was split, and the group has finished what it held. */
  get over(): boolean {
    const read = this.sealed && this.known !== undefined && this.cursor >= this.known;
    return read && this.window.size === 0 && this.lanes.size === 0;
  }

  /** The first record that is not finished, wherever it waits; the cursor where all are. */
  get head(): number {
    let head = this.floor;
    for (const lane of this.lanes.byId.values()) if (lane.from < head) head = lane.from;
    return head;
  }

  /** Writes down what has been decided since the last time, as one transaction. A row, and one for each lane that changed. */
  save(): void {
    const dirty = [...this.lanes.byId.values()].filter((lane) => lane.dirty);
    const { gone } = this.lanes;
    if (this.unsaved === 0 && dirty.length === 0 && gone.length === 0) return;
    this.sql.transaction(() => {
      for (const lane of gone) this.store.dropLane(lane.id);
      for (const lane of dirty) this.store.setLane(rowOf(lane));
      this.saveProgress();
    });
    for (const lane of dirty) {
      lane.dirty = false;
      lane.stored = true;
    }
    gone.length = 0;
  }

  /** Writes down how far it has come over records that nobody wanted, so that they are not read again. */
  settleFloor(): void {
    if (this.floor > this.#savedFloor) this.saveProgress();
  }

  saveProgress(): void {
    const { floor, era } = this;
    this.#savedFloor = floor;
    this.store.setProgress({ floor, era, done: this.#finished(floor).encode(floor) });
    this.unsaved = 0;
  }

  saveLeases(now: number): void {
    const saved = this.leases.toSave(now);
    if (saved !== undefined) this.store.setMeta("leases", JSON.stringify(saved));
  }

  pause(paused: Paused | undefined): void {
    if (paused === undefined) {
      if (this.paused !== undefined) this.store.dropMeta("paused");
    } else this.store.setMeta("paused", JSON.stringify(paused));
    this.paused = paused;
  }

  /** Starts anew at an offset. Leases of before are void. */
  jump(offset: number): void {
    this.leases.clear();
    this.lanes.clear();
    this.window.clear();
    this.done = new Ranges();
    this.cursor = offset;
    this.known = undefined;
    this.finishedTo = offset;
    this.era++;
    this.unsaved++;
    this.letters.dropFrom(offset);
    this.save();
  }

  /** Takes a record, and what stands in line behind it, out of the window and into a lane of its own. */
  detach(item: Item): Lane {
    assert(item.lane === undefined, "a record is detached once");
    if (this.window.ordered) {
      const lane = this.lanes.create("whole", undefined, item.offset);
      item.lane = lane;
      return lane;
    }
    const items = this.window.detach(item);
    const [first] = items;
    const lane = this.lanes.create(first.key === undefined ? "single" : "key", first.key, first.offset);
    const kept = items.slice(0, keptMax);
    for (const one of items.slice(keptMax)) one.state = "done";
    for (const one of kept) {
      one.lane = lane;
      if (one.state === "ready") one.state = "waiting";
    }
    lane.queue = kept;
    lane.held = items.length - kept.length;
    lane.read = items.length > keptMax ? items[keptMax].offset : this.cursor;
    this.finishedTo = Math.max(this.finishedTo, items[items.length - 1].offset + 1);
    this.unsaved++;
    return lane;
  }

  check(): void {
    this.window.check();
    this.lanes.check();
    for (const lease of this.leases.all()) {
      const { item } = lease;
      assert(item.state === "leased", "what is under lease is leased");
      assert(this.live(item.offset) === item, "what is under lease is unfinished");
    }
    const keys = new Set(this.window.keys());
    for (const lane of this.lanes.byId.values()) {
      assert(lane.key === undefined || lane.kind !== "key" || !keys.has(lane.key), "a key is in one place");
    }
  }

  /** The record at an offset, where it is in memory and unfinished. */
  live(offset: number): Item | undefined {
    const item = this.window.items.get(offset) ?? this.leases.get(offset)?.item;
    if (item !== undefined) return item;
    const single = this.lanes.ofOffset(offset)?.queue[0];
    if (single !== undefined) return single;
    for (const lane of this.lanes.byId.values()) {
      if (lane.queue[0]?.offset === offset) return lane.queue[0];
    }
    return undefined;
  }

  /** What is finished above the floor. */
  #finished(floor: number): Ranges {
    const ranges = new Ranges();
    let at = floor;
    for (const offset of this.window.items.keys()) {
      if (offset >= this.finishedTo) break;
      if (offset > at) ranges.add(at, offset);
      at = offset + 1;
    }
    const to = Math.min(this.finishedTo, this.cursor);
    if (to > at) ranges.add(at, to);
    for (const [from, to] of this.done) if (to > this.cursor) ranges.add(Math.max(from, this.cursor), to);
    return ranges;
  }
}

/** Records of a line that a lane keeps at hand; the others are found again by their key. */
const keptMax = 64;

const laneOf = (row: LaneRow): Lane => ({
  id: row.id,
  kind: row.kind,
  key: row.key ?? undefined,
  from: row.start,
  read: row.start,
  state: row.state,
  attempts: row.attempts,
  due: row.due,
  tries: JSON.parse(row.tries),
  redriven: row.redriven === 1,
  queue: [],
  held: 0,
  dirty: false,
  stored: true,
});

const rowOf = (lane: Lane): LaneRow => ({
  id: lane.id,
  kind: lane.kind,
  key: lane.key ?? null,
  start: lane.from,
  state: lane.state,
  attempts: lane.attempts,
  due: lane.due,
  tries: JSON.stringify(lane.tries),
  redriven: lane.redriven ? 1 : 0,
});
