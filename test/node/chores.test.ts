/** What a catalog leaves to be done later is done, whatever comes in between. */
import { scheduler } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { ok } from "../../schemas/errors.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Chores } from "../../src/objects/chores.ts";
import { Deletion } from "../../src/objects/deletion.ts";
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
const answer = { ok: true, value: undefined };
const fine = async () => answer;

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
  const [job] = c.groups.due(0);
  expect(job).toMatchObject({ partition: 0 });
  value(c.groups.setPaused(stream, "g", { reason: "test", at: 0 }, undefined, 0));
  c.groups.settle(job, true, 0);
  const [again] = c.groups.due(0);
  expect(again).toMatchObject({ partition: 0 });
  c.groups.settle(again, true, 0);
  expect(c.groups.due(0)).toEqual([]);
});

test("a partition that knows an older group, maybe with another receiver, does not pause it", () => {
  const c = core();
  const stream = value(c.stream("s"));
  const id = "b".repeat(20);
  const { version } = value(c.groups.put(stream, "g", {}, id, 0)).group;
  const because = { reason: "410", at: 0 };
  value(c.groups.put(stream, "g", { maxInFlight: 7 }, id, 0));
  expect(value(c.groups.setPaused(stream, "g", because, id, 0, version))).toMatchObject({ id, paused: false });
  expect(value(c.groups.setPaused(stream, "g", because, id, 0, version + 1))).toMatchObject({ paused: true, because });
});

test("of a delivery that was told amid its group's deletion, and did not answer, nothing is left", async () => {
  const c = core();
  const stream = value(c.stream("s"));
  value(c.groups.put(stream, "g", {}, "b".repeat(20), 0));
  const [job] = c.groups.due(0);
  const names = {
    getByName: () => ({
      configure: async () => {
        value(c.groups.drop(stream, "g", 0));
        for (const purge of c.purges.due(0)) c.purges.settle(purge, true, 0);
        throw new Error("the answer is lost");
      },
    }),
  };
  const telling = new Telling({ PARTITION: names, DELIVERY: names } as unknown as Env, c);
  await expect(telling.delivery(job)).rejects.toThrow("the answer is lost");
  expect(c.purges.due(Date.now())).toMatchObject([{ id: job.id, partition: 0 }]);
});

test("what somebody is at work on is the alarm's, should he die of it", async () => {
  const c = core();
  const { promise: works, reject: dies } = Promise.withResolvers<never>();
  const { alarm, chores: work } = chores(
    c,
    () => works,
    () => works,
  );
  const working = work.worked(() => c.drop("s", Date.now()));
  await scheduler.wait(1);
  expect(alarm.at).toBeGreaterThan(0);
  dies(new Error("killed"));
  await working;
});

test("what is refused leaves no work without an alarm: an attempt before may have died", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, fine, fine);
  value(c.drop("s", Date.now()));
  expect(await work.worked(() => c.drop("s", Date.now()))).toMatchObject({ ok: false });
  expect(alarm.at).toBeGreaterThan(0);
});

test("a growth's alarm is not put off by whoever asks for something else meanwhile", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, unreachable, fine);
  value(c.put("s", { partitions: 2 }, "unused", Date.now()));
  await expect(work.grow()).rejects.toThrow();
  const { at } = alarm;
  await scheduler.wait(2);
  await work.worked(() => c.stream("s"));
  expect(alarm.at).toBe(at);
});

test("a stream that cannot grow keeps no other work from being done", async () => {
  const c = core();
  const { alarm, chores: work } = chores(c, unreachable, fine);
  value(c.put("s", { partitions: 2 }, "unused", Date.now()));
  value(c.groups.put(value(c.stream("s")), "g", {}, "b".repeat(20), Date.now()));
  await work.alarm();
  expect(c.groups.due(Date.now())).toEqual([]);
  expect(alarm.at).toBeGreaterThan(Date.now());
});

describe("a job that several come to", () => {
  /** A deletion that takes until it is let go, by call. */
  function slow() {
    const ends: ((all: boolean) => void)[] = [];
    return { ends, destroy: () => new Promise<boolean>((resolve) => ends.push(resolve)) };
  }

  test("is done once, and what is restored when it is over stays", async () => {
    const c = core();
    const { ends, destroy } = slow();
    const { chores: work } = chores(c, destroy, fine);
    value(c.drop("s", Date.now()));
    const [job] = c.purges.due(Date.now());
    const runs = [work.alarm(), work.alarm(), work.alarm()];
    await scheduler.wait(5);
    expect(ends).toHaveLength(1);
    ends[0](true);
    await scheduler.wait(5);
    expect([ends.length, c.purges.due(Number.MAX_SAFE_INTEGER)]).toEqual([1, []]);
    await Promise.all(runs);
    // Whoever has an old list says that it went wrong, or well, of what is there no more.
    c.purges.settle(job, false, Date.now());
    expect(c.purges.due(Number.MAX_SAFE_INTEGER)).toEqual([]);
  });

  test("that was made anew is not settled by who knows the old one", () => {
    const c = core();
    value(c.drop("s", 10));
    const [old] = c.purges.due(10);
    c.purges.settle(old, true, 10);
    c.purges.stray(old.id, 0, 20);
    for (const done of [true, false]) c.purges.settle(old, done, 30);
    expect(c.purges.due(20)).toEqual([{ ...old, due: 20 }]);
  });

  test("of a group that was deleted is not brought back by its failure", async () => {
    const c = core();
    const stream = value(c.stream("s"));
    value(c.groups.put(stream, "g", {}, "b".repeat(20), 0));
    const [job] = c.groups.due(0);
    value(c.groups.drop(stream, "g", 0));
    c.groups.settle(job, false, 0);
    expect(c.groups.due(Number.MAX_SAFE_INTEGER)).toEqual([]);
  });
});

