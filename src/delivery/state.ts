/** What one group knows of one partition: in memory, and in the rows from which it is found again. */
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { Ahead } from "./ahead.ts";
import { Forgotten } from "./forgotten.ts";
import { Incident } from "./incident.ts";
import { type Item, type Lane, ownBytes, takeTries } from "./item.ts";
import { LaneLog } from "./lane-log.ts";
import { laneOf, rowOf } from "./lane-row.ts";
import { Lanes } from "./lanes.ts";
import { Leases } from "./leases.ts";
import { Letters } from "./letters.ts";
import { Losses } from "./losses.ts";
import { type PauseWord, Pausing, told } from "./pausing.ts";
import { finishedAbove, isFinished, isOver, saidAfter } from "./place.ts";
import { Ranges } from "./ranges.ts";
import type { Rate } from "./rate.ts";
import { rateOf } from "./rate-row.ts";
import type { DeliverySpec } from "./spec.ts";
import type { Store } from "./store.ts";
import type { Paused } from "./told.ts";
import { Unheard } from "./unheard.ts";
import { Window } from "./window.ts";

export class State {
  readonly leases = new Leases();
  readonly lanes = new Lanes();
  readonly letters: Letters;
  window: Window;
  /** Finished records that the window has not come to: known from before a restart, or left to lanes then. */
  done: Ranges;
  /** Acked before they were read again after a restart. Whoever reads them, the window or a lane, finds them finished. */
  acked: Ranges;
  /** Every record before it was read into the window, or passed over. */
  cursor: number;
  /** The tail of the partition, as far as it is known. */
  known: number | undefined;
  era: number;
  /** That of the last lease. */
  generation: number;
  readonly #pausing: Pausing;
  rate: Rate | undefined;
  /** Not yet told to a member. */
  readonly lost: Losses;
  sealed = false;
  /** Timestamp of the first record that is yet to be read, where somebody asked for it. */
  unread: number | undefined;
  /** Offsets that are no records any more, as far as somebody asked: what was cut off, and what was lost. */
  missing = new Ranges();
  /** The partition that this one continues has the first word. */
  inherits = false;
  /** Keys of which that one has unfinished records. */
  heldKeys: ReadonlySet<string> | undefined;
  readonly ahead = new Ahead();
  readonly incident: Incident;
  readonly forgotten: Forgotten;
  readonly unheard: Unheard;
  /** Finished since the place was written down. */
  unsaved = 0;
  /** Something was finished, or given up, up to here. */
  finishedTo: number;
  redeliveries: number;
  /**
   * Up to here the window had come before a restart. What it left to lanes before that counts as finished there, so that
   * no lane ends before the window is back where it was.
   */
  horizon = 0;

  readonly #laneLog: LaneLog;
  #savedFloor: number;

