/**
 * Random appends, deliveries, acks, nacks, time-outs, extensions, seeks, pauses, incidents, operators and crashes, against
 * what the guide promises: a record is under one valid lease at most; of a key, nothing goes out while an earlier one is
 * unfinished; what is finished stays so; and in the end everything is delivered that nobody gave up.
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { type Got, Rig, value } from "./delivery.ts";

type Step =
  | { do: "append"; keys: (string | undefined)[] }
  | { do: "receive"; max: number; member: string }
  | { do: "ack" | "late"; pick: number[] }
  | { do: "nack"; pick: number[]; delayMs: number | undefined }
  | { do: "extend"; pick: number[] }
  | { do: "wait"; ms: number }
  | { do: "crash" | "pause" | "resume" | "leave" | "redrive" | "discard" }
  | { do: "seek"; share: number }
  | { do: "only"; keys: string[] | null }
  | { do: "skip"; pick: number }
  | { do: "saveLeases" };

const key = fc.constantFrom("a", "b", "c", "d", undefined);
const pick = fc.array(fc.nat(30), { minLength: 1, maxLength: 6 });
const one = <T extends string>(name: T) => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: one("append"), keys: fc.array(key, { minLength: 1, maxLength: 8 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: one("receive"),
      max: fc.integer({ min: 1, max: 8 }),
      member: fc.constantFrom("m", "n"),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: one("ack"), pick }) },
  { weight: 2, arbitrary: fc.record({ do: one("late"), pick }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: one("nack"), pick, delayMs: fc.constantFrom(undefined, 0, 500) }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("extend"), pick }) },
  { weight: 3, arbitrary: fc.record({ do: one("wait"), ms: fc.constantFrom(10, 600, 6_000, 40_000) }) },
  { weight: 2, arbitrary: fc.record({ do: one("crash") }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("pause", "resume", "leave", "redrive", "discard", "saveLeases") }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("seek"), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: one("only"), keys: fc.constantFrom(null, null, ["a"], ["b", "c"]) }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("skip"), pick: fc.nat(5) }) },
) as fc.Arbitrary<Step>;

const config: fc.Arbitrary<Partial<GroupConfig>> = fc.record({
  order: fc.constantFrom("key", "key", "partition", "none"),
  onFailure: fc.constantFrom("block", "park", "skip"),
  maxDeliveries: fc.integer({ min: 1, max: 3 }),
  maxInFlight: fc.constantFrom(1, 3, 100),
  backoff: fc.constantFrom([0], [500], [100, 1_000]),
  ackTimeoutMs: fc.constant(30_000),
});

class Model {
  /** Key of each record. */
  readonly keys: (string | undefined)[] = [];
  readonly finished = new Set<number>();
  /** Records that were left to the dead letters: the ones behind them went on, whatever becomes of them. */
  readonly passed = new Set<number>();
  /** Valid leases: offset → receipt, and when they run out. */
  readonly leases = new Map<number, { got: Got; expires: number }>();
  /** Records that were given back for some time. */
  readonly notBefore = new Map<number, number>();
  /** Receipts that were given out since the last seek, valid or not. */
  readonly given: Got[] = [];

  constructor(readonly rig: Rig) {}

  get order() {
    return this.rig.config.order as GroupConfig["order"];
  }

  expire(): void {
    for (const [offset, { expires }] of this.leases) if (expires <= this.rig.now) this.leases.delete(offset);
  }

  /** What no longer stands in the way: dead letters do, where their lane is parked. */
  settle(): void {
    const { delivery } = this.rig;
    const open = new Set(
      [...delivery.state.lanes.byId.values()].filter((lane) => lane.redriven).map(({ from }) => from),
    );
    for (const letter of this.rig.letters()) {
      const parked = this.rig.lanes().some((lane) => lane.offset === letter.offset && lane.state === "parked");
      if (!parked && !open.has(letter.offset)) {
        this.finished.add(letter.offset);
        this.passed.add(letter.offset);
      }
      this.leases.delete(letter.offset);
    }
  }

  received(got: readonly Got[], redriven: ReadonlySet<number>): void {
    for (const one of got) {
      expect(this.leases.has(one.offset), `two leases of ${one.offset}`).toBe(false);
      expect(one.data).toBe(String(one.offset));
      expect(one.key).toBe(this.keys[one.offset]);
      if (redriven.has(one.offset)) this.finished.delete(one.offset);
      expect(this.finished.has(one.offset), `${one.offset} again`).toBe(false);
      if (redriven.has(one.offset)) this.notBefore.delete(one.offset);
      expect(this.notBefore.get(one.offset) ?? 0, `${one.offset} too early`).toBeLessThanOrEqual(this.rig.now);
      if (!redriven.has(one.offset)) this.inOrder(one, got);
      this.leases.set(one.offset, { got: one, expires: this.rig.now + (this.rig.config.ackTimeoutMs as number) });
      this.given.push(one);
    }
    expect(this.leases.size).toBeLessThanOrEqual(this.rig.config.maxInFlight as number);
  }

  inOrder({ offset, key }: Got, batch: readonly Got[]): void {
    if (this.order === "none") return;
    for (let before = 0; before < offset; before++) {
      if (this.order === "key" && (key === undefined || this.keys[before] !== key)) continue;
      const together =
        this.order === "partition" && (this.leases.has(before) || batch.some((b) => b.offset === before));
      expect(this.finished.has(before) || this.passed.has(before) || together, `${offset} before ${before}`).toBe(true);
    }
  }
}

