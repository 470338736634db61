/** A log's past inside workerd: the properties over a real object's SQLite and a real R2, and the partition around them. */
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { erasedType } from "../../src/log/forgetting.ts";
import { eachItem } from "../../src/log/items.ts";
import { Log } from "../../src/log/log.ts";
import { decodeRecord } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Retention } from "../../src/log/spec.ts";
import { readThrough } from "../../src/objects/cold.ts";
import type { PartitionRpc } from "../../src/objects/rpc.ts";
import { archive, catalog, type Env } from "../../src/objects/stubs.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { cached } from "../../src/platform/cached.ts";
import { objectSql } from "../../src/platform/sql.ts";
import { archiveAgainstModel, rewrittenAgainstModel } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { call } from "./call.ts";
import { emptied } from "./emptied.ts";

const bindings = env as unknown as Env;
const bucket = archive(bindings) as Blobs;
let count = 0;

function fresh() {
  const logId = (0xa0 + count++).toString(16).padStart(20, "0");
  const stub = bindings.PARTITION.getByName(`${logId}/0`);
  return { logId, stub, rpc: stub as unknown as PartitionRpc };
}

/** Runs a property over the database of a real object. */
const overObject = (property: (open: () => ReturnType<typeof emptied>) => Promise<void>) =>
  runInDurableObject(fresh().stub, (_object, { storage }) => property(() => emptied(storage)));

test("an archived log agrees with a list, over a real database and a real bucket", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue();
  await overObject((open) => archiveAgainstModel(open, () => bucket, 25));
  said.mockRestore();
});

test("a log that is compacted and forgotten from agrees with a list, over a real database and a real bucket", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue();
  await overObject((open) => rewrittenAgainstModel(open, () => bucket, 25));
  said.mockRestore();
});

const tens = (n: number) =>
  batch(Array.from({ length: 10 }, (_, i) => ({ key: `k${i}`, kind: 1, data: digits(n + i) })));
const digits = (n: number) => new TextEncoder().encode(String(n));

async function fill(rpc: PartitionRpc, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 10) {
    const { bytes, hashes, terms } = tens(n);
    expect(await rpc.append(1, bytes, hashes, terms)).toBe(n);
  }
}

async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 20_000; ; ) {
    const found = await ask();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error("waited in vain");
    await scheduler.wait(20);
  }
}

async function facts(rpc: PartitionRpc) {
  const answer = await rpc.order("facts");
  if (!answer.ok) throw new Error("no log");
  return answer.value;
}

const configured = (logId: string, retention: Partial<Retention>) => ({
  ...spec,
  logId,
  deduplicationWindowMs: 0,
  retention: { ...keepAll, ...retention },
});

test("an object that is evicted, or killed, while it archives goes on, and every record is read", async () => {
  const { logId } = fresh();
  // A stub of before a death is dead too.
  let stub = bindings.PARTITION.getByName(`${logId}/0`);
  let rpc = stub as unknown as PartitionRpc;
  await rpc.configure(configured(logId, { archive: true, retentionRecords: 80 }));
  for (let n = 0; n < 600; n += 100) {
    await fill(rpc, n, n + 100);
    if (n % 200 === 0) await evictDurableObject(stub);
    else await abortAllDurableObjects();
    stub = bindings.PARTITION.getByName(`${logId}/0`);
    rpc = stub as unknown as PartitionRpc;
  }
  await until(async () => ((await facts(rpc)).hotFrom >= 500 ? true : undefined));
  const where = { logId, partition: 0, blobs: bucket };
  let next = 0;
  while (next < 600) {
    const call = { from: { at: "offset", offset: next } as const, limit: 1_000, bytesMax: 1e6, waitMs: 0 };
    const page = await readThrough(where, call, (call) => rpc.read(call));
    if (!page.ok) throw new Error(JSON.stringify(page));
    expect(page.value.from).toBe(next);
    expect(page.value.pieces.every((piece) => "body" in piece)).toBe(true);
    next = page.value.to;
  }
  // One object a segment, and none besides.
  const { blobs } = await bucket.list(`logs/${logId}/`);
  const { archived } = await facts(rpc);
  expect(blobs.length).toBe(archived.segments);
});

test("an alarm drops what is too old, though nobody asks and the object was evicted", async () => {
  const { logId, stub, rpc } = fresh();
  await rpc.configure(configured(logId, { retentionAgeMs: 1_000 }));
  await fill(rpc, 0, 30);
  await evictDurableObject(stub);
  await scheduler.wait(3_000);
  const rows = await runInDurableObject(stub, (_object, { storage }) => {
    const log = Log.open(objectSql(storage), Date.now());
    return log?.span;
  });
  expect(rows).toMatchObject({ head: 30, tail: 30 });
});

