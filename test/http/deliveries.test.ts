/** Pulling over HTTP: order, and receive. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataOf, type Got, newGroup, one } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const receiptsOf = (some: readonly Got[]) => some.map(({ receipt }) => receipt);
/** Longer than a test takes, so that only an end of the wait in time lets it pass. */
const wait = { waitSeconds: 30 };

describe("order", () => {
  test("key: a key's records one after the other, other keys and records without one meanwhile", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b1", "a2", "-1", "b2", "-2", "a3");
    const first = await group.receive();
    expect(dataOf(first)).toEqual(["a1", "b1", "-1", "-2"]);
    expect(await group.receive()).toEqual([]);
    await group.ack(first[0]);
    expect(dataOf(await group.receive())).toEqual(["a2"]);
    await group.ack(first[1]);
    expect(dataOf(await group.receive())).toEqual(["b2"]);
  });

  test("key: a key with many records that wait goes on as any other", async () => {
    const group = await newGroup(millrace);
    const line = Array.from({ length: 400 }, (_, i) => `a${i + 1}`);
    await group.append(...line, "b1");
    const found = await group.drain();
    expect(found.filter((data) => data !== "b1")).toEqual(line);
    expect(found).toContain("b1");
  });

  test("key: a record that failed holds its key back, and no other", async () => {
    const group = await newGroup(millrace, { backoff: [0] });
    await group.append("a1", "b1", "a2", "b2");
    const [a1, b1] = await group.receive();
    await group.nack(a1, { delayMs: 60_000 });
    await group.ack(b1);
    expect(dataOf(await group.receive())).toEqual(["b2"]);
    expect(await group.receive()).toEqual([]);
    const [lane] = await group.lanes();
    await group.post("lanes/resume", { lane: lane.lane });
    const again = one(await group.next());
    expect([again.data, again.attempt]).toEqual(["a1", 2]);
    await group.ack(again);
    expect(await group.drain()).toEqual(["a2"]);
  });

  test("key: several members over several partitions keep every key's order, whatever fails", async () => {
    const group = await newGroup(millrace, { maxInFlight: 20 }, { partitions: 3 });
    const keys = Array.from({ length: 9 }, (_, key) => `k${key}`);
    const wanted = Array.from({ length: 20 }, (_, i) => i);
    for (const i of wanted) await group.appendRecords(keys.map((key) => ({ key, data: i })));
    const done = new Map<string, number[]>(keys.map((key) => [key, []]));
    const held = new Set<string>();
    let turn = 0;
    const member = async (name: string) => {
      for (let some = await group.next({ member: name }); some.length > 0; ) {
        for (const got of some) {
          expect(held, "one at a time of a key").not.toContain(got.key);
          held.add(got.key!);
        }
        for (const got of some) {
          held.delete(got.key!);
          if (++turn % 7 === 0) await group.nack(got, { delayMs: 10 });
          else {
            done.get(got.key!)!.push(got.data as number);
            await group.ack(got);
          }
        }
        some = await group.receive({ member: name, waitSeconds: 0.5, max: 5 });
      }
    };
    await Promise.all(["m1", "m2", "m3"].map(member));
    for (const key of keys) expect(done.get(key), key).toEqual(wanted);
  });

  test("partition: one after the other with one in flight", async () => {
    const group = await newGroup(millrace, { order: "partition", maxInFlight: 1 });
    await group.append("a1", "b2", "-3");
    for (const expected of ["a1", "b2", "-3"]) {
      const got = await group.receive();
      expect(dataOf(got)).toEqual([expected]);
      expect(await group.receive()).toEqual([]);
      await group.ack(...got);
    }
  });

  test("partition: with several in flight, those after a failed one come again after it", async () => {
    const group = await newGroup(millrace, { order: "partition", maxInFlight: 3, backoff: [0] });
    await group.append("a1", "b2", "c3", "d4");
    const [first, second, third] = await group.receive();
    await group.ack(first);
    await group.nack(second);
    const again = await group.next();
    expect(again.map(({ data, attempt }) => [data, attempt])).toEqual([
      ["b2", 2],
      // It was not its doing.
      ["c3", 1],
      ["d4", 1],
    ]);
    expect(await group.post("ack", { receipts: [third.receipt] })).toMatchObject({ status: 409 });
    await group.ack(...again);
    expect(await group.receive()).toEqual([]);
    expect((await group.status()).lag).toBe(0);
  });

  test("partition: while a failed one waits, nothing comes", async () => {
    const group = await newGroup(millrace, { order: "partition", maxInFlight: 5 });
    await group.append("a1", "b2");
    const [first] = await group.receive({ max: 1 });
    await group.nack(first, { delayMs: 300, reason: "not yet" });
    expect(await group.receive()).toEqual([]);
    expect(await group.lanes()).toMatchObject([{ state: "retry", offset: 0, tries: [{ reason: "not yet" }] }]);
    expect(dataOf(await group.next())).toEqual(["a1", "b2"]);
  });

  test("none: records of one key go out together, and one that failed holds nothing", async () => {
    const group = await newGroup(millrace, { order: "none" });
    await group.append("a1", "a2", "a3");
    const [first, second] = await group.receive({ max: 2 });
    expect(dataOf([first, second])).toEqual(["a1", "a2"]);
    await group.nack(first, { delayMs: 60_000 });
    expect(dataOf(await group.receive())).toEqual(["a3"]);
    await group.ack(second);
    expect(await group.lanes()).toMatchObject([{ offset: 0, state: "retry" }]);
  });
});

