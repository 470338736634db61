/**
 * What a hostile reader of the code found in a log's past, each once: neighbours of a lost object, fingerprints that say no,
 * alarms that never end, objects that nobody deletes.
 */
// biome-ignore-all lint/suspicious/noExplicitAny: stand-ins have what a test needs, and no more.
import { scheduler } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Prints } from "../../src/archive/prints.ts";
import { printBytesMax } from "../../src/archive/segment.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { closedMs } from "../../src/log/facts.ts";
import { hashText, mayContain, seeds } from "../../src/log/fingerprint.ts";
import { readHeader } from "../../src/log/frame.ts";
import { Log } from "../../src/log/log.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import { Alarms } from "../../src/objects/alarms.ts";
import { lookAfter } from "../../src/objects/endings.ts";
import { History } from "../../src/objects/history.ts";
import { Machine } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

Object.assign(globalThis, { scheduler });
vi.spyOn(console, "error").mockReturnValue();
const rec = (key: string, type?: string, n = 0) => ({
  key,
  ...(type ? { type } : {}),
  kind: 3 as const,
  data: new Uint8Array(n),
});
const base = { ...spec, deduplicationWindowMs: 0 };
const cut = (m: Machine) => m.log.change(m.now, () => m.log.segments.cut(m.log.span.tail, m.now));
const all = async (blobs: any, prefix = "") => (await blobs.list(prefix)).blobs.map((b: any) => b.key) as string[];

/** The past of a machine's log over another bucket, and the alarms that it sets. */
function watched(m: Machine, blobs: unknown) {
  const alarms: number[] = [];
  const a = new Alarms({
    setAlarm: (t: number) => {
      alarms.push(t);
    },
  } as any);
  const outside = { floor: async () => 0, forget: async () => {}, tell: async () => {} };
  const h = new History(
    () => m.log,
    blobs as any,
    a,
    outside,
    () => m.now,
  );
  return { a, alarms, h };
}

test("compaction beside one missing object keeps the neighbours", async () => {
  const blobs = memoryBlobs();
  const m = new Machine(nodeSql(), blobs, { ...base, retention: { ...keepAll, archive: true, retentionRecords: 8 } });
  for (let n = 0; n < 40; n++) {
    m.now = 1_000 + n;
    m.log.append([batch([rec(`k${n}`)])], m.now);
    if (n % 5 === 4) {
      cut(m);
      await m.run();
    }
  }
  await m.run();
  const segs = [...m.log.segments.store.from(0)];
  const before = segs.reduce((s, x) => s + x.records, 0);
  const [victim] = segs.slice(2, 3);
  await blobs.delete([`logs/${spec.logId}/${spec.partition}/${String(victim.base).padStart(16, "0")}-${victim.n}.seg`]);
  m.log.configure(
    { ...m.log.spec, version: 99, retention: { ...keepAll, archive: true, retentionRecords: 8, compact: true } },
    m.now,
  );
  m.now += 1_000;
  await m.run();
  const after = [...m.log.segments.store.from(0)].reduce((s, x) => s + x.records, 0);
  expect({ before, after }).toEqual({ before: 40, after: before });
});

test("filtered cold read across a false positive and a passed over segment", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), {
    ...base,
    retention: { ...keepAll, archive: true, retentionRecords: 8 },
  });
  const put = async (rs: any[]) => {
    m.now += 10;
    m.log.append([batch(rs)], m.now);
    cut(m);
    await m.run();
  };
  await put([rec("a", "x"), rec("b", "y")]);
  await put([rec("c", "z")]);
  await put([rec("a", "y")]);
  for (let n = 0; n < 20; n++) await put([rec("f")]);
  expect([...m.log.segments.store.from(0)].slice(0, 3).map((s) => s.hot)).toEqual([0, 0, 0]);
  const filter = { key: "a", types: ["y"] };
  const f = await m.read({ at: "earliest" }, { filter }).catch((e) => String(e));
  const b = await m.read({ at: "latest" }, { filter, backward: true }).catch((e) => String(e));
  expect([f, b]).toMatchObject([[{ offset: 3 - 0 }], [{ offset: 3 }]]);
});

