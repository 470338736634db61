/** Uploads of which an attempt was given up: the store may do it later, and what was forgotten does not come back with it. */
import { expect, test, vi } from "vitest";
import type { Sql } from "../../src/lib/sql.ts";
import { Log } from "../../src/log/log.ts";
import { Deletion } from "../../src/objects/deletion.ts";
import { bury } from "../../src/objects/emptying.ts";
import { type Desk, past } from "../../src/objects/past.ts";
import type { Patience } from "../../src/platform/patience.ts";
import { r2Blobs } from "../../src/platform/r2.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { Machine, textOf } from "../cases/archive.ts";
import { memoryBlobs } from "./bucket.ts";
import { machine, ofKey } from "./machine.ts";

const hour = 3_600_000;
const word = "victim7f3a";
const names = { namespace: "shop", stream: "orders" };

/** A bucket that gives up the first attempt of each upload, and does it when it is told to. */
function slow() {
  const blobs = memoryBlobs();
  const late: (() => Promise<unknown>)[] = [];
  const create = (key: string, body: Uint8Array, cutOff?: () => void) => {
    late.push(() => blobs.create(key, body.slice()));
    cutOff?.();
    return blobs.create(key, body);
  };
  return { blobs: { ...blobs, create }, late };
}

const state = (one: Machine) => one.history.workshop?.erasures.get("r")?.state;

/** One archived segment that has the word; then it is to be forgotten. */
async function forgotten(one: Machine): Promise<void> {
  one.append(ofKey(word), ofKey("k"));
  one.seal();
  await one.run();
  expect(await textOf(one.blobs, "logs/")).toContain(word);
  one.history.workshop?.erasures.request("r", { key: word }, one.now);
  await one.run();
}

test.each([[null], [[]]])("an attempt that comes late is waited for (Parquet: %j)", async (parquet) => {
  const { blobs, late } = slow();
  const one = machine({ archive: true, parquet }, { names }, blobs);
  await forgotten(one);
  for (const put of late) await put();
  expect(state(one)).toBe("deleting");
  one.now += hour;
  await one.run();
  expect(state(one)).toBe("done");
  expect(await textOf(blobs, "")).not.toContain(word);
});

test("so is one that a crash cut off, though the upload was repeated and went well", async () => {
  const one = machine({ archive: true });
  one.append(ofKey(word), ofKey("k"));
  one.seal();
  await one.run({ at: 1, kind: "crash" });
  expect((await one.blobs.list("")).blobs).toEqual([]);
  await one.run();
  const [{ key, size }] = (await one.blobs.list("logs/")).blobs;
  const body = (await one.blobs.get(key, 0, size)) as Uint8Array;
  one.history.workshop?.erasures.request("r", { key: word }, one.now);
  await one.run();
  await one.blobs.create(key, body);
  expect(state(one)).toBe("deleting");
  one.now += hour;
  await one.run();
  expect(state(one)).toBe("done");
  expect(await textOf(one.blobs, "")).not.toContain(word);
});

test("so is one of a segment that was rewritten while it was on its way, and of which nobody knows what became of it", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  const one = machine({ archive: true });
  one.append(ofKey(word), ofKey("k"));
  one.seal();
  const [{ base, next }] = one.log.segments.hot;
  // It takes nine minutes to fail.
  one.bucket.meanwhile = () => {
    one.log.replace([...one.log.segments.hot], [], one.now);
    one.now += 540_000;
    throw new Error("no answer");
  };
  await one.run({ at: 1, kind: "meanwhile" });
  expect(one.log.segments.store.at(base)).toMatchObject({ next, n: 2 });
  const due = one.log.segments.store.nextGarbage() as number;
  expect(due - one.now).toBe(600_000);
  vi.restoreAllMocks();
});

/** The deletion of a machine's stream, and when its object wakes next. */
function deletion(one: Machine) {
  const woken = { at: Number.POSITIVE_INFINITY, freed: 0 };
  const alarms = {
    by: (at: number) => {
      woken.at = Math.min(woken.at, at);
    },
    deleted: () => {},
  };
  const freed = async () => {
    woken.freed++;
    emptied(one.sql);
  };
  const { partition, logId } = one.log.spec;
  const work = new Deletion(one.sql, one.history, alarms, freed);
  const destroy = () =>
    work.run(logId, partition, names.namespace, () => {
      if (Log.open(one.sql, one.now) !== undefined) bury(one.log);
      return true;
    });
  const alarm = async () => {
    one.now = Math.max(one.now, woken.at);
    woken.at = Number.POSITIVE_INFINITY;
    await work.late();
  };
  return { destroy, alarm, woken };
}