function redrivenIn(rig: Rig): Set<number> {
  const lanes = [...rig.delivery.state.lanes.byId.values()];
  return new Set(lanes.filter((lane) => lane.redriven).map((lane) => lane.from));
}

const chosen = <T>(list: readonly T[], pick: readonly number[]): T[] =>
  list.length === 0 ? [] : [...new Set(pick.map((index) => list[index % list.length]))];

function run(model: Model, step: Step): void {
  const { rig } = model;
  const valid = [...model.leases.values()].map(({ got }) => got);
  switch (step.do) {
    case "append":
      rig.append(step.keys);
      model.keys.push(...step.keys);
      break;
    case "receive": {
      model.expire();
      rig.delivery.expire(rig.now, 0);
      model.settle();
      const redriven = redrivenIn(rig);
      model.received(rig.receive(step.max, step.member), redriven);
      break;
    }
    case "ack": {
      const some = chosen(valid, step.pick);
      rig.ack(...some);
      for (const { offset } of some) {
        model.finished.add(offset);
        model.leases.delete(offset);
      }
      // Twice is as once.
      rig.ack(...some);
      break;
    }
    case "late":
      for (const got of chosen(model.given, step.pick)) {
        const [result] = rig.delivery.ack([got.receipt]);
        rig.delivery.state.save();
        const holder = model.leases.get(got.offset);
        if (holder !== undefined && holder.got.receipt !== got.receipt) expect(result.ok).toBe(false);
        // Not taken where it came from before a restart and the record is not in memory: then it comes again.
        const gone = rig.delivery.state.live(got.offset) === undefined;
        if (result.ok && gone && known(rig, got.offset)) {
          model.finished.add(got.offset);
          model.leases.delete(got.offset);
        }
      }
      break;
    case "nack": {
      const some = chosen(valid, step.pick);
      rig.nack(some, step.delayMs);
      for (const { offset } of some) {
        model.leases.delete(offset);
        if (step.delayMs !== undefined) model.notBefore.set(offset, rig.now + step.delayMs);
      }
      if (model.order === "partition") drop(model, Math.min(...some.map(({ offset }) => offset)));
      break;
    }
    case "extend": {
      const some = chosen(valid, step.pick).filter((got) => model.leases.get(got.offset)!.expires > rig.now);
      for (const result of rig.delivery.extend(
        some.map(({ receipt }) => receipt),
        90_000,
        rig.now,
      ))
        value(result);
      for (const got of some) model.leases.set(got.offset, { got, expires: rig.now + 90_000 });
      break;
    }
    case "wait":
      rig.now += step.ms;
      rig.delivery.expire(rig.now, 0);
      if (model.order === "partition") {
        const out = [...model.leases].filter(([, { expires }]) => expires <= rig.now).map(([offset]) => offset);
        drop(model, Math.min(...out));
      }
      model.expire();
      break;
    case "saveLeases":
      rig.delivery.state.saveLeases(rig.now);
      break;
    case "crash":
      rig.crash();
      // Leases that were not written down are void; those that were may have been written before they ended.
      for (const offset of model.leases.keys()) {
        if (!rig.delivery.state.leases.restored.has(offset)) model.leases.delete(offset);
      }
      break;
    case "pause":
      rig.delivery.state.pause({ reason: "test", at: rig.now });
      expect(rig.receive()).toEqual([]);
      break;
    case "resume":
      rig.delivery.state.pause(undefined);
      break;
    case "leave":
      rig.delivery.leave("m", "gone", rig.now);
      for (const [offset] of model.leases)
        if (rig.delivery.state.leases.get(offset) === undefined) model.leases.delete(offset);
      break;
    case "redrive":
      model.settle();
      value(rig.admin.redrive("all", undefined, rig.now));
      break;
    case "discard":
      model.settle();
      for (const { offset } of rig.letters()) {
        model.finished.add(offset);
        model.leases.delete(offset);
      }
      value(rig.admin.discard("all", rig.now));
      break;
    case "seek": {
      const to = Math.min(model.keys.length, Math.floor(step.share * (model.keys.length + 1)));
      rig.admin.seek(to, rig.now);
      model.leases.clear();
      model.given.length = 0;
      model.finished.clear();
      model.passed.clear();
      model.notBefore.clear();
      for (let offset = 0; offset < to; offset++) model.finished.add(offset);
      break;
    }
    case "only":
      if (model.order === "key") rig.configure({ only: step.keys });
      break;
    case "skip": {
      const lanes = rig.lanes();
      if (lanes.length === 0) break;
      const lane = lanes[step.pick % lanes.length];
      if (rig.admin.skipLane(lane.lane, rig.now).ok) {
        model.finished.add(lane.offset);
        model.leases.delete(lane.offset);
      }
      break;
    }
  }
}