const names = { namespace: "ns", stream: "s" };
test("parquet off, then erase leaves the parquet file", async () => {
  const blobs = memoryBlobs();
  const retention = { ...keepAll, archive: true, parquet: [] };
  const m = new Machine(nodeSql(), blobs, { ...base, names, retention } as any);
  m.now = 1_000;
  m.log.append([batch([rec("pii")])], m.now);
  cut(m);
  await m.run();
  expect((await all(blobs)).length).toBe(2);
  m.log.configure({ ...m.log.spec, version: 99, retention: { ...retention, parquet: null } } as any, m.now);
  m.history.workshop!.erasures.request("e", { key: "pii" }, m.now);
  m.now += 5_000;
  await m.run();
  m.now += 3_600_000;
  await m.run();
  m.now += 3_600_000;
  await m.run();
  expect(m.history.workshop!.erasures.get("e")!.state).toBe("done");
  expect((await all(blobs)).filter((k) => k.startsWith("parquet"))).toEqual([]);
});

test("keepForGroups without bounds and a group that lags: no alarm in the past", async () => {
  const sql = nodeSql();
  const m = new Machine(sql, memoryBlobs(), { ...base, retention: { ...keepAll, keepForGroups: true } });
  m.log.followers.add("g", 0);
  m.now = 1_000;
  const { a, alarms, h } = watched(m, undefined);
  m.log.append([batch([rec("a")])], m.now);
  h.appended();
  m.now += 60_001;
  a.fired();
  alarms.length = 0;
  await h.run();
  expect(alarms[0] - m.now).toBeGreaterThan(900);
});

test("fingerprint of a segment with many keys has no false negatives", () => {
  const prints = new Prints();
  const keys: string[] = [];
  let _bytes = 0;
  for (let f = 0; f < 350; f++) {
    const w = new FrameWriter();
    for (let i = 0; i < 1_000; i++) {
      const key = (f * 1000 + i).toString(36);
      keys.push(key);
      w.add({ key, kind: 0, data: new Uint8Array(0) }, 1e9);
    }
    for (const b of w.finish(0)) {
      _bytes += b.length;
      const h = readHeader(b, 0);
      if (h.ok) prints.add(h.value);
    }
  }
  const print = prints.finish(printBytesMax);
  const missed = keys.filter((k) => !mayContain(print, hashText(k, seeds.key))).length;
  expect(missed).toBe(0);
});

test("an upload reads the heads of its own segment only", async () => {
  const sql = nodeSql();
  const m = new Machine(sql, memoryBlobs(), { ...base, retention: { ...keepAll } });
  for (let s = 0; s < 30; s++) {
    for (let n = 0; n < 100; n++) m.log.append([batch([rec("a")])], 1_000 + s);
    cut(m);
  }
  m.log.configure({ ...m.log.spec, version: 99, retention: { ...keepAll, archive: true } }, m.now);
  let heads = 0;
  const allOf = sql.all.bind(sql);
  (sql as any).all = (q: string, ...a: any[]) => {
    const r = allOf(q, ...a);
    if (/FROM chunk/.test(q) && /first/.test(q)) heads += r.length;
    return r;
  };
  m.now = 10_000;
  await m.run();
  expect(heads).toBeLessThan(3000 * 4);
});

test("a request to forget is resumed after a crash: an alarm is armed before work outside", async () => {
  const sql = nodeSql();
  const blobs = memoryBlobs();
  const m = new Machine(sql, blobs, { ...base, retention: { ...keepAll, archive: true } });
  m.now = 1_000;
  m.log.append([batch([rec("pii")])], m.now);
  cut(m);
  await m.run();
  m.log.change(m.now, () => {
    for (const s of m.log.segments.hot) m.log.segments.cool(s);
  });
  const hang = { ...blobs, get: () => new Promise(() => {}) };
  const { alarms, h } = watched(m, hang);
  h.workshop!.erasures.request("e", { key: "pii" }, m.now);
  h.kick();
  await scheduler.wait(20);
  // the object is killed here
  expect(alarms.length).toBeGreaterThan(0);
});

