/**
 * One group on one partition: who gets which record, and what follows. Every method is one synchronous run; the clock and
 * chance are arguments. The shell reads what `reader` wishes, and calls `save` before it answers.
 */
import { ok, type Result } from "../../schemas/errors.ts";
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { planAfter } from "./attempts.ts";
import type { Item, Lane } from "./item.ts";
import { Reader } from "./reader.ts";
import { type Receipt, writeReceipt } from "./receipt.ts";
import { Receipts, stale } from "./receipts.ts";
import type { DeliverySpec } from "./spec.ts";
import { State } from "./state.ts";
import { Store } from "./store.ts";

/** A record under lease. */
export interface Leased {
  readonly item: Item;
  readonly generation: number;
  readonly attempt: number;
}

export interface Ask {
  readonly max: number;
  readonly bytesMax: number;
  readonly member: string;
  /** How long, where it is not the group's time. */
  readonly leaseMs?: number;
}

export class Delivery {
  readonly state: State;
  readonly reader: Reader;
  readonly #receipts: Receipts;
  #generation: number;

  private constructor(state: State, lanesMax: number, generation: number) {
    this.state = state;
    this.reader = new Reader(state, lanesMax, (now) => this.admitOnly(now));
    this.#receipts = new Receipts(state, this.reader);
    this.#generation = generation;
  }

  /** The delivery that the database holds, or undefined. `generation` must be above those of before: the clock is. */
  static open(sql: Sql, lanesMax: number, now: number): Delivery | undefined {
    const spec = Store.open(sql)?.meta("spec");
    if (spec === undefined) return undefined;
    const delivery = new Delivery(new State(sql, new Store(sql), JSON.parse(spec)), lanesMax, now);
    for (const lane of delivery.state.lanes.byId.values()) delivery.reader.reload(lane);
    delivery.admitOnly(now);
    delivery.state.lanes.scheduleAll(now);
    return delivery;
  }

  /** Makes the tables and the place: `offset` is the first record that it delivers. */
  static create(sql: Sql, spec: DeliverySpec, offset: number, lanesMax: number, now: number): Delivery {
    State.create(sql, spec, offset, now);
    return Delivery.open(sql, lanesMax, now) as Delivery;
  }

  /** Takes a newer version of its configuration, and says whether it was one. */
  configure(spec: DeliverySpec, now: number): boolean {
    const { state } = this;
    assert(spec.groupId === state.spec.groupId, "a delivery keeps its group");
    if (spec.version <= state.spec.version) return false;
    state.change(spec, now);
    this.admitOnly(now);
    for (const lane of [...state.lanes.byId.values()]) this.reader.settle(lane, now);
    state.save();
    return true;
  }

  /** In incident mode, every key that is let through has a lane, which goes its way without the others. */
  admitOnly(now: number): void {
    const { lanes, window, cursor, horizon } = this.state;
    // What the window has finished of a key, a new lane would not know: first it comes back to where it was.
    if (cursor < horizon) return;
    for (const key of lanes.only ?? []) {
      if (lanes.ofKey(key) !== undefined) continue;
      const first = window.lineOf(key);
      const lane = first === undefined ? lanes.create("key", key, cursor) : this.state.detach(first);
      lanes.schedule(lane, now);
    }
    this.state.save();
  }

  /** Leases records whose turn it is. */
  lease(ask: Ask, now: number): Leased[] {
    const { state } = this;
    this.expire(now);
    if (state.paused !== undefined) return [];
    const { memberMaxInFlight, maxInFlight, ackTimeoutMs } = state.spec.config;
    let room = Math.min(ask.max, maxInFlight - state.leases.size);
    if (memberMaxInFlight !== null) room = Math.min(room, memberMaxInFlight - state.leases.of(ask.member));
    if (state.rate !== undefined) room = Math.min(room, state.rate.available(now));
    const leased: Leased[] = [];
    for (let bytes = 0; leased.length < room; ) {
      const item = this.#next(now);
      if (item === undefined) break;
      bytes += item.to - item.from;
      if (leased.length > 0 && bytes > ask.bytesMax) {
        this.#giveBack(item, now);
        break;
      }
      item.state = "leased";
      item.attempt++;
      if (item.attempt > 1) state.redeliveries++;
      const generation = ++this.#generation;
      state.leases.grant(item, ask.member, generation, now, now + (ask.leaseMs ?? ackTimeoutMs));
      leased.push({ item, generation, attempt: item.attempt });
    }
    state.rate?.take(leased.length);
    return leased;
  }

