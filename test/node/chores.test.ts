/** What a catalog leaves to be done later is done, whatever comes in between. */
import { scheduler } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Chores } from "../../src/objects/chores.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { Telling } from "../../src/objects/telling.ts";
import { value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

/** A catalog's work, where partitions and deliveries answer so. */
function chores(core: Catalog, partition: () => Promise<unknown>, configure: () => Promise<unknown>) {
  const names = { getByName: () => ({ order: partition, destroy: partition, unfollow: partition, configure }) };
  const env = { PARTITION: names, DELIVERY: names } as unknown as Env;
  const alarm: { at: number | null } = { at: null };
  const setAlarm = async (at: number) => {
    alarm.at = at;
  };
  const storage = { setAlarm, getAlarm: async () => alarm.at } as unknown as DurableObjectStorage;
  return { alarm, chores: new Chores(storage, env, core, new Telling(env, core)) };
}

const never = () => new Promise<never>(() => {});
const unreachable = () => Promise.reject(new Error("out of reach"));
const fine = async () => ({ ok: true, value: undefined });

/** A catalog with a stream of one partition. */
function core(): Catalog {
  const core = new Catalog(nodeSql(), "default");
  value(core.put("s", {}, "a".repeat(20), 0));
  value(core.open("s", 0, 0));
  return core;
}

test("what changes while a delivery is told is told, too", () => {
  const c = core();
  const stream = value(c.stream("s"));
  value(c.groups.put(stream, "g", {}, "b".repeat(20), 0));
  const [job] = c.telling.due(0);
  expect(job).toMatchObject({ partition: 0 });
  value(c.groups.setPaused(stream, "g", { reason: "test", at: 0 }, undefined, 0));
  c.telling.settle(job, true, 0);
  const [again] = c.telling.due(0);
  expect(again).toMatchObject({ partition: 0 });
  c.telling.settle(again, true, 0);
  expect(c.telling.due(0)).toEqual([]);
});

test("what somebody is at work on is the alarm's, should he die of it", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, never, never);
  void work.worked(c.drop("s", Date.now()));
  await scheduler.wait(1);
  expect(alarm.at).toBeGreaterThan(0);
});

test("what is refused leaves no work without an alarm: an attempt before may have died", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, fine, fine);
  value(c.drop("s", Date.now()));
  expect(await work.worked(c.drop("s", Date.now()))).toMatchObject({ ok: false });
  expect(alarm.at).toBeGreaterThan(0);
});

test("a growth's alarm is not put off by whoever asks for something else meanwhile", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, unreachable, fine);
  value(c.put("s", { partitions: 2 }, "unused", Date.now()));
  await expect(work.grow()).rejects.toThrow();
  const { at } = alarm;
  await scheduler.wait(2);
  await work.worked(c.stream("s"));
  expect(alarm.at).toBe(at);
});

test("a stream that cannot grow keeps no other work from being done", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, unreachable, fine);
  value(c.put("s", { partitions: 2 }, "unused", Date.now()));
  value(c.groups.put(value(c.stream("s")), "g", {}, "b".repeat(20), Date.now()));
  await work.alarm();
  expect(c.telling.due(Date.now())).toEqual([]);
  expect(alarm.at).toBeGreaterThan(Date.now());
});
