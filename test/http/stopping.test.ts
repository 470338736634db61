/** Members that stop: what no handler of theirs was given is as if nobody had had it. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Millrace } from "../../src/client/index.ts";
import { newGroup } from "./group.ts";
import { Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const places = [
  ["socket", 1],
  ["socket", 3],
  ["http", 1],
  ["http", 3],
] as const;

test.each(places)(
  "one after another over a backlog, by %s, over %i partitions: no attempt is counted",
  async (transport, partitions) => {
    const { path } = await newGroup(
      millrace,
      { maxDeliveries: 1, onFailure: "skip", ackTimeoutMs: 60_000 },
      { partitions },
    );
    const [, stream, name] = /streams\/([^/]+)\/groups\/([^/]+)$/.exec(path) as unknown as [string, string, string];
    const log = new Millrace({ url: millrace.url, token }).stream<number>(stream);
    const group = log.group(name);
    const count = 600;
    await log.append(Array.from({ length: count }, (_, data) => ({ key: `k${data}`, data })));
    const handled = new Set<number>();
    for (let round = 0; round < 6; round++) {
      const consumer = group.consume(
        async ({ data }) => {
          handled.add(data);
          await pause(Math.random() * 30);
        },
        { concurrency: 16, transport },
      );
      await pause(100 + Math.random() * 150);
      await consumer.stop();
      // Long before the leases run out.
      await expect.poll(async () => (await group.status()).inFlight, { timeout: 20_000 }).toBe(0);
    }
    const rest = group.consume(({ data }) => void handled.add(data), { concurrency: 100, transport });
    await expect.poll(async () => (await group.status()).lag, { timeout: 40_000 }).toBe(0);
    await rest.stop();
    expect(handled.size).toBe(count);
    expect(await group.status()).toMatchObject({ deadLetters: 0, redeliveries: 0 });
  },
);

test.each([
  [4005, 1, 1],
  [4005, 2, 1],
  [1000, 1, 2],
  [1000, 2, 2],
])(
  "a socket that is closed with %i, over %i partitions, leaves what it had to attempt %i",
  async (code, partitions, attempt) => {
    const group = await newGroup(millrace, { ackTimeoutMs: 60_000, backoff: [0] }, { partitions });
    await group.append("a1");
    const [first, second] = [await Member.open(millrace, group.path), await Member.open(millrace, group.path)];
    first.send({ type: "credit", credits: 1 });
    await first.until(1);
    second.send({ type: "credit", credits: 1 });
    first.socket.close(code);
    const [again] = await second.until(1);
    expect(again).toMatchObject({ data: "a1", attempt });
    second.ack(again);
    second.socket.close();
  },
);
