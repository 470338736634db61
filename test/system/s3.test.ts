/** Blobs in an S3 server: from Node, from a Worker on bare workerd, and with a network between that fails. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { archiveVars } from "../../src/cli/archive.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { patience } from "../../src/platform/patience.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { blobCases, pattern, read, same, streamOf } from "../cases/blobs.ts";
import { type FaultProxy, faultProxy } from "./fault-proxy.ts";
import { type Server, s3Server, varsOf } from "./s3-server.ts";

let server: Server;
beforeAll(async () => {
  server = await s3Server();
});
afterAll(() => server.end());

describe("in S3, from Node", () => {
  let blobs: Blobs;
  beforeAll(() => {
    blobs = s3Blobs({ ...server.store, bucket: "archive" });
  });
  blobCases(() => blobs);
});

describe("in S3, from a Worker that is hosted by oneself", () => {
  let data: string;
  let running: Running;
  let blobs: Blobs;
  beforeAll(async () => {
    const archive = archiveVars({ PATH: "not for the Worker", ...varsOf({ ...server.store, bucket: "worker" }) });
    data = mkdtempSync(join(tmpdir(), "millrace-s3-"));
    running = await run({ data, main: join(import.meta.dirname, "blobs-worker.ts"), archive });
    blobs = remote(running.url);
  });
  afterAll(async () => {
    await running.stop();
    rmSync(data, { recursive: true, force: true });
  });

  blobCases(() => blobs);

  test("has its secret in no file that others may read", () => {
    const file = join(data, "workerd.capnp");
    expect(readFileSync(file, "utf8")).toContain(server.store.secretAccessKey);
    expect(statSync(file).mode & 0o077).toBe(0);
  });

  test("reaches nothing else that is private by that", async () => {
    const answer = await fetch(`${running.url}/elsewhere?url=${encodeURIComponent(server.store.endpoint)}`);
    expect(answer.status).toBe(500);
    await answer.text();
  });
});

/** The archive of a Worker, by HTTP. */
function remote(url: string): Blobs {
  async function call(operation: string, args: unknown[], body?: Uint8Array | ReadableStream<Uint8Array>) {
    const streamed = body instanceof ReadableStream ? { duplex: "half" } : {};
    const init = { method: "POST", body, ...streamed } as RequestInit;
    const answer = await fetch(
      `${url}/${operation}?args=${encodeURIComponent(JSON.stringify(args.filter((arg) => arg !== undefined)))}`,
      init,
    );
    if (answer.status === 500) throw new Error(await answer.text());
    return answer;
  }
  const json = async <T>(operation: string, args: unknown[], body?: Uint8Array | ReadableStream<Uint8Array>) =>
    (await (await call(operation, args, body)).json()) as T;
  return {
    async get(...args) {
      const answer = await call("get", args);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return answer.status === 404 ? undefined : bytes;
    },
    async open(...args) {
      const answer = await call("open", args);
      if (answer.status === 404) return undefined;
      return { size: Number(answer.headers.get("x-size")), body: answer.body ?? streamOf(new Uint8Array(0)) };
    },
    create: (key, body) => json("create", [key], body),
    put: (key, body, length) => json("put", [key, length], body),
    delete: (keys) => json("delete", [keys]),
    list: (...args) => json("list", args),
    begin: (key) => json("begin", [key]),
    part: (key, upload, number, body, length) => json("part", [key, upload, number, length], body),
    complete: (...args) => json("complete", args),
    abort: (...args) => json("abort", args),
  };
}