test("an alarm that fires while a run is under way leaves something armed, or waits for it", async () => {
  const blobs = memoryBlobs();
  const m = new Machine(nodeSql(), blobs, { ...base, retention: { ...keepAll, archive: true } });
  m.now = 1_000;
  m.log.append([batch([rec("pii")])], m.now);
  cut(m);
  const hang = { ...blobs, create: () => new Promise(() => {}) };
  const { a, alarms, h } = watched(m, hang);
  h.kick();
  await scheduler.wait(20);
  a.fired();
  alarms.length = 0;
  const ended = await Promise.race([h.run().then(() => "returned"), scheduler.wait(50).then(() => "waits")]);
  expect(ended === "waits" || alarms.length > 0).toBe(true);
});

test("archive off after an upload whose answer was lost, then erase", async () => {
  const blobs = memoryBlobs();
  const m = new Machine(nodeSql(), blobs, { ...base, retention: { ...keepAll, archive: true } });
  m.now = 1_000;
  m.log.append([batch([rec("pii")])], m.now);
  cut(m);
  await m.run({ at: 1, kind: "crash after" });
  expect((await all(blobs)).length).toBe(1);
  m.log.configure({ ...m.log.spec, version: 99, retention: keepAll }, m.now);
  m.history.workshop!.erasures.request("e", { key: "pii" }, m.now);
  for (let i = 0; i < 4; i++) {
    m.now += 3_600_000;
    await m.run();
  }
  expect(m.history.workshop!.erasures.get("e")!.state).toBe("done");
  expect(await all(blobs)).toEqual([]);
});

test("truncate leaves what is appended after it was asked for", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), { ...base, retention: keepAll });
  for (let n = 0; n < 3; n++) {
    m.now += 10;
    m.log.append([batch([rec("a")])], m.now);
    cut(m);
  }
  let from = 1 as number | undefined;
  let to: number | undefined;
  let steps = 0;
  const appended: number[] = [];
  while (from !== undefined && steps++ < 50) {
    const r = await m.history.workshop!.repair({ mode: "truncate", from, ...(to !== undefined && { to }) });
    from = r.next;
    to = r.to;
    appended.push(m.log.span.tail);
    m.log.append([batch([rec("later")])], m.now);
  }
  expect.soft(steps).toBeLessThan(50);
  const offsets = (await m.read({ at: "earliest" })).map((s) => s.offset);
  expect(appended.filter((o) => !offsets.includes(o))).toEqual([]);
});

test("compaction of a cold log with archive off does not bring it all into the database", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), {
    ...base,
    retention: { ...keepAll, archive: true, retentionRecords: 8 },
  });
  for (let n = 0; n < 100; n++) {
    m.now += 10;
    m.log.append([batch([rec("same"), rec(`k${n}`, undefined, 10_000)])], m.now);
    cut(m);
    await m.run();
  }
  m.log.configure(
    { ...m.log.spec, version: 99, retention: { ...keepAll, retentionRecords: null, compact: true } },
    m.now,
  );
  m.now += 1_000;
  await m.run();
  m.log.hotBytesMax = 500_000;
  expect(m.log.append([batch([rec("x")])], m.now)[0].ok).toBe(true);
});

test("a producer's offset that was compacted is still a duplicate", async () => {
  const s = { ...base, offsets: "producer" as const, retention: { ...keepAll, compact: true } };
  const m = new Machine(nodeSql(), memoryBlobs(), s as any);
  const p = (o: number) => m.log.append([batch([{ ...rec("k"), offset: o }])], m.now)[0];
  m.now = 1_000;
  for (let n = 1; n < 10; n++) p(n * 10);
  cut(m);
  m.now += 10_000;
  await m.run();
  expect(p(10)).toMatchObject({ value: [{ verdict: "duplicate" }] });
});

test("client timestamps of long ago: appends do not each become a segment", async () => {
  const s = { ...base, timestamps: "client" as const, retention: { ...keepAll, compact: true } };
  const m = new Machine(nodeSql(), memoryBlobs(), s as any);
  m.now = 10_000_000;
  for (let n = 0; n < 50; n++) {
    m.log.append([batch([{ ...rec(`k${n}`), timestamp: 1_000 + n }])], m.now);
    await m.run();
    m.now += 1;
  }
  expect(m.log.segments.store.sums().segments).toBeLessThan(10);
});