describe("while a deletion does not come to an end", () => {
  /** A catalog with a stream beside one whose partition is being freed, by a bucket that hangs. */
  async function freeing(partition: () => Promise<unknown>, configure = fine) {
    const c = core();
    value(c.put("other", {}, "b".repeat(20), 0));
    value(c.open("other", 0, 0));
    value(c.drop("s", 0));
    const { alarm, chores: work } = chores(c, partition, configure);
    void work.alarm();
    await scheduler.wait(5);
    return { c, alarm, work };
  }

  test("other requests are answered, and do what they made themselves", async () => {
    const { c, alarm, work } = await freeing(never);
    const put = await work.worked(() => c.groups.put(value(c.stream("other")), "g", {}, "c".repeat(20), Date.now()));
    expect([put.ok, c.groups.due(Date.now())]).toEqual([true, []]);
    // What is being done is looked after, should who does it die.
    expect(alarm.at).toBeGreaterThan(Date.now());
  });

  test("and was not begun, a request leaves it to the alarm", async () => {
    const c = core();
    let calls = 0;
    const { alarm, chores: work } = chores(c, async () => ++calls > 0, fine);
    value(c.drop("s", Date.now() - 10));
    await work.worked(() => ok(undefined));
    expect([calls, alarm.at]).toEqual([0, expect.any(Number)]);
    await work.alarm();
    expect([calls, c.purges.due(Number.MAX_SAFE_INTEGER)]).toEqual([1, []]);
  });

  test("who asked for it is answered after a while", async () => {
    vi.useFakeTimers();
    try {
      const c = core();
      const { chores: work } = chores(c, never, fine);
      let answered = false;
      void work
        .worked(() => c.drop("s", Date.now()))
        .then(() => {
          answered = true;
        });
      await vi.advanceTimersByTimeAsync(30_000);
      expect(answered).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test("because there is always more, it comes again", async () => {
    let calls = 0;
    const { c, work } = await freeing(async () => {
      calls++;
      return false;
    });
    const [first] = c.purges.due(Number.MAX_SAFE_INTEGER);
    expect([calls, first.attempts]).toEqual([1, 1]);
    vi.setSystemTime(first.due);
    await work.alarm();
    vi.useRealTimers();
    const [again] = c.purges.due(Number.MAX_SAFE_INTEGER);
    expect([calls > 2, again.attempts]).toEqual([true, 2]);
  });

  test("a partition that comes to be waits for its groups, whoever tells them", async () => {
    const ends: (() => void)[] = [];
    const told = () => new Promise<typeof answer>((resolve) => ends.push(() => resolve(answer)));
    const { c, work } = await freeing(never, told);
    const stream = value(c.stream("other"));
    value(c.groups.put(stream, "g", {}, "c".repeat(20), Date.now()));
    const opened = [work.opened(stream.logId, 0), work.opened(stream.logId, 0)].map((one) => one.then(() => "told"));
    expect(await Promise.race([...opened, scheduler.wait(5).then(() => "waits")])).toBe("waits");
    expect(ends).toHaveLength(1);
    ends[0]();
    expect(await Promise.all(opened)).toEqual(["told", "told"]);
  });
});

test("while a log is deleted none takes its place, and none is deleted with it", async () => {
  const ends: (() => void)[] = [];
  const wait = () => new Promise<void>((resolve) => ends.push(resolve));
  const history = { drain: async () => {}, emptied: () => wait().then(() => true), blobs: undefined, now: Date.now };
  const deletion = new Deletion(nodeSql(), history, { deleted: () => {}, by: () => {} }, wait);
  const calls: string[] = [];
  const run = (name: string, owner: string, close = true) =>
    deletion.run("log", 0, owner, () => {
      calls.push(name);
      return close;
    });
  const both = [run("a", "one"), run("b", "one")];
  const other = run("c", "another", false);
  expect(deletion.isDue).toBe(true);
  for (let step = 0; step < 2; step++) {
    await scheduler.wait(1);
    expect([calls, deletion.isDue]).toEqual([["a"], true]);
    ends[step]();
  }
  expect(await Promise.all([...both, other])).toEqual([true, true, true]);
  // Another namespace's order waits, and is asked by itself whether the log is its.
  expect([calls, deletion.isDue, ends.length]).toEqual([["a", "c"], false, 2]);
});