  /** Finishes records. Twice is as once; the lease of another is not the caller's to finish. */
  ack(receipts: readonly string[]): Result<undefined>[] {
    return this.#each(receipts, (receipt) => {
      const item = this.#receipts.holder(receipt);
      if (!item.ok) return item;
      if (item.value !== undefined) this.finish(item.value);
      else this.#receipts.early(receipt.offset);
      return ok(undefined);
    });
  }

  /** Gives records back as failed. One that is finished, or somebody else's, is not touched. */
  nack(
    receipts: readonly string[],
    delayMs: number | undefined,
    reason: string,
    now: number,
    chance: number,
  ): Result<undefined>[] {
    return this.#each(receipts, (receipt) => {
      const item = this.#receipts.holder(receipt);
      if (!item.ok) return item;
      if (item.value?.state === "leased") this.fail(item.value, delayMs, reason, now, chance);
      return ok(undefined);
    });
  }

  extend(receipts: readonly string[], ackTimeoutMs: number, now: number): Result<undefined>[] {
    return this.#each(receipts, ({ offset, generation }) => {
      const lease = this.state.leases.get(offset);
      if (lease?.generation !== generation) return stale(offset);
      this.state.leases.extend(lease, now + ackTimeoutMs);
      return ok(undefined);
    });
  }

  /** Leases that have run out fail, each with its member's name. Answers how many there were. */
  expire(now: number, chance = 0.5): number {
    const expired = this.state.leases.expired(now);
    for (const { item, member } of expired) {
      if (item.state === "leased") this.fail(item, undefined, `no ack from '${member}' in time`, now, chance);
    }
    if (expired.length > 0) this.state.save();
    return expired.length;
  }

  /** A member has gone: its leases return at once. The attempts count: a record may be what its members die of. */
  leave(member: string, reason: string, now: number): void {
    const { onFailure, maxDeliveries } = this.state.spec.config;
    const left = [...this.state.leases.all()].filter((lease) => lease.member === member);
    for (const { item } of left.reverse()) {
      if (onFailure !== "block" && item.attempt >= maxDeliveries) this.fail(item, undefined, reason, now, 0);
      else if (this.state.leases.end(item) !== undefined) this.#giveBack(item, now);
    }
    this.state.save();
  }

  /** Takes a lease back as if it had never been: the record is not to blame for what happened. */
  release(item: Item, now: number): void {
    if (this.state.leases.end(item) === undefined) return;
    item.attempt--;
    this.#giveBack(item, now);
  }

  receipt({ item, generation }: Leased): string {
    return writeReceipt(this.state.spec.partition, item.offset, this.state.era, generation);
  }

  /** Those of leases that are still valid. */
  held(leased: readonly Leased[]): Item[] {
    const valid = ({ item, generation }: Leased) => this.state.leases.get(item.offset)?.generation === generation;
    return leased.filter(valid).map(({ item }) => item);
  }

  finish(item: Item, now = 0): void {
    const { state } = this;
    const { lane } = item;
    state.leases.end(item);
    state.unsaved++;
    state.finishedTo = Math.max(state.finishedTo, item.offset + 1);
    item.state = "done";
    if (lane === undefined || lane.kind === "whole") state.window.finish(item);
    if (lane === undefined) return;
    if (lane.redriven) {
      if (state.letters.get(item.offset)?.state === "redriven") state.letters.drop(item.offset);
      lane.redriven = false;
    }
    if (lane.kind === "key") {
      lane.queue.shift();
      this.reader.advance(lane, now);
    } else state.lanes.remove(lane);
  }

  /** An attempt failed. What follows is the group's to say: again later, or a dead letter. */
  fail(item: Item, asked: number | undefined, reason: string, now: number, chance: number): void {
    const { state } = this;
    const lease = state.leases.end(item);
    const lane = item.lane ?? state.detach(item);
    item.state = "waiting";
    state.lanes.note(lane, { attempt: item.attempt, at: now, member: lease?.member ?? "", reason });
    if (lane.kind === "whole") this.#withdraw(item);
    const plan = planAfter(state.spec.config, item.attempt, asked, chance);
    if (plan.next === "retry") {
      lane.state = "retry";
      lane.due = now + plan.delayMs;
      state.lanes.schedule(lane, now);
    } else this.bury(item, lane, plan.next, reason, now);
  }

  /** Makes a dead letter of a lane's first record. `park` holds what comes after it; a record without a key holds nothing. */
  bury(item: Item, lane: Lane, then: "park" | "skip", reason: string, now: number): void {
    const { state } = this;
    state.letters.bury(item, lane, reason, now, state.spec.config.deadLetterStream !== null);
    lane.redriven = false;
    if (then === "park" && lane.kind !== "single") {
      lane.state = "parked";
      lane.dirty = true;
      state.lanes.schedule(lane, now);
    } else this.finish(item, now);
  }

  /** True where a record could be leased now, as far as the group's limits let it. */
  anyReady(now: number): boolean {
    const { paused, leases, window, lanes, spec } = this.state;
    if (paused !== undefined || leases.size >= spec.config.maxInFlight) return false;
    if (now >= lanes.nextDue) lanes.scheduleAll(now);
    if (lanes.anyReady) return true;
    if (window.ordered) return this.#nextInOrder(now) !== undefined;
    return lanes.only === undefined && window.readyCount > 0;
  }

  /** When there is something to do without being asked, in ms since 1970. */
  nextAt(): number {
    return Math.min(this.state.leases.soonest, this.state.lanes.nextDue);
  }

  #each(receipts: readonly string[], settle: (receipt: Receipt) => Result<undefined>): Result<undefined>[] {
    return receipts.map((text) => {
      const receipt = this.#receipts.understand(text);
      return receipt.ok ? settle(receipt.value) : receipt;
    });
  }

  /** In order: those after a failed record go again, after it. */
  #withdraw(failed: Item): void {
    for (const { item } of [...this.state.leases.all()]) {
      if (item.offset < failed.offset) continue;
      this.state.leases.end(item);
      item.state = "ready";
    }
  }

  #next(now: number): Item | undefined {
    const { state } = this;
    const item = state.lanes.take(now);
    if (item !== undefined) return item;
    if (state.window.ordered) return this.#nextInOrder(now);
    return state.lanes.only === undefined ? state.window.take() : undefined;
  }

  #nextInOrder(now: number): Item | undefined {
    for (const item of this.state.window.items.values()) {
      if (item.state === "leased") continue;
      const { lane } = item;
      if (lane !== undefined && (lane.state === "parked" || (lane.state === "retry" && lane.due > now)))
        return undefined;
      return item;
    }
    return undefined;
  }

  #giveBack(item: Item, now: number): void {
    if (item.lane === undefined || item.lane.kind === "whole") this.state.window.putBack(item);
    else {
      item.state = "waiting";
      this.state.lanes.schedule(item.lane, now);
    }
  }
}
