/** A delivery on a log, without the shells between them, and a model that says what it may do. */
import { expect } from "vitest";
import type { Target } from "../../schemas/erasure.ts";
import type { Result } from "../../schemas/errors.ts";
import { type GroupConfig, groupDefaults } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import { Admin } from "../../src/delivery/admin.ts";
import { Delivery, type Leased, type Terms } from "../../src/delivery/delivery.ts";
import type { DeliverySpec } from "../../src/delivery/spec.ts";
import type { Wish } from "../../src/delivery/wish.ts";
import { concat } from "../../src/lib/bytes.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { eachRecord, readHeader } from "../../src/log/frame.ts";
import { Log } from "../../src/log/log.ts";
import { decodeRecord, FrameWriter, type Rec } from "../../src/log/record.ts";
import { eraseIn, forgetIn } from "./forgetting.ts";
import { batch, spec as logSpec } from "./log.ts";

export const specOf = (config: Partial<GroupConfig> = {}, version = 1): DeliverySpec => ({
  namespace: "default",
  stream: "s",
  group: "g",
  logId: logSpec.logId,
  groupId: "g1",
  partition: 0,
  version,
  config: { ...groupDefaults, ...config },
  start: { at: "earliest" },
  paused: false,
  share: 1,
  privateTargets: true,
});

