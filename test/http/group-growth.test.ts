/** Groups whose stream grows: every record once, in the order of its key, whatever is sought, repeated, or left behind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataOf, type Got, Group, newGroup, newStream } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const grow = async ({ stream }: Group, partitions: number) =>
  expect((await millrace.call("PUT", stream, { partitions })).status).toBe(200);

/** Records of so many keys, one each. */
const ofKeys = (count: number, data: unknown, name = "k") =>
  Array.from({ length: count }, (_, n) => ({ key: `${name}${n}`, data }));

/** Fails all that comes, at its only attempt. */
async function park(group: Group, count: number): Promise<void> {
  for (let parked = 0; parked < count; ) {
    const got = await group.receive({ max: 1_000 });
    expect(got.length).toBeGreaterThan(0);
    parked += got.length;
    const answer = await group.post("nack", { receipts: got.map(({ receipt }) => receipt) });
    expect(answer).toMatchObject({ status: 200, json: { settled: got.length } });
  }
}

describe("growth under a group", () => {
  test("lets the keys of an incident go on, in order, wherever they were split from, while the others wait", async () => {
    const group = await newGroup(millrace, { only: ["k3"] });
    const records = ofKeys(20, 0);
    for (const partitions of [2, 4, 8]) {
      await group.appendRecords(records);
      await grow(group, partitions);
    }
    await group.appendRecords(records);
    const got: Got[] = [];
    const end = Date.now() + 30_000;
    while (got.length < 4 && Date.now() < end) {
      const some = await group.receive({ waitSeconds: 1 });
      for (const one of some) await group.ack(one);
      got.push(...some);
    }
    expect(got.map(({ key }) => key)).toEqual(["k3", "k3", "k3", "k3"]);
    expect(await group.status()).toMatchObject({ lag: 76, inFlight: 0 });
    await group.put({ only: null });
    const rest: Got[] = [];
    while (rest.length < 76 && Date.now() < end) {
      const some = await group.receive({ max: 100, waitSeconds: 1 });
      await group.ack(...some);
      rest.push(...some);
    }
    expect(rest).toHaveLength(76);
    expect(rest.some(({ key }) => key === "k3")).toBe(false);
    expect(await group.status()).toMatchObject({ lag: 0, inFlight: 0 });
  });

  test.each([
    ["an empty stream", 1, 0],
    ["an empty stream of two partitions", 2, 0],
    ["a stream that is finished", 1, 3],
    ["a stream of two partitions that is finished", 2, 9],
  ])("is seen by those who wait: in %s", { timeout: 60_000 }, async (_, partitions, before) => {
    const group = await newGroup(millrace, {}, { partitions });
    if (before > 0) {
      await group.appendRecords(ofKeys(before, "before"));
      expect(await group.drain()).toHaveLength(before);
    }
    // All of them, also more than there will be records.
    const began = Date.now();
    const waiting = Array.from({ length: 4 }, async (_, n) => group.receive({ member: `m${n}`, waitSeconds: 25 }));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await grow(group, partitions * 2);
    for (let n = 0; n < 4; n++) {
      await group.appendRecords([{ key: `after${n}`, data: n }]);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const first = await Promise.race(waiting);
    expect(dataOf(first).length).toBeGreaterThan(0);
    // Before its time was over.
    expect(Date.now() - began).toBeLessThan(20_000);
    await group.appendRecords(ofKeys(40, "all"));
    expect((await Promise.all(waiting)).flat().length).toBeGreaterThan(3);
    expect(Date.now() - began).toBeLessThan(24_000);
  });

  test("gives every record once, and keeps the order of every key", async () => {
    const group = await newGroup(millrace);
    let writing = true;
    const sent = new Map<string, number[]>();
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        const records = Array.from({ length: 8 }, (_, key) => ({ key: `k${key}`, data: i }));
        await group.appendRecords(records);
        for (const { key } of records) sent.set(key, [...(sent.get(key) ?? []), i]);
      }
    })();
    const done = new Map<string, number[]>();
    const total = (of: Map<string, number[]>) => [...of.values()].reduce((sum, list) => sum + list.length, 0);
    let turn = 0;
    const member = async (name: string) => {
      while (writing || total(done) < total(sent)) {
        for (const got of await group.receive({ member: name, max: 7, waitSeconds: 0.3 })) {
          if (++turn % 10 === 0) await group.nack(got, { delayMs: 20 });
          else {
            // Noted before the ack is sent: afterwards another member may have the next one already.
            done.set(got.key!, [...(done.get(got.key!) ?? []), got.data as number]);
            await group.ack(got);
          }
        }
      }
    };
    const members = Promise.all(["m1", "m2", "m3"].map(member));
    for (const partitions of [2, 4]) {
      const before = total(done);
      await expect.poll(() => total(done), { timeout: 20_000 }).toBeGreaterThan(before + 50);
      await grow(group, partitions);
    }
    const before = total(done);
    await expect.poll(() => total(done), { timeout: 20_000 }).toBeGreaterThan(before + 50);
    writing = false;
    await Promise.all([writer, members]);
    expect(done).toEqual(sent);
    expect(await group.receive()).toEqual([]);
    expect(await group.status()).toMatchObject({ lag: 0, inFlight: 0 });
  });

  test("a key that is not finished in the old partition does not go on in the new one", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b1");
    const [held, other] = await group.receive();
    await group.ack(other);
    await grow(group, 2);
    await group.append("a2", "c2");
    expect(dataOf(await group.next())).not.toContain("a2");
    expect(dataOf(await group.receive())).not.toContain("a2");
    await group.ack(held);
    expect(dataOf(await group.next())).toEqual(["a2"]);
  });

  test("a group that began at the latest gets all that the new partitions take", async () => {
    const stream = await newStream(millrace);
    await new Group(millrace, stream, "writer").append("a1", "b1");
    const group = await newGroup(millrace, { start: "latest" }, stream);
    await millrace.call("PUT", stream, { partitions: 2 });
    await group.append("a2", "b2", "c2", "d2");
    expect((await group.drain({ waitSeconds: 1 })).sort()).toEqual(["a2", "b2", "c2", "d2"]);
  });

  test("an ack that is repeated opens no key that waits for the old partition", async () => {
    const group = await newGroup(millrace, { onFailure: "park", maxDeliveries: 1 });
    await group.appendRecords(ofKeys(40, 0));
    await park(group, 40);
    await grow(group, 2);
    await group.appendRecords([...ofKeys(4, 1, "x"), ...ofKeys(40, 1)]);
    const fresh: Got[] = [];
    while (fresh.length < 4) fresh.push(...(await group.next({ max: 100 })));
    expect(fresh.every(({ key }) => key?.startsWith("x"))).toBe(true);
    for (let time = 0; time < 3; time++) {
      await group.ack(...fresh);
      expect(await group.receive({ max: 100 })).toEqual([]);
    }
    expect((await group.status()).lanes.parked).toBe(40);
    await group.post("dead-letters/redrive", { all: true });
    const last = new Map<string, unknown>();
    for (let came = 0; came < 80; ) {
      const some = await group.next({ max: 100 });
      came += some.length;
      for (const { key = "", data } of some) {
        expect(data, key).toBe(last.has(key) ? 1 : 0);
        last.set(key, data);
      }
      await group.ack(...some);
    }
  });

  test.each(["earliest", "a time", "a cursor"])(
    "a seek back over it, to %s, brings every key in order again",
    async (how) => {
      const group = await newGroup(millrace);
      const texts = (round: number) =>
        Array.from({ length: 50 }, (_, n) => ({ key: `k${n % 10}`, data: round * 5 + Math.floor(n / 10) }));
      const { cursor } = (await millrace.call("GET", `${group.stream}/records?from=latest`)).json;
      const to = { earliest: "earliest", "a time": new Date(0).toISOString(), "a cursor": cursor }[how];
      const rounds = async (count: number) => {
        const done = new Map<string, unknown[]>();
        for (let came = 0; came < count; ) {
          const some = await group.next({ max: 100 });
          came += some.length;
          for (const { key = "", data } of some) done.set(key, [...(done.get(key) ?? []), data]);
          await group.ack(...some);
        }
        return done;
      };
      await group.appendRecords(texts(0));
      await rounds(50);
      await grow(group, 2);
      await group.appendRecords(texts(1));
      await rounds(50);
      await grow(group, 4);
      await group.appendRecords(texts(2));
      await rounds(20);
      const sought = await group.post("seek", { to });
      expect(sought.status, sought.text).toBe(200);
      const done = await rounds(150);
      expect([...done.keys()]).toHaveLength(10);
      for (const [key, data] of done) expect(data, key).toEqual(Array.from({ length: 15 }, (_, n) => n));
      expect(await group.status()).toMatchObject({ lag: 0 });
    },
  );

  test("keys that wait in the old partition hold back themselves alone, however many they are", {
    timeout: 60_000,
  }, async () => {
    const many = 6_000;
    const group = await newGroup(millrace, { onFailure: "park", maxDeliveries: 1, maxInFlight: 10_000 });
    await group.appendRecords(ofKeys(many, 0));
    await park(group, many);
    await grow(group, 2);
    await group.appendRecords([...ofKeys(200, 1, "x"), ...ofKeys(50, 1)]);
    const fresh: Got[] = [];
    while (fresh.length < 200) {
      const some = await group.next({ max: 1_000 });
      expect(some.length).toBeGreaterThan(0);
      fresh.push(...some);
    }
    expect(fresh.every(({ key }) => key?.startsWith("x"))).toBe(true);
    const { partitions } = await group.status();
    // Each waits for the keys that are its own.
    const waits = partitions.slice(1).map(({ waitsFor }: { waitsFor: { keys: number } }) => waitsFor.keys);
    expect(Math.max(...waits)).toBeLessThan(many);
    expect(waits.reduce((sum: number, keys: number) => sum + keys, 0)).toBe(many);
    const lanesOf = async (partition: number) =>
      (await group.get(`/lanes?partition=${partition}&limit=1000`)).json.lanes;
    const held = (await Promise.all([1, 2].map(lanesOf)))
      .flat()
      .filter(({ state }: { state: string }) => state === "held");
    expect(held.length).toBe(50);
    for (const order of ["lanes/resume", "lanes/skip"]) {
      const refused = await group.post(order, { lane: held[0].lane });
      expect(refused).toMatchObject({ status: 409, json: { code: "conflict" } });
      expect(refused.json.detail).toContain("waits for its key in the partition");
    }
  });
});
