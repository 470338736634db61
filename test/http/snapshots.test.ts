/** Snapshots end to end: through the library, on bare workerd, with a real S3 store as the archive. */
import { mkdtempSync, readFileSync } from "node:fs";
import { connect as open } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import {
  type Follower,
  Millrace,
  MillraceError,
  type SnapshotInfo,
  type StoredRecord,
} from "../../src/client/index.ts";
import { hex32 } from "../../src/lib/bytes.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { pattern } from "../cases/blobs.ts";
import { long } from "../cases/long.ts";
import { type Server, s3Server, varsOf } from "../system/s3-server.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let s3: Server;
let millrace: Service;
let bare: Service;
let client: Millrace;
let blobs: Blobs;

beforeAll(async () => {
  s3 = await s3Server();
  const archive = varsOf(s3.store);
  millrace = await service(mkdtempSync(join(tmpdir(), "millrace-")), { archive });
  bare = await service();
  client = new Millrace({ url: millrace.url, token });
  blobs = s3Blobs(s3.store);
});
afterAll(async () => {
  await millrace.end();
  await bare.end();
  await s3.end();
});

const stream = async (name: string, count = 10, config = {}) => {
  const made = client.stream<number>(name);
  await made.put(config);
  if (count > 0) await made.append(Array.from({ length: count }, (_, data) => ({ data })));
  return made;
};
const refusal = (work: Promise<unknown>): Promise<MillraceError> =>
  work.then(
    () => Promise.reject(new Error("not refused")),
    (error) => (error instanceof MillraceError ? error : Promise.reject(error)),
  );
