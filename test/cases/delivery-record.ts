/** What the guide to groups promises of each record of a partition, step by step. */
import { expect } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import { Admin } from "../../src/delivery/admin.ts";
import type { Delivery } from "../../src/delivery/delivery.ts";
import type { Letter } from "../../src/delivery/letters.ts";
import { readReceipt } from "../../src/delivery/receipt.ts";
import type { Lost } from "../../src/delivery/told.ts";
import { filterOf, matches } from "../../src/log/filter.ts";
import { decodeRecord, kinds } from "../../src/log/record.ts";
import { type Got, type Rig, value } from "./delivery.ts";
import { check } from "./delivery-check.ts";
import { look } from "./delivery-holes.ts";
import { textAtHand, textIn } from "./forgetting.ts";

/** Why it was given back, in words that name it. */
export const reasonOf = (offset: number): string => `cannot take ${offset}.`;

interface Lease {
  readonly receipt: string;
  readonly member: string;
  readonly since: number;
  expires: number;
  saved: boolean;
  /** A crash has come since, and its record was not read again. */
  bare: boolean;
}

/** How a record went out of the log: it is told as lost, or (`emptied`) nobody is told. */
export type Gone = "trimmed" | "damaged" | "emptied";

/** What a record is of, which filters look at. */
export const typeOf = (offset: number): string => (offset % 2 === 0 ? "even" : "odd");

interface Record {
  readonly offset: number;
  key: string | undefined;
  type: string | undefined;
  data: string;
  gone: Gone | undefined;
  /** Whether filters wanted it, and did not, since it could be read. */
  wanted: boolean;
  unwanted: boolean;
  /** Its data as its letter was edited. */
  edit: string | undefined;
  readonly appendedAt: number;
  finished: boolean;
  /** It was left to the dead letters, or behind a seek: those behind it went on, whatever becomes of it. */
  passed: boolean;
  letter: "none" | "dead" | "redriven";
  /** Finished, and what a receipt of it is worth may be forgotten. */
  dim: boolean;
  /** The receipt that finished it. */
  by: string;
  lease: Lease | undefined;
  attempts: number;
  /** As its rows know; and whether a crash came before they knew the rest. */
  kept: number;
  unsure: boolean;
  notBefore: number;
  /** Receipts of before it was redriven, and those that gave it back. */
  void: Set<string>;
  nacked: Set<string>;
}

type Verdict = "ok" | "stale-lease" | "either";

export class Model {
  readonly records: Record[] = [];
  /** Every receipt that was given out, with its record. */
  readonly #of = new Map<string, Record>();
  /** Of before a seek. */
  readonly #old = new Set<string>();
  readonly given: string[] = [];
  /** Of records that tombstones have taken the place of since. */
  readonly #forgotten = new Set<string>();
  /** Receipts that there were when the incident began; undefined where there is none. */
  #before: number | undefined;
  /** Keys that it let go on so far. */
  readonly #let = new Set<string>();
  #crashed = false;
  /** Receipts that there were at the last crash. */
  #outlived = 0;
  /** Until when members are lent nothing. */
  readonly #rests = new Map<string, number>();
  /** Finished, and acked again by a receipt of which it cannot be said whether its lane had come to it. */
  readonly #twice = new Set<number>();

  /** It has paused by itself; and what the catalog has said last, with a version of its own where that was newer than the rest. */
  readonly pausing = { own: false, paused: false, decided: 0 };
  /** What members were told that is lost. */
  #told: Lost[] = [];
  /** What may go out by the rate, at a time. */
  #bucket = { tokens: Number.POSITIVE_INFINITY, at: 0 };

  constructor(readonly rig: Rig) {}

  configure(change: Partial<GroupConfig>): void {
    this.rig.configure(change);
    const { pausing, rig } = this;
    Object.assign(pausing, { own: false, ...(pausing.decided > rig.version ? {} : { paused: false, decided: 0 }) });
    if (change.filter !== undefined) this.#filter();
    // A rate that is new, or another, may begin full.
    if (change.rate !== undefined) this.#bucket.tokens = Number.POSITIVE_INFINITY;
  }

  /** What is yet to be read is chosen by the new filter; what was read may have been by the one before. */
  #filter(): void {
    const { cursor, done, lanes } = this.rig.delivery.state;
    // A lane has counted what there was for it by the filter of before, and a restart does not change that until it reads.
    const read = Math.max(cursor, ...[...lanes.byId.values()].map(({ read, counted }) => Math.max(read, counted)));
    for (const record of this.records) {
      const { offset } = record;
      if (offset >= read && lanes.only === undefined && !done.has(offset)) this.#choose(record);
      else if (this.#matches(record)) record.wanted = true;
      else record.unwanted = true;
    }
  }

