/** Members that wait, where nothing may go: it costs nothing, it ends, and what may go goes. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Group, newGroup } from "./group.ts";
import { Member } from "./member.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";
import { load } from "./worked.ts";

let millrace: Service;
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
});
afterAll(() => millrace.end());
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const records = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `k${n}`, data: n }));

/** Each leaves a group in which there are records, and none of them may go. */
const standstills: [string, (partitions: number) => Promise<Group>][] = [
  [
    "the rate is used up",
    async (partitions) => {
      const group = await newGroup(millrace, { rate: { perSecond: 0.01, burst: 1 } }, { partitions });
      await group.appendRecords(records(400));
      while ((await group.receive({ max: 1 })).length > 0);
      return group;
    },
  ],
  [
    "the member has what it may have",
    async (partitions) => {
      const group = await newGroup(millrace, { memberMaxInFlight: 1, backoff: [0] }, { partitions });
      await group.appendRecords(records(400));
      for (const got of await group.receive({ max: 1 })) await group.nack(got);
      while ((await group.receive({ max: 1 })).length > 0);
      return group;
    },
  ],
  [
    "the group has what it may have",
    async (partitions) => {
      const group = await newGroup(millrace, { maxInFlight: 1, backoff: [0] }, { partitions });
      await group.appendRecords(records(400));
      while ((await group.receive({ max: 1 })).length > 0);
      return group;
    },
  ],
  [
    "every key waits",
    async (partitions) => {
      const group = await newGroup(millrace, { backoff: [600_000] }, { partitions });
      await group.appendRecords(records(400));
      for (let got = await group.receive({ max: 100 }); got.length > 0; got = await group.receive({ max: 100 })) {
        await group.post("nack", { receipts: got.map(({ receipt }) => receipt) });
      }
      return group;
    },
  ],
  [
    "it is paused",
    async (partitions) => {
      const group = await newGroup(millrace, {}, { partitions });
      await group.appendRecords(records(400));
      await group.post("pause");
      return group;
    },
  ],
  [
    "an incident keeps all but one key",
    async (partitions) => {
      const group = await newGroup(millrace, { only: ["nobody"] }, { partitions });
      await group.appendRecords(records(400));
      return group;
    },
  ],
  [
    "the partition before has a key that waits, in order",
    async (partitions) => {
      const config = { order: "partition", onFailure: "park", maxDeliveries: 1 };
      const group = await newGroup(millrace, config, { partitions });
      await group.appendRecords(records(40));
      for (const got of await group.receive({ max: 1 })) await group.nack(got);
      while ((await group.receive({ max: 1 })).length > 0);
      await millrace.call("PUT", group.stream, { partitions: partitions * 2 });
      await group.appendRecords(records(400));
      return group;
    },
  ],
];

/** All of them at once: what one of them costs, all do. */
const allAtOnce = (partitions: number) =>
  Promise.all(standstills.map(async ([name, standstill]) => ({ name, group: await standstill(partitions) })));

test.each([1, 4])("members that wait, on %i partitions, cost nothing, and are answered in time", async (partitions) => {
  const all = await Promise.all(
    (await allAtOnce(partitions)).map(async ({ name, group }) => {
      const socket = await Member.open(millrace, `${group.path}`);
      ends.push(() => socket.socket.close());
      socket.send({ type: "credit", credits: 100 });
      return { name, group, socket };
    }),
  );
  await pause(500);
  const before = all.map(({ socket }) => socket.deliveries.length);
  const waiting = all.flatMap(({ name, group }) =>
    Array.from({ length: 3 }, async (_, n) => {
      const answer = await group.post("receive", { waitSeconds: 3, member: `m${n % 2}` });
      return { name, status: answer.status };
    }),
  );
  await pause(500);
  expect(await load(millrace, 1_500)).toBeLessThan(10);
  for (const answer of await Promise.all(waiting)) expect(answer).toEqual({ name: answer.name, status: 200 });
  for (const [index, { name, socket }] of all.entries()) {
    expect(socket.deliveries.length - before[index], name).toBeLessThanOrEqual(2 * partitions);
  }
});

test("a push that waits costs nothing", async () => {
  const receiver = await Receiver.open((response) => response.writeHead(500).end());
  ends.push(() => receiver.close());
  for (const { group } of await allAtOnce(2)) {
    await group.put({ push: { url: receiver.url }, backoff: [600_000] });
    ends.push(() => millrace.call("DELETE", group.path));
  }
  await pause(2_000);
  expect(await load(millrace, 1_500)).toBeLessThan(10);
});

describe.concurrent("a rate", () => {
  test.each([
    [1, { perSecond: 40, burst: 10 }],
    [4, { perSecond: 40, burst: 10 }],
    [1, { perSecond: 500, burst: 1 }],
  ])("over %i partitions is the group's, from the first second: %o", { timeout: 20_000 }, async (partitions, rate) => {
    const group = await newGroup(millrace, { rate, order: "none" }, { partitions });
    await group.appendRecords(records(2_000));
    const started = Date.now();
    let count = 0;
    // As many as two seconds bring, however long the machine takes.
    while (count < rate.burst + 2 * rate.perSecond && Date.now() - started < 18_000) {
      const got = await group.receive({ max: 1_000, waitSeconds: 0.5 });
      count += got.length;
      const most = rate.burst + partitions + ((Date.now() - started) / 1_000 + 0.1) * rate.perSecond;
      expect(count, `after ${Date.now() - started} ms`).toBeLessThanOrEqual(most);
      if (got.length > 0) await group.ack(...got);
    }
    expect(count).toBeGreaterThanOrEqual(rate.burst + 2 * rate.perSecond);
  });
});

describe.concurrent("what is waited for is deleted", () => {
  const cases = ["stream", "group"].flatMap((what) =>
    [1, 3].flatMap((partitions) => [0, 1].map((there) => [what, partitions, there] as const)),
  );
  test.each(cases)(
    "the %s, on %i partitions, with %i records a key",
    { timeout: 20_000 },
    async (what, partitions, there) => {
      const group = await newGroup(millrace, {}, { partitions });
      if (there > 0) await group.appendRecords(records(9));
      await group.drain();
      const waiting = group.post("receive", { waitSeconds: 15 });
      await pause(1_000);
      await millrace.call("DELETE", what === "stream" ? group.stream : group.path);
      expect(await waiting).toMatchObject({ status: 404, json: { code: `${what}-not-found` } });
    },
  );
});
