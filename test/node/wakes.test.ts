/** Whoever waits is woken: a partition and the deliveries that follow it, with what may come between them. */
import { scheduler } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { refuse } from "../../schemas/errors.ts";
import { type GroupConfig, pushTarget } from "../../schemas/group.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import { Heritage } from "../../src/delivery/heritage.ts";
import { keepAll } from "../../src/log/retention.ts";
import { Alarms } from "../../src/objects/alarms.ts";
import type { PageAnswer, ReadCall } from "../../src/objects/answer.ts";
import { Filler } from "../../src/objects/filler.ts";
import { Followers } from "../../src/objects/followers.ts";
import { History } from "../../src/objects/history.ts";
import { Inheriting } from "../../src/objects/inheriting.ts";
import { Keeper } from "../../src/objects/keeper.ts";
import { seek } from "../../src/objects/operating.ts";
import { ReadWaits } from "../../src/objects/read-waits.ts";
import { readWaiting } from "../../src/objects/reading.ts";
import type { DeliveryRpc } from "../../src/objects/rpc.ts";
import type { Env } from "../../src/objects/stubs.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { Machine } from "../cases/archive.ts";
import { specOf } from "../cases/delivery.ts";
import { batch, spec } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler, WebSocketRequestResponsePair: class {} });
vi.spyOn(console, "error").mockReturnValue();

const one = batch([{ kind: 0, data: new Uint8Array(0) }]);
const silent = { setAlarm: () => {}, getAlarm: async () => null } as unknown as DurableObjectStorage;

/** As much of a bucket as a reader asks for. */
const bucketOf = (blobs: Blobs) => ({
  async get(key: string, { range }: { range: { offset: number; length: number } }) {
    const bytes = await blobs.get(key, range.offset, range.length);
    return bytes === undefined ? null : { body: {}, arrayBuffer: async () => bytes.slice().buffer };
  },
});

/** A partition's part in what a delivery reads. */
const terms = { lanesMax: 100, draw: () => [1, 2, 3, 4] as const, chance: () => 0 };

function environment(m: Machine, followers: Followers): Env {
  const read = async (call: ReadCall) => {
    const page = await readWaiting(() => m.log, call, new ReadWaits());
    if (page !== undefined && call.follower !== undefined) followers.read(call.follower, page);
    return page;
  };
  return { PARTITION: { getByName: () => ({ read }) }, ARCHIVE: bucketOf(m.blobs) } as unknown as Env;
}

/** Those of a log, each of whom answers a wake so. */
const followersOf = (m: Machine, wake: () => Promise<number>) =>
  new Followers(
    new Alarms(silent),
    () => m.log,
    () => ({ wake }) as unknown as DeliveryRpc,
  );

test("a delivery that came to the tail in the archive is told of what is appended then", async () => {
  const retention = { ...keepAll, archive: true, retentionAgeMs: 10 };
  const m = new Machine(nodeSql(), memoryBlobs(), { ...spec, deduplicationWindowMs: 0, retention });
  m.log.append([one, one], 1_000);
  for (m.now = 1_000; m.now < 1_100; m.now += 5) await m.run();
  expect(m.log.facts()).toMatchObject({ hotFrom: 2, hotBytes: 0 });
  const wake = vi.fn(async () => -1);
  const followers = followersOf(m, wake);
  followers.add("d");
  const core = Delivery.create(nodeSql(), specOf(), 0, { ...terms, now: 1_100 });
  const env = environment(m, followers);
  const filler = new Filler(env, "d", core, new Inheriting(env, "d", new Heritage(core)));
  await filler.fill(() => false);
  expect(core.lease({ max: 10, bytesMax: 1e6, member: "m" }, 1_100, Math.random)).toHaveLength(2);
  m.log.append([one], 1_100);
  followers.appended();
  expect(wake).toHaveBeenCalledOnce();
});

test("a delivery that is past the tail, as of a log that was rebuilt, is told when the log has come to it", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), spec);
  const wake = vi.fn(async () => 2);
  const followers = followersOf(m, wake);
  followers.add("d");
  const core = Delivery.create(nodeSql(), specOf(), 2, { ...terms, now: 1_000 });
  const env = environment(m, followers);
  // It said that it would read by itself, and found nothing.
  followers.read("d", { ok: true, value: { upToDate: false } as PageAnswer });
  await new Filler(env, "d", core, new Inheriting(env, "d", new Heritage(core))).fill(() => false);
  for (const tail of [2, 3]) {
    wake.mockClear();
    while (m.log.span.tail < tail) m.log.append([one], 1_000);
    followers.appended();
    expect(wake).toHaveBeenCalled();
    await scheduler.wait(0);
  }
});

