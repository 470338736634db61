/**
 * One group on one partition: who gets which record, and what follows. Every method is one synchronous run; the clock and
 * chance are arguments. The shell reads what `reader` wishes, and calls `save` before it answers.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { assert } from "../lib/assert.ts";
import type { Words } from "../lib/mac.ts";
import type { Sql } from "../lib/sql.ts";
import { begin } from "./beginning.ts";
import { type Chance, Endings, type Failure, noAnswer } from "./endings.ts";
import type { Item } from "./item.ts";
import { Members } from "./members.ts";
import { takeRate } from "./rate-row.ts";
import { Reader } from "./reader.ts";
import { type Receipt, readReceipt, Signer, writeReceipt } from "./receipt.ts";
import { notHeld, Receipts, ranOut, type Standing, usedUp } from "./receipts.ts";
import { Redriving } from "./redriving.ts";
import { Room } from "./room.ts";
import type { DeliverySpec } from "./spec.ts";
import { State } from "./state.ts";
import { type Turn, Turns } from "./turns.ts";
import { openStore } from "./upgrade.ts";

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
  /** Which records; by default those whose turn it is. */
  readonly turn?: Turn;
}

/** What a delivery is opened with, besides its rows. */
export interface Terms {
  readonly lanesMax: number;
  readonly now: number;
  /** Draws a secret. */
  readonly draw: () => Words;
  readonly chance: Chance;
}

/** Acks that are remembered for records that are yet to be read again, in runs. */
const ackedMax = 20_000;
/** Leases of a millisecond that are told apart by their generation. */
const perMs = 2_048;

export class Delivery {
  readonly reader: Reader;
  readonly endings: Endings;
  readonly turns: Turns;
  readonly redriving: Redriving;
  readonly room: Room;
  readonly members: Members;
  readonly #receipts: Receipts;
  readonly #signer: Signer;
  readonly #chance: Chance;

  private constructor(
    readonly state: State,
    { lanesMax, now, draw, chance }: Terms,
  ) {
    this.#chance = chance;
    this.#signer = new Signer(state.store.secret(draw));
    this.reader = new Reader(state, lanesMax, {
      back: (now) => this.admitOnly(now),
      overdue: (item, lease, now) => this.endings.overdue(item, lease, now, chance),
    });
    this.redriving = new Redriving(state);
    this.endings = new Endings(state, this.reader, this.redriving);
    this.turns = new Turns(state);
    this.room = new Room(state, this.turns);
    this.members = new Members(state, this.endings);
    this.#receipts = new Receipts(state, this.#signer);
    // Above those of before: they were written down with the place, and counted no faster than this.
    state.generation = Math.max(state.generation, now * perMs);
  }

  /** The delivery that the database holds, or undefined. */
  static open(sql: Sql, terms: Terms): Delivery | undefined {
    const store = openStore(sql);
    const spec = store?.meta("spec");
    if (store === undefined || spec === undefined) return undefined;
    const delivery = new Delivery(new State(sql, store, JSON.parse(spec)), terms);
    delivery.admitOnly(terms.now);
    // One that has nothing left would be waited for by those that continue this partition.
    for (const lane of [...delivery.state.lanes.byId.values()]) delivery.reader.lanes.settle(lane, terms.now);
    delivery.redriving.feed(terms.now);
    return delivery;
  }

  /** Makes the tables and the place: `offset` is the first record that it delivers. */
  static create(sql: Sql, spec: DeliverySpec, offset: number, terms: Terms): Delivery {
    begin(sql, spec, offset, terms.now);
    return Delivery.open(sql, terms) as Delivery;
  }