function emptied(sql: Sql): void {
  for (const { name } of sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"))
    if (!name.startsWith("sqlite")) sql.run(`DROP TABLE ${name}`);
}

const tablesOf = (sql: Sql) =>
  sql
    .all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    .map(({ name }) => name);

/** A log of which an upload was given up: of a segment that is there, or has gone since, or that a crash cut off. */
async function givenUp(how: "there" | "gone" | "crash", parquet: [] | null) {
  const { blobs, late } = slow();
  const one = machine({ archive: true, parquet }, { names }, blobs);
  one.append(ofKey(word), ofKey("k"));
  one.seal();
  if (how === "crash") {
    // The attempt after the next is what the crash cuts off.
    await one.run({ at: parquet === null ? 1 : 2, kind: "crash after" });
    late.splice(0, late.length - 1);
  } else await one.run();
  expect(late.length).toBeGreaterThan(0);
  if (how === "gone") one.log.trim(2, one.now);
  return { one, late };
}

test.each([
  ["there", null],
  ["there", []],
  ["gone", null],
  ["gone", []],
  ["crash", null],
  ["crash", []],
] as const)("what comes behind the deletion of a stream is deleted, too: %s (Parquet: %j)", async (how, parquet) => {
  const { one, late } = await givenUp(how, parquet as [] | null);
  const { destroy, alarm, woken } = deletion(one);
  for (let times = 0; times < 2; times++) {
    expect(await destroy()).toBe(true);
    expect([await textOf(one.blobs, ""), woken.freed]).toEqual(["", 0]);
    // A name of an object is what stays, and no record.
    expect(tablesOf(one.sql).filter((name) => name.startsWith("chunk"))).toEqual([]);
  }
  for (const put of late) await put();
  expect(await textOf(one.blobs, "")).toContain(word);
  const before = one.now;
  await alarm();
  expect(one.now - before).toBe(600_000);
  expect([await textOf(one.blobs, ""), woken.freed, tablesOf(one.sql)]).toEqual(["", 1, []]);
});

test("a stream that is deleted with nothing on its way leaves nothing", async () => {
  const one = machine({ archive: true, parquet: [] }, { names });
  one.append(ofKey(word), ofKey("k"));
  one.seal();
  await one.run();
  const { destroy, woken } = deletion(one);
  expect(await destroy()).toBe(true);
  expect([await textOf(one.blobs, ""), woken.freed, tablesOf(one.sql)]).toEqual(["", 1, []]);
});

test.each([[false], [true]])(
  "nor does it come back in a stream that was restored in its place (empty: %j)",
  async (empty) => {
    const { one, late } = await givenUp("there", []);
    const { destroy, alarm } = deletion(one);
    expect(await destroy()).toBe(true);
    const again = new Machine(one.sql, one.blobs, one.spec);
    again.now = one.now;
    if (!empty) {
      again.append(ofKey("other"), ofKey("k"));
      again.seal();
      await again.run();
      again.reopen();
    }
    const own = (await again.blobs.list("")).blobs.map(({ key }) => key);
    for (const put of late) await put();
    const desk = { log: again.log, history: again.history } as unknown as Desk;
    expect(await past.erase(desk, "r", { key: word })).toMatchObject({ ok: true });
    await again.run();
    // A request concerns what is there, and there is nothing.
    expect(state(again)).toBe(empty ? "done" : "deleting");
    // The alarm of the log before leaves it alone.
    await alarm();
    again.now += hour;
    await again.run();
    again.now += hour;
    await again.run();
    expect(again.history.workshop?.erasures.get("r")).toMatchObject({ state: "done", unread: [], records: 0 });
    expect(await textOf(one.blobs, "")).not.toContain(word);
    expect((await again.blobs.list("")).blobs.map(({ key }) => key)).toEqual(own);
    expect(own).toHaveLength(empty ? 0 : 2);
  },
);

test("nothing is waited for where every attempt was answered", async () => {
  const one = machine({ archive: true });
  await forgotten(one);
  expect(state(one)).toBe("done");
  expect(await textOf(one.blobs, "")).not.toContain(word);
});

const patient: Patience = {
  attempts: 4,
  pauseMs: 1,
  pauseMsMax: 1,
  answerMs: 40,
  readMs: 40,
  readMsMax: 80,
  stallMs: 40,
};

const hangs = (signal?: AbortSignal | null) =>
  new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
const xml = (status: number, code: string) => new Response(`<Error><Code>${code}</Code></Error>`, { status });

test.each([
  ["is answered at once", [], 0],
  ["hangs at first", [hangs], 1],
  ["hangs twice", [hangs, hangs], 2],
  ["is slowed down by the store", [async () => xml(503, "SlowDown")], 0],
  ["is answered by somebody else", [async () => new Response("bad gateway", { status: 502 })], 1],
] as const)("an S3 store says what was given up: an upload that %s", async (_, first, given) => {
  const puts = [...first];
  let stored = false;
  const fetch = async (_url: string, { method, signal }: RequestInit) => {
    if (method === "HEAD") return new Response(null, { status: 404 });
    const mishap = puts.shift();
    if (mishap !== undefined) return mishap(signal);
    if (stored) return xml(412, "PreconditionFailed");
    stored = true;
    return new Response("");
  };
  const store = {
    endpoint: "http://store",
    bucket: "b",
    region: "auto",
    accessKeyId: "a",
    secretAccessKey: "s",
    fetch,
  };
  const cutOff = vi.fn();
  expect(await s3Blobs(store, patient).create("key", new Uint8Array(3), cutOff)).toBe(true);
  expect(cutOff).toHaveBeenCalledTimes(given);
});

test("so does R2", async () => {
  const answers = [hangs, () => Promise.reject(new Error("put: slow down (10058)")), async () => ({})];
  const bucket = { put: () => (answers.shift() as () => Promise<unknown>)() } as unknown as R2Bucket;
  const cutOff = vi.fn();
  expect(await r2Blobs(bucket, patient).create("key", new Uint8Array(3), cutOff)).toBe(true);
  expect(cutOff).toHaveBeenCalledTimes(1);
});