describe("when S3 fails", () => {
  let proxy: FaultProxy;
  let blobs: Blobs;
  const patient = { ...patience, pauseMs: 1, answerMs: 500, stallMs: 300 };
  const direct = () => s3Blobs(server.store);

  beforeAll(async () => {
    proxy = await faultProxy(server.store);
    blobs = s3Blobs(proxy.store, patient);
    // From here on the store is known to keep to conditions.
    await blobs.create("faults/first", pattern(1));
    proxy.seen.length = 0;
  });
  afterEach(() => {
    proxy.always(undefined);
    proxy.seen.length = 0;
  });
  afterAll(() => proxy.end());

  test("asks again what is throttled, broken or lost", async () => {
    await direct().create("faults/get", pattern(100_000));
    proxy.next({ status: 503, code: "SlowDown" }, { status: 429 }, "lost");
    expect(same(await blobs.get("faults/get", 5, 10), pattern(100_000).slice(5, 15))).toBe(true);
    expect(proxy.seen).toHaveLength(4);
    for (const wrong of ["short", "hang", { status: 500 }, { status: 502 }, { status: 504 }] as const) {
      proxy.next(wrong);
      const bytes = await blobs.get("faults/get", 0, 100_000);
      expect(same(bytes, pattern(100_000)), JSON.stringify(wrong)).toBe(true);
    }
    proxy.next("lost", { status: 200, code: "InternalError" });
    expect((await blobs.list("faults/get")).blobs).toEqual([{ key: "faults/get", size: 100_000 }]);
    proxy.next("lost", { status: 503 });
    await blobs.delete(["faults/get"]);
    expect(await blobs.open("faults/get")).toBeUndefined();
  });

  test("gives up in the end, and says on what", async () => {
    proxy.always({ status: 503, code: "SlowDown" });
    await expect(blobs.get("faults/a b", 0, 1)).rejects.toThrow(
      "S3 bucket archive: get of faults/a b failed: 503 SlowDown (4 attempts)",
    );
    expect(proxy.seen).toEqual(Array(4).fill("GET /archive/faults/a b"));
  });

  test("does not wait for ever", async () => {
    proxy.always("hang");
    await expect(blobs.list("")).rejects.toThrow(/list of .* failed: nothing within 500 ms \(4 attempts\)/);
    await expect(blobs.put("faults/hang", streamOf(pattern(10)), 10)).rejects.toThrow(/nothing within 501 ms/);
  });

  test("waits less for what is read, and does not ask again after a while: somebody waits for it", async () => {
    const hasty = s3Blobs(proxy.store, { ...patient, readMs: 300, readMsMax: 550 });
    proxy.always("hang");
    // Where this process was held up, the first one took the time of both.
    const late = /failed: nothing within \d+ ms( \(2 attempts\))?$/;
    await expect(hasty.get("faults/first", 0, 1)).rejects.toThrow(late);
    await expect(hasty.open("faults/first")).rejects.toThrow(late);
    await expect(hasty.list("")).rejects.toThrow(late);
    await expect(hasty.delete(["faults/first"])).rejects.toThrow(/nothing within 50\d ms \(4 attempts\)/);
  });

  test("does not ask again what the store refuses", async () => {
    const stranger = s3Blobs({ ...proxy.store, secretAccessKey: "wrong" }, patient);
    await expect(stranger.get("faults/first", 0, 1)).rejects.toThrow(/failed: 403 SignatureDoesNotMatch/);
    expect(proxy.seen).toHaveLength(1);
    await expect(stranger.create("faults/x", pattern(1))).rejects.toThrow(/create of faults\/x failed: 403/);
  });

  test("does not take a missing bucket, or somebody else's 404, for a missing object", async () => {
    const nowhere = s3Blobs({ ...proxy.store, bucket: "nowhere" }, patient);
    await expect(nowhere.get("a", 0, 1)).rejects.toThrow(/404 NoSuchBucket/);
    await expect(nowhere.open("a")).rejects.toThrow(/404 NoSuchBucket/);
    proxy.next({ status: 404 });
    await expect(blobs.open("a")).rejects.toThrow(/failed: 404$/);
    proxy.next({ status: 200 });
    await expect(blobs.list("a")).rejects.toThrow(/200 without ListBucketResult/);
  });

  test("creates all or nothing when the connection breaks in the middle", async () => {
    const body = pattern(3_000_000);
    proxy.next("cut", "cut");
    expect(await blobs.create("faults/cut", body)).toBe(true);
    expect(proxy.seen).toEqual(Array(3).fill("PUT /archive/faults/cut"));
    expect(same(await direct().get("faults/cut", 0, 4_000_000), body)).toBe(true);
    proxy.always("cut");
    await expect(blobs.create("faults/never", body)).rejects.toThrow(/create of faults\/never failed: no answer/);
    await expect(blobs.put("faults/never", streamOf(body), body.length)).rejects.toThrow(/put of faults\/never failed/);
    expect((await direct().list("faults/never")).blobs).toEqual([]);
  });

  test("knows its own object when the answer to a create was lost", async () => {
    proxy.next("lost");
    expect(await blobs.create("faults/mine", pattern(10))).toBe(true);
    expect(proxy.seen.slice(0, 2)).toEqual(Array(2).fill("PUT /archive/faults/mine"));
    await direct().create("faults/theirs", pattern(20));
    proxy.next({ status: 500 });
    expect(await blobs.create("faults/theirs", pattern(10))).toBe(false);
    // Somebody was at it at the same time: the one or the other.
    proxy.next({ status: 409, code: "ConditionalRequestConflict" });
    expect(await blobs.create("faults/conflict", pattern(10))).toBe(true);
  });

  test("never says created on a store that does not look at conditions", async () => {
    await direct().create("faults/there", pattern(20));
    proxy.always("unconditional");
    const careless = s3Blobs(proxy.store, patient);
    expect(await careless.create("faults/there", pattern(10))).toBe(false);
    expect(await direct().get("faults/there", 0, 100)).toEqual(pattern(20));
    for (const key of ["faults/new", "faults/newer"])
      await expect(careless.create(key, pattern(10))).rejects.toThrow(/does not keep to If-None-Match/);
    expect(await careless.create("faults/new", pattern(10))).toBe(false);
  });

  test("completes an upload whose completion was lost, or failed behind a 200", async () => {
    const upload = await blobs.begin("faults/parts");
    const etag = await blobs.part("faults/parts", upload, 1, streamOf(pattern(1_000)), 1_000);
    proxy.next({ status: 200, code: "InternalError" }, "lost");
    await blobs.complete("faults/parts", upload, [{ number: 1, etag }]);
    expect(same(await blobs.get("faults/parts", 0, 2_000), pattern(1_000))).toBe(true);
  });

  test("aborts what is not there any more", async () => {
    await blobs.abort("faults/parts", "mark.never-begun");
    proxy.next("lost", { status: 404, code: "NoSuchUpload" });
    await blobs.abort("faults/parts", await direct().begin("faults/parts"));
    expect(proxy.seen).toHaveLength(3);
  });

  test("lets a stream fail that is cut short", async () => {
    await direct().create("faults/stream", pattern(2_000_000));
    proxy.next("short");
    const found = await blobs.open("faults/stream");
    await expect(read(found!.body)).rejects.toThrow();
    proxy.next({ status: 503 });
    const again = await blobs.open("faults/stream", 1_999_000);
    expect(same(await read(again!.body), pattern(2_000_000).slice(1_999_000))).toBe(true);
  });
});
