/** History over HTTP: a real service whose archive is a real S3 server. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { Millrace } from "../../src/client/index.ts";
import { type Archived, archived, until } from "./archived.ts";
import { type Ran, runCli } from "./cli.ts";
import { token } from "./service.ts";

let service: Archived;
beforeAll(async () => {
  service = await archived();
});
afterAll(() => service.end());

const pad = "x".repeat(100);

/** Appends `count` records in batches of 10, with keys `k0 … k4` in turn. */
async function fill(stream: string, count: number, from = 0): Promise<void> {
  for (let at = from; at < from + count; at += 10) {
    const records = Array.from({ length: Math.min(10, from + count - at) }, (_, index) => ({
      key: `k${(at + index) % 5}`,
      type: (at + index) % 7 === 0 ? "seventh" : "other",
      data: { n: at + index, pad },
    }));
    const answer = await service.call("POST", `/v1/default/streams/${stream}/records`, { records });
    expect(answer.status).toBe(201);
  }
}

const facts = async (stream: string, partition = 0) =>
  (await service.call("GET", `/v1/default/streams/${stream}/partitions/${partition}`)).json;

/** Waits until a partition has dropped from its database what it may. */
const cooled = (stream: string, from: number) =>
  until(`${stream} is cold up to ${from}`, async () => {
    const now = await facts(stream);
    return now.hotFrom >= from ? now : undefined;
  });

async function readAll(stream: string, query = ""): Promise<{ offset: number; data: { n: number } }[]> {
  const found = [];
  for (let from = "earliest"; ; ) {
    const page = await service.call("GET", `/v1/default/streams/${stream}/records?from=${from}&limit=37${query}`);
    expect(page.status).toBe(200);
    expect(page.json.damaged).toBeUndefined();
    found.push(...page.json.records);
    if (page.json.upToDate) return found;
    from = page.json.cursor;
  }
}

async function create(stream: string, config: object): Promise<void> {
  const answer = await service.call("PUT", `/v1/default/streams/${stream}`, {
    deduplicationWindowMs: 0,
    ...config,
  });
  expect(answer.status).toBe(201);
}

