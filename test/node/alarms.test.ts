/** What becomes due by and by is done, though nobody comes: the alarm alone brings it on, whatever the clock does meanwhile. */
import { scheduler } from "node:timers/promises";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { Log } from "../../src/log/log.ts";
import { keepAll } from "../../src/log/retention.ts";
import { History } from "../../src/objects/history.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { Faulty } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { memoryBlobs } from "./bucket.ts";
import { alarmsTo } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });
// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

function append(log: Log, count: number, now: number): void {
  log.append(
    [batch(Array.from({ length: count }, (_, n) => ({ key: `k${n}`, kind: 0, data: new Uint8Array(0) })))],
    now,
  );
}

/** Lets what was begun go on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await scheduler.yield();
}

const outsideOf = (log: Log) => ({ floor: async () => log.span.tail, forget: async () => {}, tell: async () => {} });

const ms = fc.option(fc.integer({ min: 1, max: 40 }), { nil: null });
const terms = fc.record({
  retention: fc.record({
    retentionAgeMs: ms,
    retentionRecords: fc.option(fc.integer({ min: 1, max: 16 }), { nil: null }),
    archive: fc.boolean(),
    archiveAgeMs: ms,
    keepForGroups: fc.boolean(),
    compact: fc.boolean(),
  }),
  deduplicationWindowMs: fc.constantFrom(0, 10),
  appends: fc.array(fc.record({ after: fc.integer({ min: 0, max: 30 }), records: fc.integer({ min: 1, max: 4 }) }), {
    minLength: 1,
    maxLength: 12,
  }),
  /** Every look at the clock may find it further. */
  ticks: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 20 }),
  faults: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }),
});

test("no wake is lost between a look at the log and the next one", async () => {
  await fc.assert(
    fc.asyncProperty(terms, async ({ retention, deduplicationWindowMs, appends, ticks, faults }) => {
      const kept = { ...keepAll, ...retention };
      const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs, retention: kept }, 0);
      const bucket = new Faulty(memoryBlobs());
      let now = 1_000;
      let looks = 0;
      let alarm = Number.POSITIVE_INFINITY;
      const clock = () => {
        now += ticks[looks++ % ticks.length];
        return now;
      };
      const alarms = alarmsTo((at) => {
        alarm = at;
      });
      const history = new History(() => log, bucket as unknown as Blobs, alarms, outsideOf(log), clock);
      /** Fires the alarms that come up to a time. */
      const pass = async (until: number) => {
        for (let fired = 0; alarm <= until; fired++) {
          expect(fired).toBeLessThan(2_000);
          now = Math.max(now, alarm);
          alarm = Number.POSITIVE_INFINITY;
          alarms.fired();
          bucket.left = faults.shift() ?? Number.POSITIVE_INFINITY;
          await history.run();
          bucket.left = Number.POSITIVE_INFINITY;
        }
        now = Math.max(now, Math.min(until, now + 1_000));
      };
      for (const { after, records } of appends) {
        await pass(now + after);
        append(log, records, clock());
        history.appended();
        await turns();
      }
      await history.run();
      await pass(Number.MAX_SAFE_INTEGER - 1_000);
      const shown = async () => ({
        head: log.span.head,
        hot: log.segments.hot.length,
        open: log.segments.open.chunks,
        objects: (await bucket.list("")).blobs.map(({ key }) => key),
      });
      const before = await shown();
      now += 1e9;
      await history.run();
      expect(await shown()).toEqual(before);
    }),
    { numRuns: times(250, 2_000) },
  );
});

test("what an object left undone that went away is taken up by the next one's first append", async () => {
  const retention = { ...keepAll, retentionRecords: 8 };
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0, retention }, 0);
  for (let n = 0; n < 40; n++) append(log, 1, 1_000 + n);
  const alarms = alarmsTo(() => {});
  const history = new History(
    () => log,
    undefined,
    alarms,
    outsideOf(log),
    () => 2_000,
  );
  append(log, 1, 2_000);
  history.appended();
  await turns();
  expect(log.span.head).toBe(33);
});

test("a stream is compacted when its last ids cannot come again, though nothing else is appended", async () => {
  const retention = { ...keepAll, retentionRecords: 8, compact: true };
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 5_000, retention }, 0);
  append(log, 1, 1_000);
  append(log, 1, 1_001);
  let alarm = Number.POSITIVE_INFINITY;
  let now = 1_001;
  const alarms = alarmsTo((at) => {
    alarm = at;
  });
  const history = new History(
    () => log,
    undefined,
    alarms,
    outsideOf(log),
    () => now,
  );
  await history.run();
  expect(log.facts().records).toBe(2);
  // The first one may be looked at then, and alone is nothing to compact.
  now = alarm;
  alarms.fired();
  await history.run();
  now = alarm;
  alarms.fired();
  await history.run();
  expect(now).toBeLessThan(6_010);
  expect(log.facts().records).toBe(1);
});

test("what a run has no time left for is done by the next one, though nothing else is due", async () => {
  const retention = { ...keepAll, retentionRecords: 8, archive: true, compact: true };
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0, retention }, 0);
  append(log, 1, 1_000);
  append(log, 1, 1_001);
  let alarm = Number.POSITIVE_INFINITY;
  let now = 2_000;
  const bucket = memoryBlobs();
  const create: Blobs["create"] = (key, body) => {
    now += 300_000;
    return bucket.create(key, body);
  };
  const history = new History(
    () => log,
    { ...bucket, create },
    alarmsTo((at) => {
      alarm = at;
    }),
    outsideOf(log),
    () => now,
  );
  for (let next = now; Number.isFinite(next); next = alarm) {
    now = Math.max(now, next);
    alarm = Number.POSITIVE_INFINITY;
    history.alarms.fired();
    await history.run();
  }
  expect(log.facts()).toMatchObject({ records: 1, segments: 1 });
});