test("whatever of the name of a segment's object was there before is left alone, and the segment gets another", async () => {
  const { logId, rpc } = fresh();
  const key = `logs/${logId}/0/${"0".repeat(16)}-0.seg`;
  await bucket.create(key, new TextEncoder().encode("not ours"));
  await rpc.configure(configured(logId, { archive: true, retentionRecords: 80 }));
  await fill(rpc, 0, 200);
  await until(async () => ((await facts(rpc)).hotFrom >= 100 ? true : undefined));
  expect(new TextDecoder().decode(await bucket.get(key, 0, 100))).toBe("not ours");
  const call = { from: { at: "earliest" } as const, limit: 5, bytesMax: 1e6, waitMs: 0 };
  const page = await readThrough({ logId, partition: 0, blobs: bucket }, call, (call) => rpc.read(call));
  expect(page).toMatchObject({ ok: true, value: { from: 0, to: 10 } });
});

/** Where offsets go on behind 300 of a partition that was rebuilt. */
const behind = 300 + 2 ** 32;

test("a partition whose database is lost is rebuilt from its objects, also after they were rewritten", async () => {
  const { logId, stub, rpc } = fresh();
  const config = configured(logId, { archive: true, retentionRecords: 80 });
  await rpc.configure(config);
  await fill(rpc, 0, 300);
  await rpc.order("erase", "e", { key: "k3" });
  await until(async () => {
    const erasure = await rpc.order("erasure", "e");
    const { archived, segments } = await facts(rpc);
    return erasure.ok && erasure.value?.view.state === "done" && archived.segments === segments ? true : undefined;
  });
  const before = await facts(rpc);
  const middle = (await bucket.list(`logs/${logId}/`)).blobs[7].key;
  await bucket.delete([middle]);
  await runInDurableObject(stub, async (_object, { storage }) => {
    await storage.deleteAll();
  });
  await abortAllDurableObjects();
  const again = bindings.PARTITION.getByName(`${logId}/0`) as unknown as PartitionRpc;
  await again.configure(config);
  const lost = [
    { from: 70, to: 80, reason: "no object has them" },
    // Somebody may know the offsets of what was in the database alone.
    { from: 300, to: behind, reason: "they may have been given out, and no object has them" },
  ];
  const rebuild = () => again.order("repair", { mode: "rebuild", from: 0 });
  expect(await rebuild()).toEqual({ ok: true, value: { lost } });
  expect(await rebuild()).toEqual({ ok: true, value: { lost } });
  expect(await again.order("lost")).toEqual({ ok: true, value: lost });
  expect(await facts(again)).toMatchObject({ head: 0, tail: behind, records: before.records - 10 });
  const where = { logId, partition: 0, blobs: bucket };
  const offsets: number[] = [];
  let erased = 0;
  for (let next = 0; next < 300; ) {
    const call = { from: { at: "offset", offset: next } as const, limit: 1_000, bytesMax: 1e6, waitMs: 0 };
    const page = await readThrough(where, call, (call) => again.read(call));
    if (!page.ok) throw new Error(JSON.stringify(page));
    for (const piece of page.value.pieces) {
      if (!("body" in piece)) throw new Error(piece.damaged.reason);
      eachItem(piece.body, page.value, ({ bytes, from, to, offset }) => {
        offsets.push(offset);
        if (decodeRecord(bytes, from, to).type === erasedType) erased++;
      });
    }
    next = page.value.to;
  }
  expect(offsets).toEqual(Array.from({ length: 300 }, (_, n) => n).filter((n) => n < 70 || n >= 80));
  expect(erased).toBe(29);
  const { bytes, hashes, terms } = tens(300);
  expect(await again.append(1, bytes, hashes, terms)).toBe(behind);
  const from = { at: "offset", offset: behind } as const;
  const last = await readThrough(where, { from, limit: 1_000, bytesMax: 1e6, waitMs: 0 }, (call) => again.read(call));
  expect(last).toMatchObject({ ok: true, value: { from: behind, to: behind + 10 } });
  expect(await rebuild()).toEqual({ ok: true, value: { lost } });
});