describe("an archived stream", () => {
  beforeAll(async () => {
    await create("long", { archive: true, retentionRecords: 80 });
    await fill("long", 400);
    await cooled("long", 290);
  });

  test("reads the same from the database and from the archive", async () => {
    const shown = await facts("long");
    expect(shown).toMatchObject({ head: 0, tail: 400, records: 400 });
    expect(shown.archived.records).toBeGreaterThanOrEqual(290);
    expect((await readAll("long")).map(({ offset, data }) => [offset, data.n])).toEqual(
      Array.from({ length: 400 }, (_, n) => [n, n]),
    );
  });

  test("is read by key, type, time, from the end, backward, as lines and as frames", async () => {
    const path = "/v1/default/streams/long/records";
    expect((await readAll("long", "&key=k3")).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 80 }, (_, n) => n * 5 + 3),
    );
    expect((await readAll("long", "&type=seventh")).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 58 }, (_, n) => n * 7),
    );
    const first = (await service.call("GET", `${path}?from=0&limit=1`)).json.records[0];
    const middle = (await service.call("GET", `${path}?from=100&limit=1`)).json.records[0];
    expect(first.offset).toBe(0);
    const atTime = await service.call("GET", `${path}?from=${middle.timestamp}&limit=1`);
    expect(atTime.json.records[0].timestamp).toBe(middle.timestamp);
    const last = await service.call("GET", `${path}?from=-350&limit=2`);
    expect(last.json.records.map((one: { offset: number }) => one.offset)).toEqual([50, 51]);
    const back = await service.call("GET", `${path}?from=60&direction=backward&limit=3`);
    expect(back.json.records.map((one: { offset: number }) => one.offset)).toEqual([60, 59, 58]);
    const lines = await service.call("GET", `${path}?from=0&maxBytes=all`, undefined, {
      accept: "application/x-ndjson",
    });
    expect(lines.text.trim().split("\n").length).toBe(400);
    const frames = await service.call("GET", `${path}?from=0&maxBytes=all&partition=0`, undefined, {
      accept: "application/vnd.millrace.frames",
    });
    expect(frames.status).toBe(200);
    expect(frames.text.split('"pad":').length - 1).toBe(400);
  });

  test.each(["socket", "http"] as const)(
    "is followed by %s from its beginning, and from a time in it",
    async (transport) => {
      const stream = new Millrace({ url: service.url, token }).stream<{ n: number }>("long");
      const seen: number[] = [];
      for await (const { data } of stream.follow({ from: "earliest", transport, window: 50 })) {
        seen.push(data.n);
        if (seen.length === 400) break;
      }
      expect(seen).toEqual(Array.from({ length: 400 }, (_, n) => n));
      for await (const { timestamp } of stream.read({ from: 120, partition: 0, limit: 1 })) {
        const records = (await readAll("long")).filter(
          (one) => (one as unknown as { timestamp: string }).timestamp >= timestamp,
        );
        const found: number[] = [];
        for await (const { offset } of stream.follow({ from: timestamp, transport })) {
          found.push(offset);
          if (offset === 399) break;
        }
        expect(found).toEqual(records.map(({ offset }) => offset));
      }
    },
  );

  test("is followed by events from its beginning", async () => {
    const headers = { authorization: `Bearer ${token}`, accept: "text/event-stream" };
    const answer = await fetch(`${service.url}/v1/default/streams/long/records?from=earliest`, { headers });
    let text = "";
    for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      if (text.includes('"offset":399,')) break;
    }
    const offsets = [...text.matchAll(/"offset":(\d+),/g)].map((match) => Number(match[1]));
    expect(offsets).toEqual(Array.from({ length: 400 }, (_, n) => n));
  });

  test("is read as a table where it is written as Parquet", async () => {
    const parquet = [{ name: "n", path: "n", type: "int" as const }];
    await create("table", { archive: true, retentionRecords: 80, parquet });
    await fill("table", 200);
    await cooled("table", 90);
    const { blobs } = await service.bucket.list("parquet/default/table/");
    expect(blobs.length).toBeGreaterThan(8);
    const folder = mkdtempSync(join(tmpdir(), "parquet-"));
    for (const { key, size } of blobs) {
      writeFileSync(join(folder, key.replaceAll("/", "_")), (await service.bucket.get(key, 0, size)) as Uint8Array);
    }
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    const query = `SELECT count(*)::INT, min("offset")::INT, sum(n)::INT, sum("offset")::INT, count(DISTINCT key)::INT
      FROM read_parquet('${folder}/*.parquet')`;
    const [[count, first, sum, offsets, keys]] = (await connection.runAndReadAll(query)).getRows();
    expect([first, keys]).toEqual([0, 5]);
    expect(count).toBeGreaterThanOrEqual(90);
    expect(sum).toBe(offsets);
    rmSync(folder, { recursive: true });
    await service.call("POST", "/v1/default/streams/table/partitions/0/trim", { beforeOffset: 200 });
    await until("its files go with it", async () =>
      (await service.bucket.list("parquet/default/table/")).blobs.length === 0 ? true : undefined,
    );
  });

  test("is delivered to a group from its beginning", async () => {
    const group = "/v1/default/streams/long/groups/all";
    expect((await service.call("PUT", group, { start: "earliest" })).status).toBe(201);
    const seen = new Set<number>();
    while (seen.size < 400) {
      const got = await service.call("POST", `${group}/receive`, { max: 100, waitSeconds: 5 });
      expect(got.status).toBe(200);
      expect(got.json.deliveries.length).toBeGreaterThan(0);
      for (const one of got.json.deliveries) seen.add(one.offset);
      const receipts = got.json.deliveries.map((one: { receipt: string }) => one.receipt);
      await service.call("POST", `${group}/ack`, { receipts });
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, n) => n));
    // A place in the archive may be sought by time.
    const { timestamp } = (await service.call("GET", "/v1/default/streams/long/records?from=20&limit=1")).json
      .records[0];
    expect((await service.call("POST", `${group}/seek`, { to: timestamp })).status).toBe(200);
    const again = await service.call("POST", `${group}/receive`, { max: 1, waitSeconds: 5 });
    expect(again.json.deliveries[0].timestamp).toBe(timestamp);
  });

  test("verifies, and says what is missing, truncated, changed or swapped", async () => {
    const verify = () => service.call("POST", "/v1/default/streams/long/partitions/0/verify");
    const sound = await verify();
    expect(sound.json).toMatchObject({ intact: true, damaged: [] });
    expect(sound.json.objects).toBeGreaterThan(30);
    const { blobs } = await service.bucket.list("logs/");
    const [missing, cut, changed] = blobs.map(({ key }) => key);
    const swapped = blobs.at(-1)?.key as string;
    // Of the same length, so that only what it says of itself tells.
    const other = blobs.find(({ key, size }) => key > changed && key < swapped && size === blobs.at(-1)?.size)
      ?.key as string;
    const bytes = async (key: string) => (await service.bucket.get(key, 0, 1e9)) as Uint8Array<ArrayBuffer>;
    const kept = await Promise.all(
      [missing, cut, changed, swapped].map(async (key) => [key, await bytes(key)] as const),
    );
    const put = (key: string, body: Uint8Array<ArrayBuffer>) =>
      service.bucket.put(key, new Blob([body]).stream(), body.length);
    await service.bucket.delete([missing]);
    await put(cut, (await bytes(cut)).slice(0, -10));
    const flipped = (await bytes(changed)).slice();
    flipped[100] ^= 1;
    await put(changed, flipped);
    await put(swapped, await bytes(other));
    const found = await verify();
    expect(found.json.intact).toBe(false);
    const named = (key: string) =>
      found.json.damaged
        .filter((one: { object: string }) => one.object === key)
        .map((one: { reason: string }) => one.reason)
        .join("; ");
    expect(named(missing)).toContain("the object is missing");
    expect(named(cut)).toContain("bytes instead of");
    expect(named(changed)).toMatch(/the hash does not match.*checksum/);
    expect(named(swapped)).toMatch(/^the object is that of another segment$/);
    expect(named(other)).toBe("");
    // A reader is told, and gets everything else.
    const page = await service.call("GET", "/v1/default/streams/long/records?from=0&maxBytes=all", undefined, {
      accept: "application/x-ndjson",
    });
    const lines = page.text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.filter((line) => "damaged" in line).length).toBeGreaterThanOrEqual(1);
    expect(lines.filter((line) => "offset" in line).length).toBeGreaterThanOrEqual(350);
    for (const [key, body] of kept) await put(key, body);
    expect((await verify()).json.intact).toBe(true);
  });

  test("that is missing an object is repaired only when told to, and says what was lost", async () => {
    await create("broken", { archive: true, retentionRecords: 80 });
    await fill("broken", 200);
    await cooled("broken", 90);
    const { logId } = (await service.call("GET", "/v1/default/streams/broken")).json;
    const { blobs } = await service.bucket.list(`logs/${logId}/`);
    await service.bucket.delete([blobs[2].key]);
    const reason = expect.stringContaining("is missing");
    const lost: unknown[] = [];
    const stream = new Millrace({ url: service.url, token }).stream("broken");
    const onLost = (some: readonly unknown[]) => lost.push(...some);
    const found: number[] = [];
    for await (const { offset } of stream.read({ onLost })) found.push(offset);
    expect(found.length).toBe(190);
    expect(lost).toEqual([{ partition: 0, from: 20, to: 30, why: reason }]);
    const printed = await runCli(["read", "broken"], { MILLRACE_URL: service.url, MILLRACE_TOKEN: token });
    expect(printed).toMatchObject({ code: 1, err: expect.stringContaining("missing: partition 0, offsets 20 to 29") });
    expect(printed.lines.length).toBe(190);
    const repair = "/v1/default/streams/broken/partitions/0/repair";
    const nothing = await service.call("POST", repair, { mode: "isolate", from: 50, to: 60 });
    expect(nothing.json).toEqual({ partition: 0, lost: [], to: 60 });
    const fixed = await service.call("POST", repair, { mode: "isolate", from: 0 });
    const range = { from: 20, to: 30, reason: "the object is missing or damaged" };
    expect(fixed.json).toEqual({ partition: 0, lost: [range], to: 200 });
    expect((await service.call("GET", repair)).json).toEqual({ partition: 0, lost: [range] });
    // Again, it says what it has said; of a part of the range, the part.
    const before = true;
    const again = await service.call("POST", repair, { mode: "isolate" });
    expect(again.json).toEqual({ partition: 0, lost: [{ ...range, before }], to: 200 });
    const part = await service.call("POST", repair, { mode: "isolate", from: 25, to: 60 });
    expect(part.json).toEqual({ partition: 0, lost: [{ ...range, from: 25, before }], to: 60 });
    for (const bounds of [{ to: 20 }, { from: 30 }])
      expect((await service.call("POST", repair, { mode: "isolate", ...bounds })).json.lost).toEqual([]);
    expect((await readAll("broken")).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 200 }, (_, n) => n).filter((n) => n < 20 || n >= 30),
    );
    expect((await service.call("POST", "/v1/default/streams/broken/partitions/0/verify")).json.intact).toBe(true);
    const everything = await service.call("POST", repair, { mode: "truncate" });
    expect(everything.json).toMatchObject({ status: 400, path: "from" });
    expect((await service.call("POST", repair, { mode: "isolate", from: 5, to: 4 })).json).toMatchObject({
      path: "to",
    });
    const cut = await service.call("POST", repair, { mode: "truncate", from: 150 });
    expect(cut.json.lost.map(({ from, to }: { from: number; to: number }) => [from, to])).toEqual(
      expect.arrayContaining([[150, 160]]),
    );
    expect((await readAll("broken")).at(-1)?.offset).toBe(149);
    await fill("broken", 10, 200);
    expect((await readAll("broken")).at(-1)?.offset).toBe(209);
  });

  test("is truncated once by the library, though the answer is lost and records come before it asks again", async () => {
    await create("cut", {});
    await fill("cut", 20);
    let lost = false;
    const lossy: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (lost || !String(input).endsWith("/repair")) return response;
      lost = true;
      await response.arrayBuffer();
      await fill("cut", 5, 20);
      throw new TypeError("the line is cut");
    };
    const stream = new Millrace({ url: service.url, token, fetch: lossy, retry: { initialMs: 1 } }).stream("cut");
    const told = await stream.partition(0).repair({ mode: "truncate", from: 10 });
    expect(lost).toBe(true);
    expect(told).toEqual([{ from: 10, to: 20, reason: "cut off", before: true }]);
    expect((await readAll("cut")).map(({ offset }) => offset)).toEqual([...Array(10).keys(), 20, 21, 22, 23, 24]);
  });
});

