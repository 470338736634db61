/** A group's rate is the whole group's: while its stream grows, over kills, and when it has finished what was split. */
import { afterEach, expect, test } from "vitest";
import { tablesOf } from "./databases.ts";
import { dataOf, type Got, Group, newGroup } from "./group.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
afterEach(() => millrace.end());

const ofKeys = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `k${n}`, data: n }));

const grow = async ({ millrace, stream }: Group, partitions: number) =>
  expect((await millrace.call("PUT", stream, { partitions })).status).toBe(200);

test.each([
  ["pulled", false],
  ["pushed", true],
])("of %s records no more go out while the stream grows, and after a kill", { timeout: 60_000 }, async (_, push) => {
  millrace = await service(undefined, { privateNetwork: true });
  const receiver = await Receiver.open();
  const config = {
    rate: { perSecond: 0.01, burst: 20 },
    ackTimeoutMs: 600_000,
    ...(push ? { push: { url: receiver.url } } : {}),
  };
  let group = await newGroup(millrace, config);
  const got: Got[] = [];
  const take = async () => {
    if (push) await new Promise((resolve) => setTimeout(resolve, 500));
    else got.push(...(await group.receive({ max: 1_000 })));
  };
  for (const partitions of [1, 2, 4, 8]) {
    await grow(group, partitions);
    await group.appendRecords(ofKeys(200));
    await take();
    if (partitions !== 4) continue;
    await millrace.stop("SIGKILL");
    millrace = await service(millrace.data, { privateNetwork: true });
    group = new Group(millrace, group.stream, group.name);
    await take();
  }
  await take();
  const count = push ? receiver.calls.length : got.length;
  receiver.server.close();
  receiver.server.closeAllConnections();
  // The burst, what the time brought, and what was pushed as the service died.
  expect(count).toBeGreaterThan(15);
  expect(count).toBeLessThanOrEqual(push ? 26 : 22);
});

test("goes to the others when a partition that was split is finished, and back when the group is moved back", async () => {
  millrace = await service();
  const group = await newGroup(millrace, { rate: { perSecond: 200, burst: 100 } });
  const through = () =>
    tablesOf(millrace.data).find(({ kind, name }) => kind === "catalog" && name === "through")?.text;
  await group.appendRecords(ofKeys(20));
  for (const partitions of [2, 4]) {
    await grow(group, partitions);
    await group.appendRecords(ofKeys(20));
  }
  const found: unknown[] = [];
  while (found.length < 60) {
    const some = await group.receive({ max: 100, waitSeconds: 5 });
    found.push(...dataOf(some));
    if (some.length > 0) await group.ack(...some);
  }
  await group.receive({ waitSeconds: 1 });
  const split = (text: string | undefined) => [...(text ?? "").matchAll(/\/\S+ (\d+)/g)].map(([, n]) => Number(n));
  await expect.poll(() => split(through()), { timeout: 20_000 }).toEqual([0, 1, 2]);
  expect((await group.post("seek", { to: "earliest" })).status).toBe(200);
  await group.receive({ max: 1, waitSeconds: 5 });
  // Those behind it give nothing out before it is finished.
  await expect.poll(() => split(through()), { timeout: 20_000 }).not.toContain(0);
});