describe("receive", () => {
  test("gives as many as asked for, with what the record holds", async () => {
    const group = await newGroup(millrace);
    const record = { key: "a", type: "t", source: "/s", id: "1", subject: "x", tags: ["red"], data: { total: 1 } };
    await group.appendRecords([
      { ...record, extensions: { traceparent: "00-1" } },
      { data: 2 },
      { data_base64: "AAH/" },
    ]);
    const first = one(await group.receive({ max: 1 }));
    expect(first).toMatchObject({
      ...record,
      extensions: { traceparent: "00-1" },
      partition: 0,
      offset: 0,
      attempt: 1,
    });
    const { groupId } = (await group.get()).json;
    expect(first.deliveryId).toContain(groupId);
    expect(await group.receive({ max: 2 })).toMatchObject([{ data: 2 }, { data_base64: "AAH/" }]);
  });

  test("gives no more bytes than asked for, but always one record", async () => {
    const group = await newGroup(millrace);
    const data = "x".repeat(1_000);
    await group.appendRecords([{ data }, { data }, { data }, { data }]);
    expect(await group.receive({ maxBytes: 10 })).toHaveLength(1);
    expect(await group.receive({ maxBytes: 2_500 })).toHaveLength(2);
    expect(await group.receive()).toHaveLength(1);
  });

  test("gives of several partitions together no more than asked for", async () => {
    const group = await newGroup(millrace, {}, { partitions: 4 });
    await group.append(...Array.from({ length: 26 }, (_, i) => `${String.fromCharCode(97 + i)}1`));
    expect(await group.receive({ max: 10 })).toHaveLength(10);
    expect(await group.receive({ max: 20 })).toHaveLength(16);
  });

  test("gives of one partition where that is asked for", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.append(...Array.from({ length: 26 }, (_, i) => `${String.fromCharCode(97 + i)}1`));
    const some = await group.receive({ partition: 1 });
    expect(new Set(some.map(({ partition }) => partition))).toEqual(new Set([1]));
    expect(some.length + (await group.receive()).length).toBe(26);
    expect((await group.post("receive", { partition: 2 })).json.code).toBe("partition-not-found");
  });

  test.each([1, 3])(
    "waits, with %i partitions, and wakes for the first append ever",
    { timeout: 10_000 },
    async (n) => {
      const group = await newGroup(millrace, {}, { partitions: n });
      const waiting = group.receive(wait);
      await group.append("a1");
      expect(dataOf(await waiting)).toEqual(["a1"]);
    },
  );

  test.each([1, 3])("waits, with %i partitions, and wakes for every append", { timeout: 10_000 }, async (n) => {
    const group = await newGroup(millrace, {}, { partitions: n });
    await group.append("a1", "b1", "c1", "d1");
    await group.drain();
    for (const data of ["a2", "b2", "c2", "d2"]) {
      const waiting = group.receive(wait);
      await group.append(data);
      const got = await waiting;
      expect(dataOf(got)).toEqual([data]);
      await group.ack(...got);
    }
  });

  test("wakes one of several members for one record", { timeout: 10_000 }, async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    await group.drain();
    const waiting = ["m1", "m2", "m3"].map((member) => group.receive({ member, waitSeconds: 1 }));
    await group.append("a2");
    expect((await Promise.all(waiting)).flatMap(dataOf)).toEqual(["a2"]);
  });

  test.each([1, 3])("with %i partitions answers empty when the time is over", async (n) => {
    const group = await newGroup(millrace, {}, { partitions: n });
    expect(await group.receive({ waitSeconds: 0.2 })).toEqual([]);
    await group.append("a1");
    await group.drain();
    expect(await group.receive({ waitSeconds: 0.2 })).toEqual([]);
  });

  test.each([1, 3])("with %i partitions acknowledges first what its body names", async (n) => {
    const group = await newGroup(millrace, { maxInFlight: 1 }, { partitions: n });
    await group.append("a1", "a2", "a3");
    const found: unknown[] = [];
    for (let some = await group.receive(); some.length > 0; some = await group.receive({ ack: receiptsOf(some) })) {
      found.push(...dataOf(some));
    }
    expect(found).toEqual(["a1", "a2", "a3"]);
    expect(await group.status()).toMatchObject({ lag: 0, inFlight: 0 });
  });

  test.each([1, 3])("with %i partitions says which of its receipts were too late, and goes on", async (n) => {
    const group = await newGroup(millrace, { backoff: [0] }, { partitions: n });
    await group.append("a1", "b1");
    const [late] = await group.receive({ max: 1 });
    await group.nack(late);
    await group.next();
    await group.append("c1");
    const { json } = await group.post("receive", { ack: [late.receipt], ...wait });
    expect(json.refused).toMatchObject([{ receipt: late.receipt, code: "stale-lease" }]);
    expect(json.deliveries.length).toBeGreaterThan(0);
  });
});