describe("retention", () => {
  test("keeps so many records, and to an eighth no more", async () => {
    await create("count", { retentionRecords: 80 });
    await fill("count", 400);
    const shown = await until("old records go", async () => {
      const now = await facts("count");
      return now.records <= 90 ? now : undefined;
    });
    expect(shown.records).toBeGreaterThanOrEqual(80);
    expect(shown.head).toBe(400 - shown.records);
    const old = await service.call("GET", "/v1/default/streams/count/records?from=0&partition=0");
    expect(old.json).toMatchObject({ status: 410, head: shown.head });
  });

  test("keeps records for so long", async () => {
    await create("age", { retentionAgeMs: 1_000 });
    await fill("age", 20);
    await until("what is old goes, though nothing comes", async () =>
      (await facts("age")).records === 0 ? true : undefined,
    );
    await fill("age", 10, 20);
    expect((await facts("age")).tail).toBe(30);
  });

  test("waits for groups, and drops what all of them have finished", async () => {
    await create("interest", { retentionRecords: 80, keepForGroups: true });
    const group = "/v1/default/streams/interest/groups/slow";
    await service.call("PUT", group, { start: "earliest" });
    await fill("interest", 300);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await facts("interest")).toMatchObject({ head: 0, records: 300 });
    for (let left = 300; left > 0; ) {
      const got = await service.call("POST", `${group}/receive`, { max: 100, waitSeconds: 5 });
      const receipts = got.json.deliveries.map((one: { receipt: string }) => one.receipt);
      await service.call("POST", `${group}/ack`, { receipts });
      left -= receipts.length;
    }
    await fill("interest", 10, 300);
    await until("it is dropped", async () => ((await facts("interest")).records <= 100 ? true : undefined), 25_000);
  });

  test("of the archive deletes for good, objects too", async () => {
    await create("short", { archive: true, retentionRecords: 8, archiveAgeMs: 1_000 });
    await fill("short", 100);
    const { logId } = (await service.call("GET", "/v1/default/streams/short")).json;
    await until("objects come", async () =>
      (await service.bucket.list(`logs/${logId}/`)).blobs.length > 0 ? true : undefined,
    );
    const { head } = await until("and go", async () => {
      const now = await facts("short");
      return now.head > 80 && now.head === now.hotFrom ? now : undefined;
    });
    await until("with what was in them", async () => {
      const { blobs } = await service.bucket.list(`logs/${logId}/`);
      return blobs.every(({ key }) => Number(key.split("/")[3].split("-")[0]) >= head) ? true : undefined;
    });
    // What is kept at hand is not the archive's to delete.
    expect((await facts("short")).records).toBeGreaterThanOrEqual(8);
  });

  test("of the archive leaves what is kept in the database", async () => {
    await create("kept-at-hand", { archive: true, retentionRecords: 100_000 });
    await create("kept-in-part", { archive: true, retentionRecords: 80 });
    for (const stream of ["kept-at-hand", "kept-in-part"]) await fill(stream, 200);
    await cooled("kept-in-part", 90);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const put = (stream: string) => service.call("PUT", `/v1/default/streams/${stream}`, { archiveAgeMs: 1_000 });
    expect((await put("kept-at-hand")).json.drops).toBeUndefined();
    const { hotFrom } = await facts("kept-in-part");
    expect((await put("kept-in-part")).json.drops).toBe(hotFrom);
    await until("what is archived alone goes", async () =>
      (await facts("kept-in-part")).head === hotFrom ? true : undefined,
    );
    expect(await facts("kept-at-hand")).toMatchObject({ head: 0, records: 200 });
    expect((await facts("kept-in-part")).records).toBe(200 - hotFrom);
  });

  test("that is narrowed says what it drops, before and when it does, and waits for no append", async () => {
    await create("narrow", { partitions: 2 });
    await fill("narrow", 400);
    const path = "/v1/default/streams/narrow";
    const records = async () => (await facts("narrow", 0)).records + (await facts("narrow", 1)).records;
    const planned = await service.call("PUT", `${path}?dryRun=true`, { retentionRecords: 40 });
    expect(planned).toMatchObject({ status: 200, json: { config: { retentionRecords: 40 } } });
    expect(await records()).toBe(400);
    expect((await service.call("GET", path)).json.config.retentionRecords).toBeNull();
    const put = await service.call("PUT", path, { retentionRecords: 40 });
    expect(put.json.drops).toBe(planned.json.drops);
    expect(put.json.drops).toBeGreaterThan(300);
    await until("they go", async () => ((await records()) === 400 - put.json.drops ? true : undefined));
    expect((await service.call("PUT", path, { retentionRecords: 40 })).json).not.toHaveProperty("drops");
    expect((await service.call("PUT", path, { retentionRecords: null })).json).not.toHaveProperty("drops");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const ended = await service.call("PUT", `${path}?dryRun=true`, { ttlMs: 1_000 });
    expect(ended.json.drops).toBe(await records());
    expect((await service.call("PUT", `${path}?dryRun=true`, { partitions: 1 })).json.code).toBe("conflict");
    expect((await service.call("PUT", `${path}?dryRun=yes`, {})).json).toMatchObject({ status: 400, path: "dryRun" });
    expect((await service.call("PUT", `${path}?dry=true`, {})).json.status).toBe(400);
    const nowhere = await service.call("PUT", "/v1/default/streams/nowhere?dryRun=true", {});
    expect(nowhere.json.code).toBe("stream-not-found");
    const stream = new Millrace({ url: service.url, token }).stream("narrow");
    expect((await stream.put({ retentionRecords: 1 }, { dryRun: true })).drops).toBeGreaterThan(0);
    expect((await stream.info()).config.retentionRecords).toBeNull();
  });

  test.each(["keepForGroups", "keepForSnapshot"] as const)(
    "that was held up by %s says what goes without it",
    async (held) => {
      const name = `no-${held.toLowerCase()}`;
      const path = `/v1/default/streams/${name}`;
      await create(name, { retentionRecords: 50, deduplicationWindowMs: 0, [held]: true });
      await service.call("PUT", `${path}/groups/slow`, { start: "earliest" });
      await fill(name, 400);
      expect((await facts(name)).records).toBe(400);
      const planned = await service.call("PUT", `${path}?dryRun=true`, { [held]: false });
      expect(planned.json.drops).toBeGreaterThan(300);
      const off = held === "keepForGroups" ? "--no-keep-for-groups" : "--no-keep-for-snapshot";
      const environment = { MILLRACE_URL: service.url, MILLRACE_TOKEN: token };
      const asked = await runCli(["streams", "update", name, off], environment);
      expect(asked).toMatchObject({ code: 2, err: expect.stringContaining(`${planned.json.drops} records`) });
      expect((await facts(name)).records).toBe(400);
      const put = await service.call("PUT", path, { [held]: false });
      expect(put.json.drops).toBe(planned.json.drops);
      await until("they go", async () => ((await facts(name)).records === 400 - put.json.drops ? true : undefined));
    },
  );

  test("tells a stream, once for each segment and in order", async () => {
    await create("told", { archive: true, retentionRecords: 80, segmentEvents: "events" });
    await service.call("PUT", "/v1/default/streams/events", {});
    await fill("told", 200);
    await cooled("told", 90);
    await service.call("POST", "/v1/default/streams/told/partitions/0/trim", { beforeOffset: 100 });
    const events = await until("all is told", async () => {
      const { records } = (await service.call("GET", "/v1/default/streams/events/records?limit=1000")).json;
      const dropped = records.filter(({ type }: { type: string }) => type === "millrace.segment.dropped");
      return dropped.length === 10 ? records : undefined;
    });
    const archived = events.filter(({ type }: { type: string }) => type === "millrace.segment.archived");
    const bases = archived.map(({ data }: { data: { base: number } }) => data.base);
    expect(bases).toEqual([...new Set(bases)].sort((a, b) => (a as number) - (b as number)));
    expect(archived[0]).toMatchObject({
      key: "told/0",
      source: "/v1/default/streams/told",
      data: { event: "archived", namespace: "default", stream: "told", partition: 0, base: 0, next: 10, records: 10 },
    });
  });
});

