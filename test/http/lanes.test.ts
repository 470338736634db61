/** Lanes that wait apart, the dead-letter stream, and what deletion frees, over HTTP. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { dataOf, fail, Group, newGroup, newStream, one, park, skip } from "./group.ts";
import { type Service, service } from "./service.ts";

const repeat = { "millrace-repeat": "true" };

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

describe("the list of lanes", () => {
  const ids = (lanes: { lane: string }[]) => lanes.map(({ lane }) => lane);

  /** So many keys have failed. */
  async function failing(group: Group, keys: number): Promise<void> {
    await group.appendRecords(Array.from({ length: keys }, (_, n) => ({ key: `k${n}`, data: n })));
    for (let left = keys; left > 0; ) {
      const receipts = (await group.next({ max: 1_000 })).map(({ receipt }) => receipt);
      left -= receipts.length;
      expect(await group.post("nack", { receipts })).toMatchObject({ json: { settled: receipts.length } });
    }
  }

  test.each([1, 3])("comes in pages, by partition and number, over %i partitions", async (partitions) => {
    const group = await newGroup(millrace, { backoff: [3_600_000] }, { partitions });
    await failing(group, 130);
    const pages = async (limit: number, query = "") => {
      const found: { lane: string; partition: number; key: string }[][] = [];
      for (let after: string | undefined = ""; after !== undefined; ) {
        const { json } = await group.get(`/lanes?limit=${limit}${after && `&after=${after}`}${query}`);
        found.push(json.lanes);
        after = json.after;
      }
      return found;
    };
    const [all, none] = await pages(1_000);
    expect(none).toBeUndefined();
    expect(all).toHaveLength(130);
    const sorted = [...all].sort(
      (a, b) => a.partition - b.partition || Number(a.lane.split(".")[1]) - Number(b.lane.split(".")[1]),
    );
    expect(ids(all)).toEqual(ids(sorted));
    for (const limit of [1, 7, all.length, all.length - 1]) {
      const some = await pages(limit);
      expect(ids(some.flat())).toEqual(ids(all));
      // Nor is there a last one that is empty.
      expect(some.map(({ length }) => length)).toEqual(
        Array.from({ length: Math.ceil(all.length / limit) }, (_, n) => Math.min(limit, all.length - n * limit)),
      );
    }
    for (let one = 0; one < partitions; one++) {
      const own = all.filter(({ partition }) => partition === one);
      expect(ids((await pages(5, `&partition=${one}`)).flat())).toEqual(ids(own));
    }
    // A lane that is over meanwhile is no place that is missed.
    const [first, second] = all;
    expect((await group.post("lanes/skip", { lane: first.lane })).status).toBe(200);
    const { json } = await group.get(`/lanes?limit=1&after=${first.lane}`);
    expect(ids(json.lanes)).toEqual([second.lane]);
  });

  test("has a limit, and who asks for none has the first", async () => {
    const group = await newGroup(millrace, { backoff: [3_600_000] });
    await failing(group, 130);
    expect((await group.get("/lanes")).json).toMatchObject({ lanes: { length: 100 }, after: "0.100" });
    for (const query of ["limit=1", `limit=${limits.listMax}`, "after=0.0", "after=9.9", "partition=0"])
      expect((await group.get(`/lanes?${query}`)).status, query).toBe(200);
    for (const query of [
      "limit=0",
      `limit=${limits.listMax + 1}`,
      "limit=",
      "after=",
      "after=1",
      "after=0.0.0",
      "key=a",
    ])
      expect((await group.get(`/lanes?${query}`)).status, query).toBe(400);
    expect(await group.get("/lanes?partition=1")).toMatchObject({ status: 404, json: { code: "partition-not-found" } });
  });
});

