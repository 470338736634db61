/** Snapshots and the end of a stream, with a real R2 in workerd. */
import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { limits } from "../../schemas/limits.ts";
import type { PartitionRpc } from "../../src/objects/rpc.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { pattern } from "../cases/blobs.ts";
import { batch, spec } from "../cases/log.ts";
import { call } from "./call.ts";

const { ARCHIVE, PARTITION } = env as unknown as Env;
const bucket = ARCHIVE as R2Bucket;
const keysOf = async (prefix: string) => (await bucket.list({ prefix })).objects.map(({ key }) => key);

const ask = (method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}) =>
  (exports as unknown as { default: Fetcher }).default.fetch(`http://millrace${path}`, {
    method,
    headers: { authorization: "Bearer test-token", ...headers },
    ...(body === undefined ? {} : { body }),
  });

/** A stream of ten records; its log's id. */
async function stream(name: string, config: object = {}): Promise<string> {
  const { json } = await call("PUT", `/v1/default/streams/${name}`, config);
  await call("POST", `/v1/default/streams/${name}/records`, {
    records: Array.from({ length: 10 }, (_, data) => ({ data })),
  });
  return json.logId;
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.slice(at, at + 500_000));
      at += 500_000;
      if (at >= bytes.length) controller.close();
    },
  });
}

/** `toEqual` takes a second for so many bytes, and one `ArrayBuffer` for every other. */
const isSame = (got: ArrayBuffer, wanted: Uint8Array) =>
  got.byteLength === wanted.byteLength && crypto.subtle.timingSafeEqual(got, wanted);

test("a body goes into the bucket and comes out again, whether or not its length is known", async () => {
  await stream("bodies");
  const path = "/v1/default/streams/bodies/snapshots/7";
  for (const length of [0, 5, limits.snapshotPartBytes, limits.snapshotPartBytes + 1]) {
    const bytes = pattern(length);
    for (const body of [bytes, streamOf(bytes)]) {
      const put = await ask("PUT", path, body as BodyInit, { "content-type": "a/b" });
      expect([put.status, await put.json()]).toMatchObject([201, { offset: 7, bytes: length, contentType: "a/b" }]);
      const got = await ask("GET", path);
      expect(got.headers.get("content-type")).toBe("a/b");
      expect(isSame(await got.arrayBuffer(), bytes)).toBe(true);
    }
  }
  const part = await ask("GET", path, undefined, { range: "bytes=8388606-" });
  const end = pattern(limits.snapshotPartBytes + 1).slice(8388606);
  expect([part.status, isSame(await part.arrayBuffer(), end)]).toEqual([206, true]);
});

test("parts become one object", async () => {
  const logId = await stream("parts");
  const path = "/v1/default/streams/parts/snapshots/7/uploads";
  const { json } = await call("POST", path, {});
  const parts: { number: number; etag: string }[] = [];
  for (const [index, length] of [json.partBytes, 11].entries()) {
    const sent = await ask("PUT", `${path}/${json.upload}/${index + 1}`, pattern(length, index));
    parts.push({ number: index + 1, ...((await sent.json()) as { etag: string }) });
  }
  const made = [{ number: 1, etag: `${json.partBytes}.made-up` }, parts[1]];
  const wrong = await call("POST", `${path}/${json.upload}/complete`, { parts: made });
  expect(wrong.json.code, wrong.json.detail).toBe("invalid");
  const done = await call("POST", `${path}/${json.upload}/complete`, { parts });
  expect(done).toMatchObject({ status: 201, json: { bytes: json.partBytes + 11 } });
  const [key] = await keysOf(`snapshots/${logId}/0/`);
  expect((await bucket.head(key))?.size).toBe(json.partBytes + 11);
});

test("a stream that is deleted leaves nothing in the bucket, however much it had", async () => {
  const logId = await stream("gone", { partitions: 2 });
  await ask("PUT", "/v1/default/streams/gone/snapshots/0?partition=1", "x");
  const begun = await call("POST", "/v1/default/streams/gone/snapshots/0/uploads?partition=1", {});
  expect(begun.status).toBe(201);
  // More than one page has.
  const many = Array.from({ length: 1_100 }, (_, at) => `logs/${logId}/1/${at}.seg`);
  await Promise.all(many.map((key) => bucket.put(key, "x")));
  await bucket.put(`parquet/default/gone/${logId}/1/0.parquet`, "x");
  await bucket.put(`logs/${logId}0/1/of another`, "x");
  const left = async () => {
    const prefixes = [`logs/${logId}/`, `snapshots/${logId}/`, `parquet/default/gone/`];
    return (await Promise.all(prefixes.map(keysOf))).flat();
  };
  expect((await left()).length).toBeGreaterThan(1_000);
  expect(await call("DELETE", "/v1/default/streams/gone")).toMatchObject({ status: 204 });
  await vi.waitFor(async () => expect(await left()).toEqual([]), { timeout: 20_000, interval: 100 });
  expect(await keysOf(`logs/${logId}0/`)).toHaveLength(1);
});

test("a partition is freed in steps, does not open in between, and is tried again where the bucket fails", async () => {
  const logId = "00112233445566778899";
  const stub = PARTITION.getByName(`${logId}/3`);
  const rpc = stub as unknown as PartitionRpc;
  await rpc.configure({ ...spec, logId, partition: 3 });
  const { bytes, hashes } = batch([{ kind: 0, data: new Uint8Array(0) }]);
  await rpc.append(1, bytes, hashes, {});
  await bucket.put(`snapshots/${logId}/3/a`, "x");
  await runInDurableObject(stub, async (object) => {
    const { history } = object as unknown as { history: { blobs: { list: unknown } } };
    const { list } = history.blobs;
    history.blobs.list = () => Promise.reject(new Error("the bucket does not answer"));
    await expect((object as unknown as PartitionRpc).destroy(logId, 3, "default")).rejects.toThrow("does not answer");
    history.blobs.list = list;
  });
  // Somebody who knows an old map.
  expect(await rpc.append(1, bytes, hashes, {})).toEqual({ ok: false, moved: 0 });
  await runInDurableObject(stub, (_object, state) => {
    const rows = state.storage.sql.exec("SELECT name FROM meta WHERE name IN ('spec', 'buried')").toArray();
    expect(rows).toEqual([{ name: "buried" }]);
  });
  expect(await keysOf(`snapshots/${logId}/`)).toHaveLength(1);
  expect(await rpc.destroy(logId, 3, "default")).toBe(true);
  expect(await keysOf(`snapshots/${logId}/`)).toEqual([]);
  await runInDurableObject(stub, (_object, state) => {
    expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'meta'").toArray()).toEqual([]);
  });
  // Asked again, there is nothing to do.
  expect(await rpc.destroy(logId, 3, "default")).toBe(true);
});
