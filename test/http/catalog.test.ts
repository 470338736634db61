import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaults, limits } from "../../schemas/limits.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());
const { call } = { call: (...args: Parameters<Service["call"]>) => millrace.call(...args) };

describe("namespaces", () => {
  test("are created once, listed, and deleted; default stays", async () => {
    expect((await call("PUT", "/v1/shop")).status).toBe(201);
    expect((await call("PUT", "/v1/shop")).status).toBe(200);
    expect((await call("GET", "/v1/shop")).json).toMatchObject({ namespace: "shop" });
    expect((await call("GET", "/v1")).json.namespaces.map((one: { namespace: string }) => one.namespace)).toEqual([
      "default",
      "shop",
    ]);
    expect((await call("GET", "/v1?prefix=sh")).json.namespaces.length).toBe(1);
    await call("PUT", "/v1/shop/streams/a", {});
    expect(await call("DELETE", "/v1/shop")).toMatchObject({ status: 409, json: { code: "conflict", streams: 1 } });
    expect((await call("DELETE", "/v1/shop?force=true")).status).toBe(204);
    expect((await call("GET", "/v1/shop/streams/a")).json.code).toBe("namespace-not-found");
    expect((await call("GET", "/v1")).json.namespaces.length).toBe(1);
    expect(await call("DELETE", "/v1/default?force=true")).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect((await call("PUT", "/v1/default")).status).toBe(200);
  });

  test("are listed as they are, with their time, when they are created and deleted at once", async () => {
    for (let round = 0; round < 15; round++) {
      const methods = ["PUT", "DELETE", "PUT", "DELETE", "PUT"].slice(round % 2);
      const answers = await Promise.all(methods.map((method) => call(method, "/v1/busy")));
      for (const { status } of answers) expect([200, 201, 204, 404]).toContain(status);
      const there = await call("GET", "/v1/busy");
      const listed = (await call("GET", "/v1?prefix=busy")).json.namespaces;
      expect(listed).toEqual(there.status === 200 ? [there.json] : []);
    }
    await call("DELETE", "/v1/busy");
    expect((await call("GET", "/v1?prefix=busy")).json.namespaces).toEqual([]);
  });

  test("keep their streams apart", async () => {
    for (const namespace of ["one", "two"]) {
      await call("PUT", `/v1/${namespace}`);
      await call("PUT", `/v1/${namespace}/streams/same`, {});
      await call("POST", `/v1/${namespace}/streams/same/records`, { records: [{ data: namespace }] });
    }
    const { records } = (await call("GET", "/v1/two/streams/same/records")).json;
    expect(records.map((one: { data: string }) => one.data)).toEqual(["two"]);
  });

  test.each(["streams", "metrics", ".hidden", "a b", "a/b", "ü", "x".repeat(129)])(
    "'%s' is no name for one",
    async (name) => {
      const answer = await call("PUT", `/v1/${encodeURIComponent(name)}`);
      expect(answer.status).toBe(400);
      expect(answer.json.code).toBe("invalid");
    },
  );

  test("a name of the largest length is one", async () => {
    expect((await call("PUT", `/v1/${"x".repeat(limits.nameCharsMax)}`)).status).toBe(201);
  });
});

