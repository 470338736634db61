/** The deployed form, over HTTP: an archive in a bucket that is bound, and segment events in a queue that is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../http/archived.ts";
import { call, token } from "../http/service.ts";
import { type Bound, bound } from "./bound.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-"));
let service: Bound;
beforeAll(async () => {
  service = await bound(folder, token);
});
afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (method: string, path: string, body?: object) =>
  call(service.url, method, `/v1/default/streams/${path}`, body);

async function fill(stream: string, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += 10) {
    const records = Array.from({ length: 10 }, (_, n) => ({ key: `k${n}`, data: at + n }));
    expect((await ask("POST", `${stream}/records`, { records })).status).toBe(201);
  }
}

test("what was archived, and what was dropped, is in the queue, in order, each with its id", async () => {
  await ask("PUT", "events", {});
  const config = { archive: true, retentionRecords: 80, deduplicationWindowMs: 0, segmentEvents: "events" };
  expect((await ask("PUT", "told", config)).status).toBe(201);
  await fill("told", 0, 200);
  await until("it is cold", async () =>
    (await ask("GET", "told/partitions/0")).json.hotFrom >= 90 ? true : undefined,
  );
  const read = (await ask("GET", "told/records?from=0&limit=1000")).json.records;
  expect(read.map(({ data }: { data: number }) => data)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  await ask("POST", "told/partitions/0/trim", { beforeOffset: 100 });
  const told = await until("all is told", async () => {
    const all = await service.told();
    return all.filter(({ event }) => event === "dropped").length === 10 ? all : undefined;
  });
  const once = [...new Map(told.map((one) => [one.id, one])).values()];
  const { records } = (await ask("GET", "events/records?limit=1000")).json;
  expect(once.map(({ id: _, ...event }) => event)).toEqual(
    records.slice(0, once.length).map(({ data }: { data: object }) => data),
  );
  const basesOf = (kind: string) => once.filter(({ event }) => event === kind).map(({ base }) => base);
  expect(basesOf("archived").slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, n) => n * 10));
  expect(basesOf("dropped")).toEqual(Array.from({ length: 10 }, (_, n) => n * 10));
});

test("a stream that cannot be told leaves the queue to tell the same ids again", async () => {
  const config = { archive: true, retentionRecords: 8, deduplicationWindowMs: 0, segmentEvents: "not-yet" };
  expect((await ask("PUT", "muted", config)).status).toBe(201);
  await fill("muted", 0, 20);
  const mine = async () => (await service.told()).filter((one) => "stream" in one && one.stream === "muted");
  await until("the first one was tried", async () => ((await mine()).length > 0 ? true : undefined));
  expect(new Set((await mine()).map(({ id }) => id)).size).toBe(1);
  await ask("PUT", "not-yet", {});
  await ask("DELETE", "muted");
  const told = await until("both are told", async () => {
    const all = await mine();
    return new Set(all.map(({ id }) => id)).size > 1 ? all : undefined;
  });
  // The first came at least twice: what could not be told to both was told to both again.
  expect(told.filter(({ id }) => id === told[0].id).length).toBeGreaterThan(1);
});