test("what could not be told yet is told when the stream is deleted", async () => {
  await create("muted", { archive: true, retentionRecords: 80, segmentEvents: "late-events" });
  await fill("muted", 200);
  // What is not in the bucket when the stream is deleted has nothing to tell.
  await until("ten are archived", async () => ((await facts("muted")).archived.segments >= 10 ? true : undefined));
  await service.call("PUT", "/v1/default/streams/late-events", {});
  expect((await service.call("DELETE", "/v1/default/streams/muted")).status).toBe(204);
  const told = await until("it is told", async () => {
    const { records } = (await service.call("GET", "/v1/default/streams/late-events/records?limit=1000")).json;
    return records.length >= 10 ? records : undefined;
  });
  expect(told.map(({ data }: { data: { base: number } }) => data.base)).toEqual(
    told.map((_: unknown, index: number) => index * 10),
  );
});

describe("compaction", () => {
  test("keeps the latest record of each key at its offset", async () => {
    await create("state", { archive: true, compact: true, retentionRecords: 40 });
    await fill("state", 400);
    const left = await until("it is compacted", async () => {
      const all = await readAll("state");
      return all.length < 120 ? all : undefined;
    });
    const offsets = left.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    for (const one of left) expect(one.data.n).toBe(one.offset);
    const last = new Map(left.map((one) => [one.offset % 5, one.offset]));
    expect([...last.values()].sort((a, b) => a - b)).toEqual([395, 396, 397, 398, 399]);
    expect((await service.call("POST", "/v1/default/streams/state/partitions/0/verify")).json.intact).toBe(true);
  });
});

