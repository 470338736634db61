/**
 * A partition that is split, and the deliveries of one group on it and on its halves: order per key through growth, crashes,
 * failures, seeks over the split, and receipts of whenever.
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { Heritage } from "../../src/delivery/heritage.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { type Got, Rig, value } from "./delivery.ts";

type Step =
  | { do: "append"; keys: string[] }
  | { do: "receive"; of: number; max: number }
  | { do: "ack" | "nack"; pick: number[]; any: boolean }
  | { do: "wait"; ms: number }
  | { do: "crash" | "ask" | "redrive" | "discard" | "finish"; of: number }
  | { do: "seek"; of: number | "all"; back: number }
  | { do: "grow" };

const keys = ["a", "b", "c", "d"];
const halfOf = (key: string) => (key < "c" ? 1 : 2);
const pick = fc.array(fc.nat(40), { minLength: 1, maxLength: 5 });
const of = fc.nat(2);
const one = <T extends string>(name: T) => fc.constant(name);
const weighted: [number, fc.Arbitrary<Step>][] = [
  [5, fc.record({ do: one("append"), keys: fc.array(fc.constantFrom(...keys), { minLength: 1, maxLength: 6 }) })],
  [8, fc.record({ do: one("receive"), of, max: fc.integer({ min: 1, max: 6 }) })],
  [9, fc.record({ do: fc.constantFrom("ack", "ack", "nack"), pick, any: fc.boolean() })],
  [4, fc.record({ do: one("finish"), of })],
  [2, fc.record({ do: one("wait"), ms: fc.constantFrom(600, 40_000) })],
  [3, fc.record({ do: fc.constantFrom("crash", "ask", "redrive", "discard"), of })],
  [2, fc.record({ do: one("seek"), of: fc.constantFrom<"all" | 0 | 1>("all", 0, 1), back: fc.nat(20) })],
  [2, fc.record({ do: one("grow") })],
];
const step = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })));
const config: fc.Arbitrary<Partial<GroupConfig>> = fc.record({
  onFailure: fc.constantFrom("block", "park", "skip"),
  maxDeliveries: fc.integer({ min: 1, max: 2 }),
  backoff: fc.constantFrom([0], [500]),
  ackTimeoutMs: fc.constant(30_000),
});

interface Given {
  readonly of: number;
  readonly got: Got;
}

class Family {
  readonly rigs: Rig[];
  readonly heritages: (Heritage | undefined)[] = [undefined];
  readonly given: Given[] = [];
  /** Per key: its records in order, as they were appended; by `partition.offset`. */
  readonly lines = new Map(keys.map((key) => [key, [] as string[]]));
  readonly finished = new Set<string>();
  /** Left to the dead letters: those behind went on. */
  readonly passed = new Set<string>();

  constructor(
    readonly open: () => Sql,
    readonly config: Partial<GroupConfig>,
  ) {
    this.rigs = [new Rig(open(), open(), config)];
  }

  append(some: readonly string[]): void {
    for (const key of some) {
      const of = this.rigs.length === 1 ? 0 : halfOf(key);
      const rig = this.rigs[of];
      this.lines.get(key)!.push(`${of}.${rig.log.span.tail}`);
      rig.append([key]);
    }
  }

  grow(): void {
    if (this.rigs.length > 1) return;
    this.rigs[0].log.seal();
    this.rigs[0].delivery.state.sealed = true;
    for (const partition of [1, 2]) {
      const rig = new Rig(this.open(), this.open(), this.config, 0, undefined, { partition, parent: 0 });
      rig.now = this.rigs[0].now;
      this.rigs.push(rig);
      this.heritages.push(new Heritage(rig.delivery));
    }
  }

  /** The half asks the partition that it continues. */
  ask(of: number): void {
    const heritage = this.heritages[of];
    const parent = this.rigs[0];
    if (heritage === undefined || !heritage.pending) return;
    parent.fill();
    const other = new Heritage(parent.delivery);
    if (!heritage.waiting) {
      heritage.heard(other.finished(heritage.held), parent.now);
      return;
    }
    const found = new Set<string>();
    let page = other.unfinished();
    for (; page.caughtUp; page = other.unfinished(page.after)) {
      for (const key of page.keys) found.add(key);
      if (page.after === undefined) break;
    }
    if (page.caughtUp) heritage.take(found, page.records, parent.now);
  }

  crash(of: number): void {
    const rig = this.rigs[of];
    if (rig === undefined) return;
    rig.crash();
    rig.delivery.state.sealed = rig.log.sealed;
    rig.delivery.state.known = rig.log.span.tail;
    if (of > 0) this.heritages[of] = new Heritage(rig.delivery);
  }

  seek(of: number | "all", back: number): void {
    const some = of === "all" ? this.rigs.map((_, index) => index) : [of];
    for (const one of some) {
      const rig = this.rigs[one];
      if (rig === undefined) continue;
      const to = Math.max(0, rig.log.span.tail - back);
      rig.admin.seek(to, rig.now);
      rig.delivery.state.known = rig.log.span.tail;
      this.heritages[one]?.again();
      // Who continues it waits for it anew.
      if (one === 0) for (const heritage of this.heritages) heritage?.again();
      for (const line of this.lines.values()) {
        for (const name of line) {
          const [partition, offset] = name.split(".").map(Number);
          if (partition !== one) continue;
          if (offset >= to) this.finished.delete(name);
          else this.finished.add(name);
          if (offset >= to) this.passed.delete(name);
        }
      }
    }
  }

  /** Letters that hold nothing count as passed. */
  settle(): void {
    for (const [of, rig] of this.rigs.entries()) {
      const lanes = rig.lanes();
      const redriven = new Set(
        [...rig.delivery.state.lanes.byId.values()].filter((l) => l.redriven).map((l) => l.from),
      );
      for (const { offset } of rig.letters()) {
        const parked = lanes.some((lane) => lane.offset === offset && lane.state === "parked");
        if (!parked && !redriven.has(offset)) this.passed.add(`${of}.${offset}`);
      }
    }
  }

  receive(of: number, max: number): Got[] {
    const rig = this.rigs[of];
    if (rig === undefined) return [];
    rig.delivery.expire(rig.now, () => 0);
    this.ask(of);
    this.settle();
    const got = rig.receive(max);
    for (const one of got) {
      const name = `${of}.${one.offset}`;
      expect(this.finished.has(name) && !this.passed.has(name), `${name} again`).toBe(false);
      this.finished.delete(name);
      if (!this.passed.has(name)) this.#inOrder(name, one.key!);
      this.given.push({ of, got: one });
    }
    rig.delivery.state.check();
    return got;
  }

  #inOrder(name: string, key: string): void {
    for (const before of this.lines.get(key)!) {
      if (before === name) return;
      expect(this.finished.has(before) || this.passed.has(before), `${name} before ${before}`).toBe(true);
    }
  }

  settleReceipts(what: "ack" | "nack", some: readonly Given[]): void {
    for (const { of, got } of some) {
      const rig = this.rigs[of];
      for (let twice = 0; twice < 2; twice++) {
        const [result] = what === "ack" ? rig.tryAck([got.receipt]) : rig.tryNack([got.receipt]);
        if (what === "ack" && result.ok) this.finished.add(`${of}.${got.offset}`);
      }
    }
  }
}

