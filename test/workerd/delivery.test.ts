/** A group's delivery inside workerd: its properties over real SQLite, alarms, eviction in mid-delivery, lost wakes. */

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { writeReceipt } from "../../src/delivery/receipt.ts";
import { remember } from "../../src/http/lookup.ts";
import type { DeliveryRpc, Leases } from "../../src/objects/rpc.ts";
import { catalog, delivery, type Env } from "../../src/objects/stubs.ts";
import { objectSql } from "../../src/platform/sql.ts";
import { deliveryAgainstModel } from "../cases/delivery-model.ts";
import { call } from "./call.ts";
import { emptied } from "./emptied.ts";

const bindings = env as unknown as Env;
let count = 0;

/** A stream of one partition that holds a record a key, and a group on it. */
async function fresh(config: Partial<GroupConfig> = {}, ...keys: string[]) {
  const name = `d${count++}`;
  const path = `/v1/default/streams/${name}`;
  await call("PUT", path, {});
  const append = (...keys: string[]) =>
    call("POST", `${path}/records`, { records: keys.map((key, index) => ({ key, data: index })) });
  if (keys.length > 0) await append(...keys);
  const put = await call("PUT", `${path}/groups/g`, config);
  expect(put.status).toBe(201);
  const stream = await catalog(bindings, "default").stream(name);
  if (!stream.ok) throw new Error(stream.refusal.detail);
  const { logId } = stream.value;
  const id = `${logId}/${put.json.groupId}`;
  const stub = () => bindings.DELIVERY.getByName(`${id}/0`);
  const partition = () => bindings.PARTITION.getByName(`${logId}/0`);
  const rpc = (): DeliveryRpc => delivery(bindings, id, 0);
  /** As the Worker does it: what is waited for is taken by a call of its own. */
  const receive = async (max = 10, waitMs = 0): Promise<Leases> => {
    const call = { call: crypto.randomUUID(), max, bytesMax: 1e6, member: "m", ack: [], knowsSealed: true };
    for (const until = Date.now() + waitMs; ; ) {
      const answer = await rpc().receive({ ...call, waitMs: Math.max(0, until - Date.now()) });
      if (!answer.ok) throw new Error(JSON.stringify(answer));
      if (answer.value.ends.length > 0 || Date.now() >= until) return answer.value;
    }
  };
  return { path, append, stub, partition, rpc, receive };
}

const statusOf = async (object: unknown) => {
  const answer = await (object as DeliveryRpc).admin("status");
  return answer.ok ? answer.value : answer;
};

const receiptsOf = ({ partition, era, offsets, generations, tags }: Leases) =>
  Array.from(offsets, (offset, index) =>
    writeReceipt({ partition, offset, era, generation: generations[index], tag: tags[index] }),
  );

test("keeps its promises over the object's own SQLite", async () => {
  const sql = bindings.PARTITION.getByName("delivery-model");
  await runInDurableObject(sql, (_object, state) => {
    let turn = 0;
    // The log and the delivery share a database here: their tables have other names, but for `meta`.
    deliveryAgainstModel(() => {
      if (turn++ % 2 === 0) return emptied(state.storage);
      const second = objectSql(state.storage);
      const rename = (query: string) => query.replace(/\bmeta\b/g, "second_meta");
      return {
        ...second,
        all: (query, ...values) => second.all(rename(query), ...values),
        run: (query, ...values) => second.run(rename(query), ...values),
      };
    }, 60);
  });
});