describe("forgetting", () => {
  test("leaves tombstones, a receipt, and nothing in the bucket", async () => {
    await create("private", { archive: true, retentionRecords: 80, partitions: 2 });
    const secret = "the-secret-of-jane";
    for (let at = 0; at < 30; at++) {
      const records = Array.from({ length: 10 }, (_, index) => ({
        key: index === 0 ? "jane" : `k${index}`,
        ...(index === 1 ? { subject: "account/7" } : {}),
        data: index < 2 ? secret : { at, index },
      }));
      await service.call("POST", "/v1/default/streams/private/records", { records });
    }
    const { logId } = (await service.call("GET", "/v1/default/streams/private")).json;
    await until("it is archived", async () =>
      (await service.grep(`logs/${logId}/`)).includes(secret) ? true : undefined,
    );
    // A dead letter holds a record too.
    const group = "/v1/default/streams/private/groups/picky";
    await service.call("PUT", group, { start: "earliest", maxDeliveries: 1, onFailure: "skip" });
    const erasures = "/v1/default/streams/private/erasures";
    const wrong = await service.call("POST", erasures, { key: "jane", subject: "x" });
    expect(wrong.status).toBe(400);
    const taken = await service.call("POST", erasures, { key: "jane", id: "request-1" });
    expect(taken.status).toBe(202);
    expect((await service.call("POST", erasures, { key: "jane", id: "request-1" })).json.id).toBe("request-1");
    expect((await service.call("POST", erasures, { subject: "account/7", id: "request-2" })).status).toBe(202);
    const receipts = await until("both are done", async () => {
      const both = await Promise.all(["request-1", "request-2"].map((id) => service.call("GET", `${erasures}/${id}`)));
      return both.every(({ json }) => json.done) ? both : undefined;
    });
    const erased = receipts.map(({ json }) =>
      json.partitions.reduce((sum: number, one: { records: number }) => sum + one.records, 0),
    );
    expect(erased).toEqual([30, 30]);
    expect(JSON.stringify(receipts.map(({ json }) => json))).not.toMatch(/jane|account/);
    const text = await service.grep(`logs/${logId}/`);
    expect(text.includes(secret)).toBe(false);
    expect(text.includes("jane")).toBe(false);
    const all = await readAll("private");
    expect(all.length).toBe(300);
    const tombstones = all.filter((one) => (one as unknown as { type?: string }).type === "millrace.erased");
    expect(tombstones.length).toBe(60);
    for (const one of tombstones) {
      expect(Object.keys(one).sort()).toEqual(["offset", "partition", "timestamp", "type"]);
    }
    expect((await service.call("GET", `${erasures}/none`)).json.code ?? "erasure-not-found").toBe("erasure-not-found");
    for (const partition of [0, 1]) {
      const report = await service.call("POST", `/v1/default/streams/private/partitions/${partition}/verify`);
      expect(report.json.intact).toBe(true);
    }
  });
});

