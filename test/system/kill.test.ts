/** SIGKILL under load, on real workerd: what was acknowledged is there, once, in order, without a hole. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { call, token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-kill-"));
const path = "/v1/default/streams/killed";
const rounds = 5;
const writers = 16;
let running: Running | undefined;

afterAll(async () => {
  await running?.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

interface Acked {
  partition: number;
  offset: number;
}

test("five rounds under sixteen writers that retry by producer id", async () => {
  running = await run({ data, token });
  await call(running.url, "PUT", path, { partitions: 2 });
  const acked = new Map<string, Acked>();
  let stop = false;
  const writing = Array.from({ length: writers }, (_, writer) => write(writer, acked, () => stop));
  for (let round = 0; round < rounds; round++) {
    await pause(600);
    const before = acked.size;
    await running.stop("SIGKILL");
    running = await run({ data, token });
    await expect.poll(() => acked.size, { timeout: 20_000 }).toBeGreaterThan(before);
  }
  stop = true;
  await Promise.all(writing);
  await compare(acked);
});

/** Sends numbers under one key, each until it is acknowledged. */
async function write(writer: number, acked: Map<string, Acked>, stopped: () => boolean): Promise<void> {
  for (let sequence = 0; !stopped(); sequence++) {
    const body = { records: [{ key: `w${writer}`, data: sequence }] };
    const headers = { "producer-id": `w${writer}`, "producer-epoch": "0", "producer-seq": String(sequence) };
    for (;;) {
      try {
        const answer = await call(running!.url, "POST", `${path}/records`, body, headers);
        if (answer.status === 200 || answer.status === 201) {
          acked.set(`w${writer}:${sequence}`, answer.json.verdicts[0]);
          break;
        }
        // The only refusal that a crash may cause is one that may be retried.
        expect(answer.json).toMatchObject({ retryable: true });
      } catch (error) {
        if (error instanceof Error && error.name === "AssertionError") throw error;
      }
      await pause(20);
    }
  }
}

async function compare(acked: Map<string, Acked>): Promise<void> {
  const stored = new Map<string, Acked>();
  const last = new Map<string, number>();
  for (const partition of [0, 1]) {
    const query = `?partition=${partition}&maxBytes=all`;
    const { text } = await call(running!.url, "GET", `${path}/records${query}`, undefined, {
      accept: "application/x-ndjson",
    });
    const lines = text === "" ? [] : text.trim().split("\n");
    lines.forEach((line, index) => {
      const { offset, key, data } = JSON.parse(line);
      expect(offset).toBe(index);
      expect(stored.has(`${key}:${data}`), `${key}:${data} stands twice`).toBe(false);
      expect(data).toBe((last.get(key) ?? -1) + 1);
      last.set(key, data);
      stored.set(`${key}:${data}`, { partition, offset });
    });
    expect((await call(running!.url, "POST", `${path}/partitions/${partition}/verify`)).json).toMatchObject({
      intact: true,
    });
  }
  for (const [name, { partition, offset }] of acked) expect(stored.get(name), name).toEqual({ partition, offset });
  // At most what was under way at each kill was stored without being acknowledged; here every one was retried.
  expect(stored.size).toBe(acked.size);
  expect(acked.size).toBeGreaterThan(100);
}
