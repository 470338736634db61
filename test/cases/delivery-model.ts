/**
 * Random appends, deliveries, acks, nacks, time-outs, extensions, seeks, pauses, incidents, operators and crashes, against a
 * model that knows what the guide promises and nothing else: who may get which record when, what each receipt that was ever
 * given out is worth, how often a record was tried, how many are left.
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { Result } from "../../schemas/errors.ts";
import type { GroupConfig } from "../../schemas/group.ts";
import type { LaneAt } from "../../src/delivery/admin.ts";
import { giveBack } from "../../src/delivery/giving-back.ts";
import { readReceipt, writeReceipt } from "../../src/delivery/receipt.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { decodeRecord } from "../../src/log/record.ts";
import { packed, Rig, value } from "./delivery.ts";
import { check } from "./delivery-check.ts";
import { found, foundHoles } from "./delivery-found.ts";
import { damage, empty, isolate, look } from "./delivery-holes.ts";
import { Model, reasonOf, typeOf } from "./delivery-record.ts";

export type Step =
  | { do: "append"; keys: (string | undefined)[] }
  | { do: "receive"; max: number; member: string; partly?: boolean }
  /** `any`: receipts of whenever; otherwise those that are under lease. */
  | { do: "ack"; pick: number[]; any: boolean; once: boolean }
  | { do: "extend" | "release" | "giveBack"; pick: number[]; any: boolean }
  | { do: "nack"; pick: number[]; any: boolean; delayMs: number | undefined }
  | { do: "forge"; pick: number; part: number; by: number }
  | { do: "wait"; ms: number }
  | { do: "crash" | "pause" | "resume" | "saveLeases" | "settleFloor" }
  | { do: "leave" | "depart"; member: string }
  | { do: "change"; config: Partial<GroupConfig> }
  /** The catalog has said so, so many versions of the group from now. */
  | { do: "word"; paused: boolean; by: number }
  | { do: "redrive" | "discard"; pick: number[] | "all"; edited: boolean }
  | { do: "seek"; share: number }
  | { do: "only"; keys: string[] | null }
  | { do: "filter"; filter: GroupConfig["filter"] }
  | { do: "trim"; share: number }
  /** The records of an append cannot be read any more. */
  | { do: "damage"; pick: number }
  /** Of those that newer ones of their keys replace. */
  | { do: "compact"; pick: number[] | "all" }
  /** `tell`: a member learns what is lost. `ask`: what is wished is read, and arrives later. */
  | { do: "isolate" | "tell" | "ask" | "arrive" }
  /** `early`: before the log has forgotten it, too. */
  | { do: "forget"; key: string; early: boolean }
  /** `any`: lanes that go on by themselves too. `reads`: the lane may read before. */
  | { do: "skip" | "resumeLane"; pick: number; any: boolean; reads: boolean };