describe("what may be configured", () => {
  const put = (config: object) => service.call("PUT", "/v1/default/streams/edges", config);
  const column = (index: number) => ({ name: `c${index}`, path: "a.b", type: "int" });
  const columns = (count: number) => Array.from({ length: count }, (_, index) => column(index));
  const { retentionAgeMsMin: least, retentionMsMax: most, snapshotsMax, parquetColumnsMax } = limits;
  const { parquetNameCharsMax, parquetPathCharsMax } = limits;

  test.each([
    ["retentionAgeMs", least, least - 1],
    ["retentionAgeMs", most, most + 1],
    ["archiveAgeMs", least, least - 1],
    ["ttlMs", most, most + 1],
    ["deleteOnEmptyMs", least, least - 1],
    ["deleteMarkerGraceMs", 0, -1],
    ["deleteMarkerGraceMs", most, most + 1],
    ["retentionBytes", 1, 0],
    ["retentionRecords", 1, 0.5],
    ["snapshotsKept", snapshotsMax, snapshotsMax + 1],
    ["segmentEvents", "events", "no/name"],
    ["parquet", columns(parquetColumnsMax), columns(parquetColumnsMax + 1)],
    [
      "parquet",
      [{ ...column(0), name: "n".repeat(parquetNameCharsMax), path: "p".repeat(parquetPathCharsMax) }],
      [{ ...column(0), name: "n".repeat(parquetNameCharsMax + 1) }],
    ],
    ["parquet", [], [{ ...column(0), path: "p".repeat(parquetPathCharsMax + 1) }]],
    ["parquet", null, [{ ...column(0), name: "offset" }]],
    ["parquet", columns(2), [column(0), column(0)]],
  ])("%s up to its edge, and not beyond", async (field, good, bad) => {
    const refused = await put({ [field]: bad });
    expect(refused.status).toBe(400);
    expect(refused.json.detail).toContain(field);
    const taken = await put({ [field]: good });
    expect(taken.json.config[field]).toEqual(good);
    expect((await put({ ttlMs: null })).json.config[field]).toEqual(field === "ttlMs" ? null : good);
  });
});

