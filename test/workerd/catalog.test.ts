/** The catalog's background work: what a crash, or a partition that cannot be reached, leaves is done by the alarm. */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { Catalog as Core } from "../../src/catalog/catalog.ts";
import { catalog, type Env, partition } from "../../src/objects/stubs.ts";
import { objectSql } from "../../src/platform/sql.ts";
import { call } from "./call.ts";

const bindings = env as unknown as Env;
const object = (namespace: string) => bindings.CATALOG.getByName(namespace);

describe("the alarm", () => {
  test("finishes a growth that stopped before its parents were sealed", async () => {
    await call("PUT", "/v1/growth");
    await call("PUT", "/v1/growth/streams/s", { partitions: 1 });
    await call("POST", "/v1/growth/streams/s/records", { records: [{ key: "a" }] });
    // As if the object had died right after it noted the next map.
    await runInDurableObject(object("growth"), async (_object, state) => {
      const core = new Core(objectSql(state.storage), "growth");
      expect(core.put("s", { partitions: 2 }, "unused", Date.now()).ok).toBe(true);
      expect(core.growing()).toMatchObject([{ name: "s", parents: [0] }]);
      await state.storage.setAlarm(Date.now() + 60_000);
    });
    expect(await runDurableObjectAlarm(object("growth"))).toBe(true);
    const { partitions } = (await call("GET", "/v1/growth/streams/s/partitions")).json;
    expect(partitions.map((one: { sealed: boolean }) => one.sealed)).toEqual([true, false, false]);
    const { verdicts } = (await call("POST", "/v1/growth/streams/s/records", { records: [{ key: "a" }] })).json;
    expect(verdicts[0].partition).toBeGreaterThan(0);
  });

  test("frees partitions whose stream was deleted, also those that failed before", async () => {
    await call("PUT", "/v1/purge");
    await call("PUT", "/v1/purge/streams/s", {});
    await call("POST", "/v1/purge/streams/s/records", { records: [{ key: "a" }] });
    const { logId } = (await call("GET", "/v1/purge/streams/s")).json;
    await runInDurableObject(object("purge"), async (_object, state) => {
      const core = new Core(objectSql(state.storage), "purge");
      core.drop("s", Date.now());
      const [job] = core.purges.due(Date.now());
      expect(job).toMatchObject({ id: logId, partition: 0, attempts: 0 });
      core.purges.settle(job, false, Date.now() - 60_000);
      expect(core.purges.due(Date.now())).toMatchObject([{ attempts: 1 }]);
      await state.storage.setAlarm(Date.now() + 60_000);
    });
    expect(await runDurableObjectAlarm(object("purge"))).toBe(true);
    await runInDurableObject(object("purge"), (_object, state) => {
      expect(new Core(objectSql(state.storage), "purge").wakeAt(Date.now())).toBeUndefined();
    });
    expect(await partition(bindings, logId, 0, undefined).order("facts")).toEqual({ ok: false, moved: 0 });
  });
});

describe("a Worker with an old cache", () => {
  test("does not bring a deleted stream back, and finds the new one of the same name", async () => {
    await call("PUT", "/v1/default/streams/again", {});
    await call("POST", "/v1/default/streams/again/records", { records: [{ data: "old" }] });
    const { logId } = (await call("GET", "/v1/default/streams/again")).json;
    // Behind the back of this Worker's cache.
    await catalog(bindings, "default").drop("again");
    expect((await call("POST", "/v1/default/streams/again/records", { records: [{ data: "lost" }] })).status).toBe(404);
    expect(await partition(bindings, logId, 0, undefined).order("facts")).toEqual({ ok: false, moved: 0 });
    await call("PUT", "/v1/default/streams/again", {});
    await call("GET", "/v1/default/streams/again/records");
    await catalog(bindings, "default").drop("again");
    await catalog(bindings, "default").put("again", {});
    expect((await call("POST", "/v1/default/streams/again/records", { records: [{ data: "new" }] })).status).toBe(201);
    expect((await call("GET", "/v1/default/streams/again/records")).json.records).toMatchObject([
      { offset: 0, data: "new" },
    ]);
  });

  test("follows a split that it did not hear of, for one record and for a batch", async () => {
    await call("PUT", "/v1/default/streams/split", { partitions: 1 });
    await call("POST", "/v1/default/streams/split/records", { records: [{ key: "a" }] });
    await catalog(bindings, "default").put("split", { partitions: 4 });
    const records = Array.from({ length: 40 }, (_, i) => ({ key: `k${i}`, data: i }));
    const { status, json } = await call("POST", "/v1/default/streams/split/records", { records });
    expect(status).toBe(201);
    expect(new Set(json.verdicts.map((one: { partition: number }) => one.partition)).size).toBe(4);
    for (const [i, { partition: number, offset }] of json.verdicts.entries()) {
      const found = (await call("GET", `/v1/default/streams/split/records?partition=${number}&from=${offset}&limit=1`))
        .json;
      expect(found.records[0].data).toBe(i);
    }
  });
});

test("without a root token the Worker refuses to serve, and says what to set", async () => {
  const { app } = await import("../../src/http/app.ts");
  const response = await app.fetch(new Request("http://millrace/v1/config"), {
    ...bindings,
    MILLRACE_ROOT_TOKEN: undefined,
  });
  expect([response.status, await response.json()]).toMatchObject([503, { code: "not-configured" }]);
});
