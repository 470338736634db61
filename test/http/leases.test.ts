/** What a member does with a lease over HTTP, and what becomes of it: ack, nack, extend, expiry, counts. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { dataOf, type Group, newGroup, newStream, one, park } from "./group.ts";
import { Member } from "./member.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

/** Longer than a test takes, so that only an end of the wait in time lets it pass. */
const wait = { waitSeconds: 30 };

describe("ack", () => {
  test("once or twice, one or many, is the same", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.append("a1", "b1", "c1", "d1", "a2");
    const some = await group.receive();
    await group.ack(some[0]);
    await group.ack(some[0]);
    await group.ack(...some, ...some);
    expect(await group.drain()).toEqual(["a2"]);
  });

  test("is final: not even a nack, or a later lease, brings the record back", async () => {
    const group = await newGroup(millrace, { backoff: [0], ackTimeoutMs: 200 });
    await group.append("a1", "b1");
    const [first] = await group.receive();
    await group.ack(first);
    await group.nack(first);
    const again = one(await group.next());
    expect([again.data, again.attempt]).toEqual(["b1", 2]);
  });

  test("is accepted late, where nobody else has the record", async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 200, backoff: [60_000] });
    await group.append("a1", "a2");
    const late = one(await group.receive());
    // Whoever asks finds out that it has run out.
    await expect.poll(async () => [await group.receive(), (await group.lanes()).length]).toEqual([[], 1]);
    await group.ack(late);
    expect(await group.drain()).toEqual(["a2"]);
    expect(await group.lanes()).toEqual([]);
    expect((await group.status()).lag).toBe(0);
  });

  test("is refused, as all that a lease is for, where somebody else has the record", async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 200, backoff: [0] });
    await group.append("a1", "a2");
    const stale = one(await group.receive({ member: "m1" }));
    await group.put({ ackTimeoutMs: 60_000 });
    const current = one(await group.next({ member: "m2" }));
    expect([current.data, current.attempt]).toEqual(["a1", 2]);
    expect(current.deliveryId).toBe(stale.deliveryId);
    for (const order of ["ack", "nack", "extend"]) {
      expect(await group.post(order, { receipts: [stale.receipt] })).toMatchObject({
        status: 409,
        json: { code: "stale-lease" },
      });
    }
    await group.ack(current);
    expect(await group.drain()).toEqual(["a2"]);
  });

  test("of many says how many were settled, and which were not", async () => {
    const group = await newGroup(millrace, { backoff: [0] });
    await group.append("a1", "b1");
    const [stale, fine] = await group.receive();
    await group.nack(stale);
    await group.next();
    const answer = await group.post("ack", { receipts: [stale.receipt, fine.receipt] });
    expect(answer).toMatchObject({
      status: 200,
      json: { settled: 1, refused: [{ receipt: stale.receipt, code: "stale-lease" }] },
    });
  });

  test.each([1, 2])("with %i partitions, rubbish is refused as such, and nothing is done", async (n) => {
    const group = await newGroup(millrace, {}, { partitions: n });
    await group.append("a1");
    const { receipt } = one(await group.receive());
    const lease = "00000000001.00000000001";
    for (const rubbish of [
      "x",
      "0.0.0.0.0",
      `0.0.0.${lease}.0`,
      `0.0.${lease}`,
      `0.-1.0.${lease}`,
      `z.0.0.${lease}`,
      `0.zzzzzzzzzzz.0.${lease}`,
      `0.0.0.${lease} `,
      `0.0.0.${lease.replace("1", "w")}`,
      `0.0.0.${lease.replace("0", "v")}`,
      "{}",
    ]) {
      for (const order of ["ack", "nack", "extend"]) {
        expect(await group.post(order, { receipts: [receipt, rubbish] }), `${order} ${rubbish}`).toMatchObject({
          status: 400,
          json: { code: "invalid" },
        });
      }
      expect(await group.post("receive", { ack: [receipt, rubbish] }), `receive ${rubbish}`).toMatchObject({
        status: 400,
        json: { code: "invalid" },
      });
    }
    expect((await group.status()).inFlight).toBe(1);
  });

  test("a receipt that was made up is none, and finishes nothing", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b1", "c1");
    const { receipt } = one(await group.receive({ max: 1 }));
    for (const part of [1, 2, 3, 4]) {
      const parts = receipt.split(".");
      parts[part] = parts[part].replace(/.$/, (digit) => (digit === "3" ? "2" : "3"));
      const forged = parts.join(".");
      for (const order of ["ack", "nack", "extend"]) {
        expect(await group.post(order, { receipts: [forged] }), forged).toMatchObject({
          status: 400,
          json: { code: "invalid" },
        });
      }
    }
    await group.append("d1", "e1", "f1");
    expect(await group.status()).toMatchObject({ lag: 6, inFlight: 1 });
    expect(await group.drain()).toEqual(["b1", "c1", "d1", "e1", "f1"]);
  });

  test("a receipt is good for its own group only", async () => {
    const group = await newGroup(millrace);
    const other = await newGroup(millrace, {}, group.stream);
    await group.append("a1", "b1");
    const [theirs] = await other.receive();
    expect((await group.post("ack", { receipts: [theirs.receipt] })).status).toBeGreaterThanOrEqual(400);
    expect(await group.drain()).toEqual(["a1", "b1"]);
  });

  test("a receipt of before does not settle what a group of the same name has by now", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b1");
    const [before] = await group.receive();
    await millrace.call("DELETE", group.path);
    await group.put({});
    await group.post("ack", { receipts: [before.receipt] });
    expect(await group.drain()).toEqual(["a1", "b1"]);
  });
});

