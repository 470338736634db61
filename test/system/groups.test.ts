/** SIGKILL while groups pull and push: every acknowledged record is acked by each, and per key nothing goes out of order. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Receiver } from "../http/receiver.ts";
import { type Answer, call, token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-groups-"));
const stream = "/v1/default/streams/killed";
const rounds = 4;
const writers = 6;
const members = 4;
let running: Running | undefined;
let receiver: Receiver | undefined;

afterAll(async () => {
  await running?.stop("SIGKILL");
  await receiver?.close();
  rmSync(data, { recursive: true, force: true });
});

/** What each group was given first, by key, in the order in which it came. */
class First {
  readonly byKey = new Map<string, number[]>();
  readonly #seen = new Set<string>();

  take(key: string, sequence: number): void {
    if (this.#seen.has(`${key}:${sequence}`)) return;
    this.#seen.add(`${key}:${sequence}`);
    this.byKey.set(key, [...(this.byKey.get(key) ?? []), sequence]);
  }

  get size(): number {
    return this.#seen.size;
  }
}

/** Asks until there is an answer: the service is away now and then. */
async function ask(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Answer> {
  for (;;) {
    const answer = await call(running!.url, method, path, body, headers).catch(() => undefined);
    if (answer !== undefined && (answer.status < 500 || !answer.json?.retryable)) return answer;
    await pause(20);
  }
}

test(`${rounds} rounds under ${writers} writers, ${members} members and a receiver`, async () => {
  const [pulled, pushed] = [new First(), new First()];
  receiver = await Receiver.open((response, { headers, body }) => {
    pushed.take(String(headers["ce-partitionkey"]), Number(body));
    response.writeHead(204).end();
  });
  running = await run({ data, token, privateNetwork: true });
  await ask("PUT", stream, { partitions: 2 });
  const patience = { ackTimeoutMs: 500, backoff: [20] };
  await ask("PUT", `${stream}/groups/pull`, patience);
  await ask("PUT", `${stream}/groups/push`, { ...patience, push: { url: receiver.url, timeoutMs: 500 } });
  let writing = true;
  let reading = true;
  const last = new Map<string, number>();
  const write = async (key: string) => {
    for (let sequence = 0; writing; sequence++) {
      const headers = { "producer-id": key, "producer-epoch": "0", "producer-seq": String(sequence) };
      const answer = await ask("POST", `${stream}/records`, { records: [{ key, data: sequence }] }, headers);
      expect([200, 201]).toContain(answer.status);
      last.set(key, sequence);
      await pause(4);
    }
  };
  const consume = async (member: string) => {
    while (reading) {
      const got = await ask("POST", `${stream}/groups/pull/receive`, { member, max: 8, waitSeconds: 1 });
      const deliveries = (got.json?.deliveries ?? []) as { key: string; data: number; receipt: string }[];
      for (const one of deliveries) pulled.take(one.key, one.data);
      if (deliveries.length === 0) continue;
      await ask("POST", `${stream}/groups/pull/ack`, { receipts: deliveries.map(({ receipt }) => receipt) });
    }
  };
  const writes = Array.from({ length: writers }, (_, index) => write(`w${index}`));
  const consumers = Array.from({ length: members }, (_, index) => consume(`m${index}`));
  for (let round = 0; round < rounds; round++) {
    await pause(700);
    const before = [pulled.size, pushed.size];
    await running.stop("SIGKILL");
    running = await run({ data, token, privateNetwork: true });
    // Both go on by themselves.
    await expect.poll(() => pulled.size, { timeout: 20_000 }).toBeGreaterThan(before[0]);
    await expect.poll(() => pushed.size, { timeout: 20_000 }).toBeGreaterThan(before[1]);
  }
  writing = false;
  await Promise.all(writes);
  const lag = async (group: string) => (await ask("GET", `${stream}/groups/${group}/status`)).json.lag;
  await expect.poll(() => lag("pull"), { timeout: 30_000 }).toBe(0);
  await expect.poll(() => lag("push"), { timeout: 30_000 }).toBe(0);
  reading = false;
  await Promise.all(consumers);
  for (const [key, sequence] of last) {
    const all = Array.from({ length: sequence + 1 }, (_, index) => index);
    expect(pulled.byKey.get(key), `pulled ${key}`).toEqual(all);
    expect(pushed.byKey.get(key), `pushed ${key}`).toEqual(all);
  }
  expect(pulled.size).toBeGreaterThan(50);
});