test("groups that had read everything follow a partition that was rebuilt", async () => {
  const path = "/v1/default/streams/followed";
  await call("PUT", path, { archive: true, retentionRecords: 80, deduplicationWindowMs: 0 });
  const { groupId } = (await call("PUT", `${path}/groups/g`, { start: "earliest" })).json;
  const ten = (key: string) => Array.from({ length: 10 }, (_, n) => `${key}-${n}`);
  const append = (key: string) =>
    call("POST", `${path}/records`, { records: ten(key).map((key) => ({ key, data: 1 })) });
  const finish = async () => {
    const body = { max: 100, waitSeconds: 5 };
    const { deliveries } = (await call("POST", `${path}/groups/g/receive`, body)).json;
    const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
    await call("POST", `${path}/groups/g/ack`, { receipts });
    return deliveries.map(({ key }: { key: string }) => key);
  };
  expect((await append("before")).status).toBe(201);
  expect(await finish()).toEqual(ten("before"));
  const stream = await catalog(bindings, "default").stream("followed");
  if (!stream.ok) throw new Error(stream.refusal.detail);
  const { logId } = stream.value;
  const stub = bindings.PARTITION.getByName(`${logId}/0`);
  await until(async () => ((await bucket.list(`logs/${logId}/`)).blobs.length > 0 ? true : undefined));
  await runInDurableObject(stub, (_object, { storage }) => storage.deleteAll());
  // The group's own object goes on, and takes itself for one that has read everything.
  await evictDurableObject(stub);
  const rebuilt = await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" });
  expect(rebuilt).toMatchObject({ status: 200, json: { lost: [{ from: 10 }] } });
  const followers = await runInDurableObject(stub, (object) => (object as unknown as { log: Log }).log.followers.ids());
  expect(followers).toEqual([`${logId}/${groupId}`]);
  for (const key of ["first", "second"]) {
    await append(key);
    expect(await finish()).toEqual(ten(key));
  }
});

test("a partition that has something, or of which nothing is in the bucket, is not rebuilt, and says so", async () => {
  const { logId, rpc } = fresh();
  await rpc.configure(configured(logId, { archive: true, retentionRecords: 80 }));
  const rebuild = () => rpc.order("repair", { mode: "rebuild", from: 0 });
  expect(await rebuild()).toMatchObject({ ok: false, refusal: { code: "conflict" } });
  await fill(rpc, 0, 200);
  await until(async () => ((await facts(rpc)).hotFrom >= 100 ? true : undefined));
  const before = await facts(rpc);
  expect(await rebuild()).toMatchObject({ ok: false, refusal: { code: "conflict", facts: { tail: 200 } } });
  expect(await facts(rpc)).toEqual(before);
});

test("a log that another namespace has is not taken over", async () => {
  const { logId, rpc } = fresh();
  const mine = { ...configured(logId, {}), names: { namespace: "mine", stream: "s" } };
  expect(await rpc.configure(mine)).toBe(true);
  await fill(rpc, 0, 10);
  expect(await rpc.configure({ ...mine, version: 2, names: { namespace: "theirs", stream: "s" } })).toBe("foreign");
  await fill(rpc, 10, 20);
  expect(await rpc.configure({ ...mine, version: 2 })).toBe(true);
});

test("what is read of the archive again comes from the cache of where it is read", async () => {
  const asked: string[] = [];
  const counting: Blobs = {
    ...bucket,
    async get(key, from, length) {
      asked.push(key);
      return bucket.get(key, from, length);
    },
  };
  const reader = cached(counting);
  await bucket.create("logs/cached/0/1.seg", digits(123_456));
  for (let round = 0; round < 3; round++) {
    expect(await reader.get("logs/cached/0/1.seg", 1, 3)).toEqual(digits(234));
    await scheduler.wait(50);
  }
  expect(await reader.get("logs/cached/0/1.seg", 0, 2)).toEqual(digits(12));
  expect(await reader.get("logs/cached/0/none.seg", 0, 2)).toBeUndefined();
  expect(asked.length).toBe(3);
});

test("a large range goes into the cache when it is asked for again, and not at once", async () => {
  const large = new Uint8Array(65_537).fill(7);
  let asked = 0;
  const reader = cached({
    ...bucket,
    async get() {
      asked++;
      return large;
    },
  });
  const get = async (key: string) => {
    expect(await reader.get(`logs/large/0/${key}.seg`, 0, large.length)).toEqual(large);
    await scheduler.wait(50);
    return asked;
  };
  expect([await get("a"), await get("a"), await get("a"), await get("a")]).toEqual([1, 2, 2, 2]);
  // What was asked for too long ago is asked for anew: the list of names does not grow.
  await get("b");
  for (let n = 0; n < 4_096; n++) await reader.get(`logs/large/0/${n}.seg`, 0, large.length);
  const before = asked;
  expect([await get("b"), await get("b"), await get("b")]).toEqual([before + 1, before + 2, before + 2]);
});

test("a database that is full takes nothing more, and loses nothing", async () => {
  const { logId, stub, rpc } = fresh();
  await rpc.configure(configured(logId, {}));
  await fill(rpc, 0, 20);
  await runInDurableObject(stub, (object) => {
    const { log } = object as unknown as { log: Log };
    log.hotBytesMax = log.segments.hotBytes + 1;
  });
  await fill(rpc, 20, 30);
  const { bytes, hashes, terms } = tens(30);
  expect(await rpc.append(1, bytes, hashes, terms)).toMatchObject({ refusal: { code: "log-full" } });
  expect(await facts(rpc)).toMatchObject({ head: 0, tail: 30, records: 30 });
});