/** What may be another from one moment to the next. */
const changing: fc.Arbitrary<Partial<GroupConfig>> = fc.record({
  onFailure: fc.constantFrom("block", "park", "skip"),
  maxDeliveries: fc.integer({ min: 1, max: 3 }),
  maxInFlight: fc.constantFrom(1, 3, 100),
  memberMaxInFlight: fc.constantFrom(null, 2),
  backoff: fc.constantFrom([0], [500], [100, 1_000]),
  rate: fc.constantFrom(null, null, { perSecond: 2, burst: 3 }),
});
const key = fc.constantFrom("a", "b", "c", "d", undefined);
const pick = fc.array(fc.nat(30), { minLength: 1, maxLength: 6 });
const member = fc.constantFrom("m", "n");
const one = <T extends string>(name: T) => fc.constant(name);
const any = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const weighted: [number, fc.Arbitrary<Step>][] = [
  [5, fc.record({ do: one("append"), keys: fc.array(key, { minLength: 1, maxLength: 8 }) })],
  [8, fc.record({ do: one("receive"), max: fc.integer({ min: 1, max: 8 }), member, partly: fc.boolean() })],
  [8, fc.record({ do: one("ack"), pick, any, once: fc.boolean() })],
  [4, fc.record({ do: one("nack"), pick, any, delayMs: fc.constantFrom(undefined, 0, 500) })],
  [2, fc.record({ do: fc.constantFrom("extend", "release", "giveBack"), pick, any })],
  [1, fc.record({ do: one("forge"), pick: fc.nat(30), part: fc.nat(4), by: fc.integer({ min: 1, max: 40 }) })],
  [3, fc.record({ do: one("wait"), ms: fc.constantFrom(10, 600, 6_000, 40_000) })],
  [2, fc.record({ do: one("crash") })],
  [2, fc.record({ do: fc.constantFrom("pause", "resume", "saveLeases", "settleFloor") })],
  [1, fc.record({ do: fc.constantFrom("leave", "depart"), member })],
  [
    1,
    fc.record({
      do: fc.constantFrom("redrive", "discard"),
      pick: fc.oneof(one("all"), pick),
      edited: fc.boolean(),
    }),
  ],
  [1, fc.record({ do: one("seek"), share: fc.double({ min: 0, max: 1, noNaN: true }) })],
  [1, fc.record({ do: one("only"), keys: fc.constantFrom(null, null, ["a"], ["b", "c"]) })],
  [
    1,
    fc.record({
      do: fc.constantFrom("skip", "resumeLane"),
      pick: fc.nat(5),
      any: fc.boolean(),
      reads: fc.boolean(),
    }),
  ],
  [1, fc.record({ do: one("forget"), key: fc.constantFrom("a", "b", "c"), early: fc.boolean() })],
  [1, fc.record({ do: one("change"), config: changing })],
  [1, fc.record({ do: one("word"), paused: fc.boolean(), by: fc.integer({ min: -2, max: 2 }) })],
];
const plain = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })));
/** Much that fails, and an operator who has his hands in all of it. */
const operated = fc.oneof(
  ...weighted.map(([weight, arbitrary], index) => ({ weight: index === 3 || index > 8 ? 8 : weight, arbitrary })),
);
const historyOf = (...kinds: fc.Arbitrary<Step>[]) =>
  fc.oneof(...kinds.map((step) => fc.array(step, { minLength: 1, maxLength: 50, size: "max" })));
const steps = historyOf(plain, operated);
const filter = fc.constantFrom<GroupConfig["filter"]>(
  null,
  null,
  { key: "a" },
  { key: "b" },
  { types: ["even"] },
  { types: ["odd"] },
  { key: "a", types: ["even"] },
);
const share = fc.double({ min: 0, max: 1, noNaN: true });
/** Records that go out of the log, or of the filter, below the place, in lanes, and under lease; and reads that arrive late. */
const hole = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: one("filter"), filter }) },
  { weight: 4, arbitrary: fc.record({ do: one("trim"), share }) },
  { weight: 3, arbitrary: fc.record({ do: one("damage"), pick: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: one("compact"), pick: fc.oneof(one("all"), pick) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("isolate", "tell") }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("ask", "arrive") }) },
);
const holed = fc.oneof({ weight: 4, arbitrary: plain }, { weight: 1, arbitrary: hole });
const holedSteps = historyOf(holed, fc.oneof({ weight: 5, arbitrary: operated }, { weight: 1, arbitrary: hole }));

const order = fc.constantFrom("key", "key", "partition", "none") as fc.Arbitrary<GroupConfig["order"]>;
const config: fc.Arbitrary<Partial<GroupConfig>> = fc
  .tuple(order, changing)
  .map(([order, change]) => ({ order, ...change, ackTimeoutMs: 30_000 }));

const chosen = <T>(list: readonly T[], pick: readonly number[]): T[] =>
  list.length === 0 ? [] : [...new Set(pick.map((index) => list[index % list.length]))];