const chosen = <T>(list: readonly T[], pick: readonly number[]): T[] =>
  list.length === 0 ? [] : [...new Set(pick.map((index) => list[index % list.length]))];

function run(family: Family, step: Step): void {
  switch (step.do) {
    case "append":
      family.append(step.keys);
      return;
    case "receive":
      family.receive(step.of, step.max);
      return;
    case "ack":
    case "nack":
      family.settleReceipts(step.do, chosen(step.any ? family.given : family.given.slice(-4), step.pick));
      return;
    case "finish": {
      // All that there is at once.
      const got = family.receive(step.of, 100);
      family.settleReceipts(
        "ack",
        got.map((got) => ({ of: step.of, got })),
      );
      return;
    }
    case "wait":
      for (const rig of family.rigs) rig.now += step.ms;
      return;
    case "crash":
      family.crash(step.of);
      return;
    case "ask":
      family.ask(step.of);
      return;
    case "redrive":
      family.settle();
      if (step.of < family.rigs.length) value(family.rigs[step.of].admin.redrive("all", undefined, family.rigs[0].now));
      return;
    case "discard": {
      const rig = family.rigs[step.of];
      if (rig === undefined) return;
      family.settle();
      for (const { offset } of rig.letters()) family.finished.add(`${step.of}.${offset}`);
      value(rig.admin.discard("all", rig.now));
      return;
    }
    case "seek":
      family.seek(step.of, step.back);
      return;
    case "grow":
      family.grow();
      return;
  }
}

export function splitAgainstModel(open: () => Sql, runs: number): void {
  fc.assert(
    fc.property(config, fc.boolean(), fc.array(step, { minLength: 1, maxLength: 60 }), (config, grown, steps) => {
      const family = new Family(open, config);
      if (grown) {
        for (const one of ["append", "grow", "append"] as const)
          run(family, one === "grow" ? { do: one } : { do: one, keys });
      }
      for (const one of steps) run(family, one);
      finish(family);
    }),
    { numRuns: runs },
  );
}

/** In the end everything is delivered, whatever was parked. */
function finish(family: Family): void {
  for (const rig of family.rigs) rig.now += 100_000;
  for (const of of family.rigs.keys()) family.crash(of);
  for (let idle = 0; idle < 4; ) {
    idle++;
    for (const of of family.rigs.keys()) {
      const rig = family.rigs[of];
      family.settle();
      value(rig.admin.redrive("all", undefined, rig.now));
      family.ask(of);
      const got = family.receive(of, 20);
      family.settleReceipts(
        "ack",
        got.map((got) => ({ of, got })),
      );
      if (got.length > 0) idle = 0;
    }
    for (const rig of family.rigs) rig.now += 1_000;
  }
  family.settle();
  const all = [...family.lines.values()].flat();
  expect(all.filter((name) => !family.finished.has(name))).toEqual([]);
  for (const rig of family.rigs) expect(rig.status()).toMatchObject({ lag: 0, deadLetters: 0, waitsFor: undefined });
}