const text = (body: ReadableStream<Uint8Array>) => new Response(body).text();
const keys = async (logId: string) => (await blobs.list(`snapshots/${logId}/`)).blobs.map(({ key }) => key);
/** Waits for what happens in the background. */
async function eventually<T>(ask: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const value = await ask();
    if (done(value) || attempt > 100) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("a snapshot", () => {
  test("and the records after it are as good as all records", async () => {
    const numbers = await stream("sums", 100);
    const full: number[] = [];
    for await (const { data } of numbers.read()) full.push(data);
    const state = JSON.stringify(full.slice(0, 60).reduce((sum, one) => sum + one, 0));
    const put = await numbers.snapshots.put(60, state, { contentType: "application/json", name: "summer é" });
    expect(put).toMatchObject({ partition: 0, offset: 60, bytes: state.length, name: "summer é" });
    const { snapshot, records, from } = await numbers.restore();
    expect(from).toBe(60);
    expect(snapshot).toMatchObject({ ...put, contentType: "application/json" });
    let sum = (await new Response(snapshot?.body).json()) as number;
    for await (const { data } of records) sum += data;
    expect(sum).toBe(full.reduce((sum, one) => sum + one, 0));
    expect(await numbers.snapshots.list()).toEqual([put]);
  });

  test("that is not there leaves all records", async () => {
    const none = await stream("none", 3);
    const { snapshot, records } = await none.restore();
    expect(snapshot).toBeUndefined();
    const found: StoredRecord<number>[] = [];
    for await (const record of records) found.push(record);
    expect(found).toHaveLength(3);
    for (const which of [0, "latest"] as const) {
      expect((await refusal(none.snapshots.get(which))).code).toBe("snapshot-not-found");
    }
    await none.snapshots.delete(0);
  });

  test("is the newest, or the newest below an offset, or the one at an offset", async () => {
    const some = await stream("some", 10, { snapshotsKept: 3 });
    for (const offset of [2, 5, 9]) await some.snapshots.put(offset, `state ${offset}`);
    const of = async (which: number | "latest", before?: number) =>
      text((await some.snapshots.get(which, before === undefined ? {} : { before })).body);
    expect([await of("latest"), await of("latest", 9), await of(2)]).toEqual(["state 9", "state 5", "state 2"]);
    expect((await refusal(of("latest", 2))).code).toBe("snapshot-not-found");
    expect((await refusal(some.snapshots.put(11, ""))).code).toBe("past-tail");
    await some.snapshots.delete(9);
    expect(await of("latest")).toBe("state 5");
    expect((await refusal(of(9))).code).toBe("snapshot-not-found");
  });

  test("that is one too many goes, and its object with it; so does one that is replaced", async () => {
    const kept = await stream("kept", 10);
    const { logId } = await kept.info();
    for (const offset of [1, 2, 3, 4]) await kept.snapshots.put(offset, "x");
    const again = await kept.snapshots.put(4, "later");
    const snapshots = await kept.snapshots.list();
    expect(snapshots.map(({ offset }) => offset)).toEqual([4, 3]);
    expect(snapshots[0].version).toBe(again.version);
    const left = await eventually(
      () => keys(logId),
      ({ length }) => length === 2,
    );
    expect(left.map((key) => key.split("/")[3])).toEqual(
      [3, 4].map((offset, at) => {
        return `${String(offset).padStart(16, "0")}-${snapshots[1 - at].version}`;
      }),
    );
    expect(await text((await kept.snapshots.get(4)).body)).toBe("later");
    expect((await refusal(kept.snapshots.put(1, "old"))).code).toBe("conflict");
  });

  test("may be empty, and of any content type; what no header carries is refused", async () => {
    await stream("typed");
    const path = "/v1/default/streams/typed/snapshots/3";
    for (const type of ["image/png", `a/${"b".repeat(limits.contentTypeCharsMax - 2)}`]) {
      expect((await millrace.call("PUT", path, "", { "content-type": type })).status).toBe(201);
      const got = await millrace.call("GET", path);
      expect([got.status, got.headers.get("content-type"), got.headers.get("content-length")]).toEqual([
        200,
        type,
        "0",
      ]);
    }
    const long = await millrace.call("PUT", path, "", { "content-type": "b".repeat(limits.contentTypeCharsMax + 1) });
    expect(long.json).toMatchObject({ code: "invalid" });
    const packed = await millrace.call("PUT", path, "x", { "content-encoding": "gzip" });
    expect(packed.json).toMatchObject({ code: "unsupported-media-type" });
    const name = (length: number) => millrace.call("PUT", `${path}?name=${"n".repeat(length)}`, "x");
    expect((await name(limits.snapshotNameBytesMax)).status).toBe(201);
    expect((await name(limits.snapshotNameBytesMax + 1)).json).toMatchObject({ code: "invalid" });
  });

  test("is told from another at its offset, cached as long as it is the same, and given in ranges", async () => {
    const ranged = await stream("ranged");
    const put = await ranged.snapshots.put(3, "0123456789");
    const path = "/v1/default/streams/ranged/snapshots/3";
    const get = (headers: Record<string, string> = {}, url = path) => millrace.call("GET", url, undefined, headers);
    const plain = await get();
    const etag = plain.headers.get("etag") as string;
    expect(plain.headers.get("cache-control")).toBe("private, no-cache");
    expect((await get({ "if-none-match": etag })).status).toBe(304);
    const fixed = await get({}, put.href);
    expect([fixed.text, fixed.headers.get("cache-control")]).toEqual([
      "0123456789",
      "private, max-age=31536000, immutable",
    ]);
    const ranges: [string, string, string][] = [
      ["bytes=2-4", "234", "bytes 2-4/10"],
      ["bytes=7-", "789", "bytes 7-9/10"],
      ["bytes=-2", "89", "bytes 8-9/10"],
      ["bytes=0-99", "0123456789", "bytes 0-9/10"],
    ];
    for (const [range, text, said] of ranges) {
      const part = await get({ range });
      expect([part.status, part.text, part.headers.get("content-range")]).toEqual([206, text, said]);
      expect(part.headers.get("content-length")).toBe(String(text.length));
    }
    const outside = await get({ range: "bytes=10-" });
    expect([outside.json.code, outside.headers.get("content-range")]).toEqual(["bad-range", "bytes */10"]);
    expect((await get({ range: "bytes=2-4", "if-range": '"another"' })).status).toBe(200);
    const head = await fetch(millrace.url + path, { method: "HEAD", headers: { authorization: `Bearer ${token}` } });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "10"]);
    await ranged.snapshots.put(3, "another");
    expect((await get({ "if-none-match": etag })).text).toBe("another");
    expect((await get({}, put.href)).json.code).toBe("snapshot-not-found");
  });

  test("of an object that is gone is damaged, and no snapshot of something else", async () => {
    const lost = await stream("lost");
    await lost.snapshots.put(3, "x");
    await blobs.delete(await keys((await lost.info()).logId));
    expect((await refusal(lost.snapshots.get(3))).code).toBe("damaged");
  });

  test("whose bytes have changed is not given as a whole, and is named", async () => {
    const bad = await stream("flipped");
    const body = pattern(300_000);
    const { crc32c: sum } = await bad.snapshots.put(3, body);
    expect(sum).toBe(hex32(crc32c(body)));
    const verified = async () => (await millrace.call("POST", "/v1/default/streams/flipped/partitions/0/verify")).json;
    expect(await verified()).toMatchObject({ intact: true, objects: 1 });
    const [key] = await keys((await bad.info()).logId);
    for (const place of [0, 299_999]) {
      const changed = body.slice();
      changed[place] ^= 1;
      await blobs.put(key, new Blob([changed]).stream(), changed.length);
      // It is cut off before its end, so that nobody takes it for the whole.
      const got = await bad.snapshots.get(3);
      await expect(new Response(got?.body).arrayBuffer()).rejects.toThrow();
      expect(await verified()).toMatchObject({
        intact: false,
        damaged: [{ object: key, from: 3, to: 3, reason: "the snapshot is not what was stored" }],
      });
    }
    await blobs.delete([key]);
    expect(await verified()).toMatchObject({ damaged: [{ reason: "the snapshot's object is missing" }] });
  });

  test("needs a right: to read it, to consume, to delete it", async () => {
    const guarded = await stream("guarded");
    await guarded.snapshots.put(3, "x");
    const may = async (right: "read" | "consume" | "append") => {
      const { ticket } = await guarded.ticket([right]);
      const { snapshots } = new Millrace({ url: millrace.url, ticket }).stream("guarded");
      const work = [
        () => snapshots.list(),
        () => snapshots.put(3, "x"),
        () => snapshots.lease({ holder: right, seconds: 0 }),
        () => snapshots.delete(3),
      ];
      const done: (string | boolean)[] = [];
      for (const one of work)
        done.push(
          await one().then(
            () => true,
            (error) => error.code,
          ),
        );
      return done;
    };
    expect(await may("read")).toEqual([true, "forbidden", "forbidden", "forbidden"]);
    expect(await may("consume")).toEqual(["forbidden", true, true, "forbidden"]);
    expect(await may("append")).toEqual(["forbidden", "forbidden", "forbidden", "forbidden"]);
  });
});