const parts = ["partition", "offset", "era", "generation", "tag"] as const;

/** A receipt of which one part is another. */
function forge(receipt: string, part: number, by: number): string {
  const read = readReceipt(receipt)!;
  return writeReceipt({ ...read, [parts[part]]: (read[parts[part]] + by) % Number.MAX_SAFE_INTEGER });
}

/** What a result says: `ok`, or the refusal's code. */
const said = (result: Result<unknown>) => (result.ok ? "ok" : result.refusal.code);

function fits(name: string, result: Result<unknown>, expected: string): void {
  if (expected === "either") expect(["ok", "stale-lease"], name).toContain(said(result));
  else expect(said(result), name).toBe(expected);
}

function run(model: Model, step: Step): void {
  const { rig } = model;
  model.follow();
  const receipts = (pick: readonly number[], any: boolean) => chosen(any ? model.usable() : model.valid(), pick);
  const settle = (what: "ack" | "nack" | "extend", some: readonly string[], results: Result<unknown>[]) => {
    results.forEach((result, index) => {
      fits(`${what} of ${some[index]}`, result, model.settle(what, some[index], result.ok));
    });
  };
  switch (step.do) {
    case "append":
      rig.append(step.keys, 0, typeOf);
      model.append(step.keys);
      break;
    case "receive":
      model.expire();
      {
        const got = rig.receive(step.max, step.member, step.partly);
        model.follow();
        model.received(got, step.member, step.max);
      }
      break;
    case "ack": {
      const some = receipts(step.pick, step.any);
      if (step.once) {
        settle("ack", some, rig.tryAck(some));
        break;
      }
      // Twice is as once, in one call and in two.
      const twice = [...some, ...some];
      settle("ack", twice, rig.tryAck(twice));
      settle("ack", some, rig.tryAck(some));
      break;
    }
    case "nack": {
      const some = receipts(step.pick, step.any);
      const results = some.map((receipt) => {
        const [result] = rig.tryNack([receipt], step.delayMs, reasonOf(readReceipt(receipt)!.offset));
        return result;
      });
      results.forEach((result, index) => {
        fits(`nack of ${some[index]}`, result, model.settle("nack", some[index], result.ok, step.delayMs));
      });
      settle("nack", some, rig.tryNack(some, 99_000));
      break;
    }
    case "extend": {
      const some = receipts(step.pick, step.any);
      const results = rig.delivery.extend(some, 90_000, rig.now);
      rig.delivery.state.save();
      settle("extend", some, results);
      break;
    }
    case "release": {
      const some = receipts(step.pick, step.any);
      rig.delivery.release(some, rig.now);
      rig.delivery.state.save();
      model.release(some);
      break;
    }
    case "giveBack": {
      const some = receipts(step.pick, step.any);
      // Whatever has become of it, and twice as once.
      for (const result of giveBack(rig.delivery, [...some, ...some], rig.now)) expect(said(result)).toBe("ok");
      rig.delivery.state.save();
      model.rest(some);
      model.release(some);
      break;
    }
    case "forge": {
      const [receipt] = chosen(model.given, [step.pick]);
      if (receipt === undefined) break;
      const forged = forge(receipt, step.part, step.by);
      if (model.given.includes(forged)) break;
      for (const result of rig.tryAck([forged])) expect(said(result)).toBe("invalid");
      break;
    }
    case "wait":
      rig.now += step.ms;
      rig.delivery.expire(rig.now, () => 0);
      model.expire();
      break;
    case "saveLeases":
      rig.delivery.state.saveLeases(rig.now);
      model.saveLeases();
      break;
    case "settleFloor":
      rig.delivery.state.settleFloor();
      break;
    case "crash":
      rig.crash();
      model.crash();
      break;
    case "pause":
      rig.delivery.state.pause({ reason: "test", at: rig.now });
      model.pausing.own = true;
      expect(rig.receive()).toEqual([]);
      model.expire();
      break;
    case "resume":
      rig.delivery.state.pause(undefined);
      model.pausing.own = false;
      break;
    case "leave":
      rig.delivery.members.leave(step.member, "gone", rig.now);
      model.leave(step.member);
      break;
    case "depart":
      rig.delivery.members.release(step.member, rig.now);
      model.release(model.heldBy(step.member));
      break;
    case "change":
      // What became of leases of before a restart is decided when their records are read.
      if (rig.delivery.state.leases.restored.size > 0) break;
      model.configure(step.config);
      break;
    case "word": {
      const version = Math.max(1, rig.version + step.by);
      if (step.paused) rig.admin.pause("an operator", rig.now, version, rig.now);
      else rig.admin.resume({ version }, rig.now);
      model.word(version, step.paused);
      break;
    }
    case "redrive":
    case "discard":
      operate(model, step);
      break;
    case "seek": {
      const to = Math.min(model.records.length, Math.floor(step.share * (model.records.length + 1)));
      rig.admin.seek(to, [], rig.now);
      model.seek(to);
      break;
    }
    case "only":
      if (model.order !== "key") break;
      model.configure({ only: step.keys });
      model.only(step.keys);
      break;
    case "filter":
      model.configure({ filter: step.filter });
      break;
    case "trim": {
      const to = Math.min(model.records.length, Math.floor(step.share * (model.records.length + 1)));
      value(rig.log.trim(to, rig.now));
      model.lose(Array(to).keys(), "trimmed");
      break;
    }
    case "damage": {
      const [from, to] = damage(rig, step.pick) ?? [0, 0];
      model.lose(
        Array.from({ length: to - from }, (_, index) => from + index),
        "damaged",
      );
      break;
    }
    case "isolate":
      isolate(rig);
      model.lose(model.damaged(), "emptied");
      break;
    case "compact": {
      const replaced = model.replaced();
      const some = step.pick === "all" ? replaced : chosen(replaced, step.pick);
      empty(rig, new Set(some));
      model.lose(some, "emptied");
      break;
    }
    case "tell":
      tell(model);
      break;
    case "ask":
      rig.ask();
      break;
    case "arrive":
      rig.arrive();
      break;
    case "forget":
      model.forget(step.key, () => rig.forget({ key: step.key }, step.early));
      break;
    case "skip":
    case "resumeLane":
      orderLane(model, step);
      break;
  }
}

