import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Millrace } from "../../src/client/index.ts";
import { flags, openFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";
import { type Service, service, token } from "./service.ts";

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
  await fill(path, total);
  return path;
}

async function fill(path: string, total: number): Promise<void> {
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
    ["&direction=backward&limit=3", [34, 33, 32]],
    ["&direction=backward&from=-1&limit=2", [34, 33]],
    ["&direction=backward&from=-30&limit=2", [5, 4]],
    ["&direction=backward&from=-100", [0]],
    ["&from=-1000000", range(0, 35)],
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
    const trimmed = { code: "trimmed", head: 12, tail: 30, partition: 0, snapshot: null };
    const onwards = cursor.replace(/~.*/, "~0.c");
    for (const [query, lost] of [
      ["?partition=0&from=11", { from: 11, to: 12 }],
      [`?from=${cursor}`, { from: 5, to: 12 }],
      [`?from=${cursor}&wait=20&key=k1`, { from: 5, to: 12 }],
      ["?partition=0&from=11&direction=backward", { from: 0, to: 12 }],
      [`?from=${cursor}&direction=backward`, { from: 0, to: 5 }],
    ] as const) {
      for (const accept of ["application/json", "application/x-ndjson", "application/vnd.millrace.frames"]) {
        if (query.includes("backward") && accept.includes("frames")) continue;
        expect(await get(path, query, { accept })).toMatchObject({
          status: 410,
          json: { ...trimmed, cursor: onwards, lost: [{ partition: 0, ...lost, why: "trimmed" }] },
        });
      }
    }
    expect((await get(path, `?from=${onwards}&direction=backward`)).json).toMatchObject({ records: [], next: null });
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

  test.each(["application/json", "application/x-ndjson", "application/vnd.millrace.frames"])(
    "have links that can be followed under the same Accept: %s",
    async (accept) => {
      const path = await numbers(30);
      const { headers } = await get(`${path}?partition=0&from=10&limit=10`, "", { accept });
      const links = [...(headers.get("link") ?? "").matchAll(/<([^>]+)>; rel="(\w+)"/g)];
      expect(links.map(([, , rel]) => rel)).toEqual(accept.includes("frames") ? ["next"] : ["next", "prev"]);
      for (const [, url] of links) expect((await get(url, "", { accept })).status).toBe(200);
    },
  );

  test("are bounded by bytes, and have at least one record", async () => {
    const path = await numbers(35);
    expect(data((await get(path, "?maxBytes=1")).json.records)).toEqual([0]);
    const some = (await get(path, "?maxBytes=600")).json;
    expect(some.records.length).toBeGreaterThan(1);
    expect(some.records.length).toBeLessThan(10);
    expect(some.next).toBe(some.records.length);
  });

  test("of sealed history may be kept: for ever where their address names the log, else until they are asked for again", async () => {
    const path = await numbers(35);
    const { cursor } = (await get(path, "?limit=5")).json;
    for (const [from, caching] of [
      [cursor, "private, max-age=31536000, immutable"],
      ["5", "private, no-cache"],
    ]) {
      const sealed = await get(path, `?partition=0&from=${from}&limit=10`);
      const etag = sealed.headers.get("etag")!;
      expect([sealed.headers.get("cache-control"), sealed.headers.get("vary")]).toEqual([
        caching,
        "accept, authorization",
      ]);
      const known = (tag: string, limit = 10, headers = {}) =>
        get(path, `?partition=0&from=${from}&limit=${limit}`, { "if-none-match": tag, ...headers });
      for (const tag of [etag, `"other", ${etag}`, etag.replace("W/", ""), "*"]) {
        const { status, headers, text } = await known(tag);
        expect([status, headers.get("etag"), headers.get("cache-control"), text]).toEqual([304, etag, caching, ""]);
      }
      for (const tag of ['"other"', etag.slice(0, -2), `W/"x${etag.slice(3)}`])
        expect((await known(tag)).status).toBe(200);
      expect((await known(etag, 11)).status).toBe(200);
      expect((await known(etag, 10, { accept: "application/x-ndjson" })).status).toBe(200);
    }
    for (const query of ["?partition=0&from=30", "?partition=0&from=-20&limit=2", "?partition=0&from=25&limit=10"]) {
      const open = await get(path, query);
      expect([open.headers.get("etag"), open.headers.get("cache-control")]).toEqual([null, "no-store"]);
    }
  });

  test("of a stream that was made anew are never taken for those of the one before", async () => {
    const path = await numbers(30);
    const query = "?partition=0&from=0&limit=10";
    const etag = (await get(path, query)).headers.get("etag")!;
    await millrace.call("DELETE", path.replace("/records", ""));
    await millrace.call("PUT", path.replace("/records", ""), {});
    // The same records, but for their times.
    await fill(path, 30);
    const anew = await get(path, query, { "if-none-match": etag });
    expect([anew.status, data(anew.json.records)]).toEqual([200, range(0, 10)]);
  });

  test("of which records were forgotten are asked for again", async () => {
    const path = await numbers(30);
    const query = "?partition=0&from=0&limit=10";
    const before = await get(path, query);
    const etag = before.headers.get("etag")!;
    expect((await get(path, query, { "if-none-match": etag })).status).toBe(304);
    expect((await millrace.call("POST", path.replace("/records", "/erasures"), { key: "k1" })).status).toBe(202);
    await expect
      .poll(async () => (await get(path, query)).json.records.filter((one: Shown) => one.key === "k1").length)
      .toBe(0);
    const after = await get(path, query, { "if-none-match": etag });
    expect([after.status, after.headers.get("etag") === etag]).toEqual([200, false]);
  });

  test("that are compacted, merged or read backward are not kept", async () => {
    const path = await numbers(30, { partitions: 2 });
    const { cursor } = (await get(path, "?limit=5")).json;
    const compacted = await numbers(30, { compact: true });
    for (const answer of [
      await get(path, `?from=${cursor}&limit=5`),
      await get(path, "?partition=0&from=9&limit=5&direction=backward"),
      await get(compacted, "?partition=0&from=0&limit=5"),
    ]) {
      expect([answer.status, answer.headers.get("etag"), answer.headers.get("cache-control")]).toEqual([
        200,
        null,
        "no-store",
      ]);
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
    for (const match of ["any", "all"])
      expect((await get(path, `?match=${match}`)).json).toMatchObject({ code: "invalid", path: "match" });
    expect((await get(path, "?tag=a&tag=b")).json).toMatchObject({ code: "invalid", path: "match" });
    expect((await get(path, "?type=a&type=b&match=all")).json).toMatchObject({ code: "invalid", path: "match" });
  });

  test("a cursor advances over what they leave out", async () => {
    const path = await numbers(60);
    const page = (await get(path, "?type=nobody")).json;
    expect(page).toMatchObject({ records: [], next: 60, upToDate: true });
  });
});