/** What keeps a delivery going whose partition never answers; `alarms` are those that it sets. */
function kept(config: Partial<GroupConfig>, alarms: number[]): Keeper {
  const setAlarm = (at: number) => {
    alarms.push(at);
  };
  const storage = { setAlarm, sync: async () => {} };
  const ctx = { storage, setWebSocketAutoResponse: () => {}, getWebSockets: () => [] };
  const order = async () => ({ ok: true, value: 0 });
  const env = { PARTITION: { getByName: () => ({ read: () => new Promise(() => {}), order }) } };
  const core = Delivery.create(nodeSql(), specOf(config), 0, { ...terms, now: Date.now() });
  return new Keeper(ctx as unknown as DurableObjectState, env as unknown as Env, "d", core);
}

const push = pushTarget.parse({ url: "http://localhost/" });
const told = (tail: number) => ({ from: -1, to: -1, tail, sealed: false, pieces: [] });

test("a delivery that says that it will read has armed its alarm: the partition leaves it alone from then on", () => {
  const alarms: number[] = [];
  const keeper = kept({ push }, alarms);
  expect(keeper.wake(told(0))).toBe(0);
  expect(keeper.wake(told(5))).toBe(-1);
  expect(alarms).toHaveLength(1);
});

test("a delivery that is moved back has armed its alarm: nobody else knows that it has to read", async () => {
  const alarms: number[] = [];
  const keeper = kept({ push }, alarms);
  keeper.wake(told(0));
  await seek(keeper, { at: "earliest" }, []);
  expect(alarms).toHaveLength(1);
});

test("a wake that is not answered when its alarm comes is looked after by another one", async () => {
  const alarms: number[] = [];
  const setAlarm = (at: number) => {
    alarms.push(at);
  };
  const m = new Machine(nodeSql(), memoryBlobs(), spec);
  const shared = new Alarms({ setAlarm, getAlarm: async () => null } as unknown as DurableObjectStorage);
  const wake = () => new Promise<number>(() => {});
  const followers = new Followers(
    shared,
    () => m.log,
    () => ({ wake }) as unknown as DeliveryRpc,
  );
  followers.add("d");
  followers.read("d", refuse("past-tail", "it has read everything", {}));
  m.log.append([one], 1_000);
  followers.appended();
  expect(alarms).toHaveLength(1);
  shared.fired();
  await followers.repeat();
  expect(alarms).toHaveLength(2);
});

test("who is past the tail of a partition that was split is told so once", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), spec);
  m.log.append([one], 1_000);
  let told = 0;
  const wake = async () => {
    // It has read what a rebuild has lost.
    if (++told > 3) throw new Error("again and again");
    return 100;
  };
  const followers = followersOf(m, wake);
  followers.add("d");
  followers.read("d", refuse("past-tail", "it has read everything", {}));
  m.log.seal();
  followers.appended();
  await followers.repeat();
  expect(told).toBeLessThan(3);
});

test("whoever follows by its row alone forgets, too, and what is not there yet holds the receipt up", async () => {
  const m = new Machine(nodeSql(), memoryBlobs(), spec);
  const asked: string[] = [];
  let there = false;
  const forget = async () => (there ? { ok: true, value: 1 } : { ok: false, moved: 0 });
  const followers = new Followers(
    new Alarms(silent),
    () => m.log,
    (id) => {
      asked.push(id);
      return { forget } as unknown as DeliveryRpc;
    },
  );
  // As a restore does.
  m.log.followers.add("restored", 0);
  await followers.forget({ key: "k" }, 5, false);
  await expect(followers.forget({ key: "k" }, 5, true)).rejects.toThrow("not there yet");
  const outside = { floor: async () => 0, forget: followers.forget.bind(followers), tell: async () => {} };
  const history = new History(() => m.log, undefined, new Alarms(silent), outside);
  const state = () => history.workshop?.erasures.get("request")?.state;
  history.workshop?.erasures.request("request", { key: "k" }, 0);
  await history.run();
  expect(state()).toBe("rewriting");
  there = true;
  await history.run();
  expect(state()).toBe("done");
  expect(new Set(asked)).toEqual(new Set(["restored"]));
  // A group that was deleted has nothing to forget.
  there = false;
  m.log.followers.drop("restored");
  await followers.forget({ key: "k" }, 5, true);
});

test("an object that comes back leaves the alarm that its predecessor had set for sooner", async () => {
  let alarm: number | null = 10_000;
  const setAlarm = (at: number) => {
    alarm = at;
  };
  const storage = { setAlarm, getAlarm: async () => alarm } as unknown as DurableObjectStorage;
  const alarms = new Alarms(storage);
  alarms.by(86_400_000);
  await scheduler.yield();
  expect(alarm).toBe(10_000);
  // The next one is set by itself.
  alarms.fired();
  alarms.by(20_000);
  await scheduler.yield();
  expect(alarm).toBe(20_000);
});