describe("streams", () => {
  test("are created with defaults, updated field by field, and answered the same twice", async () => {
    const path = "/v1/default/streams/orders";
    const created = await call("PUT", path);
    expect(created).toMatchObject({
      status: 201,
      json: { stream: "orders", config: { partitions: defaults.partitions, timestamps: "arrival" } },
    });
    const updated = await call("PUT", path, { recordBytesMax: 1_000 });
    expect(updated).toMatchObject({
      status: 200,
      json: { config: { recordBytesMax: 1_000, deduplicationWindowMs: 120_000 } },
    });
    const again = await call("PUT", path, { recordBytesMax: 1_000 });
    expect(again.json).toEqual(updated.json);
    expect((await call("GET", path)).json).toEqual(updated.json);
    expect((await call("POST", `${path}/records`, { records: [{ data: "x".repeat(2_000) }] })).json.code).toBe(
      "record-too-large",
    );
  });

  test("are listed by page and prefix", async () => {
    await call("PUT", "/v1/lists");
    for (const name of ["a1", "a2", "a3", "b1"]) await call("PUT", `/v1/lists/streams/${name}`, {});
    const names = (json: { streams: { stream: string }[] }) => json.streams.map((one) => one.stream);
    const first = (await call("GET", "/v1/lists/streams?limit=2")).json;
    expect([names(first), first.after]).toEqual([["a1", "a2"], "a2"]);
    const second = (await call("GET", `/v1/lists/streams?limit=2&after=${first.after}`)).json;
    expect([names(second), second.after]).toEqual([["a3", "b1"], undefined]);
    expect(names((await call("GET", "/v1/lists/streams?prefix=b")).json)).toEqual(["b1"]);
  });

  test.each([
    [{ partitions: 0 }, "partitions"],
    [{ partitions: limits.partitionsMax + 1 }, "partitions"],
    [{ timestamps: "never" }, "timestamps"],
    [{ deduplicationWindowMs: limits.deduplicationWindowMsMax + 1 }, "deduplicationWindowMs"],
    [{ recordBytesMax: limits.recordBytesMax + 1 }, "recordBytesMax"],
    [{ batchBytesMax: limits.batchBytesMax + 1 }, "batchBytesMax"],
    [{ placement: "moon" }, "placement"],
  ])("%j is refused by its path", async (config, path) => {
    expect(await call("PUT", "/v1/default/streams/bad", config)).toMatchObject({
      status: 400,
      json: { code: "invalid", path },
    });
    expect((await call("GET", "/v1/default/streams/bad")).status).toBe(404);
  });

  test("an unknown field is refused by name", async () => {
    expect(await call("PUT", "/v1/default/streams/bad", { partitons: 2 })).toMatchObject({
      status: 400,
      json: { code: "unknown-field", fields: ["partitons"], detail: expect.stringContaining("'partitons'") },
    });
  });

  test("what is set at creation stays, and partitions never get fewer", async () => {
    await call("PUT", "/v1/default/streams/fixed", { partitions: 2 });
    for (const change of [{ offsets: "producer" }, { keyIndex: true }, { timestamps: "client" }, { partitions: 1 }]) {
      expect(await call("PUT", "/v1/default/streams/fixed", change)).toMatchObject({
        status: 409,
        json: { code: "conflict" },
      });
    }
  });

  test("the largest number of partitions is taken", async () => {
    await call("PUT", "/v1/default/streams/wide", { partitions: limits.partitionsMax });
    expect((await call("GET", "/v1/default/streams/wide/partitions")).json.partitions.length).toBe(
      limits.partitionsMax,
    );
    const { verdicts } = (
      await call("POST", "/v1/default/streams/wide/records", { records: [{ key: "a" }, { key: "b" }] })
    ).json;
    expect(verdicts[0].partition).not.toBe(verdicts[1].partition);
  });

  test("deletion frees the partitions' storage", async () => {
    const files = () =>
      readdirSync(join(millrace.data, "objects"), { recursive: true, withFileTypes: true })
        .filter(
          (entry) => entry.isFile() && entry.parentPath.endsWith("-Partition") && !entry.name.startsWith("metadata"),
        )
        .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
    const before = files();
    await call("PUT", "/v1/default/streams/big", { partitions: 2 });
    for (let i = 0; i < 20; i++) {
      await call("POST", `/v1/default/streams/big/records?raw=true&key=k${i}`, new Uint8Array(500_000), {
        "content-type": "application/octet-stream",
      });
    }
    expect(files()).toBeGreaterThan(before + 9_000_000);
    expect((await call("DELETE", "/v1/default/streams/big")).status).toBe(204);
    expect(await call("DELETE", "/v1/default/streams/big")).toMatchObject({
      status: 404,
      json: { code: "stream-not-found" },
    });
    await expect.poll(files, { timeout: 20_000 }).toBeLessThan(before + 1_000_000);
  });
});