  /** Takes a newer version of its configuration, and says whether the group was changed: a stream that grows is no such thing. */
  configure(spec: DeliverySpec, now: number): boolean {
    const { state } = this;
    assert(spec.groupId === state.spec.groupId, "a delivery keeps its group");
    if (spec.version <= state.spec.version) return false;
    const { config, paused } = state.spec;
    state.change(spec, now);
    this.admitOnly(now);
    for (const lane of [...state.lanes.byId.values()]) this.reader.lanes.settle(lane, now);
    state.save();
    return paused !== state.spec.paused || JSON.stringify(config) !== JSON.stringify(spec.config);
  }

  /** In incident mode, every key that is let through, and wanted, has a lane, which goes its way without the others. */
  admitOnly(now: number): void {
    const { lanes, window, cursor, horizon } = this.state;
    // What the window has finished of a key, a new lane would not know: first it comes back to where it was.
    if (cursor < horizon) return;
    for (const key of lanes.only ?? []) {
      if (lanes.ofKey(key) !== undefined) continue;
      const first = window.lineOf(key);
      if (first === undefined && this.reader.lanes.excludes(key)) continue;
      const lane = first === undefined ? lanes.create("key", key, cursor, false) : this.state.detach(first);
      // What another partition has not finished goes out nowhere, in an incident too.
      lane.held = this.state.holds(key);
      lanes.schedule(lane, now);
    }
    this.state.save();
  }