test("filtered cold read backward across a false positive and a passed over segment", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), {
    ...base,
    retention: { ...keepAll, archive: true, retentionRecords: 8 },
  });
  const put = async (rs: any[]) => {
    m.now += 10;
    m.log.append([batch(rs)], m.now);
    cut(m);
    await m.run();
  };
  await put([rec("a", "y")]);
  await put([rec("c", "z")]);
  await put([rec("a", "x"), rec("b", "y")]);
  for (let n = 0; n < 20; n++) await put([rec("f")]);
  const b = await m
    .read({ at: "latest" }, { filter: { key: "a", types: ["y"] }, backward: true })
    .catch((e) => String(e));
  expect(b).toMatchObject([{ offset: 0 }]);
});

function cat() {
  const c = new Catalog(nodeSql(), "default");
  c.put("s", { deleteOnEmptyMs: 1_000, partitions: 1 } as any, "a".repeat(20), Date.now() - 100_000);
  c.open("s", 0, Date.now() - 100_000);
  return c;
}
test("a stream that is recreated while the old one is looked at is not deleted", async () => {
  const c = cat();
  const telling = {
    stub: () => ({
      order: async (_name: string) => {
        c.drop("s", Date.now());
        c.put("s", { partitions: 1 } as any, "b".repeat(20), Date.now());
        return { ok: true, value: true };
      },
    }),
  };
  await lookAfter(c, telling as any, { log: "a".repeat(20), name: "s", due: 0 });
  expect(c.stream("s").ok).toBe(true);
});
test("deleteOnEmpty taken back while partitions are closed: they are opened again, and the stream stays", async () => {
  const c = cat();
  let closed = false;
  const telling = {
    stub: () => ({
      order: async (name: string) => {
        closed = name === "close";
        if (closed) c.put("s", { deleteOnEmptyMs: null } as any, "x", Date.now());
        return { ok: true, value: true };
      },
    }),
  };
  await lookAfter(c, telling as any, { log: "a".repeat(20), name: "s", due: 0 });
  expect([c.stream("s").ok, closed]).toEqual([true, false]);
});
test("a partition that was closed by somebody who died is open again after a minute", () => {
  const log = Log.create(nodeSql(), { ...base, retention: keepAll }, 0);
  const append = (now: number) => log.append([batch([rec("a")])], now)[0];
  expect(log.close(1_000, 500)).toBe(false);
  expect(log.close(1_000, 5_000)).toBe(true);
  expect(append(5_000 + closedMs - 1)).toMatchObject({ refusal: { code: "unavailable" } });
  expect(append(5_000 + closedMs)).toMatchObject({ ok: true });
  expect(log.close(1_000, 5_000 + closedMs)).toBe(false);
});

test("a damaged chunk of an archived segment is not passed over by an erasure by key", async () => {
  const sql = nodeSql();
  const m = new Machine(sql, memoryBlobs(), { ...base, retention: { ...keepAll, archive: true } });
  m.now = 1_000;
  m.log.append([batch([rec("pii", undefined, 100)])], m.now);
  m.log.append([batch([rec("ok")])], m.now);
  sql.run("UPDATE chunk SET body = CAST(substr(body,1,60) || x'ff' || substr(body,62) AS BLOB) WHERE base = 0");
  cut(m);
  await m.run();
  m.history.workshop!.erasures.request("e", { key: "pii" }, m.now);
  for (let i = 0; i < 4; i++) {
    m.now += 3_600_000;
    await m.run();
  }
  expect(m.history.workshop!.erasures.get("e")).toMatchObject({ state: "done", unread: [0] });
});
test("a commit of several chunks into a fresh segment arms its sealing", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), { ...base, retention: { ...keepAll, archive: true, compact: true } });
  m.now = 1_000;
  const { a, alarms, h } = watched(m, m.bucket);
  m.log.append([batch([rec("a")])], m.now);
  h.appended();
  m.log.change(m.now, () => m.log.segments.cut(m.log.span.tail, m.now)); // trim, erase, age: then
  h.appended();
  await h.run();
  await scheduler.wait(20);
  a.fired();
  alarms.length = 0;
  await h.run();
  m.log.append([batch([rec("a", undefined, 900_000)]), batch([rec("a", undefined, 900_000)])], m.now);
  h.appended();
  expect(m.log.segments.open.chunks).toBe(2);
  expect(alarms.length).toBeGreaterThan(0);
});
