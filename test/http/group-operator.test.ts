/** What an operator does to a group over HTTP: status, pause, seek, incidents; and what growth does to it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataOf, Group, newGroup, newStream } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

describe("an operator", () => {
  test("sees how far a group is", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b2", "c3", "d4", "e5");
    await expect.poll(async () => (await group.status()).lag).toBe(5);
    const [, second] = await group.receive({ max: 3, member: "m1" });
    await group.nack(second, { delayMs: 60_000 });
    await group.receive({ max: 1, member: "m2" });
    expect(await group.status()).toMatchObject({
      paused: false,
      lag: 5,
      inFlight: 3,
      deadLetters: 0,
      lanes: { retrying: 1, parked: 0 },
      members: [
        { member: "m1", inFlight: 2 },
        { member: "m2", inFlight: 1 },
      ],
      partitions: [{ partition: 0, head: 0, tail: 5, inFlight: 3 }],
    });
    expect((await group.status()).lagSeconds).toBeGreaterThanOrEqual(0);
  });

  test("sees the lag of a group that was created after the records, before anybody receives", async () => {
    const stream = await newStream(millrace, { partitions: 2 });
    await new Group(millrace, stream, "writer").append("a1", "b2", "c3", "d4", "e5");
    const group = await newGroup(millrace, {}, stream);
    await expect.poll(async () => (await group.status()).lag).toBe(5);
    await group.drain();
    expect(await group.status()).toMatchObject({ lag: 0, lagSeconds: 0, inFlight: 0, members: [] });
  });

  test("sees the lag grow while nobody receives", async () => {
    const group = await newGroup(millrace);
    for (const lag of [2, 4, 6]) {
      await group.append("a1", "b2");
      await expect.poll(async () => (await group.status()).lag).toBe(lag);
    }
  });

  test("sees no partitions and no lag where nothing was appended", async () => {
    const group = await newGroup(millrace, {}, { partitions: 4 });
    expect(await group.status()).toMatchObject({ lag: 0, lagSeconds: 0, inFlight: 0, deadLetters: 0, paused: false });
  });

  test("pauses and resumes; leases of before can still be settled", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.append("a1", "b2", "c3", "d4");
    const [held] = await group.receive({ max: 1 });
    expect(await group.post("pause", { reason: "maintenance" })).toMatchObject({ status: 200, json: { paused: true } });
    expect(await group.receive({ waitSeconds: 0.2 })).toEqual([]);
    expect((await group.get()).json.paused).toBe(true);
    const status = await group.status();
    expect(status.paused).toBe(true);
    expect(status.partitions[0].paused.reason).toBe("maintenance");
    await group.ack(held);
    expect(await group.post("resume")).toMatchObject({ status: 200, json: { paused: false } });
    expect((await group.status()).paused).toBe(false);
    expect([held.data, ...(await group.drain())].sort()).toEqual(["a1", "b2", "c3", "d4"]);
  });

  test("resuming wakes who waits", { timeout: 15_000 }, async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    await group.post("pause");
    const waiting = group.receive({ waitSeconds: 30 });
    await group.post("resume");
    expect(dataOf(await waiting)).toEqual(["a1"]);
  });

  test("a pause holds for partitions that come to be later", async () => {
    const group = await newGroup(millrace);
    await group.post("pause");
    await group.append("a1", "b2");
    expect(await group.receive({ waitSeconds: 0.2 })).toEqual([]);
    await group.post("resume");
    expect(dataOf(await group.next())).toEqual(["a1", "b2"]);
  });

  test("a pause outlives an update of the group", async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    await group.post("pause");
    expect((await group.put({ maxInFlight: 5 })).json.paused).toBe(true);
    expect(await group.receive()).toEqual([]);
  });

  test("seeks to the earliest, the latest, an offset and a time", async () => {
    const group = await newGroup(millrace, {}, { timestamps: "client" });
    await group.appendRecords([1_000, 2_000, 3_000, 4_000].map((timestamp) => ({ timestamp, data: timestamp })));
    expect(await group.drain()).toHaveLength(4);
    const seek = async (to: string | number) => {
      const answer = await group.post("seek", { to });
      expect(answer.status, answer.text).toBe(200);
      return [answer.json.partitions, await group.drain()];
    };
    const at = (offset: number) => [{ partition: 0, offset }];
    expect(await seek("earliest")).toEqual([at(0), [1_000, 2_000, 3_000, 4_000]]);
    expect(await seek(2)).toEqual([at(2), [3_000, 4_000]]);
    expect(await seek("1970-01-01T00:00:03.500Z")).toEqual([at(3), [4_000]]);
    expect(await seek("latest")).toEqual([at(4), []]);
    expect(await seek(0)).toEqual([at(0), [1_000, 2_000, 3_000, 4_000]]);
    expect(await group.post("seek", { to: 5 })).toMatchObject({ status: 416, json: { code: "past-tail" } });
  });

  test("moves no partition where a seek of one is refused", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.appendRecords(Array.from({ length: 12 }, (_, i) => ({ key: `k${i}`, data: i })));
    const { cursor } = (await millrace.call("GET", `${group.stream}/records`)).json;
    expect(await group.drain()).toHaveLength(12);
    const heads = (await group.status()).partitions.map(({ head }: { head: number }) => head);
    // A place that the second partition has not come to.
    const ahead = `${cursor.split("~")[0]}~0.0~1.zz`;
    expect(await group.post("seek", { to: ahead })).toMatchObject({ status: 416, json: { code: "past-tail" } });
    expect((await group.status()).partitions.map(({ head }: { head: number }) => head)).toEqual(heads);
    expect(await group.post("seek", { to: 0, partition: 2 })).toMatchObject({ json: { code: "partition-not-found" } });
  });

  test("seeks one partition, or all of them", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    const keys = Array.from({ length: 12 }, (_, i) => ({ key: `k${i}`, data: i }));
    await group.appendRecords(keys);
    const got = await group.receive();
    await group.ack(...got);
    const of = (partition: number) => got.filter((one) => one.partition === partition).length;
    expect(of(0) * of(1)).toBeGreaterThan(0);
    await group.post("seek", { to: 0, partition: 1 });
    const again = await group.next();
    expect(again.map(({ partition }) => partition)).toEqual(Array(of(1)).fill(1));
    await group.ack(...again);
    expect(await group.post("seek", { to: 0 })).toMatchObject({ status: 400, json: { code: "invalid", path: "to" } });
    expect((await group.post("seek", { to: 0, partition: 2 })).json.code).toBe("partition-not-found");
    expect((await group.post("seek", { to: "earliest" })).json.partitions).toHaveLength(2);
    expect(await group.drain()).toHaveLength(12);
  });

  test("seeks to a cursor of the stream, not of another", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b2");
    const { cursor } = (await millrace.call("GET", `${group.stream}/records?limit=1`)).json;
    await group.drain();
    await group.post("seek", { to: cursor });
    expect(await group.drain()).toEqual(["b2"]);
    const other = await newGroup(millrace);
    await other.append("a1");
    expect(await other.post("seek", { to: cursor })).toMatchObject({ status: 409, json: { code: "wrong-log" } });
  });

  test("a seek voids the leases of before", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b2");
    const [first] = await group.receive();
    await group.post("seek", { to: "earliest" });
    for (const order of ["ack", "nack", "extend"]) {
      expect(await group.post(order, { receipts: [first.receipt] })).toMatchObject({
        status: 409,
        json: { code: "stale-lease" },
      });
    }
    expect(await group.drain()).toEqual(["a1", "b2"]);
  });

  test("lets a few keys through in an incident; the others wait, and nothing is lost or comes twice", async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.append("a1", "b1", "c1", "a2", "b2", "c2");
    expect(await group.put({ only: ["b"] })).toMatchObject({ status: 200, json: { config: { only: ["b"] } } });
    expect(await group.drain()).toEqual(["b1", "b2"]);
    await group.append("a3", "b3", "c3", "-9");
    expect(await group.drain()).toEqual(["b3"]);
    expect((await group.put({ only: ["a", "b"] })).status).toBe(200);
    expect(await group.drain()).toEqual(["a1", "a2", "a3"]);
    await group.put({ only: null });
    await group.append("a4", "b4", "c4");
    const rest = await group.drain();
    expect(rest.filter((data) => String(data).startsWith("c"))).toEqual(["c1", "c2", "c3", "c4"]);
    expect(rest.sort()).toEqual(["-9", "a4", "b4", "c1", "c2", "c3", "c4"]);
  });

  test("an incident keeps the order of a key that is under lease, or was half done, when it begins", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b1", "a2", "b2", "a3", "b3");
    const [a1, b1] = await group.receive();
    await group.ack(a1);
    await group.put({ only: ["b"] });
    expect(await group.receive()).toEqual([]);
    await group.ack(b1);
    expect(await group.drain()).toEqual(["b2", "b3"]);
    await group.put({ only: null });
    expect(await group.drain()).toEqual(["a2", "a3"]);
  });

  test("who receives is told once what was trimmed before the group had it", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b2", "c3", "d4");
    await millrace.call("POST", `${group.stream}/partitions/0/trim`, { beforeOffset: 3 });
    const { json } = await group.post("receive", { waitSeconds: 5 });
    const lost = [...(json.lost ?? [])];
    const got = json.deliveries.length > 0 ? json.deliveries : await group.next();
    expect(lost).toEqual([{ partition: 0, from: 0, to: 3, why: "trimmed" }]);
    expect(dataOf(got)).toEqual(["d4"]);
    await group.ack(...got);
    expect((await group.post("receive")).json).not.toHaveProperty("lost");
    expect((await group.status()).lag).toBe(0);
  });
});
