/** `-n`: the newest n records, by every way of reading, with its bounds, and while others append. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { runCli, start } from "./cli.ts";
import { Found, ways } from "./readers.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
async function fresh(partitions: number) {
  const name = `newest-${count++}`;
  const path = `/v1/default/streams/${name}`;
  await millrace.call("PUT", path, { partitions });
  let next = 0;
  const append = (some: number) => {
    const records = Array.from({ length: some }, () => ({ key: `k${next % 12}`, data: next++ }));
    return millrace.call("POST", `${path}/records`, { records });
  };
  const get = (query: string, headers?: Record<string, string>) =>
    millrace.call("GET", `${path}/records?${query}`, undefined, headers);
  const open = () =>
    StreamSocket.open(`${millrace.url}${path}/live`, { headers: { authorization: `Bearer ${token}` } });
  return { name, path, append, get, open };
}

const { lastRecordsMax: most } = limits;
const events = { accept: "text/event-stream" };
const frames = { accept: "application/vnd.millrace.frames" };

test.each([
  ["several partitions", 2, "", undefined],
  ["a filter", 1, "key=k3", { key: "k3" }],
])("counts so many at most where they must be counted: %s", async (_, partitions, scope, filter) => {
  const { append, get, open } = await fresh(partitions);
  await append(24);
  const expected = filter === undefined ? 24 : 2;
  expect((await get(`from=-${most}&${scope}`)).json.records).toHaveLength(expected);
  const refusal = { code: "invalid", path: "from", limit: most };
  for (const headers of [undefined, events, ...(partitions > 1 ? [] : [frames])]) {
    expect(await get(`from=-${most + 1}&${scope}`, headers)).toMatchObject({ status: 400, json: refusal });
  }
  expect((await get(`from=-${most + 1}&direction=backward&${scope}`)).json).toMatchObject(refusal);
  const client = await open();
  const more = filter === undefined ? {} : { filter };
  client.send({ type: "subscribe", id: 1, from: `-${most}`, credits: 1_000, ...more });
  await client.untilRecords(expected, 1);
  client.send({ type: "subscribe", id: 2, from: `-${most + 1}`, credits: 1_000, ...more });
  expect(await client.untilOf("error")).toMatchObject([{ id: 2, code: "invalid", fatal: false }]);
  // The socket goes on, and the subscription that was refused is none.
  client.send({ type: "subscribe", id: 3, from: "-2", credits: 1_000, ...more });
  await client.untilRecords(2, 3);
  expect(client.records(2)).toEqual([]);
  client.socket.close();
});

test("of one partition without a filter is any number", async () => {
  const { append, get } = await fresh(1);
  await append(24);
  expect((await get(`from=-${Number.MAX_SAFE_INTEGER}`)).json.records).toHaveLength(24);
  expect((await get("from=-9007199254740993")).json).toMatchObject({ code: "invalid", path: "from" });
});

test.each([
  [1, undefined],
  [1, "k3"],
  [3, undefined],
  [3, "k3"],
])("begins in the midst of appends without a gap or a repetition: %i partitions, key %s", async (partitions, key) => {
  const { name, append, get } = await fresh(partitions);
  await append(24);
  let done = false;
  const writing = (async () => {
    for (let n = 0; n < 150; n++) await append(8);
    done = true;
  })();
  const following = ways
    .filter(({ follows, only }) => follows && only === undefined)
    .map(async ({ name: way, way: follow }) => {
      const found = new Found();
      // Until everything that was written has come.
      const enough = ({ places }: Found) => done && tails.length > 0 && tails.every((last) => places.includes(last));
      await follow({ service: millrace, stream: name, from: "-5", partition: undefined, key, enough }, found);
      return { way, found };
    });
  const tails: string[] = [];
  await writing;
  const all = (await get(`limit=10000${key === undefined ? "" : `&key=${key}`}`)).json.records;
  const places: string[] = all.map((one: { partition: number; offset: number }) => `${one.partition}.${one.offset}`);
  const byPartition = Map.groupBy(places, (place) => place.split(".")[0]);
  for (const some of byPartition.values()) tails.push(some.at(-1) as string);
  // Nothing comes any more, and yet whoever waits must look once more.
  await append(12);
  for (const { way, found } of await Promise.all(following)) {
    expect(found.lost, way).toEqual([]);
    expect(found.places.length, way).toBeGreaterThanOrEqual(5);
    for (const [partition, expected] of byPartition) {
      const got = found.places.filter((place) => place.startsWith(`${partition}.`));
      const within = got.slice(0, got.indexOf(expected.at(-1) as string) + 1);
      // All of them from where it began.
      expect(within, way).toEqual(expected.slice(expected.length - within.length));
    }
  }
});

test("two subscriptions of one socket, of which one is below the head, are told apart", async () => {
  for (const partitions of [1, 2]) {
    const { path, append, get, open } = await fresh(partitions);
    const { cursor } = (await get("from=latest")).json;
    await append(24);
    await millrace.call("POST", `${path}/partitions/0/trim`, { beforeOffset: 6 });
    const { tail } = (await millrace.call("GET", `${path}/partitions/0`)).json;
    const client = await open();
    client.send({ type: "subscribe", id: 1, partition: 0, from: 7, credits: 1_000 });
    client.send({ type: "subscribe", id: 2, from: cursor, credits: 1_000 });
    client.send({ type: "subscribe", id: 3, partition: 0, from: 2, filter: { key: "nobody" }, credits: 1_000 });
    const lost = (from: number, id: number) => ({
      id,
      cursor: expect.stringMatching(/~0\.6(~|$)/),
      lost: [{ partition: 0, from, to: 6, why: "trimmed" }],
    });
    await client.untilRecords(tail - 7, 1);
    await client.untilRecords(18, 2);
    await client.untilOf("lost", 2);
    expect(client.of("lost").sort((a, b) => a.id - b.id)).toMatchObject([lost(0, 2), lost(2, 3)]);
    expect(client.of("lost")).toHaveLength(2);
    expect(client.records(1).map(({ offset }) => offset)).toEqual(
      Array.from({ length: tail - 7 }, (_, index) => 7 + index),
    );
    expect(client.records(3)).toEqual([]);
    client.socket.close();
  }
});

const run = (...args: string[]) => runCli(args, { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });

test("by the command line are the last of the whole stream, in order", async () => {
  const { name, append, get } = await fresh(4);
  await append(30);
  const all: number[] = (await get("")).json.records.map(({ data }: { data: number }) => data);
  const printed = (ran: { lines: string[] }) => ran.lines.map(Number);
  expect(printed(await run("tail", name, "-c", "7", "--data"))).toEqual(all.slice(-7));
  expect(printed(await run("read", name, "--from=-7", "--data"))).toEqual(all.slice(-7));
  expect(printed(await run("tail", name, "-c", "2", "--key", "k3", "--data"))).toEqual(
    all.filter((data) => data % 12 === 3).slice(-2),
  );
  expect(await run("tail", name, "-c", String(most + 1))).toMatchObject({
    code: 1,
    err: expect.stringContaining("read backward"),
  });
  const following = start(["tail", name, "-f", "-c", "3", "--data"], {
    MILLRACE_URL: millrace.url,
    MILLRACE_TOKEN: token,
  });
  await expect.poll(() => following.said.out.split("\n").length, { timeout: 10_000 }).toBe(4);
  await append(2);
  await expect.poll(() => following.said.out.split("\n").length, { timeout: 10_000 }).toBe(6);
  following.child.kill();
  const shown = printed(await following.ended);
  expect(shown.slice(0, 3)).toEqual(all.slice(-3));
  expect(shown.slice(3).sort()).toEqual([30, 31]);
});

test("what was trimmed is said by the command line, which goes on behind it", async () => {
  const { name, path, append } = await fresh(1);
  await append(12);
  await millrace.call("POST", `${path}/partitions/0/trim`, { beforeOffset: 9 });
  const missing = "missing: partition 0, offsets 2 to 8: trimmed\n";
  for (const args of [
    ["read", name, "--from", "2", "--data"],
    ["tail", name, "--from", "2", "--data"],
  ]) {
    const ran = await run(...args);
    expect([ran.code, ran.lines, ran.err]).toEqual([1, ["9", "10", "11"], missing]);
  }
  const following = start(["tail", name, "-f", "--from", "2", "--data"], {
    MILLRACE_URL: millrace.url,
    MILLRACE_TOKEN: token,
  });
  await expect.poll(() => following.said.out, { timeout: 10_000 }).toBe("9\n10\n11\n");
  following.child.kill();
  expect((await following.ended).err).toBe(missing);
});