describe("an object that goes away in mid-delivery", () => {
  test("by eviction keeps leases that have lasted, and everything that was acked", async () => {
    const { stub, rpc, receive } = await fresh({ ackTimeoutMs: 60_000 }, "a", "b", "c");
    const leases = await receive();
    const [first] = receiptsOf(leases);
    expect(await rpc().ack([first])).toEqual({ ok: true, value: [] });
    // What the alarm does with leases that last: they were given longer ago than it looks.
    await runInDurableObject(stub(), (object) => {
      const { core } = (object as unknown as { keeper: { core: { state: { saveLeases(now: number): void } } } }).keeper;
      core.state.saveLeases(Date.now() + 6_000);
    });
    await evictDurableObject(stub());
    expect((await receive()).offsets).toHaveLength(0);
    expect(await rpc().ack(receiptsOf(leases).slice(1))).toEqual({ ok: true, value: [] });
    const status = await rpc().admin("status");
    expect(status).toMatchObject({ ok: true, value: { head: 3, lag: 0, inFlight: 0 } });
  });

  test("by abort gives fresh leases to others, and takes a late ack where nobody has the record yet", async () => {
    const { rpc, receive } = await fresh({ ackTimeoutMs: 60_000 }, "a", "b");
    const before = receiptsOf(await receive());
    await abortAllDurableObjects();
    expect(await rpc().ack([before[0]])).toEqual({ ok: true, value: [] });
    const again = await receive();
    expect(Array.from(again.offsets)).toEqual([1]);
    expect(await rpc().ack([before[1]])).toMatchObject({ value: [{ place: 0, refusal: { code: "stale-lease" } }] });
    expect(await rpc().ack(receiptsOf(again))).toEqual({ ok: true, value: [] });
    expect(await rpc().admin("status")).toMatchObject({ ok: true, value: { lag: 0 } });
  });

  test("keeps a nack's delay", async () => {
    const { rpc, receive } = await fresh({}, "a");
    const [receipt] = receiptsOf(await receive());
    await rpc().nack([receipt], 300_000, "later");
    await abortAllDurableObjects();
    expect((await receive()).offsets).toHaveLength(0);
    const lanes = await rpc().admin("lanes", -1, 10, 1_000);
    expect(lanes).toMatchObject({
      ok: true,
      value: { lanes: [{ key: "a", state: "retry", attempts: 1, tries: [{ reason: "later" }] }], more: false },
    });
  });
});

test("a socket sleeps with its object, and goes on with the credits that it had", async () => {
  const { append, stub } = await fresh({ ackTimeoutMs: 60_000 }, "a", "b");
  const response = await stub().fetch("http://delivery/?member=m", { headers: { upgrade: "websocket" } });
  const socket = response.webSocket as WebSocket;
  const offsets: number[] = [];
  const receipts: string[] = [];
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as { deliveries?: { offset: number; receipt: string }[] };
    for (const one of message.deliveries ?? []) {
      offsets.push(one.offset);
      receipts.push(one.receipt);
    }
  });
  socket.accept();
  socket.send(JSON.stringify({ type: "credit", credits: 3 }));
  await expect.poll(() => offsets.length).toBe(2);
  socket.send(JSON.stringify({ type: "ack", receipts }));
  await expect.poll(() => runInDurableObject(stub(), statusOf)).toMatchObject({ lag: 0, inFlight: 0 });
  await evictDurableObject(stub(), { webSockets: "hibernate" });
  // The append wakes the object, which finds the member by its socket; one credit was left.
  await append("c", "d");
  await expect.poll(() => offsets).toEqual([0, 1, 2]);
  socket.send(JSON.stringify({ type: "credit", credits: 1 }));
  await expect.poll(() => offsets).toEqual([0, 1, 2, 3]);
  socket.close();
  await expect.poll(() => runInDurableObject(stub(), statusOf)).toMatchObject({ inFlight: 0, members: [] });
});

