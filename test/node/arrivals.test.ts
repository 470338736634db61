/** Where clients bring the timestamps, what is counted from a record's coming is counted by the service's clock. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import type { Spec } from "../../src/log/spec.ts";
import { batch, spec } from "../cases/log.ts";
import { machine } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

const windowMs = 8_000;
/** After a restart it is known to an eighth of the window when something came. */
const stepMs = windowMs / 8;
const byClients: Spec = { ...spec, timestamps: "client", deduplicationWindowMs: windowMs };
const start = Date.UTC(2026, 0);
const years = { past: Date.UTC(2020, 0), future: Date.UTC(2200, 0) };
const record = (timestamp: number, id?: string): Rec => ({
  key: "k",
  ...(id === undefined ? {} : { id, source: "s" }),
  kind: 0,
  data: new Uint8Array(0),
  timestamp,
});
const verdict = (log: Log, one: Rec, now: number) => {
  const [answer] = log.append([batch([one])], now);
  return answer.ok ? answer.value[0].verdict : answer.refusal.code;
};
const cut = (log: Log, now: number) => log.change(now, () => log.segments.cut(log.span.tail, now));

describe.each(Object.entries(years))("a record with an id, and a time in the %s", (_year, time) => {
  test("is a duplicate within the window, after a restart and when it is sealed, too; and not for ever", () => {
    const sql = nodeSql();
    let log = Log.create(sql, byClients, start);
    const repeated = (now: number) => verdict(log, record(time, "a"), start + now);
    const restarted = (now: number) => {
      log = Log.open(sql, start + now) as Log;
    };
    expect(repeated(0)).toBe("appended");
    expect(repeated(1_000)).toBe("duplicate");
    restarted(2_000);
    expect(repeated(2_000)).toBe("duplicate");
    cut(log, start + 3_000);
    restarted(4_000);
    expect(repeated(windowMs)).toBe("duplicate");
    const child = { ...byClients, partition: 1, continues: true };
    log.seal();
    const next = Log.create(nodeSql(), child, start + 5_000, log.handOn(start + 5_000));
    expect(verdict(next, record(time, "a"), start + windowMs)).toBe("duplicate");
    expect(verdict(next, record(time, "a"), start + windowMs + stepMs + 1)).toBe("appended");
  });

  test("is known no longer than the window, and an eighth of it after a restart", () => {
    const sql = nodeSql();
    const log = Log.create(sql, byClients, start);
    for (const now of [0, windowMs + 1]) expect(verdict(log, record(time, "a"), start + now)).toBe("appended");
    const later = start + 2 * windowMs + stepMs + 2;
    expect(verdict(Log.open(sql, later) as Log, record(time, "a"), later)).toBe("appended");
  });
});

test("whatever times clients bring, an id is known for its window, over restarts and seals", () => {
  const step = fc.record({
    after: fc.nat({ max: 6_000 }),
    do: fc.constantFrom("append", "append", "append", "append", "reopen", "cut"),
    id: fc.constantFrom("a", "b", "c"),
    time: fc.oneof(
      fc.constantFrom(0, years.past, start, years.future),
      fc.nat({ max: 60_000 }).map((ms) => start + ms),
    ),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 60, size: "max" }), (steps) => {
      const sql = nodeSql();
      let log = Log.create(sql, byClients, start);
      let now = start;
      const came = new Map<string, number>();
      for (const { after, do: what, id, time } of steps) {
        now += after;
        if (what === "reopen") log = Log.open(sql, now) as Log;
        else if (what === "cut") cut(log, now);
        else {
          const found = verdict(log, record(time, id), now);
          const age = now - (came.get(id) ?? Number.NEGATIVE_INFINITY);
          if (age <= windowMs) expect(found).toBe("duplicate");
          else if (age > windowMs + stepMs) expect(found).toBe("appended");
          if (found === "appended") came.set(id, now);
        }
        const [kept] = sql.all<{ value: string }>("SELECT value FROM meta WHERE name = 'arrivals'");
        expect(JSON.parse(kept?.value ?? '{"marks":[]}').marks.length).toBeLessThan(13);
      }
    }),
    { numRuns: 300 },
  );
});

describe.each(Object.entries(years))("records with times in the %s", (_year, time) => {
  test("are sealed for the age of their segment, counted from when it was begun", async () => {
    const one = machine({ compact: true }, { timestamps: "client" });
    one.now = start;
    for (let n = 0; n < 20; n++, one.now += 1_000) {
      one.append(record(time));
      await one.run();
    }
    expect(one.log.segments.store.sums().segments).toBe(0);
    one.now += 600_000;
    one.reopen();
    await one.run();
    expect(one.log.segments.store.sums().segments).toBe(1);
  });

  test("are kept for as long as their ids may come again, and no longer", async () => {
    const one = machine({ retentionRecords: 8 }, { timestamps: "client", deduplicationWindowMs: windowMs });
    one.now = start;
    for (let n = 0; n < 20; n++) one.append(record(time, `${n}`));
    await one.run();
    expect(one.log.span.head).toBe(0);
    one.now += windowMs + stepMs + 1;
    await one.run();
    expect(one.log.span.head).toBeGreaterThan(8);
  });

  test("keep a stream from being empty for as long as they came, and no longer", () => {
    const log = Log.create(nodeSql(), byClients, start);
    verdict(log, record(time), start);
    log.trim(1, start);
    expect(log.close(60_000, start + 30_000)).toBe(false);
    expect(log.close(60_000, start + 70_000)).toBe(true);
  });
});

test("what was stored before times of arrival were noted is read as it was", () => {
  const sql = nodeSql();
  const log = Log.create(sql, byClients, start);
  expect(verdict(log, record(start, "a"), start)).toBe("appended");
  sql.run("DELETE FROM meta WHERE name = 'arrivals'");
  const again = Log.open(sql, start + 1_000) as Log;
  expect(verdict(again, record(start, "b"), start + 1_000)).toBe("appended");
  expect(verdict(again, record(start, "a"), start + 1_000)).toBe("duplicate");
  expect(verdict(Log.open(sql, start + windowMs + 1) as Log, record(start, "a"), start + windowMs + 1)).toBe(
    "appended",
  );
});

test("an id is known for a window that was made shorter, also behind marks that were further apart", () => {
  const hour = 3_600_000;
  const sql = nodeSql();
  const log = Log.create(sql, { ...byClients, deduplicationWindowMs: 24 * hour }, start);
  for (const [n, at] of [0, 1, 2].entries()) verdict(log, record(years.past, `${n}`), start + at * hour);
  const now = start + 2 * hour + 60_000;
  log.configure({ ...byClients, version: 2, deduplicationWindowMs: hour }, now);
  expect(verdict(log, record(years.past, "2"), now)).toBe("duplicate");
  expect(verdict(Log.open(sql, now) as Log, record(years.past, "2"), now)).toBe("duplicate");
});

test("what is kept of arrivals does not grow with the segments", () => {
  const sql = nodeSql();
  const log = Log.create(sql, { ...byClients, deduplicationWindowMs: 86_400_000 }, start);
  for (let n = 0; n < 200; n++) {
    verdict(log, record(years.past), start + n);
    cut(log, start + n);
  }
  const [{ value }] = sql.all<{ value: string }>("SELECT value FROM meta WHERE name = 'arrivals'");
  expect(value.length).toBeLessThan(200);
});