describe("nack", () => {
  test("brings the record back at once, or after a delay, with the next attempt and the same delivery", async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    const first = one(await group.receive());
    await group.nack(first, { delayMs: 0 });
    const second = one(await group.next());
    await group.nack(second, { delayMs: 300 });
    expect(await group.receive()).toEqual([]);
    const third = one(await group.next());
    expect([first, second, third].map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(new Set([first, second, third].map(({ deliveryId }) => deliveryId)).size).toBe(1);
    expect(new Set([first, second, third].map(({ receipt }) => receipt)).size).toBe(3);
    expect((await group.status()).redeliveries).toBe(2);
  });

  test("tells an operator who failed, when, and why", async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    const first = one(await group.receive({ member: "m1" }));
    await group.nack(first, { delayMs: 0, reason: "no money" });
    await group.nack(one(await group.next({ member: "m2" })), { delayMs: 60_000, reason: "no stock" });
    const [lane] = await group.lanes();
    expect(lane).toMatchObject({
      partition: 0,
      key: "a",
      offset: 0,
      state: "retry",
      attempts: 2,
      tries: [
        { attempt: 1, member: "m1", reason: "no money" },
        { attempt: 2, member: "m2", reason: "no stock" },
      ],
    });
    expect(Date.parse(lane.dueAt) - Date.parse(lane.tries[1].at)).toBe(60_000);
  });

  test.each([
    ["a list, whose last repeats", [10_000, 20_000], [10_000, 20_000, 20_000]],
    ["growth up to a cap", { initialMs: 10_000, factor: 3, maxMs: 50_000 }, [10_000, 30_000, 50_000]],
  ])("waits as the backoff says, by %s, and up to a quarter more", async (_name, backoff, pauses) => {
    const group = await newGroup(millrace, { backoff });
    await group.append("a1");
    for (const pause of pauses) {
      await group.nack(one(await group.next()));
      const [lane] = await group.lanes();
      const waits = Date.parse(lane.dueAt) - Date.parse(lane.tries.at(-1).at);
      expect(waits).toBeGreaterThanOrEqual(pause);
      expect(waits).toBeLessThanOrEqual(pause * 1.25);
      await group.post("lanes/resume", { lane: lane.lane });
    }
  });
});

