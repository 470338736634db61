import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { flags, openFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
let count = 0;

beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

interface Shown {
  partition: number;
  offset: number;
  timestamp: string;
  key?: string;
  data: number;
}

async function stream(config: object = {}): Promise<string> {
  const path = `/v1/default/streams/read-${count++}`;
  await millrace.call("PUT", path, config);
  return path;
}

/** A stream of one partition with the numbers from 0, ten a commit. */
async function numbers(total: number, config: object = {}): Promise<string> {
  const path = `${await stream(config)}/records`;
  for (let from = 0; from < total; from += 10) {
    const records = Array.from({ length: Math.min(10, total - from) }, (_, i) => ({
      key: `k${(from + i) % 3}`,
      type: `t${(from + i) % 4}`,
      source: `s${(from + i) % 2}`,
      tags: [`a${(from + i) % 2}`, `b${(from + i) % 5}`],
      data: from + i,
    }));
    await millrace.call("POST", path, { records });
  }
  return path;
}
const get = (path: string, query = "", headers?: Record<string, string>) =>
  millrace.call("GET", path + query, undefined, headers);
const data = (records: Shown[]) => records.map((one) => one.data);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("positions", () => {
  test.each([
    ["", range(0, 35)],
    ["&from=earliest&limit=3", [0, 1, 2]],
    ["&from=12&limit=3", [12, 13, 14]],
    ["&from=-2", [33, 34]],
    ["&from=latest", []],
    ["&from=35", []],
    ["&direction=backward&from=latest&limit=3", [34, 33, 32]],
    ["&direction=backward&from=12&limit=3", [12, 11, 10]],
    ["&direction=backward&from=1", [1, 0]],
    ["&from=1970-01-01T00:00:00Z&limit=1", [0]],
    ["&from=2100-01-01T00:00:00%2B01:00", []],
    ["&from=2100-01-01T00:00:00+01:00", []],
  ])("partition=0%s", async (query, expected) => {
    const path = await numbers(35);
    expect(data((await get(path, `?partition=0${query}`)).json.records)).toEqual(expected);
  });

  test("a time finds the first record at or after it", async () => {
    const path = await numbers(30);
    const all: Shown[] = (await get(path)).json.records;
    const time = all[15].timestamp;
    const expected = all.filter((one) => one.timestamp >= time);
    expect((await get(path, `?from=${time}`)).json.records).toEqual(expected);
  });

  test("trimmed, past the tail, and another log each have a code, and say where to read", async () => {
    const path = await numbers(30);
    const partition = path.replace("/records", "/partitions/0");
    const { cursor } = (await get(path, "?limit=5")).json;
    expect(await millrace.call("POST", `${partition}/trim`, { beforeOffset: 12 })).toMatchObject({
      json: { head: 12, tail: 30 },
    });
    expect(await get(path, "?partition=0&from=11")).toMatchObject({
      status: 410,
      json: { code: "trimmed", head: 12, tail: 30 },
    });
    expect(await get(path, `?from=${cursor}`)).toMatchObject({ status: 410, json: { code: "trimmed" } });
    expect(await get(path, "?partition=0&from=31")).toMatchObject({
      status: 416,
      json: { code: "past-tail", tail: 30 },
    });
    expect(data((await get(path, "?partition=0")).json.records)).toEqual(range(12, 30));
    const name = path.replace("/records", "");
    await millrace.call("DELETE", name);
    expect((await get(path, "?from=earliest")).json.code).toBe("stream-not-found");
    await millrace.call("PUT", name, {});
    expect(await get(path, `?from=${cursor}`)).toMatchObject({ status: 409, json: { code: "wrong-log" } });
    expect((await get(path)).json).toMatchObject({ records: [], tail: 0, upToDate: true });
  });
});

describe("pages", () => {
  test("chain forward and backward by their links, and say when they are up to date", async () => {
    const path = await numbers(35);
    const found: number[] = [];
    const pages: string[] = [];
    for (let next = `${path}?limit=10`; ; ) {
      const answer = await get(next);
      found.push(...data(answer.json.records));
      expect(answer.json.upToDate).toBe(found.length === 35);
      expect(answer.headers.get("millrace-tail")).toBe("35");
      expect(answer.headers.get("millrace-next")).toBe(String(found.length));
      pages.push(next);
      next = /<([^>]+)>; rel="next"/.exec(answer.headers.get("link") ?? "")![1];
      if (answer.json.upToDate) break;
    }
    expect(found).toEqual(range(0, 35));
    const last = await get(pages.at(-1)!);
    const prev = /<([^>]+)>; rel="prev"/.exec(last.headers.get("link") ?? "")![1];
    expect(data((await get(prev)).json.records)).toEqual(range(20, 30).reverse());
    expect((await get(pages[0])).json.prev).toBeNull();
  });

  test("are bounded by bytes, and have at least one record", async () => {
    const path = await numbers(35);
    expect(data((await get(path, "?maxBytes=1")).json.records)).toEqual([0]);
    const some = (await get(path, "?maxBytes=600")).json;
    expect(some.records.length).toBeGreaterThan(1);
    expect(some.records.length).toBeLessThan(10);
    expect(some.next).toBe(some.records.length);
  });

  test("of sealed history never change, and say so; those at the tail do not", async () => {
    const path = await numbers(35);
    const sealed = await get(path, "?partition=0&from=5&limit=10");
    const etag = sealed.headers.get("etag")!;
    expect(sealed.headers.get("cache-control")).toContain("immutable");
    expect((await get(path, "?partition=0&from=5&limit=10", { "if-none-match": etag })).status).toBe(304);
    expect((await get(path, "?partition=0&from=5&limit=11", { "if-none-match": etag })).status).toBe(200);
    for (const query of ["?partition=0&from=30", "?partition=0&from=-20&limit=2", "?partition=0&from=25&limit=10"]) {
      const open = await get(path, query);
      expect([open.headers.get("etag"), open.headers.get("cache-control")]).toEqual([null, "no-store"]);
    }
  });

  test("everything at once, streamed, in each format", async () => {
    const path = await numbers(350);
    expect(data((await get(path, "?maxBytes=all")).json.records)).toEqual(range(0, 350));
    const lines = await get(path, "?maxBytes=all", { accept: "application/x-ndjson" });
    expect(
      data(
        lines.text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
      ),
    ).toEqual(range(0, 350));
    expect(await framed(path, "?maxBytes=all&partition=0")).toEqual(range(0, 350));
    expect((await get(path, "?maxBytes=all&direction=backward")).status).toBe(400);
  });
});

async function framed(path: string, query: string): Promise<number[]> {
  const response = await fetch(`${millrace.url}${path}${query}`, {
    headers: { authorization: "Bearer test-token", accept: "application/vnd.millrace.frames" },
  });
  expect(response.status).toBe(200);
  const frames = openFrames(new Uint8Array(await response.arrayBuffer()));
  const found: number[] = [];
  if (!frames.ok) throw new Error(frames.refusal.detail);
  for (const frame of frames.value) {
    expect(frame.flags & flags.damaged).toBe(0);
    decodeFrame(frame, (one, offset) => {
      found.push(JSON.parse(new TextDecoder().decode(one.data)));
      expect(found.at(-1)).toBe(offset);
    });
  }
  return found;
}

describe("formats", () => {
  test("are chosen by Accept and its weights; another is refused", async () => {
    const path = await numbers(3);
    const type = async (accept: string) => (await get(path, "?partition=0", { accept })).headers.get("content-type");
    expect(await type("*/*")).toBe("application/json");
    expect(await type("text/html;q=0.9, application/x-ndjson;q=0.8, application/json;q=0.1")).toBe(
      "application/x-ndjson",
    );
    expect(await type("application/vnd.millrace.frames")).toBe("application/vnd.millrace.frames");
    expect((await get(path, "", { accept: "text/csv" })).json.code).toBe("not-acceptable");
    expect(
      (
        await get(await stream({ partitions: 2 }).then((name) => `${name}/records`), "", {
          accept: "application/vnd.millrace.frames",
        })
      ).status,
    ).toBe(406);
  });

  test("frames are the stored bytes, and under a filter carry each record's offset", async () => {
    const path = await numbers(35);
    expect(await framed(path, "?partition=0")).toEqual(range(0, 35));
    expect(await framed(path, "?partition=0&type=t1")).toEqual(range(0, 35).filter((n) => n % 4 === 1));
  });
});

describe("filters", () => {
  test.each([
    ["key=k1", (n: number) => n % 3 === 1],
    ["type=t2", (n: number) => n % 4 === 2],
    ["type=t2&type=t3&match=any", (n: number) => n % 4 >= 2],
    ["source=s1&type=t1", (n: number) => n % 4 === 1],
    ["tag=a1", (n: number) => n % 2 === 1],
    ["tag=a1&tag=b3&match=any", (n: number) => n % 2 === 1 || n % 5 === 3],
    ["tag=a1&tag=b3&match=all", (n: number) => n % 2 === 1 && n % 5 === 3],
    ["tag=nothing", () => false],
  ])("%s", async (query, wanted) => {
    const path = await numbers(60);
    const expected = range(0, 60).filter(wanted);
    expect(data((await get(path, `?${query}`)).json.records)).toEqual(expected);
    expect(data((await get(path, `?${query}&direction=backward&from=latest`)).json.records)).toEqual(
      expected.reverse(),
    );
  });

  test("several values need to be told how they are meant", async () => {
    const path = await numbers(1);
    expect((await get(path, "?tag=a&tag=b")).json).toMatchObject({ code: "invalid", path: "match" });
    expect((await get(path, "?type=a&type=b&match=all")).json).toMatchObject({ code: "invalid", path: "match" });
  });

  test("a cursor advances over what they leave out", async () => {
    const path = await numbers(60);
    const page = (await get(path, "?type=nobody")).json;
    expect(page).toMatchObject({ records: [], next: 60, upToDate: true });
  });
});

describe("a whole stream", () => {
  test("is the same merged order on every run and every page size, each key in order", async () => {
    const path = await numbers(300, { partitions: 4 });
    const all: Shown[] = (await get(path)).json.records;
    expect(data(all).sort((a, b) => a - b)).toEqual(range(0, 300));
    for (const limit of [7, 50]) {
      const found: Shown[] = [];
      for (let cursor = "earliest"; ; ) {
        const { records, next, upToDate } = (await get(path, `?limit=${limit}&from=${cursor}`)).json;
        found.push(...records);
        cursor = next;
        if (upToDate) break;
      }
      expect(found).toEqual(all);
    }
    expect((await get(path, "?direction=backward&from=latest")).json.records).toEqual([...all].reverse());
    for (const key of ["k0", "k1", "k2"]) {
      const numbers = data(all.filter((one) => one.key === key));
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
  });

  test("goes on from a cursor with what came later, without a gap or a repeat, while writers write", async () => {
    const path = await numbers(0, { partitions: 3 });
    const writers = Promise.all(
      range(0, 6).map(async (writer) => {
        for (let i = 0; i < 30; i++)
          await millrace.call("POST", path, { records: [{ key: `w${writer}-${i % 5}`, data: writer * 100 + i }] });
      }),
    );
    const seen: Shown[] = [];
    let done = false;
    writers.then(() => {
      done = true;
    });
    for (let cursor = "earliest"; ; ) {
      const finished = done;
      const { records, next, upToDate } = (await get(path, `?from=${cursor}&limit=20&wait=0.2`)).json;
      seen.push(...records);
      cursor = next;
      if (finished && upToDate) break;
    }
    expect(seen).toEqual((await get(path)).json.records);
    expect(seen.length).toBe(180);
  });

  test("takes no offset, which belongs to one partition", async () => {
    const path = await numbers(3, { partitions: 2 });
    expect((await get(path, "?from=1")).json).toMatchObject({ code: "invalid", path: "from" });
    expect((await get(path, "?partition=9")).json.code).toBe("partition-not-found");
  });
});

describe("waiting", () => {
  test("ends with the record that comes, and not with one that the filter leaves out", async () => {
    const path = await numbers(10);
    const waiting = get(path, "?partition=0&from=10&wait=20&type=wanted");
    await millrace.call("POST", path, { records: [{ type: "other", data: -1 }] });
    await millrace.call("POST", path, { records: [{ type: "wanted", data: -2 }] });
    expect((await waiting).json).toMatchObject({ records: [{ offset: 11, data: -2 }], next: 12, upToDate: true });
  });

  test("ends empty after its time", async () => {
    const path = await numbers(10);
    const start = Date.now();
    expect((await get(path, "?partition=0&from=latest&wait=0.3")).json).toMatchObject({
      records: [],
      next: 10,
      upToDate: true,
    });
    expect(Date.now() - start).toBeGreaterThanOrEqual(290);
  });

  test("works for a whole stream, also one that nobody has written to", async () => {
    const path = await numbers(0, { partitions: 3 });
    const waiting = get(path, "?wait=20");
    await new Promise((done) => setTimeout(done, 100));
    await millrace.call("POST", path, { records: [{ key: "a", data: 1 }] });
    expect(data((await waiting).json.records)).toEqual([1]);
  });
});

describe("facts", () => {
  test("tell head, tail, sizes and times; verify finds the log intact", async () => {
    const path = await numbers(30);
    const partition = path.replace("/records", "/partitions/0");
    const { json } = await millrace.call("GET", partition);
    expect(json).toMatchObject({ partition: 0, head: 0, tail: 30, records: 30, chunks: 3, sealed: false });
    expect(Date.parse(json.firstTimestamp)).toBeLessThanOrEqual(Date.parse(json.lastTimestamp));
    expect((await millrace.call("POST", `${partition}/verify`)).json).toMatchObject({
      intact: true,
      records: 30,
      chunks: 3,
      damaged: [],
    });
    const time = (await get(path, "?partition=0&from=20&limit=1")).json.records[0].timestamp;
    const trimmed = await millrace.call("POST", `${partition}/trim`, { beforeTime: time });
    expect(trimmed.json.head).toBeLessThanOrEqual(20);
    expect(await millrace.call("POST", `${partition}/trim`, { beforeOffset: 31 })).toMatchObject({
      status: 416,
      json: { code: "past-tail" },
    });
    expect((await millrace.call("GET", path.replace("/records", "/partitions/7"))).json.code).toBe(
      "partition-not-found",
    );
  });
});