function tell(model: Model): void {
  const { state } = model.rig.delivery;
  model.tell(state.lost.take());
  state.save();
}

/** A lane is skipped, or resumed: what that is of is its first record, as it is shown, and no other. */
function orderLane(model: Model, step: Extract<Step, { do: "skip" | "resumeLane" }>): void {
  const { rig } = model;
  const lanes = rig.lanes().filter(({ state }) => step.any || state === "retry" || state === "parked");
  if (lanes.length === 0) return;
  const { lane } = lanes[step.pick % lanes.length];
  if (step.reads) rig.bring(lane);
  const shown = rig.lanes().find((one) => one.lane === lane);
  const skips = step.do === "skip";
  const order = (at: LaneAt) => (skips ? rig.admin.skipLane(at, rig.now) : rig.admin.resumeLane(at, rig.now));
  // Of another record than its first one, nothing is done.
  if (shown?.offset !== undefined)
    expect(order({ lane, offset: shown.offset + 1 })).toEqual({ ok: true, value: false });
  const result = order(lane);
  if (shown === undefined) expect(said(result)).toBe("lane-not-found");
  else if (shown.offset === undefined && !skips) expect(said(result)).toBe("ok");
  // It has nothing, or was not read.
  else if (shown.offset === undefined)
    expect(said(result)).toMatch(step.reads ? /^conflict$/ : /^(conflict|unavailable)$/);
  else if (!skips) {
    expect(said(result)).toBe("ok");
    model.resume(shown.offset);
  } else if (result.ok) model.skip(shown.offset);
  // After a restart it may be yet to be read again, and in a pause it is not.
  else expect(said(result)).toBe(rig.delivery.state.stands ? "conflict" : "unavailable");
}