describe("what is trimmed while everything is on its way", () => {
  const [total, head] = [60, 55];

  /** What a reader gets who takes nothing before all but the end is trimmed; what is on its way by then is bounded. */
  async function overtaken(accept: string): Promise<Uint8Array> {
    const path = `${await stream()}/records`;
    for (let n = 0; n < total; n++) {
      await millrace.call("POST", path, {
        records: [{ data: n, subject: "s", key: "k" }, { data: "x".repeat(900_000) }],
      });
    }
    const response = await fetch(`${millrace.url}${path}?maxBytes=all&partition=0`, {
      headers: { authorization: "Bearer test-token", accept },
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await millrace.call("POST", path.replace("/records", "/partitions/0/trim"), { beforeOffset: head * 2 });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Every offset is there or missing, in order, and none is both. */
  function check(parts: readonly (number | { from: number; to: number })[]): void {
    const all = parts.flatMap((part) => (typeof part === "number" ? [part] : range(part.from, part.to)));
    expect(all).toEqual(range(0, total * 2));
    const missing = parts.filter((part) => typeof part !== "number");
    expect(missing).toEqual([{ from: expect.any(Number), to: head * 2 }]);
  }

  test("is told in JSON", async () => {
    const { records, lost } = JSON.parse(new TextDecoder().decode(await overtaken("application/json")));
    expect(lost).toMatchObject([{ partition: 0, to: head * 2, why: "trimmed" }]);
    const offsets = records.map(({ offset }: Shown) => offset);
    const before = offsets.filter((offset: number) => offset < lost[0].from);
    check([...before, { from: lost[0].from, to: lost[0].to }, ...offsets.slice(before.length)]);
  });

  test("is told in a line", async () => {
    const text = new TextDecoder().decode(await overtaken("application/x-ndjson"));
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    check(lines.map(({ offset, lost }) => (lost === undefined ? offset : { from: lost.from, to: lost.to })));
    expect(lines.find(({ lost }) => lost !== undefined)).toMatchObject({ partition: 0, lost: { why: "trimmed" } });
  });

  test("is a hole among frames", async () => {
    const frames = openFrames(await overtaken("application/vnd.millrace.frames"));
    if (!frames.ok) throw new Error(frames.refusal.detail);
    const parts: (number | { from: number; to: number })[] = [];
    for (const frame of frames.value) {
      if (frame.flags & flags.damaged) {
        const to = Number(new DataView(frame.bytes.buffer, frame.bytes.byteOffset + frame.from).getBigUint64(0, true));
        parts.push({ from: frame.base, to });
      } else decodeFrame(frame, (_, offset) => parts.push(offset));
    }
    check(parts);
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

  test("whose clients stamp the records does not hide them for a partition that rests", async () => {
    const path = `${await stream({ partitions: 2, timestamps: "client" })}/records`;
    const now = Date.now();
    await millrace.call("POST", `${path}?partition=0`, { records: [{ data: 0, timestamp: now }] });
    for (const query of ["", "?maxBytes=all", "?from=-1", "?wait=30"]) {
      const { json } = await get(path, query);
      expect([data(json.records), json.upToDate], query).toEqual([[0], true]);
    }
    await millrace.call("POST", `${path}?partition=1`, { records: [{ data: 1, timestamp: now + 3_000_000 }] });
    await millrace.call("POST", `${path}?partition=0`, { records: [{ data: 2, timestamp: now + 1 }] });
    const { json } = await get(path);
    expect([data(json.records), json.upToDate]).toEqual([[0, 2, 1], true]);
    // The library, which reads until it is up to date, comes to an end.
    const seen: unknown[] = [];
    const name = path.split("/")[4];
    for await (const one of new Millrace({ url: millrace.url, token }).stream(name).read()) seen.push(one.data);
    expect(seen).toEqual([0, 2, 1]);
  });

  test("takes no offset, which belongs to one partition", async () => {
    const path = await numbers(3, { partitions: 2 });
    expect((await get(path, "?from=1")).json).toMatchObject({ code: "invalid", path: "from" });
    expect((await get(path, "?partition=9")).json.code).toBe("partition-not-found");
  });
});

describe("to", () => {
  /** Everything of a read with an end, page by page; the last one says that nothing follows. */
  async function walk(path: string, from: string, to: string, limit: number, more = ""): Promise<Shown[]> {
    const found: Shown[] = [];
    for (let place = from; ; ) {
      const query = `?from=${encodeURIComponent(place)}&to=${encodeURIComponent(to)}&limit=${limit}${more}`;
      const { json, headers } = await get(path, query);
      expect(json.records, JSON.stringify(json)).toBeDefined();
      found.push(...json.records);
      expect(json.next === null).toBe(json.upToDate);
      expect(headers.get("etag")).toBeNull();
      expect(headers.has("millrace-next")).toBe(json.next !== null);
      if (json.next === null) return found;
      place = json.cursor;
    }
  }

  test("ends pages, lines, frames and everything at once at an offset, which is not shown", async () => {
    const path = await numbers(100);
    for (const [from, to, limit] of [
      [0, 0, 5],
      [0, 1, 5],
      [7, 23, 5],
      [7, 23, 16],
      [13, 14, 1],
      [20, 10, 5],
      [95, 100, 10],
      [95, 1_000, 10],
    ] as const) {
      const wanted = range(from, Math.max(from, Math.min(to, 100)));
      const said = `${from} ${to}`;
      expect(data(await walk(path, `${from}`, `${to}`, limit)), said).toEqual(wanted);
      const query = `?from=${from}&to=${to}`;
      const all = (await get(path, `${query}&maxBytes=all`)).json;
      expect([data(all.records), all.next, all.upToDate], said).toEqual([wanted, null, true]);
      const lines = (await get(path, query, { accept: "application/x-ndjson" })).text;
      expect(
        lines
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line).data),
        said,
      ).toEqual(wanted);
      for (const more of ["", "&maxBytes=all"]) {
        const response = await fetch(`${millrace.url}${path}${query}${more}`, {
          headers: { authorization: `Bearer ${token}`, accept: "application/vnd.millrace.frames" },
        });
        const offsets: number[] = [];
        const frames = openFrames(new Uint8Array(await response.arrayBuffer()));
        if (!frames.ok) throw new Error(frames.refusal.detail);
        for (const frame of frames.value) decodeFrame(frame, (_, offset) => offsets.push(offset));
        expect(
          offsets.filter((offset) => offset >= from),
          said,
        ).toEqual(wanted);
        expect(response.headers.get("millrace-up-to-date")).toBe("true");
      }
    }
  });

  test("ends what partitions have stamped themselves, without waiting for what they may stamp yet", async () => {
    const path = await numbers(60, { partitions: 3 });
    const { cursor, records } = (await get(path, "?limit=20")).json;
    expect(data(await walk(path, "earliest", "latest", 7)).sort((a, b) => a - b)).toEqual(range(0, 60));
    await fill(path, 30);
    expect(await walk(path, "earliest", cursor, 7)).toEqual(records);
  });

  test("is passed on by the links, and not to one that goes back", async () => {
    const path = await numbers(30);
    const { headers } = await get(path, "?from=5&to=20&limit=5");
    const [next, back] = [...(headers.get("link") ?? "").matchAll(/<([^>]+)>/g)].map(([, link]) => link);
    expect(data((await millrace.call("GET", next)).json.records)).toEqual(range(10, 15));
    expect(data((await millrace.call("GET", back)).json.records)).toEqual(range(0, 5).reverse());
  });

  test.each([1, 3])(
    "ends a stream of %i partitions at a time, or a cursor, in its merged order, whatever comes meanwhile",
    async (partitions) => {
      const path = `${await stream({ partitions, timestamps: "client" })}/records`;
      const began = Date.now() - 1_000_000;
      const records = range(0, 90).map((one) => ({ key: `k${one % 7}`, data: one, timestamp: began + one * 1_000 }));
      for (let at = 0; at < 90; at += 9) await millrace.call("POST", path, { records: records.slice(at, at + 9) });
      const timeOf = (one: number) => new Date(began + one * 1_000).toISOString();
      for (const [from, to] of [
        [0, 90],
        [11, 47],
        [30, 31],
        [50, 50],
        [60, 20],
      ] as const)
        for (const limit of [4, 100]) {
          const wanted = range(from, Math.max(from, to));
          expect(data(await walk(path, timeOf(from), timeOf(to), limit)), `${from} ${to}`).toEqual(wanted);
        }
      expect(data(await walk(path, timeOf(80), "9999-01-01", 7))).toEqual(range(80, 90));
      expect(data(await walk(path, timeOf(80), "latest", 7))).toEqual(range(80, 90));
      expect(data(await walk(path, "earliest", timeOf(20), 50, "&key=k3"))).toEqual([3, 10, 17]);
      const half = (await get(path, "?limit=45")).json;
      await millrace.call("POST", path, { records: [{ key: "k1", data: 90 }] });
      await millrace.call("PUT", path.replace(/\/records$/, ""), { partitions: partitions + 1 });
      for (let key = 0; key < 7; key++)
        await millrace.call("POST", path, { records: [{ key: `k${key}`, data: 91 + key }] });
      expect(data(await walk(path, "earliest", half.cursor, 6))).toEqual(range(0, 45));
      const all = (await get(path, `?from=earliest&to=${half.cursor}&maxBytes=all`)).json;
      expect([data(all.records), all.next]).toEqual([range(0, 45), null]);
      expect(data(await walk(path, half.cursor, timeOf(80), 6))).toEqual(range(45, 80));
    },
  );

  test.each([
    ["to=5&direction=backward", "to"],
    ["to=5&wait=1", "wait"],
    ["to=soon", "to"],
    ["to=earliest", "to"],
    ["to=-5", "to"],
    ["to=", "to"],
  ])("%s is refused by name", async (query, name) => {
    const path = await numbers(3);
    expect((await get(path, `?${query}`)).json).toMatchObject({ status: 400, code: "invalid", path: name });
  });

  test("is refused where it is no place of the stream, or of what goes on", async () => {
    const [path, other] = [await numbers(3, { partitions: 2 }), await numbers(3)];
    const { cursor } = (await get(other)).json;
    expect((await get(path, `?to=${cursor}`)).json).toMatchObject({ status: 409, code: "wrong-log" });
    expect((await get(path, "?to=1")).json).toMatchObject({ code: "invalid", path: "to" });
    const events = await get(path, "?to=latest", { accept: "text/event-stream" });
    expect(events.json).toMatchObject({ code: "invalid", path: "to" });
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