  constructor(
    readonly sql: Sql,
    readonly store: Store,
    public spec: DeliverySpec,
  ) {
    this.letters = new Letters(store);
    this.lost = new Losses(store);
    this.incident = new Incident(store);
    this.unheard = new Unheard(store);
    this.forgotten = new Forgotten(store);
    this.window = new Window(spec.config.order === "partition");
    const place = store.place();
    assert(place !== undefined, "a delivery has a place");
    this.cursor = place.floor;
    this.finishedTo = place.floor;
    this.#savedFloor = place.floor;
    this.era = place.era;
    this.generation = place.generation;
    this.redeliveries = place.redeliveries;
    this.done = Ranges.decode(place.done, place.floor);
    this.acked = Ranges.decode(place.acked, 0);
    for (const [, to] of this.done) this.finishedTo = this.horizon = to;
    this.#pausing = new Pausing(store);
    this.#laneLog = new LaneLog(store);
    for (const row of this.#laneLog.load()) this.lanes.add(laneOf(row));
    this.leases.load(store);
    this.leases.settle((offset, generation) => isOver(this, offset, generation));
    this.leases.tried.settle(
      (offset, generation) => this.lanes.at(offset) !== undefined || isFinished(this, offset, generation),
    );
    this.configure(spec);
  }

  /** Takes a newer version of what the catalog says. */
  change(spec: DeliverySpec, now: number): void {
    const { only } = spec.config;
    if (only !== null || this.spec.config.only !== null) this.incident.change(only, this.generation);
    const changed = this.#pausing.change(this.spec, spec);
    this.store.setMeta("spec", JSON.stringify(changed));
    this.configure(changed, now);
  }

  configure(spec: DeliverySpec, now = 0): void {
    this.spec = spec;
    const { only } = spec.config;
    this.rate = rateOf(spec, this.rate, this.store, now);
    this.lanes.only = only === null ? undefined : new Set(only);
  }

  /** Nothing may go out: it is paused, others are yet to hear of its new place, or the partition before it has the first word (in an incident, of each key by itself). */
  get stands(): boolean {
    return this.paused !== undefined || this.unheard.size > 0 || (this.inherits && this.lanes.only === undefined);
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

  /** Writes down what has been decided since the last time, as one transaction; a row, as long as not much has. */
  save(): void {
    const { changed, gone } = this.lanes;
    const noted = this.letters.changed || this.leases.owed || this.lost.changed;
    if (this.unsaved > 0 || changed.size > 0 || gone.size > 0 || noted) this.#write();
  }

  /** Writes it all down anew, so that no row tells of anything that is not so any more. */
  renew = (): void => this.#write(true);

  /** Writes down how far it has come over records that nobody wanted, so that they are not read again. */
  settleFloor(): void {
    if (this.floor > this.#savedFloor) this.#write();
  }

  saveLeases(now: number): void {
    this.sql.transaction(() => {
      this.leases.save(this.store, now);
    });
  }

  /** Why it stands still, if it does. */
  get paused(): Paused | undefined {
    return this.#pausing.why(this.spec);
  }

  /** It stands still by itself, or does not any more. */
  pause(paused: Paused | undefined): void {
    this.#pausing.set(paused);
  }

  /** The catalog has said whether the group stands still. */
  told(word: PauseWord): void {
    this.spec = told(this.spec, word);
    this.store.setMeta("spec", JSON.stringify(this.spec));
  }

  /** A lane has finished a record. */
  finishedBy(lane: Lane, offset: number): void {
    if (lane.kind !== "key") return;
    const ahead = offset >= this.cursor && !this.done.has(offset);
    if (ahead && lane.ahead++ === 0) this.lanes.leading.add(lane);
    // Nor does the place say so where another lane may yet stand at it.
    if (ahead || this.lanes.unread.size > 0) this.ahead.add(offset);
  }

  /** Starts anew at an offset. Leases of before are void. */
  jump(offset: number): void {
    this.leases.clear();
    for (const lane of this.lanes.byId.values()) if (lane.redriven) this.letters.keepTries(lane);
    this.lanes.clear();
    this.window.clear();
    this.done = new Ranges();
    this.acked = new Ranges();
    this.ahead.clear();
    this.cursor = offset;
    this.known = undefined;
    this.finishedTo = offset;
    this.era++;
    this.unsaved++;
    this.letters.dropFrom(offset);
    this.save();
    this.saveLeases(0);
  }

  /** Whether records of a key wait for the partition that this one continues. */
  holds(key: string): boolean {
    return this.inherits || this.heldKeys?.has(key) === true;
  }

  /** Takes a record, and what stands in line behind it, out of the window and into a lane of its own. */
  detach(item: Item): Lane {
    assert(item.lane === undefined, "a record is detached once");
    const { lanes } = this;
    const { tried } = this.leases;
    if (this.window.ordered) {
      tried.drop(item.offset);
      const lane = lanes.create("whole", undefined, item.offset, true);
      item.lane = lane;
      lane.tries = takeTries(item);
      return lane;
    }
    const items = this.window.detach(item);
    const [first] = items;
    const lane = lanes.create(first.key === undefined ? "single" : "key", first.key, first.offset, true);
    // Given out before the partition that this one continues began anew, and given back since.
    lane.held = lane.kind === "key" && this.holds(first.key as string);
    const kept = items.slice(0, lanes.room ? keptMax : 1);
    for (const { offset } of items) tried.drop(offset);
    for (const one of items.slice(kept.length)) one.state = "done";
    for (const one of kept) {
      one.lane = lane;
      ownBytes(one);
      if (one.state === "ready") one.state = "waiting";
    }
    lanes.fill(lane, kept);
    lane.tries = takeTries(first);
    lane.attempts = first.attempt - (first.state === "leased" ? 1 : 0);
    lane.time = first.timestamp;
    lane.behind = items.length - kept.length;
    lane.counted = lane.kind === "single" ? first.offset + 1 : this.cursor;
    lane.read = items.length > kept.length ? items[kept.length].offset : this.cursor;
    this.finishedTo = Math.max(this.finishedTo, items[items.length - 1].offset + 1);
    this.unsaved++;
    return lane;
  }

  /** The record at an offset, where it is in memory and unfinished. */
  live(offset: number): Item | undefined {
    const item = this.window.items.get(offset) ?? this.leases.get(offset)?.item;
    if (item !== undefined) return item;
    const first = this.lanes.at(offset)?.queue[0];
    return first?.offset === offset ? first : undefined;
  }

  #write(anew = false): void {
    const { lanes, letters, floor } = this;
    const { changed, counted, gone } = lanes;
    const done = finishedAbove(this, floor);
    for (const lane of counted) changed.add(lane);
    // Nobody can come to those any more.
    if (this.acked.size > 0) this.acked.dropBefore(this.head);
    // The end of a lease that is written down is written with what ended it, where nothing else would say it after a crash.
    const said = saidAfter(this, floor, done);
    for (const [offset, generation] of this.leases.over) if (!isOver(said, offset, generation)) this.leases.owe();
    this.sql.transaction(() => {
      letters.flush();
      this.lost.save();
      if (this.leases.owed) this.leases.save(this.store);
      this.#laneLog.save([...changed].map(rowOf), gone, lanes.size, () => [...lanes.byId.values()].map(rowOf), anew);
      this.store.setPlace({
        floor,
        era: this.era,
        done: done.encode(floor),
        acked: this.acked.encode(0),
        generation: this.generation,
        redeliveries: this.redeliveries,
        recent: this.#laneLog.recent,
      });
    });
    for (const lane of changed) lane.stored = true;
    changed.clear();
    counted.clear();
    gone.clear();
    this.#savedFloor = floor;
    this.unsaved = 0;
  }
}

/** Records of a line that a lane keeps at hand; the others are found again by their key. */
const keptMax = 64;