/** Another record with the same key. */
function editOf(body: Uint8Array): { readonly data: string; readonly body: Uint8Array } {
  const record = decodeRecord(body, 0, body.length);
  const data = `${new TextDecoder().decode(record.data)}'`;
  return { data, body: packed({ ...record, data: new TextEncoder().encode(data) }) };
}

/** Letters redriven, or discarded: all, or some of them, each named twice. */
function operate(model: Model, step: Extract<Step, { edited: boolean }>): void {
  const { rig } = model;
  const letters = rig.letters();
  const some = step.pick === "all" ? letters : chosen(letters, step.pick);
  const offsets = some.map(({ offset }) => offset);
  const which = step.pick === "all" ? "all" : [...offsets, ...offsets];
  if (step.do === "discard") {
    expect(rig.admin.discard(which, rig.now)).toEqual({ ok: true, value: offsets.length });
    for (const offset of offsets) model.discard(offset);
    return;
  }
  const edited = step.edited && offsets.length === 1 ? editOf(some[0].body) : undefined;
  const count = offsets.filter((offset) => model.redrive(offset, edited?.data)).length;
  expect(rig.admin.redrive(which, edited?.body, rig.now)).toEqual({ ok: true, value: count });
  // The same once more is as nothing.
  expect(rig.admin.redrive(which, edited?.body, rig.now)).toEqual({ ok: true, value: 0 });
}

export const deliveryProperty = (open: () => Sql, holes = false) =>
  fc.property(config, holes ? holedSteps : steps, fc.boolean(), (config, steps, restarts) => {
    const model = new Model(new Rig(open(), open(), config));
    for (const one of steps) {
      run(model, one);
      model.follow();
      check(model.rig.delivery.state);
      model.check();
    }
    finish(model, restarts);
  });

export function deliveryAgainstModel(open: () => Sql, runs: number): void {
  fc.assert(deliveryProperty(open), { numRuns: found.length + runs, examples: found });
}

export function holesAgainstModel(open: () => Sql, runs: number): void {
  fc.assert(deliveryProperty(open, true), { numRuns: foundHoles.length + runs, examples: foundHoles });
}

/** Everything that nobody gave up is delivered in the end, in order, over one more restart or without. */
function finish(model: Model, restarts: boolean): void {
  const { rig } = model;
  model.configure(model.order === "key" ? { only: null, rate: null } : { rate: null });
  rig.admin.resume(rig.now, rig.now);
  Object.assign(model.pausing, { own: false, paused: false });
  rig.now += 100_000;
  if (restarts) {
    rig.crash();
    model.crash();
  }
  // Leases of before count as failed when their records are read.
  rig.fill();
  model.follow();
  rig.delivery.expire(rig.now, () => 0);
  model.expire();
  operate(model, { do: "redrive", pick: "all", edited: false });
  for (let round = 0; round < 400; round++) {
    model.follow();
    model.expire();
    const got = rig.receive(50, "z");
    model.follow();
    model.received(got, "z", 50);
    for (const { receipt } of got) {
      expect(said(rig.tryAck([receipt])[0])).toBe("ok");
      model.settle("ack", receipt, true);
    }
    check(rig.delivery.state);
    model.check();
    if (got.length > 0) continue;
    const next = rig.nextAt;
    if (!Number.isFinite(next)) break;
    rig.now = Math.max(rig.now, next) + 1;
  }
  expect(model.unfinished()).toEqual([]);
  tell(model);
  expect(model.untold(), "lost, and nobody was told").toEqual([]);
  look(rig, rig.delivery);
  expect(rig.status()).toMatchObject({ lag: 0, inFlight: 0, head: model.records.length, deadLetters: 0 });
}
