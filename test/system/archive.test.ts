/**
 * An archive that is killed, and a bucket that fails: what was acknowledged is read, once and in order, from wherever it
 * lies, and in the bucket is nothing that nobody knows.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace } from "../../src/client/index.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { times } from "../cases/long.ts";
import { until } from "../http/archived.ts";
import { call, token } from "../http/service.ts";
import { type FaultProxy, faultProxy } from "./fault-proxy.ts";
import { type Server, s3Server, varsOf } from "./s3-server.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-archive-"));
let server: Server;
let proxy: FaultProxy;
let bucket: Blobs;
let running: Running;

const start = () => run({ data, token, archive: varsOf(proxy.store) });

beforeAll(async () => {
  server = await s3Server();
  proxy = await faultProxy(server.store);
  bucket = s3Blobs(server.store);
  running = await start();
});
afterAll(async () => {
  await running.stop("SIGKILL");
  await proxy.end();
  await server.end();
  rmSync(data, { recursive: true, force: true });
});

const pad = "x".repeat(200);
const config = { archive: true, retentionRecords: 400, deduplicationWindowMs: 0 };

/** Appends numbers in order by a producer, until it is stopped; each until it is acknowledged. */
async function write(stream: string, writer: number, stopped: () => boolean): Promise<number> {
  for (let sequence = 0; ; sequence++) {
    if (stopped()) return sequence * 10;
    const records = Array.from({ length: 10 }, (_, i) => ({ key: `w${writer}`, data: { n: sequence * 10 + i, pad } }));
    const headers = { "producer-id": `w${writer}`, "producer-epoch": "0", "producer-seq": String(sequence) };
    for (let done = false; !done; ) {
      try {
        const path = `/v1/default/streams/${stream}/records`;
        const answer = await call(running.url, "POST", path, { records }, headers);
        done = answer.status === 200 || answer.status === 201;
        if (!done) expect(answer.json).toMatchObject({ retryable: true });
      } catch (error) {
        if (error instanceof Error && error.name === "AssertionError") throw error;
      }
      if (!done) await pause(20);
    }
  }
}

/** Everything is there, in order by writer, without a hole; as many as were acknowledged. */
async function compare(stream: string, acked: readonly number[]): Promise<void> {
  const read = new Millrace({ url: running.url, token }).stream<{ n: number }>(stream).read();
  const next = acked.map(() => 0);
  let offset = 0;
  for await (const record of read) {
    const writer = Number(record.key?.slice(1));
    expect(record.offset).toBe(offset++);
    expect(record.data.n).toBe(next[writer]++);
  }
  expect(next).toEqual(acked);
}

/** As many objects as the manifest has, when everything is done that was to be done. */
async function settled(stream: string): Promise<void> {
  const { logId } = (await call(running.url, "GET", `/v1/default/streams/${stream}`)).json;
  await until(
    "all segments are archived",
    async () => {
      const { archived, segments } = (await call(running.url, "GET", `/v1/default/streams/${stream}/partitions/0`))
        .json;
      return archived.segments === segments ? true : undefined;
    },
    60_000,
  );
  const { segments } = (await call(running.url, "GET", `/v1/default/streams/${stream}/partitions/0`)).json;
  expect((await bucket.list(`logs/${logId}/`)).blobs.length).toBe(segments);
  const report = await call(running.url, "POST", `/v1/default/streams/${stream}/partitions/0/verify`);
  expect(report.json).toMatchObject({ intact: true, objects: segments });
}

test("killed again and again while it archives", async () => {
  await call(running.url, "PUT", "/v1/default/streams/killed", config);
  let stop = false;
  const writing = Array.from({ length: 4 }, (_, writer) => write("killed", writer, () => stop));
  for (let round = 0; round < 5; round++) {
    await pause(700);
    await running.stop("SIGKILL");
    running = await start();
  }
  await pause(300);
  stop = true;
  const acked = await Promise.all(writing);
  const facts = (await call(running.url, "GET", "/v1/default/streams/killed/partitions/0")).json;
  expect(facts.archived.segments).toBeGreaterThan(10);
  await compare("killed", acked);
  await settled("killed");
});

test("before a bucket that fails, throttles, and loses writes and their answers", async () => {
  await call(running.url, "PUT", "/v1/default/streams/faults", config);
  let stop = false;
  const writing = Array.from({ length: 2 }, (_, writer) => write("faults", writer, () => stop));
  const wrongs = [
    { status: 500, code: "InternalError" },
    { status: 503, code: "SlowDown" },
    "cut",
    "lost",
    "short",
    undefined,
  ] as const;
  for (let round = 0; round < times(12, 24); round++) {
    proxy.always(wrongs[round % wrongs.length]);
    await pause(150);
  }
  proxy.always(undefined);
  await pause(200);
  stop = true;
  const acked = await Promise.all(writing);
  expect(acked[0]).toBeGreaterThan(50);
  await compare("faults", acked);
  await settled("faults");
});

test("while the bucket is away readers of what lies there are told to come again, and others notice nothing", async () => {
  const path = "/v1/default/streams/faults/records";
  const { hotFrom, tail } = (await call(running.url, "GET", "/v1/default/streams/faults/partitions/0")).json;
  proxy.always({ status: 503, code: "SlowDown" });
  const cold = await call(running.url, "GET", `${path}?partition=0&from=${Math.floor(hotFrom / 3)}&limit=1`);
  expect(cold).toMatchObject({ status: 503, json: { code: "unavailable", retryable: true } });
  expect((await call(running.url, "GET", `${path}?partition=0&from=${tail - 1}`)).json.records.length).toBe(1);
  expect((await call(running.url, "POST", path, { records: [{ key: "w0", data: 1 }] })).status).toBe(201);
  proxy.always(undefined);
  const back = await call(running.url, "GET", `${path}?partition=0&from=${Math.floor(hotFrom / 3)}&limit=1`);
  expect(back.json.records.length).toBe(1);
});