export const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.refusal.code}: ${result.refusal.detail}`);
  return result.value;
};

/** A record as a letter has it. */
export function packed(record: Rec): Uint8Array {
  const writer = new FrameWriter();
  writer.add(record);
  const frame = value(readHeader(concat(writer.finish(0)), 0));
  const bodies: Uint8Array[] = [];
  eachRecord(frame, (from, to) => bodies.push(frame.bytes.slice(from, to)));
  return bodies[0];
}

/** What a member got. */
export interface Got {
  readonly offset: number;
  readonly key: string | undefined;
  readonly data: string;
  readonly attempt: number;
  readonly receipt: string;
}

export class Rig {
  readonly log: Log;
  delivery: Delivery;
  version = 1;
  now = 1_000_000;

  constructor(
    readonly logSql: Sql,
    readonly sql: Sql,
    public config: Partial<GroupConfig> = {},
    start = 0,
    readonly lanesMax: number = limits.lanesMax,
    readonly place: Partial<Pick<DeliverySpec, "groupId" | "partition" | "parent" | "range">> = {},
  ) {
    this.log = Log.create(logSql, logSpec, this.now);
    this.delivery = Delivery.create(sql, { ...specOf(config), ...place }, start, this.#terms());
  }

  /** Secrets that are none, and no jitter. */
  #terms(): Terms {
    return { lanesMax: this.lanesMax, now: this.now, draw: () => [1, 2, 3, 4], chance: () => 0 };
  }

  get admin(): Admin {
    return new Admin(this.delivery);
  }

  status() {
    return value(this.admin.status(this.now));
  }

  lanes() {
    return value(this.admin.lanes(-1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, this.now)).lanes;
  }

  letters() {
    return value(this.admin.letters(-1, 1_000, this.now)).letters;
  }

  readonly #keys: (string | undefined)[] = [];

  keyAt(offset: number): string | undefined {
    return this.#keys[offset];
  }

  /** Appends a record a key, whose data are its number, with spaces before it where they are to be larger. */
  append(keys: readonly (string | undefined)[], dataBytes = 0, typeOf?: (offset: number) => string): void {
    this.#keys.push(...keys);
    const { tail } = this.log.span;
    const records = keys.map((key, index) => ({
      ...(key === undefined ? {} : { key }),
      ...(typeOf === undefined ? {} : { type: typeOf(tail + index) }),
      kind: 1 as const,
      data: new TextEncoder().encode(String(tail + index).padStart(dataBytes)),
    }));
    if (records.length === 0) return;
    value(this.log.append([batch(records)], this.now)[0]);
    this.delivery.state.known = this.log.span.tail;
  }

  /** Reads what the delivery wishes, until it wishes nothing, or there is `enough`. */
  fill(enough: () => boolean = () => false): void {
    const { reader } = this.delivery;
    this.arrive();
    for (let round = 0; round < 1_000 && !enough(); round++) {
      const wishes = reader.wishes(this.now);
      if (wishes.length === 0) return;
      for (const wish of wishes) this.#read(wish);
    }
    if (!enough()) throw new Error("the delivery never has enough");
  }

  /** Reads a lane's first records, as the shell does before an operator skips it, or resumes it. */
  bring(id: number): void {
    const { reader, state } = this.delivery;
    this.arrive();
    for (let round = 0; round < 1_000; round++) {
      const lane = state.lanes.byId.get(id);
      if (lane === undefined || lane.kind === "whole" || lane.state === "parked" || lane.queue.length > 0) return;
      const wish = reader.lanes.wish(lane, this.now);
      if (wish === undefined) return;
      this.#read(wish);
    }
    throw new Error("the lane never has enough");
  }

  #read(wish: Wish): void {
    this.#answered(wish)();
  }

  /** What is read for a wish, to be taken in a moment. */
  #answered(wish: Wish): () => void {
    const { reader, state } = this.delivery;
    const page = this.log.read(wish);
    const { head, tail } = this.log.span;
    const { sealed } = this.log;
    const { count } = state.forgotten;
    return () => {
      // As the shell has it: it may hold what was forgotten meanwhile.
      if (count !== state.forgotten.count) return;
      if (page.ok) {
        const { from, to, pieces } = page.value;
        reader.take(wish, { from, to, pieces, tail, sealed }, this.now);
      } else {
        expect(page.refusal.code).toBe("trimmed");
        reader.trimmed(wish, head, this.now);
      }
    };
  }

  #underway: (() => void)[] = [];

  /** Reads what is wished; it arrives later, and until then nothing else is read. */
  ask(): void {
    if (this.#underway.length > 0) return;
    this.#underway = this.delivery.reader.wishes(this.now).map((wish) => this.#answered(wish));
  }

  arrive(): void {
    const underway = this.#underway;
    this.#underway = [];
    for (const take of underway) take();
  }

  /** Forgets what there is of a target, in the log and here; `early`: here also when the log still has it. */
  forget(target: Target, early = false): void {
    const { tail } = this.log.span;
    if (early) forgetIn(this.delivery, this.log, target, tail, this.now);
    eraseIn(this.log, target, this.now);
    forgetIn(this.delivery, this.log, target, tail, this.now);
  }

  /** `partly`: it reads no more than is asked for, as the shell does. */
  receive(max = 10, member = "m", partly = false): Got[] {
    this.delivery.expire(this.now, () => 0);
    this.fill(partly ? () => this.delivery.state.window.readyCount >= max : undefined);
    const leased = this.delivery.lease({ max, bytesMax: 1e9, member }, this.now, () => 0);
    return leased.map((one) => gotOf(one, this.delivery.receipt(one)));
  }

  ack(...got: readonly Got[]): void {
    for (const result of this.tryAck(got.map(({ receipt }) => receipt))) value(result);
  }

  tryAck(receipts: readonly string[]): Result<undefined>[] {
    const results = this.delivery.ack(receipts, this.now);
    this.delivery.state.save();
    return results;
  }

  nack(got: readonly Got[], delayMs?: number, reason = "failed"): void {
    const receipts = got.map(({ receipt }) => receipt);
    for (const result of this.tryNack(receipts, delayMs, reason)) value(result);
  }

  tryNack(receipts: readonly string[], delayMs?: number, reason = "failed"): Result<undefined>[] {
    const results = this.delivery.nack(receipts, { delayMs, reason }, this.now, () => 0);
    this.delivery.state.save();
    return results;
  }

  /** When there is something to do without being asked. */
  get nextAt(): number {
    const { leases, lanes } = this.delivery.state;
    return Math.min(leases.soonest, lanes.nextDue);
  }

  configure(change: Partial<GroupConfig>): void {
    this.config = { ...this.config, ...change };
    this.delivery.configure({ ...specOf(this.config, ++this.version), ...this.place }, this.now);
  }

  /** The object dies, and comes back from its rows. */
  crash(): void {
    this.now++;
    this.#underway = [];
    this.delivery = Delivery.open(this.sql, this.#terms()) as Delivery;
    expect(this.delivery).toBeDefined();
  }

  /** What there would be if the object died now; nothing of it is kept. */
  afterCrash(look: (delivery: Delivery) => void): void {
    const undo = new Error("nothing is kept");
    const inside: Sql = { ...this.sql, transaction: (work) => work() };
    try {
      this.sql.transaction(() => {
        look(Delivery.open(inside, this.#terms()) as Delivery);
        throw undo;
      });
    } catch (error) {
      if (error !== undo) throw error;
    }
  }

  /** Receives and acks until nothing comes; waits for what is to be tried again. */
  drain(refuse: (got: Got) => boolean = () => false, rounds = 200): number[] {
    const acked: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const got = this.receive(1_000);
      const good = got.filter((one) => !refuse(one));
      this.ack(...good);
      this.nack(got.filter(refuse));
      acked.push(...good.map(({ offset }) => offset));
      if (got.length > 0) continue;
      const next = this.nextAt;
      if (!Number.isFinite(next)) break;
      this.now = Math.max(this.now + 1, next);
    }
    return acked;
  }
}

function gotOf({ item, attempt }: Leased, receipt: string): Got {
  const { key, data } = decodeRecord(item.bytes, item.from, item.to);
  return { offset: item.offset, key, data: new TextDecoder().decode(data), attempt, receipt };
}