  /** It is read by the filter that there is. */
  #choose(record: Record): void {
    record.wanted = this.#matches(record);
    record.unwanted = !record.wanted;
  }

  #matches({ key, type }: Record): boolean {
    const { filter = null } = this.#config;
    const fields = { ...(key === undefined ? {} : { key }), ...(type === undefined ? {} : { type }) };
    return filter === null || matches(filterOf(filter), { kind: kinds.none, data: new Uint8Array(0), ...fields });
  }

  /** Whether it must go out; if not, it may: it is gone, or was not wanted at times, and somebody may have it at hand. */
  #isSure({ letter, gone, wanted, unwanted }: Record): boolean {
    return letter !== "none" || (gone === undefined && wanted && !unwanted);
  }

  /** Records go out of the log. */
  lose(offsets: Iterable<number>, gone: Gone): void {
    for (const offset of offsets) {
      const record = this.records[offset];
      // Of what a repair has given up, nobody is told any more.
      if (record.gone === undefined || (record.gone === "damaged" && gone === "emptied")) record.gone = gone;
    }
  }

  /** Of each of some keys the last record that there is stays. */
  replaced(): number[] {
    const there = this.records.filter(({ gone, key }) => gone === undefined && key !== undefined);
    const last = new Map(there.map(({ key, offset }) => [key, offset]));
    return there.filter(({ key, offset }) => last.get(key) !== offset).map(({ offset }) => offset);
  }

  /** Offsets of what is damaged. */
  damaged(): number[] {
    return this.records.filter(({ gone }) => gone === "damaged").map(({ offset }) => offset);
  }

  /** A member is told what is lost. */
  tell(lost: readonly Lost[]): void {
    for (const { from, to, why } of lost) {
      expect(from, "what is lost is something").toBeLessThan(to);
      for (let offset = from; offset < to; offset++) {
        const { gone } = this.records[offset];
        if (why === "damaged") expect(gone, `${offset} was damaged`).toBeDefined();
        else expect(offset, "what was trimmed").toBeLessThan(this.rig.log.span.head);
      }
    }
    this.#told.push(...lost);
  }

  /** What was lost to the group, and nobody was told. */
  untold(): number[] {
    const isTold = (offset: number) => this.#told.some(({ from, to }) => from <= offset && offset < to);
    return this.records
      .filter(
        ({ gone, letter, finished }) => gone !== undefined && gone !== "emptied" && letter === "none" && !finished,
      )
      .filter(({ offset, wanted, unwanted }) => wanted && !unwanted && !isTold(offset))
      .map(({ offset }) => offset);
  }

  /** What became of records that need not go out is for the delivery to say. */
  follow(): void {
    const { leases, letters, lanes } = this.rig.delivery.state;
    const anew = this.records.filter((record) => !this.#isSure(record) && !record.finished);
    for (const record of this.order === "partition" && anew.length > 0 ? this.records : anew) {
      const { lease, offset } = record;
      if (lease !== undefined) {
        const { generation } = readReceipt(lease.receipt)!;
        lease.bare = leases.get(offset)?.generation !== generation;
        if (lease.bare && leases.restored.get(offset)?.generation !== generation)
          Object.assign(record, { lease: undefined, unsure: true, kept: 0 });
      }
    }
    for (const record of anew) {
      const { offset } = record;
      if (letters.get(offset)?.state !== "dead") continue;
      const passed = lanes.at(offset)?.state !== "parked";
      Object.assign(record, { letter: "dead", lease: undefined, passed: record.passed || passed, finished: passed });
    }
  }

  word(version: number, paused: boolean): void {
    const { pausing, rig } = this;
    if (!paused) pausing.own = false;
    if (version >= Math.max(rig.version, pausing.decided)) Object.assign(pausing, { paused, decided: version });
  }

  /** So many go out, and no more than the rate lets, over crashes too. */
  #rated(count: number): void {
    const { rate = null } = this.#config;
    if (rate === null) return;
    const { tokens, at } = this.#bucket;
    const { now } = this.rig;
    const gained = tokens + ((now - at) / 1_000) * rate.perSecond;
    this.#bucket = { tokens: Math.min(rate.burst, gained) - count, at: now };
    expect(this.#bucket.tokens, "what the rate lets go").toBeGreaterThan(-0.01);
  }

  get order() {
    return this.#config.order;
  }

  get #config() {
    return this.rig.config as GroupConfig;
  }

  append(keys: readonly (string | undefined)[]): void {
    for (const key of keys) {
      this.records.push({
        offset: this.records.length,
        key,
        type: typeOf(this.records.length),
        data: String(this.records.length),
        gone: undefined,
        wanted: false,
        unwanted: false,
        edit: undefined,
        appendedAt: this.rig.now,
        finished: false,
        passed: false,
        letter: "none",
        lease: undefined,
        attempts: 0,
        kept: 0,
        unsure: false,
        dim: false,
        by: "",
        notBefore: 0,
        void: new Set(),
        nacked: new Set(),
      });
      this.#choose(this.records[this.records.length - 1]);
    }
  }

  valid(): string[] {
    return this.records.flatMap(({ lease }) => (lease === undefined ? [] : [lease.receipt]));
  }

  /** Receipts of whenever, of records that there are. */
  usable(): string[] {
    return this.given.filter((receipt) => !this.#forgotten.has(receipt));
  }

  unfinished(): number[] {
    return this.records.filter((record) => this.#counts(record)).map(({ offset }) => offset);
  }

  only(keys: readonly string[] | null): void {
    if (keys === null || this.#before === undefined || this.#crashed) this.#let.clear();
    for (const key of keys ?? []) this.#let.add(key);
    if (keys === null) this.#before = undefined;
    // Lanes of before a restart are given up where they may not go on, and with them what they led by.
    else if (this.#before === undefined || this.#crashed) this.#before = this.given.length;
    this.#crashed = false;
  }

  /** What one use of a receipt is answered, and does. `settled`: it was answered so, which tells where either may be. */
  settle(what: "ack" | "nack" | "extend", receipt: string, settled: boolean, delayMs?: number): Verdict {
    const record = this.#of.get(receipt)!;
    if (this.#old.has(receipt)) return "stale-lease";
    if (record.lease !== undefined) {
      const again = what === "nack" && record.nacked.has(receipt) && !record.void.has(receipt);
      if (record.lease.receipt !== receipt) return again ? "ok" : "stale-lease";
      if (what === "ack") this.#finish(record, receipt);
      else if (what === "nack") this.#fail(record, delayMs, receipt);
      else record.lease.expires = this.rig.now + 90_000;
      return "ok";
    }
    if (!this.#isSure(record) && !record.finished) {
      // It is at hand, or is gone, which counts as finished; what was settled once is not delivered again.
      if (what === "ack" && settled) this.#finish(record, receipt);
      return "either";
    }
    if (what === "extend") return "stale-lease";
    if (record.letter === "dead") return what === "nack" && record.nacked.has(receipt) ? "ok" : "stale-lease";
    // Given out amid the incident it is of a lane that the incident let go on.
    const amid = this.given.indexOf(receipt) >= (this.#before ?? this.given.length);
    const unread = [...this.rig.delivery.state.lanes.unread].some(
      ({ key = "", from }) => from <= record.offset && (!amid || this.#let.has(key)),
    );
    // A lane that was given up since a crash takes with it what was known of those that went ahead.
    const forgotten =
      this.given.indexOf(receipt) < this.#outlived &&
      !this.rig.delivery.state.incident.has(readReceipt(receipt)!.generation);
    const unclear = unread || forgotten || !amid;
    if (record.finished && unclear) this.#twice.add(record.offset);
    if (record.finished) return record.dim && (what === "nack" || record.by !== receipt) ? "either" : "ok";
    if (record.void.has(receipt)) return "stale-lease";
    if (what === "nack") return record.nacked.has(receipt) ? "ok" : "stale-lease";
    if (record.nacked.has(receipt)) return "stale-lease";
    this.#finish(record, receipt);
    return "ok";
  }

  release(receipts: readonly string[]): void {
    for (const receipt of [...receipts].reverse()) {
      const record = this.#of.get(receipt)!;
      if (record.lease?.receipt !== receipt || this.#old.has(receipt)) continue;
      record.lease = undefined;
      record.attempts--;
      if (this.order === "partition" && !record.passed) this.#withdraw(record.offset);
    }
    this.saveLeases();
  }

  heldBy(member: string): string[] {
    return this.records.flatMap(({ lease }) => (lease?.member === member ? [lease.receipt] : []));
  }

  /** Who gives back what it has is lent nothing for a while. */
  rest(receipts: readonly string[]): void {
    for (const receipt of receipts) {
      const { lease } = this.#of.get(receipt)!;
      if (lease?.receipt === receipt) this.#rests.set(lease.member, this.rig.now + limits.releaseRestMs);
    }
  }

  expire(): void {
    const expired = this.records.filter(({ lease }) => lease !== undefined && lease.expires <= this.rig.now);
    // One that goes again may take the lease of another back.
    for (const record of expired.sort((a, b) => a.lease!.expires - b.lease!.expires)) {
      if (record.lease !== undefined) this.#fail(record);
    }
  }

  leave(member: string): void {
    const left = this.records.filter(({ lease }) => lease?.member === member);
    const { onFailure, maxDeliveries } = this.#config;
    for (const record of left.reverse()) {
      if (record.lease === undefined) continue;
      if (onFailure !== "block" && record.attempts >= maxDeliveries) this.#fail(record);
      else {
        record.lease = undefined;
        record.kept = record.attempts;
        if (this.order === "partition" && !record.passed) this.#withdraw(record.offset);
      }
    }
    this.saveLeases();
  }

  saveLeases(): void {
    for (const { lease } of this.records)
      if (lease !== undefined && lease.since <= this.rig.now - 2_500) lease.saved = true;
  }

  crash(): void {
    this.#rests.clear();
    this.#crashed = true;
    this.#outlived = this.given.length;
    for (const record of this.records) {
      if (record.lease?.saved) continue;
      record.lease = undefined;
      record.unsure = true;
    }
    this.follow();
    // What lies beyond the window, or beyond where a lane stood when it was written down, may be of the lane or not.
    const { cursor, done, lanes } = this.rig.delivery.state;
    const from = Math.min(...[...lanes.unread].map(({ from }) => from));
    for (const record of this.records) {
      const { finished, offset } = record;
      if (finished && (offset >= from || (offset >= cursor && !done.has(offset)))) record.dim = true;
    }
  }

  seek(to: number): void {
    for (const record of this.records) {
      const { offset } = record;
      const letter = offset < to ? record.letter : "none";
      Object.assign(record, {
        // One that was on its way again stays a letter, and still is.
        finished: offset < to && letter !== "redriven",
        passed: offset < to,
        letter,
        edit: letter === "none" ? undefined : record.edit,
        lease: undefined,
        attempts: 0,
        kept: 0,
      });
      Object.assign(record, { unsure: false, notBefore: 0 });
      if (offset >= to) this.#choose(record);
    }
    this.#told = this.#told.flatMap(({ from, to: next, why }) =>
      from < to ? [{ from, to: Math.min(to, next), why }] : [],
    );
    for (const receipt of this.given) this.#old.add(receipt);
  }

  /** An operator has left it to the dead letters. */
  skip(offset: number): void {
    const record = this.records[offset];
    record.lease = undefined;
    if (record.letter === "dead" && !record.passed) {
      // Parked: those behind it go on, and the letter stays.
      record.passed = true;
      record.finished = true;
    } else this.#pass(record);
  }

  resume(offset: number): void {
    const record = this.records[offset];
    if (record.letter === "dead") this.redrive(offset, undefined);
    else record.notBefore = 0;
  }

  /** False where it is on its way already. */
  redrive(offset: number, edited: string | undefined): boolean {
    const record = this.records[offset];
    if (record.letter === "redriven" && edited === undefined) return false;
    if (edited !== undefined) record.edit = edited;
    Object.assign(record, { letter: "redriven", lease: undefined, notBefore: 0, finished: false });
    Object.assign(record, { attempts: 0, kept: 0, unsure: false });
    for (const [receipt, of] of this.#of) if (of === record) record.void.add(receipt);
    return true;
  }

  discard(offset: number): void {
    const record = this.records[offset];
    Object.assign(record, { letter: "none", edit: undefined, lease: undefined, finished: true });
  }

  /**
   * Every record of the key is over, whoever had it. What the group had read, left to a lane, or given out is finished; where
   * the rest was, tombstones come. Of another tombstone that is known by its offset alone nothing more is wanted either.
   */
  forget(key: string, forgetting: () => void): void {
    const before = this.rig.delivery.state;
    const { leases, lanes, letters } = before;
    const offsets = new Set([...leases.restored.keys(), ...leases.tried.unread()]);
    for (const { exact, from, state, redriven } of lanes.byId.values())
      if (exact && state !== "parked" && !redriven && before.live(from) === undefined) offsets.add(from);
    const bare = new Set([...offsets].filter((offset) => letters.get(offset) === undefined));
    forgetting();
    const text = textIn(this.rig.sql) + textAtHand(this.rig.delivery);
    for (const record of this.records) if (record.key === key) expect(text).not.toContain(reasonOf(record.offset));
    const { cursor, done, acked } = this.rig.delivery.state;
    for (const record of this.records) {
      const { offset } = record;
      const older = record.data === "" && bare.has(offset);
      if (record.key !== key && !older) continue;
      const sure = this.#isSure(record);
      Object.assign(record, {
        key: undefined,
        type: undefined,
        data: "",
        edit: undefined,
        lease: undefined,
        letter: "none",
        passed: false,
      });
      Object.assign(record, { attempts: 0, kept: 0, unsure: false, notBefore: 0, dim: true });
      record.void.clear();
      record.nacked.clear();
      if (!sure) Object.assign(record, { wanted: true, unwanted: true });
      record.finished = sure && (older || offset < cursor || done.has(offset) || acked.has(offset));
      if (record.finished) continue;
      if (sure) this.#choose(record);
      for (const [receipt, of] of this.#of) if (of === record) this.#forgotten.add(receipt);
    }
  }

  received(got: readonly Got[], member: string, max: number): void {
    expect(got.length).toBeLessThanOrEqual((this.#rests.get(member) ?? 0) > this.rig.now ? 0 : max);
    for (const one of got) {
      const record = this.records[one.offset];
      const name = `record ${one.offset}`;
      expect(one.key).toBe(record.key);
      expect(one.data).toBe(record.edit ?? record.data);
      expect(record.lease, `${name} is under lease`).toBeUndefined();
      expect(record.finished || record.letter === "dead", `${name} was finished`).toBe(false);
      expect(record.wanted || record.letter !== "none", `${name} is wanted`).toBe(true);
      const sure = this.#isSure(record);
      if (sure) expect(record.notBefore, `${name} is early`).toBeLessThanOrEqual(this.rig.now);
      expect(one.attempt, name).toBeLessThanOrEqual(record.attempts + 1);
      if (sure) expect(one.attempt, name).toBeGreaterThan(record.unsure ? record.kept : record.attempts);
      const { only = null } = this.#config;
      expect(only === null || (one.key !== undefined && only.includes(one.key)), `${name} is let through`).toBe(true);
      this.#inOrder(record, got);
      record.attempts = one.attempt;
      record.unsure = false;
      const expires = this.rig.now + this.#config.ackTimeoutMs;
      record.lease = { receipt: one.receipt, member, since: this.rig.now, expires, saved: false, bare: false };
      expect(this.#of.has(one.receipt), "a receipt is new").toBe(false);
      this.#of.set(one.receipt, record);
      this.given.push(one.receipt);
    }
    this.#rated(got.length);
    if (got.length > 0)
      expect(this.pausing, "what is paused gives nothing out").toMatchObject({ own: false, paused: false });
    const { maxInFlight, memberMaxInFlight } = this.#config;
    const held = this.records.filter(({ lease }) => lease !== undefined);
    if (got.length === 0) return;
    expect(held.length).toBeLessThanOrEqual(maxInFlight);
    if (memberMaxInFlight !== null) {
      expect(held.filter(({ lease }) => lease?.member === member).length).toBeLessThanOrEqual(memberMaxInFlight);
    }
  }

  /** What is shown, now and if the object died now. */
  check(): void {
    this.#check(this.rig.delivery);
    this.rig.afterCrash((delivery) => {
      check(delivery.state);
      this.#check(delivery);
    });
  }

  #check(delivery: Delivery): void {
    const { state } = delivery;
    const admin = new Admin(delivery);
    const { now } = this.rig;
    state.known ??= this.rig.log.span.tail;
    look(this.rig, delivery);
    expect(state.paused !== undefined, "paused").toBe(this.pausing.own || this.pausing.paused);
    for (const { offset, nacked, expires } of state.leases.restored.values()) {
      if (nacked !== undefined || expires <= this.rig.now) continue;
      expect(this.records[offset].finished, `${offset} is finished, and shown under lease`).toBe(false);
    }
    // Those that have run out are known to have when their records are read again.
    if (state.leases.restored.size > 0) return;
    if ([...this.#twice].some((offset) => state.acked.has(offset))) return;
    const left = this.unfinished();
    // An ack of one that a crash has forgotten, and that is gone, is settled, and noted nowhere.
    const more = this.records.filter((record) => !this.#isSure(record)).length;
    const { lag, oldestUnacked } = value(admin.status(now));
    // Of what a lane has finished ahead, the window does not see again what is gone since.
    const leads = Math.max(0, ...[...state.lanes.leading].map(({ from }) => from));
    const unseen = this.records.filter(
      ({ finished, offset, gone, unwanted }) => finished && offset < leads && (gone !== undefined || unwanted),
    );
    expect(lag, "lag").toBeGreaterThanOrEqual(left.length - unseen.length);
    expect(lag, "lag").toBeLessThanOrEqual(left.length + more);
    if (left.length > 0)
      expect(oldestUnacked, "age").toBeLessThanOrEqual(Math.min(...left.map((n) => this.records[n].appendedAt)));
    const letters = this.records
      .filter(({ letter }) => letter !== "none")
      .map(({ offset, letter, edit, data }) => [offset, letter, edit ?? data]);
    expect(value(admin.letters(-1, 1_000, now)).letters.map(shown)).toEqual(letters);
    const all = Number.POSITIVE_INFINITY;
    // A lane is shown with a record of its own that is not finished, or with none.
    for (const { key, offset, state } of value(admin.lanes(-1, all, all, now)).lanes) {
      if (offset === undefined) expect(state).toBe("open");
      else {
        if (key !== undefined) expect(this.records[offset].key, `lane at ${offset}`).toBe(key);
        const record = this.records[offset];
        expect(this.#counts(record) || this.#mayCount(record), `lane at ${offset}`).toBe(true);
      }
    }
  }

  /** Whether it counts as lag: a letter on its way again does, one that was passed over does not. */
  #counts(record: Record): boolean {
    const { finished, letter, passed } = record;
    return letter === "redriven" || (this.#isSure(record) && !finished && !(letter === "dead" && passed));
  }

  #mayCount(record: Record): boolean {
    return !this.#isSure(record) && !record.finished;
  }

  #finish(record: Record, by: string): void {
    Object.assign(record, { finished: true, by, lease: undefined, letter: "none", edit: undefined });
  }

  #fail(record: Record, delayMs?: number, nacked?: string): void {
    const { onFailure, maxDeliveries, backoff, order } = this.#config;
    const bare = record.lease?.bare === true;
    record.lease = undefined;
    record.kept = record.attempts;
    if (nacked !== undefined) record.nacked.add(nacked);
    if (bare && !this.#isSure(record)) {
      // What follows is decided when it is read again, if it is.
      record.unsure = true;
      if (nacked !== undefined && order === "partition") this.#withdraw(record.offset);
      return;
    }
    if (order === "partition" && !record.passed) this.#withdraw(record.offset);
    if (onFailure === "block" || record.attempts < maxDeliveries) {
      const list = backoff as number[];
      record.notBefore = this.rig.now + (delayMs ?? list[Math.min(record.attempts, list.length) - 1]);
      return;
    }
    const holds =
      onFailure === "park" &&
      !record.passed &&
      (order === "partition" || (order === "key" && record.key !== undefined));
    if (holds) record.letter = "dead";
    else this.#pass(record);
  }

  #pass(record: Record): void {
    Object.assign(record, { letter: "dead", passed: true, finished: true });
  }

  #withdraw(offset: number): void {
    for (const record of this.records) {
      if (record.offset <= offset || record.lease === undefined || record.passed) continue;
      record.lease = undefined;
      record.attempts--;
    }
  }

  #inOrder({ offset, key, passed, letter }: Record, batch: readonly Got[]): void {
    // What was passed over once has no place in the order any more.
    if (this.order === "none" || (letter === "redriven" && passed)) return;
    for (const before of this.records.slice(0, offset)) {
      if (this.order === "key" && (key === undefined || before.key !== key)) continue;
      const under = before.lease !== undefined || batch.some((one) => one.offset === before.offset);
      const lost = !this.#isSure(before) && (before.lease === undefined || before.lease.bare);
      const free = before.finished || before.passed || lost || (this.order === "partition" && under);
      expect(free, `${offset} before ${before.offset}`).toBe(true);
    }
  }
}

function shown({ offset, state, body }: Letter) {
  const { data } = decodeRecord(body, 0, body.length);
  return [offset, state, new TextDecoder().decode(data)];
}