describe("a large snapshot", () => {
  /** Bytes that are made as they are taken. */
  async function* made(bytes: number) {
    const chunk = pattern(1_000_000);
    for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
  }
  /** How many bytes came, and whether they were those. */
  async function count(body: ReadableStream<Uint8Array>): Promise<{ bytes: number; same: boolean }> {
    const whole = Buffer.from(pattern(1_000_000));
    let [bytes, same] = [0, true];
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) {
        const from = (bytes + at) % whole.length;
        const length = Math.min(chunk.length - at, whole.length - from);
        same &&= whole.subarray(from, from + length).equals(chunk.subarray(at, at + length));
        at += length;
      }
      bytes += chunk.length;
    }
    return { bytes, same };
  }
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${millrace.pid}/status`, "utf8"))?.[1]) * 1_024;

  /** Announces a length and sends nothing; the status, or undefined where the service waits for the body. */
  const announce = (path: string, bytes: number) =>
    new Promise<number | undefined>((resolve) => {
      const { hostname, port } = new URL(millrace.url);
      const socket = open(Number(port), hostname, () =>
        socket.write(
          `PUT ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-length: ${bytes}\r\n\r\n`,
        ),
      );
      const end = (status: number | undefined) => {
        socket.destroy();
        resolve(status);
      };
      socket.once("data", (data) => end(Number(String(data).split(" ")[1])));
      socket.once("error", () => {});
      setTimeout(() => end(undefined), 700);
    });

  test.runIf(long)(
    "of 150 MB goes in parts, and in one piece, and out, in memory that does not grow with it",
    async () => {
      const large = await stream("large", 10);
      await large.snapshots.put(1, made(20_000_000));
      const bytes = 150_000_000;
      /** How much more memory there was at any time of some work. */
      const growth = async (work: () => Promise<void>) => {
        const before = rss();
        let highest = before;
        const watch = setInterval(() => {
          highest = Math.max(highest, rss());
        }, 20);
        await work().finally(() => clearInterval(watch));
        return Math.round((highest - before) / 1_000_000);
      };
      const whole = (headers: Record<string, string>, offset: number) =>
        fetch(`${millrace.url}/v1/default/streams/large/snapshots/${offset}`, {
          method: "PUT",
          headers: { authorization: `Bearer ${token}`, ...headers },
          body: Readable.from(made(bytes)),
          duplex: "half",
        } as unknown as RequestInit).then((answer) => answer.json());
      const parts = await growth(async () => {
        expect(await large.snapshots.put(2, made(bytes))).toMatchObject({ bytes });
      });
      const known = await growth(async () => {
        expect(await whole({ "content-length": String(bytes) }, 3)).toMatchObject({ bytes });
      });
      // What passes through JavaScript is garbage until it is collected: so much there is at any time, and no more.
      const unknown = () => whole({}, 4);
      const fetched = async () => count((await large.snapshots.get(4)).body);
      for (const work of [unknown, fetched, fetched]) await work();
      const pieces = await growth(async () => {
        expect(await unknown()).toMatchObject({ bytes });
      });
      const out = await growth(async () => {
        expect(await fetched()).toEqual({ bytes, same: true });
      });
      for (const [name, megabytes] of Object.entries({ parts, known, pieces, out })) {
        expect(megabytes, name).toBeLessThan(120);
      }
    },
  );

  test("is one object, whichever way its parts came", async () => {
    const parted = await stream("parted");
    const length = limits.snapshotPartBytes + 5;
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of made(length)) chunks.push(chunk as Uint8Array<ArrayBuffer>);
    const sum = hex32(crc32c(new Uint8Array(await new Blob(chunks).arrayBuffer())));
    for (const body of [new Blob(chunks), made(length)]) {
      expect(await parted.snapshots.put(3, body)).toMatchObject({ bytes: length, crc32c: sum });
      expect(await count((await parted.snapshots.get(3)).body)).toEqual({ bytes: length, same: true });
    }
  });

  test("is refused where a part is missing, too large, or of the wrong size", async () => {
    await stream("parts");
    const path = "/v1/default/streams/parts/snapshots/3/uploads";
    const begun = await millrace.call("POST", path, { contentType: "text/plain" });
    expect(begun.json).toMatchObject({ partBytes: limits.snapshotPartBytes });
    const upload = `${path}/${begun.json.upload}`;
    const part = (number: number, bytes: number) =>
      millrace.call("PUT", `${upload}/${number}`, pattern(bytes) as BodyInit);
    const complete = (...etags: [number, string][]) =>
      millrace.call("POST", `${upload}/complete`, { parts: etags.map(([number, etag]) => ({ number, etag })) });
    const small = (await part(1, 10)).json.etag;
    const large = (await part(2, limits.snapshotPartBytes)).json.etag;
    expect(await announce(`${upload}/3`, limits.snapshotPartBytes + 1)).toBe(413);
    expect((await part(0, 1)).json.code).toBe("invalid");
    expect((await part(limits.snapshotPartsMax + 1, 1)).json.code).toBe("invalid");
    for (const wrong of [
      [],
      [[2, large]],
      [
        [1, small],
        [2, large],
      ],
      [[1, "nothing"]],
    ] as [number, string][][]) {
      expect((await complete(...wrong)).json.code, JSON.stringify(wrong)).toBe("invalid");
    }
    const first = (await part(1, limits.snapshotPartBytes)).json.etag;
    const last = (await part(2, 7)).json.etag;
    const made = await complete([1, `${limits.snapshotPartBytes}.made-up`], [2, last]);
    expect(made.json.code, made.text).toBe("invalid");
    const done = await complete([1, first], [2, last]);
    expect([done.status, done.json.bytes]).toEqual([201, limits.snapshotPartBytes + 7]);
    // The answer may have been lost.
    expect((await complete([1, first], [2, last])).json).toEqual(done.json);
    expect((await part(1, 7)).json.code).toBe("upload-not-found");
    const other = (await millrace.call("POST", path, {})).json.upload;
    expect((await millrace.call("PUT", `${path.replace("/3/", "/4/")}/${other}/1`, "x")).json.code).toBe(
      "upload-not-found",
    );
    expect((await millrace.call("DELETE", `${path}/${other}`)).status).toBe(204);
    expect((await millrace.call("DELETE", `${path}/${other}`)).status).toBe(204);
    expect((await millrace.call("PUT", `${path}/${other}/1`, "x")).json.code).toBe("upload-not-found");
  });

  test("is refused by its length, before a byte of it was read", async () => {
    await stream("huge");
    const path = "/v1/default/streams/huge/snapshots/3";
    expect(await announce(path, limits.snapshotBytesMax + 1)).toBe(413);
    expect(await announce(path, limits.snapshotBytesMax)).toBeUndefined();
  });
});

describe("the lease", () => {
  test("is one's at a time, and two who would make the same do one job", async () => {
    const { snapshots } = await stream("leased", 20);
    const asked = await Promise.allSettled(["a", "b"].map((holder) => snapshots.lease({ holder, seconds: 60 })));
    const [won] = asked.filter((one) => one.status === "fulfilled");
    const [lost] = asked.filter((one) => one.status === "rejected");
    const { holder, expiresAt } = (lost.reason as MillraceError).facts;
    expect([(lost.reason as MillraceError).code, expiresAt]).toEqual(["leased", won.value.expiresAt]);
    expect(won.value).toMatchObject({ partition: 0, offset: 20 });
    // One that names none is taken: it may be late, but it is not wrong.
    await snapshots.put(19, "x");
    expect(await snapshots.put(20, "x", { lease: won.value.lease })).toMatchObject({ offset: 20 });
    const next = await snapshots.lease({ holder: "c", seconds: 60, offset: 18 });
    expect(next.offset).toBe(18);
    expect((await refusal(snapshots.put(20, "x", { lease: won.value.lease }))).facts).toMatchObject({ holder: "c" });
    expect(holder).toBe(asked[0].status === "fulfilled" ? "a" : "b");
  });

  test("passes on when its time is over, or when it is given up", async () => {
    const { snapshots } = await stream("passing");
    const { lease } = await snapshots.lease({ holder: "a", seconds: 1 });
    expect((await refusal(snapshots.lease({ holder: "b", seconds: 1 }))).code).toBe("leased");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await snapshots.lease({ holder: "b", seconds: 60 });
    expect((await refusal(snapshots.put(3, "x", { lease }))).code).toBe("stale-lease");
    await snapshots.lease({ holder: "b", seconds: 0 });
    await snapshots.lease({ holder: "c", seconds: limits.snapshotLeaseSecondsMax });
    const long = { holder: "c", seconds: limits.snapshotLeaseSecondsMax + 1 };
    expect((await refusal(snapshots.lease(long))).code).toBe("invalid");
  });
});

describe("readers are told", () => {
  const note = ({ partition, offset, bytes, contentType, href }: SnapshotInfo) => ({
    partition,
    offset,
    bytes,
    contentType,
    href,
  });
  const header = (answer: { headers: Headers }) => JSON.parse(answer.headers.get("millrace-snapshot") ?? "null");

  test("where they could have begun, in every format", async () => {
    const told = await stream("told", 20);
    const put = note(await told.snapshots.put(10, "x"));
    const path = "/v1/default/streams/told/records";
    const read = (query: string, accept = "application/json") =>
      millrace.call("GET", `${path}?${query}`, undefined, { accept });
    expect((await read("from=0")).json.snapshot).toEqual(put);
    expect((await read("from=9&limit=1")).json.snapshot).toEqual(put);
    expect((await read("maxBytes=all")).json.snapshot).toEqual(put);
    for (const query of ["from=10", "from=latest", "from=9&direction=backward"]) {
      expect((await read(query)).json, query).not.toHaveProperty("snapshot");
    }
    for (const accept of ["application/x-ndjson", "application/vnd.millrace.frames"]) {
      for (const query of ["from=0", "from=0&maxBytes=all"]) expect(header(await read(query, accept))).toEqual(put);
      expect(header(await read("from=10", accept))).toBeNull();
      expect(header(await read("from=snapshot", accept))).toEqual(put);
    }
    const { json } = await read("from=snapshot&limit=1");
    expect(json).toMatchObject({ snapshot: put, next: 11, records: [{ offset: 10 }] });
    expect((await millrace.call("GET", json.snapshot.href)).text).toBe("x");
    await told.snapshots.delete(10);
    expect((await read("from=snapshot")).json).toMatchObject({ snapshot: null, records: { length: 20 } });
  });

  test("also those who come too late, in every format, as far as the head has left one", async () => {
    const late = await stream("late", 30);
    const put = note(await late.snapshots.put(10, "x"));
    const path = "/v1/default/streams/late";
    const trim = (beforeOffset: number) => millrace.call("POST", `${path}/partitions/0/trim`, { beforeOffset });
    const read = (query: string, accept = "application/json") =>
      millrace.call("GET", `${path}/records?${query}`, undefined, { accept });
    const { cursor } = (await read("limit=3")).json;
    await trim(10);
    for (const query of [
      "partition=0&from=3",
      `from=${cursor}`,
      `from=${cursor}&wait=20&type=t`,
      "from=3&direction=backward",
    ]) {
      for (const accept of ["application/json", "application/x-ndjson", "application/vnd.millrace.frames"]) {
        if (query.includes("backward") && accept.includes("frames")) continue;
        const { status, json } = await read(query, accept);
        expect([status, json.code, json.head, json.snapshot], query).toEqual([410, "trimmed", 10, put]);
      }
    }
    expect((await millrace.call("GET", put.href)).text).toBe("x");
    await trim(11);
    expect((await read("from=3")).json).toMatchObject({ code: "trimmed", head: 11, snapshot: null });
  });

  test("also those who come too late for several partitions", async () => {
    const both = await stream("late-both", 0, { partitions: 3 });
    const path = "/v1/default/streams/late-both";
    for (const partition of [0, 1, 2]) await both.append([{ data: 1 }, { data: 2 }, { data: 3 }], { partition });
    const { cursor } = (await millrace.call("GET", `${path}/records?limit=1`)).json;
    const put = note(await both.snapshots.put(2, "x", { partition: 1 }));
    for (const partition of [1, 2]) {
      await millrace.call("POST", `${path}/partitions/${partition}/trim`, { beforeOffset: 2 });
    }
    const { status, json } = await millrace.call("GET", `${path}/records?from=${cursor}`);
    expect([status, json.code, json.snapshots]).toEqual([410, "trimmed", [put]]);
    expect(json.lost.map(({ partition }: { partition: number }) => partition)).toEqual([1, 2]);
  });

  test("of every partition, on the whole of a stream", async () => {
    const whole = await stream("whole", 0, { partitions: 2 });
    for (const partition of [0, 1]) await whole.append([{ data: 1 }, { data: 2 }, { data: 3 }], { partition });
    expect((await refusal(whole.snapshots.put(1, "x"))).code).toBe("invalid");
    const put = note(await whole.snapshots.put(2, "x", { partition: 1 }));
    const { json } = await millrace.call("GET", "/v1/default/streams/whole/records?from=snapshot");
    expect(json.snapshots).toEqual([put]);
    expect(json.records.map(({ partition }: StoredRecord) => partition).sort()).toEqual([0, 0, 0, 1]);
    const other = note(await whole.snapshots.put(1, "y", { partition: 0 }));
    expect((await whole.snapshots.list()).map(note)).toEqual([other, put]);
    expect((await whole.snapshots.list({ partition: 1 })).map(note)).toEqual([put]);
    expect((await refusal(whole.snapshots.list({ partition: 2 }))).code).toBe("partition-not-found");
    const { snapshot, records } = await whole.restore({ partition: 1 });
    expect(snapshot && note(snapshot)).toEqual(put);
    const found: number[] = [];
    for await (const { offset } of records) found.push(offset);
    expect(found).toEqual([2]);
  });

  test.each(["millrace.v1", "millrace.v1.binary"])("of a new one, on a socket of %s, at no cost", async (protocol) => {
    const name = `live-${protocol.replaceAll(".", "-")}`;
    const live = await stream(name, 10);
    const socket = await StreamSocket.open(`${millrace.url}/v1/default/streams/${name}/live`, {
      headers: { authorization: `Bearer ${token}` },
      protocols: [protocol],
    });
    socket.send({ type: "subscribe", id: 1, from: "latest", credits: 1 });
    await socket.untilOf("heartbeat");
    await live.snapshots.put(7, "seven");
    const heard = { type: "snapshot", partition: 0, offset: 7, bytes: 5 };
    expect(await socket.untilOf("snapshot")).toEqual([heard]);
    // The credit is still there.
    await live.append({ data: 1 });
    await socket.untilRecords(1, 1);
    socket.send({ type: "subscribe", id: 2, from: "snapshot", credits: 1_000 });
    expect(await socket.untilRecords(4, 2)).toMatchObject([
      { offset: 7 },
      { offset: 8 },
      { offset: 9 },
      { offset: 10 },
    ]);
    expect(socket.of("snapshot")).toEqual([heard, heard]);
    socket.socket.close();
  });

  test("by the library, over several partitions and as events too", async () => {
    const wide = await stream("wide", 0, { partitions: 2 });
    for (const partition of [0, 1]) await wide.append([{ data: 1 }, { data: 2 }], { partition });
    await wide.snapshots.put(1, "x", { partition: 0 });
    const heard: object[] = [];
    const follower: Follower<number> = wide.follow({ from: "snapshot", onSnapshot: (one) => heard.push(one) });
    const places: string[] = [];
    for await (const { partition, offset } of follower) {
      places.push(`${partition}.${offset}`);
      if (places.length === 3) break;
    }
    expect(places.sort()).toEqual(["0.1", "1.0", "1.1"]);
    expect(heard).toEqual([{ partition: 0, offset: 1, bytes: 1 }]);
    const events = await fetch(`${millrace.url}/v1/default/streams/wide/records?from=latest`, {
      headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
    });
    const reader = events.body!.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!said.includes("heartbeat")) said += (await reader.read()).value;
    await wide.snapshots.put(2, "yy", { partition: 1 });
    while (!said.includes("event: snapshot")) said += (await reader.read()).value;
    expect(said).toContain('event: snapshot\ndata: {"partition":1,"offset":2,"bytes":2}');
    await reader.cancel();
  });
});

test("retention waits for what no snapshot covers", async () => {
  const waiting = await stream("waiting", 0, { keepForSnapshot: true, retentionRecords: 8, deduplicationWindowMs: 0 });
  for (let data = 0; data < 30; data++) await waiting.append({ data });
  const head = async () => (await millrace.call("GET", "/v1/default/streams/waiting/partitions/0")).json.head;
  expect(await head()).toBe(0);
  await waiting.snapshots.put(12, "x");
  expect(await eventually(head, (head) => head > 0)).toBe(12);
  await waiting.snapshots.put(30, "x");
  expect(await eventually(head, (head) => head > 12)).toBeGreaterThanOrEqual(20);
  // The one at 12 is of no use any more.
  expect((await refusal(waiting.snapshots.get("latest", { before: 30 }))).code).toBe("snapshot-not-found");
});

test("a stream that is deleted leaves nothing in the bucket", async () => {
  const gone = await stream("gone", 0, { archive: true, retentionRecords: 8 });
  for (let data = 0; data < 30; data++) await gone.append({ data });
  const { logId } = await gone.info();
  for (const offset of [10, 20]) await gone.snapshots.put(offset, "x");
  const segments = async () => (await blobs.list(`logs/${logId}/`)).blobs.length;
  expect(await eventually(segments, (count) => count > 0)).toBeGreaterThan(0);
  const upload = await millrace.call("POST", "/v1/default/streams/gone/snapshots/30/uploads", {});
  expect(upload.status).toBe(201);
  expect(await keys(logId)).toHaveLength(2);
  await gone.delete();
  expect(
    await eventually(
      async () => [await segments(), await keys(logId)],
      ([a]) => a === 0,
    ),
  ).toEqual([0, []]);
});

test("a deployment without an archive says so", async () => {
  const { snapshots } = new Millrace({ url: bare.url, token }).stream("plain");
  await new Millrace({ url: bare.url, token }).stream("plain").put();
  expect(await snapshots.list()).toEqual([]);
  const refused = await refusal(snapshots.put(0, "x"));
  expect([refused.code, refused.status]).toEqual(["archive-off", 409]);
  expect(refused.message).toMatch(/bind an R2 bucket as ARCHIVE/);
});