describe("a stream with an end", () => {
  const gone = (stream: string, ms?: number) =>
    until(
      `${stream} goes`,
      async () => ((await service.call("GET", `/v1/default/streams/${stream}`)).status === 404 ? true : undefined),
      ms,
    );

  test("is deleted at its time, with what it holds", async () => {
    await create("mayfly", { ttlMs: 1_500 });
    await fill("mayfly", 10);
    expect((await facts("mayfly")).records).toBe(10);
    await gone("mayfly");
  });

  test("is deleted when it has been empty for long enough, and not while somebody writes", async () => {
    await create("vessel", { deleteOnEmptyMs: 2_000, retentionAgeMs: 1_000 });
    for (let at = 0; at < 6; at++) {
      await fill("vessel", 1, at);
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    expect((await facts("vessel")).tail).toBe(6);
    await gone("vessel", 20_000);
    await create("untouched", { deleteOnEmptyMs: 1_000 });
    await gone("untouched", 20_000);
  });

  test("whose time was taken away stays", async () => {
    await create("kept", { ttlMs: 1_500 });
    const answer = await service.call("PUT", "/v1/default/streams/kept", { ttlMs: null });
    expect(answer.status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect((await service.call("GET", "/v1/default/streams/kept")).status).toBe(200);
  });
});

describe("the command line", () => {
  const run = (...args: string[]): Promise<Ran> => runCli(args, { MILLRACE_URL: service.url, MILLRACE_TOKEN: token });

  test("makes an archived stream, verifies it, trims it, forgets a key, and repairs only when told to", async () => {
    const made = await run("streams", "create", "tended", "--archive", "--retention-records", "80", "--compact");
    expect(made.code).toBe(0);
    const lifted = await run("streams", "update", "tended", "--config", '{"compact":false,"ttlMs":null}', "--json");
    expect(JSON.parse(lifted.out).config).toMatchObject({ archive: true, retentionRecords: 80, compact: false });
    await fill("tended", 100);
    const erase = ["streams", "erase", "tended", "--key", "k1", "--id", "cli", "--yes"];
    const erased = await run(...erase, "--wait");
    expect(erased.out).toMatch(/^partition 0: forgot 20 records in \d+ segments\nreceipt cli\n$/);
    expect(JSON.parse((await run(...erase, "--json")).out)).toMatchObject({
      done: true,
      partitions: [{ records: 20 }],
    });
    expect((await run("streams", "erase", "tended")).code).toBe(2);
    const trimmed = await run("streams", "trim", "tended", "10", "--yes");
    expect(trimmed.out).toBe("partition 0 begins at offset 10 now\n");
    expect(await facts("tended")).toMatchObject({ head: 10, tail: 100, records: 90 });
    expect((await run("streams", "trim", "tended", "10")).code).toBe(2);
    const verified = await run("streams", "verify", "tended");
    expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^partition 0: intact; /) });
    const asked = await run("streams", "repair", "tended", "--mode", "truncate", "--from", "90");
    expect(asked).toMatchObject({ code: 2, err: expect.stringContaining("everything from offset 90 on") });
    expect((await run("streams", "repair", "tended", "--mode", "truncate", "--yes")).code).toBe(2);
    const sound = await run("streams", "repair", "tended", "--mode", "isolate", "--yes");
    expect(sound.out).toBe("partition 0: nothing is lost: no record in that range is damaged\n");
    const cut = await run("streams", "repair", "tended", "--mode", "truncate", "--from", "90", "--yes");
    expect(cut.out).toContain("lost: partition 0, offsets 90 to 99: cut off");
    const again = await run("streams", "repair", "tended", "--mode", "truncate", "--from", "90", "--yes");
    expect(again).toMatchObject({ code: 0, out: cut.out });
  });
});
