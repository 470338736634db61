/** What an operator orders of a delivery: twice is as once, and what cannot be done is refused by name. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Result } from "../../schemas/errors.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { packed, Rig } from "../cases/delivery.ts";
import { check } from "../cases/delivery-check.ts";
import { nodeSql } from "./sqlite.ts";

const rig = (config: ConstructorParameters<typeof Rig>[2] = {}) => new Rig(nodeSql(), nodeSql(), config);

const bodyOf = (data: string) => packed({ key: "a", kind: 1, data: encodeText(data) });

type Order = (r: Rig) => Result<unknown>;

/** Each names what it is for, as it is listed when it is drawn. */
function ordersOf(r: Rig): Order[] {
  const lanes = r.lanes().filter(({ offset }) => offset !== undefined);
  const at = lanes.map(({ lane, offset }) => ({ lane, offset: offset as number }));
  const letters = r.letters().map(({ offset }) => [offset]);
  return [
    ...at.map((one) => (r: Rig) => r.admin.skipLane(one, r.now)),
    ...at.map((one) => (r: Rig) => r.admin.resumeLane(one, r.now)),
    ...letters.map((one) => (r: Rig) => r.admin.redrive(one, undefined, r.now)),
    ...letters.map((one) => (r: Rig) => r.admin.redrive(one, bodyOf("7"), r.now)),
    ...letters.map((one) => (r: Rig) => r.admin.discard(one, r.now)),
  ];
}

/** All that tells of records: a repeat is as nothing to it. */
const seen = (r: Rig) => [
  r.lanes(),
  r.letters(),
  [...r.delivery.state.leases.all()].map(({ item, generation }) => [item.offset, generation]),
  r.status().head,
  r.status().lag,
];

const drawn = fc.record({
  keys: fc.array(fc.constantFrom("a", "b", undefined), { minLength: 1, maxLength: 12 }),
  fails: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
  order: fc.constantFrom("key" as const, "partition" as const, "none" as const),
  onFailure: fc.constantFrom("block" as const, "park" as const, "skip" as const),
  which: fc.nat(100),
  /** What members do between: take, and finish some of it. */
  takes: fc.nat(4),
  finishes: fc.nat(4),
});

test("an order twice is as once, whatever members take and finish between", () => {
  let orders = 0;
  fc.assert(
    fc.property(drawn, ({ keys, fails, order, onFailure, which, takes, finishes }) => {
      const r = rig({ order, onFailure, maxDeliveries: 1, backoff: [60_000] });
      r.append(keys);
      for (const got of r.receive(12)) {
        if (fails[got.offset]) r.tryNack([got.receipt]);
        else r.tryAck([got.receipt]);
      }
      const all = ordersOf(r);
      if (all.length === 0) return;
      orders++;
      const give = all[which % all.length];
      expect(give(r).ok).toBe(true);
      r.ack(...r.receive(takes).slice(0, finishes));
      const before = seen(r);
      const again = give(r);
      // What is not there any more was done.
      if (!again.ok) expect(again.refusal.code).toMatch(/^(lane|letter)-not-found$/);
      expect(seen(r)).toEqual(before);
      check(r.delivery.state);
    }),
    { numRuns: 300 },
  );
  expect(orders).toBeGreaterThan(100);
}, 60_000);

test("the same edit again leaves the lease at work; another one is for the next", () => {
  const r = rig({ onFailure: "park", maxDeliveries: 1 });
  r.append(["a", "a"]);
  r.nack(r.receive());
  expect(r.admin.redrive([0], bodyOf("7"), r.now)).toEqual({ ok: true, value: 1 });
  const [first] = r.receive();
  expect(first.data).toBe("7");
  expect(r.admin.redrive([0], bodyOf("7"), r.now)).toEqual({ ok: true, value: 0 });
  expect(r.receive()).toEqual([]);
  expect(r.admin.redrive([0], bodyOf("8"), r.now)).toEqual({ ok: true, value: 1 });
  expect(r.tryAck([first.receipt])).toMatchObject([{ refusal: { code: "stale-lease" } }]);
  const [second] = r.receive();
  expect(second.data).toBe("8");
  r.ack(second);
  expect(r.drain()).toEqual([1]);
});

describe("what cannot be done", () => {
  test("names letters and lanes as they are listed", () => {
    const r = new Rig(nodeSql(), nodeSql(), {}, 0, 100, { partition: 3 });
    const missing = (letters: string[]) => ({ code: "letter-not-found", facts: { letters } });
    for (const answer of [r.admin.redrive([7, 9], undefined, r.now), r.admin.discard([7, 9], r.now)])
      expect(answer).toMatchObject({ refusal: { ...missing(["3.7", "3.9"]), detail: expect.stringContaining("3.7") } });
    for (const answer of [r.admin.skipLane(5, r.now), r.admin.resumeLane({ lane: 5, offset: 0 }, r.now)])
      expect(answer).toMatchObject({ refusal: { code: "lane-not-found", detail: expect.stringContaining("3.5") } });
  });

  test.each([["key"], ["partition"]] as const)("waits for no operator: in order by %s", (order) => {
    const r = rig({ order, backoff: [60_000] });
    r.append(["b", "a"]);
    const got = r.receive();
    r.nack(order === "key" ? got.slice(1) : got.slice(0, 1));
    // What comes before the lane is unfinished, so that after a crash the window has yet to come to it.
    r.crash();
    r.admin.pause("stop", r.now, undefined, r.now);
    const [{ lane }] = r.lanes();
    r.bring(lane);
    expect(r.admin.skipLane(lane, r.now)).toMatchObject({ refusal: { code: "conflict" } });
    r.admin.resume(r.now, r.now);
    r.fill();
    r.bring(lane);
    expect(r.admin.skipLane(lane, r.now)).toEqual({ ok: true, value: true });
    expect(r.letters()).toMatchObject([{ offset: order === "key" ? 1 : 0, state: "dead" }]);
  });

  test("is told of a lane that has nothing, and of one whose record could not be read", () => {
    const r = rig();
    r.append(["b"]);
    r.configure({ only: ["a"] });
    const [{ lane, offset }] = r.lanes();
    expect(offset).toBeUndefined();
    // It was not read.
    expect(r.admin.skipLane(lane, r.now)).toMatchObject({ refusal: { code: "unavailable" } });
    r.bring(lane);
    expect(r.admin.skipLane(lane, r.now)).toMatchObject({ refusal: { code: "conflict" } });
    expect(r.admin.skipLane({ lane, offset: 0 }, r.now)).toEqual({ ok: true, value: false });
  });
});
