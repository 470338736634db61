/** Definitions as operators write them: in part, only where there is none yet, and tried before they change anything. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newGroup, newStream, streams } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const secret = (letter: string) => `whsec_${letter.repeat(32)}`;
const mergePatch = { "content-type": "application/merge-patch+json" };
const onlyNew = { "if-none-match": "*" };

describe("PATCH", () => {
  test("changes what it names of a stream and keeps the rest, as often as it is sent", async () => {
    const stream = await newStream(millrace, { recordBytesMax: 1_000, retentionRecords: 100, ttlMs: 86_400_000 });
    const before = (await millrace.call("GET", stream)).json;
    const patch = () => millrace.call("PATCH", stream, '{"retentionRecords":50,"ttlMs":null}', mergePatch);
    const patched = await patch();
    expect(patched).toMatchObject({
      status: 200,
      json: { config: { ...before.config, retentionRecords: 50, ttlMs: null } },
    });
    expect((await patch()).json).toEqual(patched.json);
    expect((await millrace.call("GET", stream)).json).toEqual(patched.json);
  });

  test("says what a stream would lose, and changes nothing, where it is only tried", async () => {
    const stream = await newStream(millrace);
    for (let data = 0; data < 40; data++) await millrace.call("POST", `${stream}/records`, { records: [{ data }] });
    const before = (await millrace.call("GET", stream)).json;
    const [put, tried] = await Promise.all(
      ["PUT", "PATCH"].map((method) => millrace.call(method, `${stream}?dryRun=true`, { retentionRecords: 4 })),
    );
    expect(tried).toMatchObject({ status: 200, json: { config: { retentionRecords: 4 } } });
    expect(tried.json).toEqual(put.json);
    expect((await millrace.call("GET", stream)).json).toEqual(before);
  });

  test("of a group keeps secrets, headers and time-outs of a push", async () => {
    const push = {
      url: "https://example.com/a",
      secrets: [secret("A")],
      headers: { "x-key": "12345678" },
      timeoutMs: 900,
    };
    const group = await newGroup(millrace, { batch: { records: 5, bytes: 5_000 }, push });
    const patch = (change: object) => millrace.call("PATCH", group.path, change);
    const { config } = (await group.get()).json;
    const moved = await patch({ push: { url: "https://example.com/b" }, batch: { records: 6 } });
    expect(moved).toMatchObject({
      status: 200,
      json: {
        config: {
          ...config,
          batch: { ...config.batch, records: 6 },
          push: { ...config.push, url: "https://example.com/b" },
        },
      },
    });
    // A rotation: the new one beside that which is stored, and then alone.
    const shown = (one: string) => `${one.slice(0, 10)}…`;
    for (const secrets of [[secret("B"), shown(secret("A"))], [shown(secret("B"))]]) {
      const rolled = await patch({ push: { secrets } });
      expect(rolled.json.config.push).toMatchObject({ secrets: secrets.map(shown), headers: { "x-key": "…" } });
    }
    expect((await patch({ push: null })).json.config.push).toBeNull();
  });

  test.each<[string, object, number, string, string]>([
    ["a field that is not known", { push: { ulr: "a" } }, 400, "unknown-field", "ulr"],
    ["a target that is not allowed", { push: { url: "http://127.0.0.1/" } }, 422, "bad-target", "push.url"],
    ["a half of a target", { push: { timeoutMs: 500 } }, 400, "invalid", "push.url"],
    ["a filter of nothing", { filter: {} }, 400, "invalid", "filter"],
    ["a filter that says how, and not what", { filter: { match: "any" } }, 400, "invalid", "filter"],
    ["what is set at creation", { order: "none" }, 409, "conflict", "order"],
    ["where a new group begins", { start: "latest" }, 409, "conflict", "seek"],
  ])("refuses %s, and changes nothing", async (_what, change, status, code, said) => {
    const group = await newGroup(millrace);
    const before = (await group.get()).json;
    const refused = await millrace.call("PATCH", group.path, change);
    expect(refused).toMatchObject({ status, json: { code, detail: expect.stringContaining(said), clean: true } });
    expect((await group.get()).json).toEqual(before);
  });

  test("creates nothing, and takes no patch of another kind", async () => {
    const stream = await newStream(millrace);
    for (const [path, code] of [
      [`${streams}/never-there`, "stream-not-found"],
      [`${stream}/groups/never-there`, "group-not-found"],
      ["/v1/never-there/streams/a", "namespace-not-found"],
    ])
      expect(await millrace.call("PATCH", path, {})).toMatchObject({ status: 404, json: { code } });
    const operations = '[{"op":"replace","path":"/ttlMs","value":null}]';
    const other = await millrace.call("PATCH", stream, operations, { "content-type": "application/json-patch+json" });
    expect(other).toMatchObject({ status: 415, json: { detail: expect.stringContaining("merge-patch") } });
    expect((await millrace.call("PATCH", stream, operations)).status).toBe(400);
  });

  test("may be sent by a page of another origin", async () => {
    const { headers } = await millrace.call("OPTIONS", `${streams}/any`, undefined, {
      origin: "https://example.com",
      "access-control-request-method": "PATCH",
    });
    expect(headers.get("access-control-allow-methods")).toContain("PATCH");
  });
});

describe("If-None-Match: *", () => {
  test("creates, and changes nothing that is there", async () => {
    const stream = `${streams}/only-new`;
    for (const [path, first, second] of [
      ["/v1/only-new", undefined, undefined],
      [stream, { recordBytesMax: 1_000 }, { recordBytesMax: 2_000 }],
      [`${stream}/groups/g`, { maxInFlight: 1 }, { maxInFlight: 2 }],
    ] as const) {
      const created = await millrace.call("PUT", path, first, onlyNew);
      expect(created.status, path).toBe(201);
      const again = await millrace.call("PUT", path, second, onlyNew);
      expect(again).toMatchObject({ status: 412, json: { code: "exists", retryable: false, clean: true } });
      const { drops: _, ...there } = created.json;
      expect((await millrace.call("GET", path)).json).toEqual(there);
    }
  });

  test("lets one of two create it", async () => {
    const both = ["a", "b"].map(() => millrace.call("PUT", `${streams}/raced`, {}, onlyNew));
    expect((await Promise.all(both)).map(({ status }) => status).sort()).toEqual([201, 412]);
  });

  test("is the only condition that there is", async () => {
    for (const path of ["/v1/tagged", `${streams}/tagged`]) {
      const refused = await millrace.call("PUT", path, undefined, { "if-none-match": '"a"' });
      expect(refused).toMatchObject({ status: 400, json: { code: "invalid", path: "if-none-match" } });
      expect((await millrace.call("GET", path)).status).toBe(404);
    }
  });
});

test("the namespace that was always there has no time of its creation", async () => {
  const { namespaces } = (await millrace.call("GET", "/v1?prefix=default")).json;
  expect(namespaces).toEqual([{ namespace: "default" }]);
  for (const method of ["GET", "PUT"])
    expect((await millrace.call(method, "/v1/default")).json).toEqual({ namespace: "default" });
});

test("a record that was not wrapped is told to be, and what is none is told what is wrong with it", async () => {
  const stream = await newStream(millrace);
  const said = async (body: unknown) =>
    (await millrace.call("POST", `${stream}/records`, JSON.stringify(body), { "content-type": "application/json" }))
      .json;
  for (const bare of [{ key: "a", data: { total: 1 } }, { data: null }, [{ key: "a" }, { key: "b" }]])
    expect(await said(bare)).toMatchObject({
      code: "invalid",
      detail: expect.stringContaining('wrap it: {"records":['),
    });
  expect(await said({ kee: "a" })).toMatchObject({ code: "unknown-field", detail: expect.stringContaining("'kee'") });
  for (const nothing of [{}, [], "text", 7, [[1]]]) expect((await said(nothing)).detail).not.toContain("wrap it");
});

describe("If-Match", () => {
  const tagged = async (path: string) => (await millrace.call("GET", path)).headers.get("etag") as string;

  test.each(["PUT", "PATCH"])("lets a %s change what was read, and nothing that came since", async (method) => {
    const group = await newGroup(millrace);
    const change = (maxInFlight: number, tag: string) =>
      millrace.call(method, group.path, { maxInFlight }, { "if-match": tag });
    const tag = await tagged(group.path);
    const first = await change(7, tag);
    expect(first).toMatchObject({ status: 200, json: { config: { maxInFlight: 7 } } });
    expect(first.headers.get("etag")).toBe(await tagged(group.path));
    expect(await change(8, tag)).toMatchObject({
      status: 412,
      json: { code: "changed", clean: true, retryable: false },
    });
    expect((await millrace.call("GET", group.path)).json.config.maxInFlight).toBe(7);
    // What says the same changes nothing, and the tag stays.
    const same = await tagged(group.path);
    expect((await change(7, same)).headers.get("etag")).toBe(same);
    // Another group of the name is another.
    await millrace.call("DELETE", group.path);
    expect((await change(9, same)).status).toBe(method === "PUT" ? 412 : 404);
    await millrace.call("PUT", group.path, {});
    expect((await change(9, same)).json.code).toBe("changed");
    for (const odd of ["*", "7", '"x"', `W/${same}`, `${same}, ${same}`])
      expect(await change(9, odd), odd).toMatchObject({ status: 400, json: { code: "invalid", path: "if-match" } });
  });
});
