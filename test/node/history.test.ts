/** Work on a log's past survives whoever does it: while any is left an alarm is set, and not one for the past. */
import { scheduler } from "node:timers/promises";
import { expect, test } from "vitest";
import { History } from "../../src/objects/history.ts";
import { past } from "../../src/objects/past.ts";
import type { ReadWaits } from "../../src/objects/read-waits.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import type { Machine } from "../cases/archive.ts";
import { batch } from "../cases/log.ts";
import { alarmsTo, machine, ofKey } from "./machine.ts";

const never = () => new Promise<never>(() => {});

/** The past of a machine's log over a bucket of its own, the alarms that are set since the last one fired, and a group that lags. */
function watched(one: Machine, blobs: Blobs | undefined) {
  const set: number[] = [];
  const alarms = alarmsTo((at) => set.push(at));
  const outside = { floor: async () => 0, forget: async () => {}, tell: async () => {} };
  const history = new History(
    () => one.log,
    blobs,
    alarms,
    outside,
    () => one.now,
  );
  const fire = () => {
    alarms.fired();
    set.length = 0;
  };
  return { history, set, fire };
}

test("what a group holds up is looked at again later, and not at once for ever", async () => {
  const one = machine({ keepForGroups: true });
  one.log.followers.add("group", 0);
  const { history, set, fire } = watched(one, undefined);
  one.append(ofKey("a"));
  history.appended();
  one.now += 60_001;
  fire();
  await history.run();
  expect(set[0] - one.now).toBeGreaterThan(900);
});

test("a request to forget sets an alarm before it waits for the bucket", async () => {
  const one = machine({ archive: true });
  one.append(ofKey("jane"));
  one.seal();
  await one.run();
  one.log.change(one.now, () => {
    for (const segment of one.log.segments.hot) one.log.segments.cool(segment);
  });
  const { history, set } = watched(one, { ...one.blobs, get: never });
  history.workshop?.erasures.request("request", { key: "jane" }, one.now);
  history.kick();
  await scheduler.wait(20);
  expect(set.length).toBeGreaterThan(0);
});

test("an alarm that fires during a run waits for it", async () => {
  const one = machine({ archive: true });
  one.append(ofKey("a"));
  one.seal();
  const { history, set, fire } = watched(one, { ...one.blobs, create: never });
  history.kick();
  await scheduler.wait(20);
  fire();
  const ended = await Promise.race([history.run().then(() => "ended"), scheduler.wait(50).then(() => "waits")]);
  expect([ended, set]).toEqual(["waits", []]);
});

test("several chunks of one commit, the first of a segment, set the alarm that seals it", async () => {
  const one = machine({ archive: true, compact: true });
  const { history, set, fire } = watched(one, one.blobs);
  one.append(ofKey("a"));
  history.appended();
  one.seal();
  history.appended();
  await history.run();
  await scheduler.wait(20);
  await history.run();
  fire();
  one.log.append([batch([ofKey("a", 900_000)]), batch([ofKey("a", 900_000)])], one.now);
  history.appended();
  expect(one.log.segments.open.chunks).toBe(2);
  expect(set.length).toBeGreaterThan(0);
});

test("without a bucket nothing goes that is to be archived", async () => {
  const one = machine({ archive: true, retentionRecords: 8, retentionAgeMs: 1_000 });
  for (let n = 0; n < 40; n++) one.append(ofKey("a"));
  const { history, set, fire } = watched(one, undefined);
  one.now += 100_000;
  await history.run();
  expect(one.log.facts()).toMatchObject({ head: 0, records: 40 });
  fire();
  one.retain({ retentionRecords: 8 });
  await history.run();
  expect(one.log.facts().records).toBeLessThanOrEqual(9);
  expect(set.filter((at) => at <= one.now)).toEqual([]);
});

test("a log that is to keep more than a database holds leaves room for appends", async () => {
  const one = machine({ archive: true, retentionBytes: 1_000_000_000 });
  one.log.hotBytesMax = 500_000;
  for (let n = 0; n < 100; n++) {
    one.now += 10;
    expect(one.log.append([batch([ofKey("a", 20_000)])], one.now)[0].ok).toBe(true);
    if (n % 5 === 0) one.seal();
    await one.run();
  }
  expect(one.log.facts().records).toBe(100);
});

/** Two archived segments that the database has too, a bound that lets them leave it, and a repair between the two. */
async function amidRepair() {
  const one = machine({ archive: true, retentionAgeMs: 60_000 });
  for (let segment = 0; segment < 2; segment++) {
    one.append(ofKey("a"));
    one.seal();
  }
  await one.run();
  const hot = () => one.log.segments.hot.length;
  expect(hot()).toBe(2);
  one.now += 100_000;
  const { history, set, fire } = watched(one, one.blobs);
  const desk = { log: one.log, history, waits: {} as ReadWaits, changed: () => {}, told: () => {} };
  const repaired = await past.repair(desk, { mode: "isolate", from: 0 });
  expect(repaired).toMatchObject({ value: { lost: [], next: 1 } });
  return { one, hot, history, set, fire, desk };
}

test("nothing leaves the database between the segments of a repair, whatever is sealed and wakes meanwhile", async () => {
  const { one, hot, history, set, fire, desk } = await amidRepair();
  one.append(ofKey("b"));
  one.seal();
  history.appended();
  history.kick();
  fire();
  await history.run();
  await scheduler.wait(20);
  expect(hot()).toBe(3);
  expect(set.length).toBeGreaterThan(0);
  expect(Math.min(...set)).toBeGreaterThan(one.now + 1_000);
  expect(await past.repair(desk, { mode: "isolate", from: 1, to: 2 })).toMatchObject({ ok: true, value: { lost: [] } });
  await history.run();
  expect(hot()).toBe(1);
});

test.each(["the caller has gone", "the object has, too"])(
  "what a repair that never ended held up goes on: %s",
  async (who) => {
    const { one, hot, history, set, fire } = await amidRepair();
    expect(set.length).toBeGreaterThan(0);
    one.now = Math.min(...set);
    fire();
    await (who === "the caller has gone" ? history : watched(one, one.blobs).history).run();
    expect(hot()).toBe(0);
  },
);