describe("a lane", () => {
  test("that is parked is resumed with its dead letter", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2");
    await fail(group, "a1");
    const [{ lane }] = await group.lanes();
    expect(await group.post("lanes/resume", { lane })).toMatchObject({ status: 200, json: { lane } });
    expect(await group.drain()).toEqual(["a1", "a2"]);
    expect(await group.letters()).toEqual([]);
    expect(await group.lanes()).toEqual([]);
  });

  test("that is parked is skipped: the dead letter stays, the key goes on", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2");
    await fail(group, "a1");
    const [{ lane }] = await group.lanes();
    expect((await group.post("lanes/skip", { lane })).status).toBe(200);
    expect(await group.drain()).toEqual(["a2"]);
    expect(await group.letters()).toMatchObject([{ data: "a1", state: "dead" }]);
  });

  test("that waits for another attempt is skipped: its record becomes a dead letter", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "a2");
    await group.nack(one(await group.receive()), { delayMs: 60_000, reason: "stuck" });
    const [{ lane }] = await group.lanes();
    expect((await group.post("lanes/skip", { lane })).status).toBe(200);
    expect(await group.drain()).toEqual(["a2"]);
    expect(await group.letters()).toMatchObject([{ data: "a1", tries: [{ reason: "stuck" }] }]);
  });

  test("of which it is not known yet where it stands names no record, and resumed or skipped touches none of another key", async () => {
    const group = await newGroup(millrace, skip);
    await group.put({ only: ["b"] });
    await group.append("b1", "d1");
    await fail(group, "b1");
    await group.put({ only: ["b", "c"] });
    const ofC = async () => (await group.lanes()).find((one: { key: string }) => one.key === "c");
    const { lane, ...shown } = await ofC();
    expect(shown).toEqual({ partition: 0, key: "c", state: "open", attempts: 0, tries: [] });
    expect((await group.post("lanes/resume", { lane })).status).toBe(200);
    const nothing = { status: 409, json: { code: "conflict", retryable: false } };
    expect(await group.post("lanes/skip", { lane })).toMatchObject(nothing);
    // Nor does it stand at a record that is named.
    for (const order of ["resume", "skip"])
      expect((await group.post(`lanes/${order}`, { lane, offset: 1 })).json).toEqual({ lane, order, changed: false });
    expect(await group.receive()).toEqual([]);
    expect(await group.letters()).toMatchObject([{ data: "b1", state: "dead" }]);
    // It learns where it stands, though the group is paused, when it is to be skipped.
    await group.post("pause");
    await group.append("c1", "c2");
    expect((await group.post("lanes/skip", { lane })).status).toBe(200);
    expect(await group.letters()).toMatchObject([{ data: "b1" }, { data: "c1", state: "dead" }]);
    expect(await ofC()).toMatchObject({ lane, offset: 3 });
    await group.post("resume");
    await group.put({ only: null });
    expect((await group.drain()).sort()).toEqual(["c2", "d1"]);
  });

  test.each(["resume", "skip"])("stands at the record that is named, or there is nothing to %s", async (order) => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2", "a3");
    await fail(group, "a1");
    const [{ lane, offset }] = await group.lanes();
    const ordered = async (body: object) => (await group.post(`lanes/${order}`, { lane, ...body })).json;
    expect(await ordered({ offset: 1 })).toEqual({ lane, order, changed: false });
    expect(await ordered({ offset })).toEqual({ lane, order, changed: true });
    // The same again, as after a lost answer, when the key has gone on.
    if (order === "resume") await group.ack(...(await group.receive()));
    await group.nack(one(await group.receive()));
    const before = await group.lanes();
    expect(before).toMatchObject([{ lane, offset: 1, state: "parked" }]);
    expect(await ordered({ offset })).toEqual({ lane, order, changed: false });
    expect(await group.lanes()).toEqual(before);
    expect(await group.receive()).toEqual([]);
    // Without a name it is for whichever is first.
    expect(await ordered({})).toEqual({ lane, order, changed: true });
    expect(await group.drain()).toEqual(order === "skip" ? ["a3"] : ["a2", "a3"]);
    // When nothing of the key is left, it is not there; to who says that he asks again, it is over.
    expect((await group.post(`lanes/${order}`, { lane, offset })).json.code).toBe("lane-not-found");
    const again = await millrace.call("POST", `${group.path}/lanes/${order}`, { lane, offset }, repeat);
    expect(again).toMatchObject({ status: 200, json: { lane, order, changed: false } });
  });

  test("wakes who waits when it is resumed", { timeout: 10_000 }, async () => {
    const group = await newGroup(millrace, {}, { partitions: 2 });
    await group.append("a1");
    await group.nack(one(await group.receive()), { delayMs: 60_000 });
    const [{ lane }] = await group.lanes();
    const waiting = group.receive({ waitSeconds: 30 });
    await group.post("lanes/resume", { lane });
    expect(await waiting).toMatchObject([{ data: "a1", attempt: 2 }]);
  });

  test("that is not there is refused", async () => {
    const group = await newGroup(millrace);
    for (const order of ["lanes/resume", "lanes/skip"]) {
      expect(await group.post(order, { lane: "0.1" })).toMatchObject({ status: 404, json: { code: "lane-not-found" } });
      expect((await group.post(order, { lane: "9.1" })).json.code).toBe("partition-not-found");
      expect((await group.post(order, { lane: "x" })).json.code).toBe("invalid");
    }
  });

  test("a key that waits behind a dead letter keeps its order however long its line is", async () => {
    const group = await newGroup(millrace, park);
    const line = Array.from({ length: 400 }, (_, i) => `a${i + 1}`);
    await group.append(...line);
    await group.nack(one(await group.receive()));
    await group.append("a401", "b1");
    expect(await group.drain()).toEqual(["b1"]);
    await group.post("dead-letters/discard", { all: true });
    expect(await group.drain()).toEqual([...line.slice(1), "a401"]);
  });
});