describe("a lease", () => {
  test("that runs out gives the record to another, with the next attempt", { timeout: 15_000 }, async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 200, backoff: [0] });
    await group.append("a1");
    const first = one(await group.receive({ member: "m1" }));
    const second = one(await group.receive({ ...wait, member: "m2" }));
    expect([second.data, second.attempt, second.deliveryId]).toEqual(["a1", 2, first.deliveryId]);
    await group.nack(second, { delayMs: 60_000 });
    expect((await group.lanes())[0].tries).toMatchObject([
      { attempt: 1, member: "m1", reason: expect.stringContaining("m1") },
      { attempt: 2, member: "m2" },
    ]);
  });

  test("that runs out on one of several partitions wakes who waits", { timeout: 15_000 }, async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 200, backoff: [0] }, { partitions: 3 });
    await group.append("a1");
    await group.receive();
    expect(await group.receive(wait)).toMatchObject([{ data: "a1", attempt: 2 }]);
  });

  test("that is extended stays, while others run out", async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 400, backoff: [0] });
    await group.append("a1", "b1");
    const [kept] = await group.receive();
    const answer = await group.post("extend", { receipts: [kept.receipt], ackTimeoutMs: 60_000 });
    expect(answer).toMatchObject({ status: 200, json: { settled: 1 } });
    expect(await group.next()).toMatchObject([{ data: "b1", attempt: 2 }]);
    await group.ack(kept);
  });

  test("cannot be extended when it has run out", async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 100, backoff: [60_000] });
    await group.append("a1");
    const late = one(await group.receive());
    // Whoever asks finds out that it has run out.
    await expect.poll(async () => [await group.receive(), (await group.lanes()).length]).toEqual([[], 1]);
    expect(await group.post("extend", { receipts: [late.receipt] })).toMatchObject({
      status: 409,
      json: { code: "stale-lease" },
    });
  });

  test("counts: no more in flight than the group allows, in each partition", async () => {
    const group = await newGroup(millrace, { maxInFlight: 3 });
    await group.append("a1", "b1", "c1", "d1", "e1");
    const some = await group.receive();
    expect(some).toHaveLength(3);
    expect(await group.receive()).toEqual([]);
    await group.ack(some[1]);
    expect(dataOf(await group.receive())).toEqual(["d1"]);
  });

  test("counts: no more in flight than a member may have, while another gets the rest", async () => {
    const group = await newGroup(millrace, { memberMaxInFlight: 2 });
    await group.append("a1", "b1", "c1", "d1", "e1");
    const mine = await group.receive({ member: "m1" });
    expect(mine).toHaveLength(2);
    expect(await group.receive({ member: "m1" })).toEqual([]);
    expect(await group.receive({ member: "m2" })).toHaveLength(2);
    await group.ack(mine[0]);
    expect(dataOf(await group.receive({ member: "m1" }))).toEqual(["e1"]);
    await group.put({ memberMaxInFlight: null });
    await group.append("f1", "g1", "h1");
    expect(await group.receive({ member: "m1" })).toHaveLength(3);
  });

  test("counts: no more at a time than the rate allows", async () => {
    const group = await newGroup(millrace, { rate: { perSecond: 0.01, burst: 2 } });
    await group.append("a1", "b1", "c1");
    expect(await group.receive()).toHaveLength(2);
    expect(await group.receive({ waitSeconds: 0.2 })).toEqual([]);
    await group.put({ rate: null });
    expect(dataOf(await group.receive())).toEqual(["c1"]);
  });

  test("an acknowledged key goes on for a member that waits", { timeout: 10_000 }, async () => {
    const group = await newGroup(millrace, {}, await newStream(millrace, { partitions: 2 }));
    await group.append("a1", "a2");
    const first = one(await group.receive());
    const waiting = group.receive(wait);
    await group.ack(first);
    expect(dataOf(await waiting)).toEqual(["a2"]);
  });
});

test("a lease that has run out is over, though nobody else has asked since", async () => {
  const group = await newGroup(millrace, { ackTimeoutMs: 1_000 });
  await group.append("a1", "b2", "c3");
  const got = await group.receive();
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  const [a, b, c] = got.map(({ receipt }) => ({ receipts: [receipt] }));
  for (const [order, body] of [
    ["extend", { ...a, ackTimeoutMs: 60_000 }],
    ["nack", b],
  ] as const) {
    expect(await group.post(order, body)).toMatchObject({ status: 409, json: { code: "stale-lease" } });
  }
  expect((await group.post("ack", c)).status).toBe(200);
});