/** Whether the delivery has come so far that it knows what it did with a record. */
const known = (rig: Rig, offset: number) =>
  !rig.delivery.state.window.items.has(offset) &&
  ![...rig.delivery.state.lanes.byId.values()].some(
    (lane) => lane.kind === "key" && isHeldBy(rig, lane.key, offset, lane.from),
  ) &&
  (offset < rig.delivery.state.cursor ||
    rig.delivery.state.done.has(offset) ||
    rig.delivery.state.lanes.ofKey(rig.keyAt(offset)) !== undefined);

const isHeldBy = (rig: Rig, key: string | undefined, offset: number, from: number) =>
  offset >= from && rig.keyAt(offset) === key;

/** In order, what follows a failed record is withdrawn, and with it the wait that was asked for it. */
function drop(model: Model, from: number): void {
  for (const offset of model.notBefore.keys()) if (offset > from) model.notBefore.delete(offset);
  for (const offset of model.leases.keys()) if (offset >= from) model.leases.delete(offset);
}

export function deliveryAgainstModel(open: () => Sql, runs: number): void {
  fc.assert(
    fc.property(config, fc.array(step, { minLength: 1, maxLength: 40 }), (config, steps) => {
      const rig = new Rig(open(), open(), config);
      const model = new Model(rig);
      for (const one of steps) {
        run(model, one);
        rig.delivery.state.check();
      }
      finish(model);
    }),
    { numRuns: runs },
  );
}

/** Everything that nobody gave up is delivered in the end, in order, over one more restart. */
function finish(model: Model): void {
  const { rig } = model;
  if (model.order === "key") rig.configure({ only: null });
  rig.delivery.state.pause(undefined);
  rig.now += 100_000;
  rig.crash();
  model.leases.clear();
  model.settle();
  value(rig.admin.redrive("all", undefined, rig.now));
  for (let round = 0; round < 400; round++) {
    model.expire();
    const redriven = redrivenIn(rig);
    const got = rig.receive(50);
    model.received(got, redriven);
    rig.ack(...got);
    for (const { offset } of got) {
      model.finished.add(offset);
      model.leases.delete(offset);
    }
    rig.delivery.state.check();
    if (got.length === 0) {
      const next = rig.delivery.nextAt();
      if (!Number.isFinite(next)) break;
      rig.now = Math.max(rig.now, next) + 1;
    }
  }
  expect([...model.keys.keys()].filter((offset) => !model.finished.has(offset))).toEqual([]);
  expect(rig.status()).toMatchObject({ lag: 0, inFlight: 0, head: model.keys.length, deadLetters: 0 });
}