describe("growth", () => {
  test("under load keeps every record, each once, and the order of every key", async () => {
    const path = "/v1/default/streams/growing";
    await call("PUT", path, { partitions: 1 });
    const sent = new Map<string, number[]>();
    let stop = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; !stop; i++) {
        const key = `w${writer}`;
        const by = { "producer-id": key, "producer-epoch": "0", "producer-seq": String(i) };
        const answer = await call("POST", `${path}/records`, { records: [{ key, data: i }] }, by);
        expect(answer.status, answer.text).toBe(201);
        sent.set(key, [...(sent.get(key) ?? []), i]);
      }
    });
    await new Promise((done) => setTimeout(done, 200));
    expect((await call("PUT", path, { partitions: 2 })).json.config.partitions).toBe(2);
    await new Promise((done) => setTimeout(done, 200));
    await call("PUT", path, { partitions: 5 });
    await new Promise((done) => setTimeout(done, 200));
    stop = true;
    await Promise.all(writers);
    const { partitions } = (await call("GET", `${path}/partitions`)).json;
    expect(partitions.filter((one: { sealed: boolean }) => !one.sealed).length).toBe(5);
    const { text } = await call("GET", `${path}/records?maxBytes=all`, undefined, { accept: "application/x-ndjson" });
    const stored = new Map<string, number[]>();
    for (const line of text.trim().split("\n")) {
      const { key, data } = JSON.parse(line);
      stored.set(key, [...(stored.get(key) ?? []), data]);
    }
    expect(stored).toEqual(sent);
    for (const [key, expected] of sent) {
      const { records } = (await call("GET", `${path}/records?key=${key}&limit=10000`)).json;
      expect(records.map((one: { data: number }) => one.data)).toEqual(expected);
    }
  });

  test("carries over what makes a retry safe: producers and ids", async () => {
    const path = "/v1/default/streams/retried";
    await call("PUT", path, { partitions: 1 });
    const by = { "producer-id": "p", "producer-epoch": "3", "producer-seq": "0" };
    const body = { records: [{ key: "a", data: 1 }] };
    const event = { records: [{ key: "a", source: "s", id: "1" }] };
    await call("POST", `${path}/records`, body, by);
    await call("POST", `${path}/records`, event);
    await call("PUT", path, { partitions: 2 });
    await call("PUT", path, { partitions: 4 });
    expect(await call("POST", `${path}/records`, body, by)).toMatchObject({
      status: 200,
      json: { verdicts: [{ verdict: "duplicate", partition: 0, offset: 0 }] },
    });
    expect(await call("POST", `${path}/records`, event)).toMatchObject({
      status: 200,
      json: { verdicts: [{ verdict: "duplicate", partition: 0, offset: 1 }] },
    });
    expect(await call("POST", `${path}/records`, body, { ...by, "producer-epoch": "2" })).toMatchObject({
      status: 409,
      json: { code: "fenced" },
    });
    expect((await call("GET", `${path}/records`)).json.records.length).toBe(2);
  });

  test("keeps the fence, in partitions that nobody has asked for yet too", async () => {
    const path = "/v1/default/streams/fenced";
    const one = { records: [{ data: 1 }] };
    await call("PUT", path, { partitions: 1 });
    await call("PUT", `${path}/partitions/0/fence`, { token: "t1" });
    await call("PUT", path, { partitions: 2 });
    expect((await call("GET", `${path}/partitions/1`)).json).toMatchObject({ partition: 1, fence: "t1" });
    // Partition 2 was never asked for when it is split.
    await call("PUT", path, { partitions: 4 });
    const open = [3, 4, 5, 6];
    const [asked, ...others] = open;
    expect((await call("GET", `${path}/partitions/${asked}`)).json).toMatchObject({ fence: "t1" });
    for (const partition of others) {
      const old = await call("POST", `${path}/records?partition=${partition}&fence=t0`, one);
      expect(old).toMatchObject({ status: 409, json: { code: "fenced" } });
    }
    const late = await call("PUT", `${path}/partitions/0/fence`, { token: "t2" });
    expect(late).toMatchObject({ status: 409, json: { code: "sealed" } });
    for (const partition of open) {
      expect((await call("POST", `${path}/records?partition=${partition}&fence=t1`, one)).status).toBe(201);
      expect((await call("PUT", `${path}/partitions/${partition}/fence`, { token: null })).status).toBe(200);
      expect((await call("POST", `${path}/records?partition=${partition}&fence=t0`, one)).status).toBe(201);
    }
  });

  test("is refused where the partition keeps what cannot be split", async () => {
    await call("PUT", "/v1/default/streams/indexed", { keyIndex: true });
    expect(await call("PUT", "/v1/default/streams/indexed", { partitions: 2 })).toMatchObject({
      status: 409,
      json: { code: "conflict" },
    });
  });
});

test("an archive that the deployment does not have is not promised", async () => {
  const refused = await call("PUT", "/v1/default/streams/archived", { archive: true, retentionRecords: 10 });
  expect(refused).toMatchObject({ status: 409, json: { code: "archive-off" } });
  expect((await call("GET", "/v1/default/streams/archived")).status).toBe(404);
  expect((await call("PUT", "/v1/default/streams/archived", { archive: false })).status).toBe(201);
});

test("a stream is not told of itself, by whatever way", async () => {
  const put = (name: string, segmentEvents: string | null) =>
    call("PUT", `/v1/default/streams/${name}`, { segmentEvents });
  expect((await put("echo", "echo")).json).toMatchObject({ status: 409, code: "conflict" });
  expect((await put("first", "second")).status).toBe(201);
  expect((await put("second", "third")).status).toBe(201);
  expect((await put("third", "first")).json.detail).toContain("'third' to 'first' to 'second' to 'third'");
  expect((await put("third", null)).status).toBe(201);
  expect((await put("third", "first")).status).toBe(409);
  // One that tells the others is in no loop.
  expect((await put("fourth", "first")).status).toBe(201);
  expect((await put("first", null)).status).toBe(200);
  expect((await put("third", "first")).status).toBe(200);
});