describe("release", () => {
  const counts = async (group: Group) => {
    const { inFlight, redeliveries, deadLetters, lag } = await group.status();
    return { inFlight, redeliveries, deadLetters, lag };
  };

  test("leaves the record to others at once, and no attempt is counted", async () => {
    const group = await newGroup(millrace, { ...park, ackTimeoutMs: 60_000 }, { partitions: 2 });
    await group.append("a1");
    const got = one(await group.receive({ member: "one" }));
    for (let times = 0; times < 2; times++) {
      const released = await group.post("release", { receipts: [got.receipt] });
      expect(released).toMatchObject({ status: 200, json: { settled: 1 } });
    }
    expect(await counts(group)).toEqual({ inFlight: 0, redeliveries: 0, deadLetters: 0, lag: 1 });
    const again = one(await group.receive({ member: "two" }));
    expect([again.data, again.attempt, again.deliveryId]).toEqual(["a1", 1, got.deliveryId]);
    // It is another's now: what is over stays over, and nothing is taken from that one.
    expect((await group.post("release", { receipts: [got.receipt] })).json).toEqual({ settled: 1 });
    await group.ack(again);
    expect((await group.post("release", { receipts: [got.receipt, again.receipt] })).json).toEqual({ settled: 2 });
    expect((await counts(group)).lag).toBe(0);
  });

  test("in a circle rests: whoever waits, others first, gets it without asking again", async () => {
    const group = await newGroup(millrace, { ackTimeoutMs: 60_000 });
    await group.append("a1");
    const held = one(await group.receive({ member: "one" }));
    const other = group.receive({ ...wait, member: "two" });
    await expect.poll(async () => (await group.status()).inFlight).toBe(1);
    await group.post("release", { receipts: [held.receipt] });
    const taken = one(await other);
    await group.post("release", { receipts: [taken.receipt] });
    // Alone it gets it back, after a moment.
    const began = Date.now();
    let rounds = 0;
    while (Date.now() - began < 1_000) {
      const { receipt, attempt } = one(await group.receive({ ...wait, member: "one" }));
      expect(attempt).toBe(1);
      await group.post("release", { receipts: [receipt] });
      rounds++;
    }
    expect(rounds).toBeGreaterThan(2);
    expect(rounds).toBeLessThanOrEqual(1_100 / limits.releaseRestMs + 1);
  });

  test.each([1, 2])("by socket does the same, over %i partitions", async (partitions) => {
    const group = await newGroup(millrace, { ...park, ackTimeoutMs: 60_000 }, { partitions });
    const [first, second] = [await Member.open(millrace, group.path), await Member.open(millrace, group.path)];
    first.send({ type: "credit", credits: 1 });
    await group.append("a1");
    const [got] = await first.until(1);
    second.send({ type: "credit", credits: 1 });
    first.send({ type: "credit", credits: 1 });
    first.send({ type: "release", receipts: [got.receipt] });
    const [again] = await second.until(1);
    expect([again.data, again.attempt]).toEqual(["a1", 1]);
    second.send({ type: "release", receipts: [again.receipt, "no receipt"] });
    await expect
      .poll(() => second.messages.find(({ type }) => type === "refused"))
      .toMatchObject({
        refused: [{ receipt: "no receipt", code: "invalid" }],
      });
    await first.until(2);
    expect(first.deliveries[1]).toMatchObject({ data: "a1", attempt: 1 });
    first.send({ type: "ack", receipts: [first.deliveries[1].receipt] });
    await expect.poll(() => counts(group)).toEqual({ inFlight: 0, redeliveries: 0, deadLetters: 0, lag: 0 });
    first.socket.close();
    second.socket.close();
  });

  test("of what is no receipt is refused, and gives nothing back", async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    const got = one(await group.receive());
    for (const receipts of [["none"], [got.receipt, "none"]])
      expect(await group.post("release", { receipts })).toMatchObject({ status: 400, json: { code: "invalid" } });
    expect((await counts(group)).inFlight).toBe(1);
  });
});
