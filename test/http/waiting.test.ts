/** Long-poll: it rests until something happens, over partitions that were split and such as come meanwhile, and holds nobody up. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Millrace, type StoredRecord } from "../../src/client/index.ts";
import { readCursor } from "../../src/log/cursor.ts";
import { type Answer, type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
async function fresh(partitions = 1) {
  const name = `waiting-${count++}`;
  const stream = `/v1/default/streams/${name}`;
  const grow = (partitions: number) => millrace.call("PUT", stream, { partitions });
  await grow(partitions);
  const append = (...keys: string[]) =>
    millrace.call("POST", `${stream}/records`, { records: keys.map((key) => ({ key, data: key })) });
  const get = (query: string, headers?: Record<string, string>) =>
    millrace.call("GET", `${stream}/records?${query}`, undefined, headers);
  const cursor = async () => (await get("from=latest")).json.cursor as string;
  return { name, stream, grow, append, get, cursor };
}

const keysOf = ({ json }: Answer) => json.records.map(({ key }: StoredRecord) => key);
/** Time for a request to come to rest in the partitions. */
const settled = () => pause(200);

/** Hundredths of a second that the service has been at work. */
function worked(): number {
  const fields = readFileSync(`/proc/${millrace.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

describe("a stream that has grown", () => {
  test.each([
    ["from now on", async () => "from=latest"],
    ["for a key", async () => "from=latest&key=late"],
    ["from a time", async () => "from=2100-01-01T00:00:00Z&key=late"],
    ["for the next after all", async () => "from=earliest&type=none"],
    ["from a cursor", async ({ cursor }: { cursor(): Promise<string> }) => `from=${await cursor()}`],
  ])("is waited for %s: it costs nothing, an append is answered, and the reader gets its record", async (_, query) => {
    const one = await fresh();
    await one.append("a", "b", "c", "d");
    await one.grow(4);
    await one.append("a", "b", "c", "d");
    const search = await query(one);
    const wanted = search.includes("type=none") ? { type: "none" } : {};
    const readers = Array.from({ length: 10 }, () => one.get(`${search}&wait=25`));
    await settled();
    const before = worked();
    await pause(1_000);
    expect(worked() - before).toBeLessThan(40);
    const records = [{ key: "late", data: 1, ...wanted }];
    expect((await millrace.call("POST", `${one.stream}/records`, { records })).status).toBe(201);
    for (const reader of readers) {
      const answer = await reader;
      expect(keysOf(answer)).toEqual(["late"]);
      const of = search.includes("key=") ? "&key=late" : "";
      expect((await one.get(`from=${answer.json.cursor}${of}`)).json.records).toEqual([]);
    }
  });

  test("while it is waited for goes on over the new partitions, and so does the cursor", async () => {
    for (const partitions of [1, 2]) {
      const { grow, append, get } = await fresh(partitions);
      await append("a", "b", "c");
      const waiting = get("from=latest&wait=25");
      await settled();
      await grow(partitions * 2);
      await append("late");
      const answer = await waiting;
      expect(keysOf(answer)).toEqual(["late"]);
      const { cursor } = answer.json;
      expect([...(readCursor(cursor)?.offsets.keys() ?? [])]).toEqual(
        Array.from({ length: partitions * 3 }, (_, partition) => partition),
      );
      await append("later");
      expect(keysOf(await get(`from=${cursor}&wait=25`))).toEqual(["later"]);
    }
  });

  test("for a key is waited for where the key belongs by then", async () => {
    const { grow, append, get } = await fresh();
    await append("a");
    const waiting = get("key=late&from=latest&wait=25");
    await settled();
    await grow(8);
    await append("other", "late");
    expect(keysOf(await waiting)).toEqual(["late"]);
  });

  test("twice while it is waited for is no different", async () => {
    const { grow, append, get } = await fresh();
    const waiting = get("wait=25");
    await settled();
    await grow(2);
    await settled();
    await grow(5);
    await append("late");
    expect(keysOf(await waiting)).toEqual(["late"]);
  });
});

describe("one partition that was split", () => {
  const lines = { accept: "application/x-ndjson" };
  const frames = { accept: "application/vnd.millrace.frames" };

  test("says at its end that nothing more will come, in every format, and does not wait", async () => {
    const { grow, append, get } = await fresh();
    await append("a", "b");
    await grow(2);
    expect((await get("partition=0&from=latest&wait=30")).json).toMatchObject({ records: [], ended: true });
    expect((await get("partition=0&wait=30")).json).toMatchObject({ upToDate: true, ended: true, next: 2 });
    expect((await get("partition=0&maxBytes=all")).json).toMatchObject({ ended: true });
    expect((await get("partition=0&type=none&wait=30")).json).toMatchObject({ records: [], ended: true });
    for (const headers of [lines, frames]) {
      expect((await get("partition=0&from=latest&wait=30", headers)).headers.get("millrace-ended")).toBe("true");
      expect((await get("partition=0&limit=1", lines)).headers.get("millrace-ended")).toBeNull();
    }
    for (const query of ["partition=0&limit=1", "partition=0&direction=backward", "", "key=a", "partition=1"]) {
      expect((await get(query)).json.ended, query).toBeUndefined();
    }
  });

  test("ends the wait of whoever asked for it by its number", async () => {
    const { grow, append, get } = await fresh();
    await append("a");
    const waiting = [get("partition=0&from=latest&wait=30"), get("partition=0&from=1&wait=30", frames)];
    await settled();
    await grow(2);
    expect((await waiting[0]).json).toMatchObject({ records: [], ended: true, next: 1 });
    expect((await waiting[1]).headers.get("millrace-ended")).toBe("true");
  });

  test("as frames of the whole stream is refused by then", async () => {
    const { grow, append, get } = await fresh();
    await append("a");
    const waiting = get("from=latest&wait=30", frames);
    await settled();
    await grow(2);
    expect(await waiting).toMatchObject({ status: 406, json: { code: "not-acceptable" } });
  });

  test.each(["socket", "http"] as const)("ends for the library that follows by %s", async (transport) => {
    const { name, grow, append } = await fresh();
    await append("a", "b");
    const stream = new Millrace({ url: millrace.url, token }).stream(name);
    const keys: (string | undefined)[] = [];
    const following = (async () => {
      for await (const { key } of stream.follow({ from: 0, partition: 0, transport })) keys.push(key);
    })();
    await expect.poll(() => keys.length).toBe(2);
    await grow(2);
    await following;
    expect(keys).toEqual(["a", "b"]);
    for await (const _ of stream.follow({ from: 2, partition: 0, transport })) expect.fail("nothing is left");
  });
});

test("readers who wait in numbers hold no append up, and all get what they wait for", async () => {
  const { stream, append, get } = await fresh(2);
  const readers = Array.from({ length: 400 }, () => get("from=latest&type=wanted&wait=30"));
  await settled();
  for (let n = 0; n < 50; n++) expect((await append("a", "b", "c")).status).toBe(201);
  const records = [{ key: "a", type: "wanted", data: 1 }];
  expect((await millrace.call("POST", `${stream}/records`, { records })).status).toBe(201);
  for (const reader of readers) expect((await reader).json.records).toMatchObject([{ type: "wanted" }]);
});

test.each([1, 3])("of %i partitions ends where the stream is deleted", async (partitions) => {
  const { stream, append, get } = await fresh(partitions);
  await append("a", "b", "c");
  const waiting = [get("from=latest&wait=30"), get("partition=0&from=latest&wait=30")];
  await settled();
  await millrace.call("DELETE", stream);
  for (const one of waiting) expect(await one).toMatchObject({ status: 404, json: { code: "stream-not-found" } });
});