describe("the dead-letter stream", () => {
  test("gets each record once, with where it came from and why", async () => {
    const dead = await newStream(millrace);
    const group = await newGroup(millrace, { ...park, deadLetterStream: dead.split("/").at(-1) });
    const extensions = { traceparent: "00-1" };
    await group.appendRecords([{ key: "b" }, { key: "a", type: "order", extensions, data: { total: 1 } }]);
    for (const got of await group.receive()) {
      if (got.offset === 1) await group.nack(got, { reason: "no\nmoney\u{fffe}" });
      else await group.ack(got);
    }
    const read = async () => (await millrace.call("GET", `${dead}/records`)).json.records;
    await expect.poll(read, { timeout: 10_000 }).toHaveLength(1);
    expect(await read()).toMatchObject([
      {
        key: "a",
        type: "order",
        data: { total: 1 },
        extensions: {
          ...extensions,
          deadletterstream: group.stream.split("/").at(-1),
          deadlettergroup: group.name,
          deadletterpartition: 0,
          deadletteroffset: "1",
          deadletterreason: "no money ",
          deadletterattempts: 1,
        },
      },
    ]);
    await group.post("dead-letters/redrive", { all: true });
    await group.nack(one(await group.next()), { reason: "again" });
    await group.appendRecords([{ key: "c", data: 2 }]);
    await group.nack(one(await group.next()), { reason: "new" });
    await expect
      .poll(async () => (await read()).map((one: { key: string }) => one.key), { timeout: 10_000 })
      .toEqual(["a", "c"]);
  });

  test("is another than the group's own, where each would die again", async () => {
    const stream = await newStream(millrace);
    const name = stream.split("/").at(-1);
    const answer = await new Group(millrace, stream, "own").put({ ...skip, deadLetterStream: name });
    expect(answer).toMatchObject({ status: 400, json: { code: "invalid", path: "deadLetterStream" } });
  });

  test("may come to be later, and lose nothing", { timeout: 40_000 }, async () => {
    const name = `later-${process.pid}`;
    const group = await newGroup(millrace, { ...skip, deadLetterStream: name });
    await group.append("a1", "b1");
    await fail(group, "a1", "b1");
    await millrace.call("PUT", `/v1/default/streams/${name}`, { partitions: 2 });
    const read = async () =>
      dataOf((await millrace.call("GET", `/v1/default/streams/${name}/records`)).json.records).sort();
    await expect.poll(read, { timeout: 30_000 }).toEqual(["a1", "b1"]);
  });
});

test("deleting a group frees what its dead letters held", { timeout: 40_000 }, async () => {
  const files = () =>
    readdirSync(join(millrace.data, "objects"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /-Delivery$/.test(entry.parentPath) && !entry.name.startsWith("metadata"))
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  const before = files();
  const group = await newGroup(millrace, skip);
  for (let i = 0; i < 10; i++) await group.appendRecords([{ data: "x".repeat(500_000) }]);
  for (let some = await group.receive(); some.length > 0; some = await group.receive()) {
    for (const got of some) await group.nack(got);
  }
  expect(files()).toBeGreaterThan(before + 4_000_000);
  await millrace.call("DELETE", group.path);
  await expect.poll(files, { timeout: 20_000 }).toBeLessThan(before + 500_000);
});
