/** Records that always fail cost their own keys, and nothing else: on pull, push and sockets. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Group, newGroup } from "./group.ts";
import { Member } from "./member.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
const receivers: Receiver[] = [];
const groups: Group[] = [];
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
});
afterAll(() => millrace.end());
afterEach(async () => {
  await Promise.all(groups.splice(0).map((group) => millrace.call("DELETE", group.path)));
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

const poison = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `p${n}`, data: "poison" }));
const healthy = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `h${n}`, data: "healthy" }));
const until = (what: () => unknown, timeout = 15_000) => expect.poll(what, { timeout, interval: 20 });

async function pushing(push: object, config: object, ...args: Parameters<typeof Receiver.open>) {
  const receiver = await Receiver.open(...args);
  receivers.push(receiver);
  const group = await newGroup(millrace, { ...config, push: { url: receiver.url, ...push } });
  groups.push(group);
  return { receiver, group, came: () => receiver.calls.filter(({ body }) => body.includes("healthy")).length };
}

/** Refuses what is poisoned. */
const refusing: Parameters<typeof Receiver.open>[0] = (response, { body }) =>
  response.writeHead(body.includes("poison") ? 500 : 204).end();

describe("a push that blocks at what fails", () => {
  test.each([
    ["one key, every 100 ms", 1, [100], "binary"],
    ["one key, in batches", 1, [100], "batch"],
    ["three keys, every 500 ms", 3, [500], "structured"],
    ["as many keys as it takes to doubt the receiver", 12, [100], "binary"],
  ] as const)("brings the healthy records while it tries %s", { timeout: 60_000 }, async (_, keys, backoff, format) => {
    const { receiver, group } = await pushing({ format }, { backoff: [...backoff] }, refusing);
    await group.appendRecords(poison(keys));
    await until(() => receiver.calls.length).toBeGreaterThan(10);
    await group.appendRecords(healthy(20));
    // A receiver that is doubted is left alone for a while, and longer where it was asked with what fails.
    await until(async () => (await group.status()).lag, 40_000).toBe(keys);
    expect((await group.get()).json.paused).toBe(false);
  });

  test("is not paused by one record, however long it fails", { timeout: 30_000 }, async () => {
    const push = { pauseAfterMs: 1_000 };
    const { group, receiver, came } = await pushing(push, { backoff: [200] }, refusing);
    await group.appendRecords(poison(1));
    await until(() => receiver.calls.length).toBeGreaterThan(12);
    await group.appendRecords(healthy(3));
    await until(came).toBe(3);
    expect(await group.status()).toMatchObject({ paused: false, lag: 1 });
  });

  test("goes on where what is poisoned takes all its time", { timeout: 60_000 }, async () => {
    const slow: Parameters<typeof Receiver.open>[0] = (response, { body }) => {
      if (!body.includes("poison")) response.writeHead(204).end();
    };
    const { group, receiver, came } = await pushing({ timeoutMs: 1_000, concurrency: 2 }, { backoff: [0] }, slow);
    await group.appendRecords(poison(6));
    await until(() => receiver.calls.length, 30_000).toBeGreaterThan(12);
    await group.appendRecords(healthy(40));
    await until(came, 20_000).toBe(40);
  });
});

test("who refuses the handshake is asked again, and no record is to blame", { timeout: 30_000 }, async () => {
  let agrees = false;
  const config = { maxDeliveries: 1, onFailure: "skip", backoff: [10], ackTimeoutMs: 500 };
  const { group, receiver } = await pushing({ validate: true }, config, (response, { method }) => {
    const allowed = { "webhook-allowed-origin": "*" };
    response.writeHead(method === "OPTIONS" && !agrees ? 405 : 200, allowed).end();
  });
  await group.appendRecords(healthy(2));
  await until(() => receiver.calls.length).toBeGreaterThan(2);
  expect(receiver.calls.every(({ method }) => method === "OPTIONS")).toBe(true);
  expect(await group.status()).toMatchObject({ deadLetters: 0, redeliveries: 0 });
  agrees = true;
  await until(async () => (await group.status()).lag, 25_000).toBe(0);
  expect(receiver.calls.filter(({ method }) => method === "POST")).toHaveLength(2);
  expect((await group.status()).deadLetters).toBe(0);
});