  /** Leases records whose turn it is. */
  lease(ask: Ask, now: number, chance: Chance): Leased[] {
    const { state, turns } = this;
    this.expire(now, chance);
    if (state.stands) return [];
    const { ackTimeoutMs } = state.spec.config;
    const room = Math.min(ask.max, this.room.left(ask.member, now));
    const leased: Leased[] = [];
    let turn = ask.turn ?? "any";
    for (let bytes = 0; leased.length < room; ) {
      const item = turns.next(turn, now);
      if (item === undefined) break;
      bytes += item.to - item.from;
      if (leased.length > 0 && bytes > ask.bytesMax) {
        turns.undo(item);
        this.endings.giveBack(item, now);
        break;
      }
      leased.push(this.#grant(item, ask.member, now, now + (ask.leaseMs ?? ackTimeoutMs)));
      // What has failed goes alone where others might be charged for it.
      if (ask.turn === "fresh" && item.attempt > 1) break;
      if (ask.turn === "fresh") turn = "untried";
    }
    takeRate(state.rate, state.store, leased.length, now);
    return leased;
  }

  /** Finishes records. Twice is as once; the lease of another is not the caller's to finish. */
  ack(receipts: readonly string[], now: number): Result<undefined>[] {
    // A lease that has run out is nobody's, though that was not noticed yet.
    const late = this.state.leases.soonest <= now && receipts.some((text) => this.#isOthers(text, now));
    if (late) this.expire(now, this.#chance);
    return this.#each(receipts, now, ({ offset }, standing) => {
      if (standing.is === "leased" || standing.is === "free") this.endings.finish(standing.item, now);
      else if (standing.is === "nacked") return usedUp(offset);
      else if (standing.is !== "finished") return this.#early(offset, now);
      return ok(undefined);
    });
  }

  /** Gives records back as failed. One that is finished, or was given back by the same receipt, is not touched. */
  nack(
    receipts: readonly string[],
    failure: Omit<Failure, "nacked">,
    now: number,
    chance: Chance,
  ): Result<undefined>[] {
    this.expire(now, chance);
    return this.#each(receipts, now, ({ offset }, standing) => {
      if (standing.is === "leased") this.endings.fail(standing.item, { ...failure, nacked: true }, now, chance);
      else if (standing.is === "restored") {
        const { reason, delayMs } = failure;
        standing.lease.nacked = { reason, delayMs, at: now };
        this.state.leases.owe();
        this.endings.withdrawUnread(offset, now);
      } else if (standing.is !== "nacked" && standing.is !== "finished") return ranOut(offset);
      return ok(undefined);
    });
  }

  extend(receipts: readonly string[], ackTimeoutMs: number, now: number): Result<undefined>[] {
    const { leases } = this.state;
    this.expire(now, this.#chance);
    return this.#each(receipts, now, ({ offset }, standing) => {
      if (standing.is === "leased") {
        const lease = leases.get(offset)!;
        leases.extend(lease, now + ackTimeoutMs);
        // Its member counts on the new time, and a crash would bring the old one back.
        if (lease.saved) leases.owe();
      } else if (standing.is === "restored") {
        standing.lease.expires = now + ackTimeoutMs;
        leases.owe();
      } else return notHeld(offset);
      return ok(undefined);
    });
  }

  /** Takes back what could not be handed over: nobody had it. From the last one on, so that they stand as they stood. */
  release(receipts: readonly string[], now: number): Result<undefined>[] {
    this.expire(now, this.#chance);
    const results = this.#each([...receipts].reverse(), now, ({ offset }, standing) => {
      if (standing.is === "leased") this.endings.release(standing.item, now);
      else if (standing.is === "restored") this.endings.releaseUnread(offset, now);
      return ok(undefined);
    });
    this.state.saveLeases(now);
    return results.reverse();
  }

  /** Leases that have run out fail, each with its member's name. Answers how many there were. */
  expire(now: number, chance: Chance): number {
    const expired = this.state.leases.expired(now);
    for (const { item, member } of expired) {
      if (item.state === "leased") this.endings.fail(item, { reason: noAnswer(member) }, now, chance);
    }
    if (expired.length > 0) this.state.save();
    return expired.length;
  }

  receipt({ item: { offset }, generation }: Leased): string {
    const { spec, era } = this.state;
    return writeReceipt({ partition: spec.partition, offset, era, generation, tag: this.tag(offset, generation) });
  }

  /** The part of a receipt that proves it. */
  tag(offset: number, generation: number): number {
    return this.#signer.tag(offset, this.state.era, generation);
  }

  /** Those of leases that are still valid. */
  held(leased: readonly Leased[]): Leased[] {
    return leased.filter(({ item, generation }) => this.state.leases.get(item.offset)?.generation === generation);
  }

  /** Makes those of leases that are still valid last until a time. */
  renew(leased: readonly Leased[], expires: number): void {
    const { leases } = this.state;
    for (const { item } of this.held(leased)) leases.extend(leases.get(item.offset)!, expires);
  }

  #grant(item: Item, member: string, now: number, expires: number): Leased {
    const { state } = this;
    const generation = ++state.generation;
    state.leases.grant(item, member, generation, now, expires);
    item.state = "leased";
    item.attempt++;
    if (item.attempt > 1) state.redeliveries++;
    return { item, generation, attempt: item.attempt };
  }

  /** Acked before it was read again: a lane that stands at it goes on, or else whoever reads it finds it finished. */
  #early(offset: number, now: number): Result<undefined> {
    const { state } = this;
    const lane = state.lanes.at(offset);
    if (lane === undefined && state.acked.size >= ackedMax) {
      return refuse("unavailable", "too many acks of before a restart at once; try again in a moment");
    }
    this.endings.endUnread(offset);
    if (lane !== undefined) this.endings.finishAhead(lane, now);
    else {
      state.acked.add(offset);
      state.unsaved++;
    }
    return ok(undefined);
  }

  /** Whether another lease of the record has run out. */
  #isOthers(text: string, now: number): boolean {
    const receipt = readReceipt(text);
    const lease = receipt && this.state.leases.get(receipt.offset);
    return lease !== undefined && lease.expires <= now && lease.generation !== receipt?.generation;
  }

  #each(
    receipts: readonly string[],
    now: number,
    settle: (receipt: Receipt, standing: Standing) => Result<undefined>,
  ): Result<undefined>[] {
    return receipts.map((text) => {
      const receipt = this.#receipts.read(text);
      if (!receipt.ok) return receipt;
      const standing = this.#receipts.standing(receipt.value, now);
      return standing.ok ? settle(receipt.value, standing.value) : standing;
    });
  }
}
