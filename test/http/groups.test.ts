/** Groups over HTTP: their definition, where they begin, and what they want. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { groupDefaults } from "../../schemas/group.ts";
import { dataOf, Group, newGroup, newStream, one } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

describe("a definition", () => {
  test("is created with defaults, and answered the same twice", async () => {
    const group = new Group(millrace, await newStream(millrace), "billing");
    const created = await group.put({});
    expect(created).toMatchObject({ status: 201, json: { group: "billing", config: groupDefaults, paused: false } });
    expect(await group.put({})).toMatchObject({ status: 200, json: created.json });
    expect(await group.get()).toMatchObject({ status: 200, json: created.json });
  });

  test("an update changes the fields that it names, at once, and keeps the place", async () => {
    const group = await newGroup(millrace, { maxInFlight: 1 });
    await group.append("a1", "b2", "c3");
    await group.ack(one(await group.receive()));
    const held = one(await group.receive());
    expect(await group.receive()).toEqual([]);
    expect(await group.put({ maxInFlight: 2 })).toMatchObject({
      status: 200,
      json: { config: { ...groupDefaults, maxInFlight: 2 } },
    });
    expect(dataOf(await group.receive())).toEqual(["c3"]);
    await group.ack(held);
  });

  test("a changed filter holds for what was not read yet; null wants every record again", async () => {
    const group = await newGroup(millrace);
    await group.put({ filter: { key: "b" } });
    await group.append("a1", "b2");
    expect(await group.drain()).toEqual(["b2"]);
    await group.put({ filter: null });
    await group.append("a3", "b4");
    expect(await group.drain()).toEqual(["a3", "b4"]);
  });

  test("groups are listed by page and prefix, each stream's its own", async () => {
    const stream = await newStream(millrace);
    for (const name of ["a1", "a2", "a3", "b1"]) await new Group(millrace, stream, name).put({});
    await newGroup(millrace);
    const list = async (query: string) => {
      const { groups, after } = (await millrace.call("GET", `${stream}/groups${query}`)).json;
      return [groups.map((one: { group: string }) => one.group), after];
    };
    expect(await list("")).toEqual([["a1", "a2", "a3", "b1"], undefined]);
    expect(await list("?limit=2")).toEqual([["a1", "a2"], "a2"]);
    expect(await list("?limit=2&after=a2")).toEqual([["a3", "b1"], undefined]);
    expect(await list("?prefix=a&after=a1")).toEqual([["a2", "a3"], undefined]);
  });

  test("a deleted group is gone for its members, and frees its name for one that starts anew", async () => {
    const group = await newGroup(millrace);
    await group.append("a1", "b2");
    const [first] = await group.receive({ max: 1 });
    await group.ack(first);
    const [second] = await group.receive();
    const before = (await group.get()).json.groupId;
    expect((await millrace.call("DELETE", group.path)).status).toBe(204);
    for (const answer of [
      await group.post("receive"),
      await group.post("ack", { receipts: [second.receipt] }),
      await group.get(),
      await group.get("/status"),
      await group.get("/dead-letters"),
      await group.post("seek", { to: "earliest" }),
      await group.post("pause"),
      await millrace.call("DELETE", group.path),
    ]) {
      expect(answer).toMatchObject({ status: 404, json: { code: "group-not-found" } });
    }
    expect((await group.put({})).status).toBe(201);
    expect((await group.get()).json.groupId).not.toBe(before);
    expect((await group.next()).map(({ data, attempt }) => [data, attempt])).toEqual([
      ["a1", 1],
      ["b2", 1],
    ]);
  });

  test("a member that waits is let go when the group is deleted", { timeout: 20_000 }, async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    await group.drain();
    const waiting = group.post("receive", { waitSeconds: 30 });
    await expect.poll(async () => (await millrace.call("DELETE", group.path)).status).toBe(204);
    const answer = await waiting;
    if (answer.status === 200) expect(answer.json.deliveries).toEqual([]);
    else expect(answer.json.code).toBe("group-not-found");
    expect((await group.post("receive")).json.code).toBe("group-not-found");
  });

  test("a deleted stream takes its groups with it", async () => {
    const group = await newGroup(millrace);
    await group.append("a1");
    await millrace.call("DELETE", group.stream);
    expect(await group.post("receive")).toMatchObject({ status: 404, json: { code: "stream-not-found" } });
    await millrace.call("PUT", group.stream, {});
    expect(await group.post("receive")).toMatchObject({ status: 404, json: { code: "group-not-found" } });
    expect((await millrace.call("GET", `${group.stream}/groups`)).json.groups).toEqual([]);
  });

  test.each([
    [{ order: "none" }, "conflict", 409],
    [{ start: "latest" }, "conflict", 409],
    [{ durable: false }, "conflict", 409],
    [{ filter: {} }, "invalid", 400],
    [{ filter: { match: "all" } }, "invalid", 400],
    [{ filter: { tags: ["a", "b"] } }, "invalid", 400],
    [{ start: "soon" }, "invalid", 400],
    [{ maxInflight: 1 }, "unknown-field", 400],
    [{ push: { url: "ftp://example.com" } }, "invalid", 400],
  ])("%j is refused, and changes nothing", async (change, code, status) => {
    const group = await newGroup(millrace);
    const before = (await group.get()).json;
    expect(await group.put(change)).toMatchObject({ status, json: { code } });
    expect((await group.get()).json).toEqual(before);
  });

  test("incident mode is for groups in order by key", async () => {
    const group = await newGroup(millrace, { order: "none" });
    expect(await group.put({ only: ["a"] })).toMatchObject({ status: 400, json: { code: "invalid", path: "only" } });
  });

  test("a name is as a stream's, and the stream must be there", async () => {
    const stream = await newStream(millrace);
    expect((await millrace.call("PUT", `${stream}/groups/.a`, {})).json.code).toBe("invalid");
    expect((await millrace.call("PUT", `${stream}-no/groups/a`, {})).json.code).toBe("stream-not-found");
  });
});

describe("a group begins", () => {
  const records = ["a1", "b2", "c3", "d4"];
  const filled = async (config: object = {}) => {
    const stream = await newStream(millrace, config);
    await new Group(millrace, stream, "writer").append(...records);
    return stream;
  };

  test("at the earliest record", async () => {
    expect(await (await newGroup(millrace, { start: "earliest" }, await filled())).drain()).toEqual(records);
  });

  test("at the latest as it is at creation, however late the first receive comes", async () => {
    const group = await newGroup(millrace, { start: "latest" }, await filled({ partitions: 3 }));
    await group.append("a5");
    await group.append("b6");
    expect((await group.drain()).sort()).toEqual(["a5", "b6"]);
  });

  test("at the latest of an empty stream, which is its first record", async () => {
    const group = await newGroup(millrace, { start: "latest" });
    expect(await group.receive()).toEqual([]);
    await group.append("a1", "b2");
    expect(await group.drain()).toEqual(["a1", "b2"]);
  });

  test("at an offset", async () => {
    expect(await (await newGroup(millrace, { start: 2 }, await filled())).drain()).toEqual(["c3", "d4"]);
  });

  test("at an offset only where there is one partition", async () => {
    const stream = await filled({ partitions: 2 });
    for (const start of [2, "2"]) {
      const answer = await millrace.call("PUT", `${stream}/groups/g`, { start });
      expect(answer, `start ${JSON.stringify(start)}`).toMatchObject({
        status: 400,
        json: { code: "invalid", path: "start" },
      });
    }
  });

  test("at a time", async () => {
    const stream = await newStream(millrace, { timestamps: "client" });
    const timed = [1_000, 2_000, 3_000].map((timestamp) => ({ timestamp, data: timestamp }));
    await new Group(millrace, stream, "writer").appendRecords(timed);
    const group = await newGroup(millrace, { start: "1970-01-01T00:00:01.500Z" }, stream);
    expect(await group.drain()).toEqual([2_000, 3_000]);
  });

  test("at a cursor, on every partition", async () => {
    const stream = await filled({ partitions: 3 });
    const { cursor } = (await millrace.call("GET", `${stream}/records`)).json;
    const group = await newGroup(millrace, { start: cursor }, stream);
    await group.append("a5", "b6", "c7");
    expect((await group.drain()).sort()).toEqual(["a5", "b6", "c7"]);
  });

  test("not at another stream's cursor", async () => {
    const { cursor } = (await millrace.call("GET", `${await filled()}/records`)).json;
    const answer = await millrace.call("PUT", `${await filled()}/groups/g`, { start: cursor });
    expect(answer).toMatchObject({ status: 409, json: { code: "wrong-log" } });
  });

  test("past the tail is refused, not a group that never gets anything", async () => {
    const stream = await filled();
    const put = await millrace.call("PUT", `${stream}/groups/g`, { start: 10 });
    expect(put).toMatchObject({ status: 416, json: { code: "past-tail" } });
  });

  test("at what is left, where its offset was trimmed", async () => {
    const stream = await filled();
    await millrace.call("POST", `${stream}/partitions/0/trim`, { beforeOffset: 2 });
    expect(await (await newGroup(millrace, { start: 1 }, stream)).drain()).toEqual(["c3", "d4"]);
  });
});

describe("a filter", () => {
  const records = [
    { key: "a", type: "made", source: "/x", tags: ["red"], data: 0 },
    { key: "b", type: "paid", source: "/y", tags: ["red", "big"], data: 1 },
    { key: "a", type: "sent", source: "/y", tags: ["big"], data: 2 },
    { data: 3 },
  ];

  test.each([
    [{ types: ["made", "sent"] }, [0, 2]],
    [{ sources: ["/y"] }, [1, 2]],
    [{ tags: ["red"] }, [0, 1]],
    [{ tags: ["red", "big"], match: "any" }, [0, 1, 2]],
    [{ tags: ["red", "big"], match: "all" }, [1]],
    [{ key: "a" }, [0, 2]],
    [{ key: "a", types: ["sent"] }, [2]],
    [{ types: ["never"] }, []],
  ])("%j lets through what it names, and the lag ends at zero", async (filter, expected) => {
    const group = await newGroup(millrace, { filter });
    await group.appendRecords(records);
    expect(await group.drain()).toEqual(expected);
    expect(await group.status()).toMatchObject({ lag: 0, inFlight: 0, partitions: [{ cursor: 4, tail: 4 }] });
  });
});