test("a connection that the receiver closes between requests is nobody's failure", { timeout: 30_000 }, async () => {
  const { group, receiver } = await pushing({ concurrency: 1 }, { maxDeliveries: 1, onFailure: "skip" });
  receiver.server.keepAliveTimeout = 5;
  receiver.server.keepAliveTimeoutBuffer = 0;
  for (let n = 0; n < 60; n++) {
    await group.append(`k${n}`);
    await pause(4 + (n % 5));
  }
  await until(async () => (await group.status()).lag).toBe(0);
  expect(await group.status()).toMatchObject({ deadLetters: 0, redeliveries: 0 });
  expect(new Set(receiver.data).size).toBe(60);
});

describe("a group of which many keys fail", () => {
  test("gives the healthy ones to who pulls, at once", { timeout: 30_000 }, async () => {
    const group = await newGroup(millrace, { backoff: [20] });
    await group.appendRecords(poison(60));
    const round = async () => {
      const some = await group.receive({ max: 5 });
      const bad = some.filter(({ data }) => data === "poison");
      for (const got of bad) await group.nack(got);
      const good = some.filter(({ data }) => data === "healthy");
      if (good.length > 0) await group.ack(...good);
      return [bad.length, good.length];
    };
    for (let n = 0; n < 40; n++) await round();
    await group.appendRecords(healthy(50));
    let [failed, came] = [0, 0];
    while (came < 50) {
      const [bad, good] = await round();
      failed += bad;
      came += good;
      expect(failed).toBeLessThan(20);
    }
    // And when nothing fresh waits, every turn is theirs.
    await pause(100);
    expect((await group.receive({ max: 50 })).length).toBe(50);
  });

  test("gives the healthy ones their share of a rate", { timeout: 30_000 }, async () => {
    const group = await newGroup(millrace, { backoff: [100], rate: { perSecond: 20, burst: 1 } });
    await group.appendRecords(poison(30));
    const failed: number[] = [];
    const round = async () => {
      const some = await group.receive({ waitSeconds: 2 });
      for (const got of some) {
        if (got.data === "healthy") await group.ack(got);
        else {
          failed.push(got.attempt);
          await group.nack(got);
        }
      }
      return some.filter(({ data }) => data === "healthy").length;
    };
    while (failed.filter((attempt) => attempt > 1).length < 31) await round();
    await group.appendRecords(healthy(20));
    failed.length = 0;
    for (let came = 0; came < 20; ) came += await round();
    expect(failed.length).toBeLessThan(8);
  });

  test.each([1, 2])(
    "gives the healthy ones to who has a socket, over %i partitions",
    { timeout: 30_000 },
    async (n) => {
      const group = await newGroup(millrace, { backoff: [20] }, { partitions: n });
      const member = await Member.open(millrace, group.path);
      const order: string[] = [];
      member.socket.addEventListener("message", ({ data }) => {
        const { deliveries = [] } = JSON.parse(String(data));
        for (const { receipt, data: what } of deliveries) {
          order.push(what);
          member.send({ type: what === "poison" ? "nack" : "ack", receipts: [receipt] });
          setTimeout(() => member.send({ type: "credit", credits: 1 }), 5);
        }
      });
      await group.appendRecords(poison(40));
      member.send({ type: "credit", credits: 4 });
      await until(() => order.length).toBeGreaterThan(200);
      const before = order.length;
      await group.appendRecords(healthy(60));
      await until(() => order.filter((what) => what === "healthy").length).toBe(60);
      const meanwhile = order.slice(before, order.lastIndexOf("healthy"));
      expect(meanwhile.filter((what) => what === "poison").length).toBeLessThan(40);
      member.socket.close();
    },
  );
});
