/** The service is killed, again and again, under producers, followers and members: they go on by themselves, and it is exact. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type StoredRecord } from "../../src/client/index.ts";
import { times } from "../cases/long.ts";
import { token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-client-"));
let running: Running;
afterEach(async () => {
  await running.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

const [records, kills] = [times(5_000, 16_000), times(3, 4)];
const numbers = Array.from({ length: records }, (_, index) => index);

test.each([1, 3])("on %i partitions", async (partitions) => {
  running = await run({ data, token });
  const { url } = running;
  const port = Number(new URL(url).port);
  const millrace = new Millrace({ url, token, retry: { initialMs: 20, maxMs: 500, attempts: 1_000 } });
  const stream = millrace.stream<number>("kills");
  await stream.put({ partitions });
  const group = stream.group("workers");
  await group.put({ ackTimeoutMs: 2_000, backoff: [10] });

  const followed = ["socket", "http"].map(async (transport) => {
    const taken: StoredRecord<number>[] = [];
    const follower = stream.follow({ from: "earliest", transport: transport as "socket" | "http" });
    for await (const record of follower) if (taken.push(record) === records) break;
    return taken;
  });
  const handled = new Map<number, number>();
  const consumer = group.consume(
    ({ data }) => {
      handled.set(data, (handled.get(data) ?? 0) + 1);
    },
    { concurrency: 50 },
  );
  const producing = (async () => {
    const producer = stream.producer({ id: "p", epoch: 1, batchRecords: 40 });
    const placed: string[] = [];
    for (const data of numbers) {
      await producer.push({ key: `k${data % 11}`, data }, (error, place) => {
        if (place === undefined) throw error;
        placed[data] = `${place.partition}.${place.offset}`;
      });
      if (data % 40 === 0) await pause(5);
    }
    await producer.close();
    return placed;
  })();

  for (let kill = 0; kill < kills; kill++) {
    await pause(300);
    await running.stop("SIGKILL");
    running = await run({ data, token, port });
  }
  const placed = await producing;
  for (const following of followed) {
    const taken = await following;
    const found: string[] = [];
    for (const { partition, offset, data } of taken) found[data] = `${partition}.${offset}`;
    // Each record once, where its producer was told that it is.
    expect(new Set(taken.map(({ data }) => data)).size).toBe(records);
    expect(found).toEqual(placed);
    for (let key = 0; key < 11; key++) {
      const ofKey = taken.filter((one) => one.key === `k${key}`).map((one) => one.data);
      expect(ofKey).toEqual(numbers.filter((one) => one % 11 === key));
    }
  }
  await expect.poll(() => handled.size, { timeout: 60_000 }).toBe(records);
  await consumer.stop();
  await expect.poll(async () => (await group.status()).lag).toBe(0);
});