test("a socket that sleeps ends with its ticket, and what it held goes to others as if it had never had it", async () => {
  const { stub, receive } = await fresh({ ackTimeoutMs: 60_000 }, "a", "b");
  const url = `http://delivery/?member=m&until=${Date.now() + 5_500}`;
  const socket = (await stub().fetch(url, { headers: { upgrade: "websocket" } })).webSocket as WebSocket;
  let [deliveries, code] = [0, 0];
  socket.addEventListener("message", ({ data }) => {
    deliveries += (JSON.parse(String(data)) as { deliveries?: object[] }).deliveries?.length ?? 0;
  });
  socket.addEventListener("close", (event) => {
    code = event.code;
  });
  socket.accept();
  socket.send(JSON.stringify({ type: "credit", credits: 3 }));
  await expect.poll(() => deliveries).toBe(2);
  await evictDurableObject(stub(), { webSockets: "hibernate" });
  await expect.poll(() => code, { timeout: 15_000 }).toBe(4003);
  const { offsets, attempts } = await receive();
  expect([[...offsets], [...attempts]]).toEqual([
    [0, 1],
    [1, 1],
  ]);
});

describe("alarms", () => {
  test("write down leases that last, and are armed again for those that run out", async () => {
    const { stub, receive } = await fresh({ ackTimeoutMs: 60_000 }, "a");
    await receive();
    await runInDurableObject(stub(), async (_object, state) => {
      const at = await state.storage.getAlarm();
      expect(at).toBeGreaterThan(Date.now());
      expect(at).toBeLessThan(Date.now() + 11_000);
    });
    expect(await runDurableObjectAlarm(stub())).toBe(true);
  });

  test("of a partition tell a delivery again what a crash kept from it", async () => {
    const { append, partition, stub, receive } = await fresh({}, "a");
    expect((await receive()).offsets).toHaveLength(1);
    // Both objects forget each other, and what is appended then is told to nobody who listens.
    await abortAllDurableObjects();
    const waiting = receive(10, 20_000);
    await append("b", "c");
    expect((await waiting).offsets.length).toBeGreaterThan(0);
    await abortAllDurableObjects();
    await append("d");
    await runInDurableObject(partition(), async (_object, state) => {
      expect(await state.storage.getAlarm()).not.toBeNull();
    });
    expect(await runDurableObjectAlarm(partition())).toBe(true);
    await runInDurableObject(stub(), (object) => {
      const { keeper } = object as unknown as { keeper: { core: { state: { known: number } } } };
      expect(keeper.core.state.known).toBe(4);
    });
  });

  test("set in the past by a clock that went wrong do not keep a delivery from going on", async () => {
    const { stub, receive } = await fresh({ ackTimeoutMs: 100, backoff: [0] }, "a");
    await receive();
    await runInDurableObject(stub(), async (_object, state) => {
      await state.storage.setAlarm(Date.now() - 1_000_000);
    });
    const again = await receive(10, 5_000);
    expect(Array.from(again.attempts)).toEqual([2]);
  });
});

test("a Worker with an old map finds the partitions that a split brought", async () => {
  const { path, append, rpc, receive } = await fresh({}, "a", "b");
  await rpc().ack(receiptsOf(await receive()));
  const name = path.split("/").at(-1) as string;
  const old = await catalog(bindings, "default").stream(name);
  await call("PUT", path, { partitions: 2 });
  await append("a", "b", "c", "d", "e", "f");
  const offsets: string[] = [];
  for (let round = 0; round < 4 && offsets.length < 6; round++) {
    remember("default", name, old);
    const { json } = await call("POST", `${path}/groups/g/receive`, { waitSeconds: 5 });
    for (const { partition, offset } of json.deliveries) offsets.push(`${partition}.${offset}`);
  }
  expect(new Set(offsets).size).toBe(6);
  expect(offsets.every((one) => !one.startsWith("0."))).toBe(true);
});

test("a delivery that is destroyed leaves nothing, and its partition forgets it", async () => {
  const { path, partition, stub, rpc } = await fresh({}, "a");
  expect((await call("DELETE", `${path}/groups/g`)).status).toBe(204);
  expect(await rpc().admin("status")).toEqual({ ok: false, moved: 0 });
  await runInDurableObject(stub(), (_object, state) => {
    expect(state.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name = 'place'").one().n).toBe(0);
  });
  await runInDurableObject(partition(), (_object, state) => {
    expect(state.storage.sql.exec("SELECT count(*) AS n FROM follower").one().n).toBe(0);
  });
});
