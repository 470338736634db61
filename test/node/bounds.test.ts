/** Bounds of a log that change: they act by themselves, as far as they say and no further, and it is known beforehand how far. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Archive } from "../../src/archive/archive.ts";
import { loss } from "../../src/archive/bounds.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Retention } from "../../src/log/spec.ts";
import type { Machine } from "../cases/archive.ts";
import { times } from "../cases/long.ts";
import { machine, ofKey } from "./machine.ts";

interface Commit {
  readonly base: number;
  readonly next: number;
  readonly time: number;
  readonly bytes: number;
}

const bounds = fc.record({
  archive: fc.boolean(),
  retentionRecords: fc.constantFrom(null, 8, 16, 100),
  retentionBytes: fc.constantFrom(null, 1_000, 10_000),
  retentionAgeMs: fc.constantFrom(null, 1_000, 8_000),
  archiveAgeMs: fc.constantFrom(null, 500, 5_000),
});

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ append: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 }) }),
  },
  { weight: 3, arbitrary: fc.record({ bounds }) },
  { weight: 1, arbitrary: fc.record({ wait: fc.constantFrom(100, 700, 3_000) }) },
);

/** What the log holds behind a commit. */
const behind = (commits: readonly Commit[], at: number) => {
  const rest = commits.slice(at + 1);
  return {
    records: rest.reduce((sum, { base, next }) => sum + next - base, 0),
    bytes: rest.reduce((sum, { bytes }) => sum + bytes, 0),
  };
};

/** What a commit is by the words of the documents: over a bound, or over it by more than an eighth, with what is behind it. */
function isOver(
  retention: Retention,
  { time }: Commit,
  { records, bytes }: { records: number; bytes: number },
  now: number,
  by: number,
): boolean {
  const { retentionAgeMs, retentionBytes, retentionRecords } = retention;
  return (
    (retentionAgeMs !== null && time <= now - retentionAgeMs * by) ||
    (retentionBytes !== null && bytes >= retentionBytes * by) ||
    (retentionRecords !== null && records >= retentionRecords * by)
  );
}

/** Nothing is gone that the bounds keep, and of what they do not keep no more is there than an eighth. */
function check(one: Machine, commits: readonly Commit[], before: { head: number; hotFrom: number }): void {
  const retention = { ...keepAll, ...one.log.spec.retention };
  const { head, hotFrom: hot } = one.log.facts();
  commits.forEach((commit, at) => {
    const over = isOver(retention, commit, behind(commits, at), one.now, 1);
    const gone = commit.base >= before.head && commit.base < head;
    if (gone && !retention.archive && commit.base >= before.hotFrom) expect(over).toBe(true);
    if (gone && retention.archive) {
      expect(commit.time).toBeLessThanOrEqual(one.now - (retention.archiveAgeMs as number));
      if (commit.base >= before.hotFrom) expect(over).toBe(true);
    }
    // With the eighth a commit that lies across it stays. What lies in an object alone goes as a whole.
    const wholly = isOver(retention, commit, behind(commits, at), one.now, 9 / 8);
    if (!retention.archive && commit.base >= hot) expect(wholly).toBe(false);
  });
}

test("bounds that are changed act by themselves, and drop what was said and nothing that they keep", async () => {
  const seen = { said: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 20 }), async (steps) => {
      const one = machine({});
      const commits: Commit[] = [];
      for (const each of steps) {
        one.now += 10;
        if ("append" in each) {
          for (const count of each.append) {
            one.now += 20;
            const { tail } = one.log.span;
            const held = one.log.segments.hotBytes;
            one.append(...Array.from({ length: count }, () => ofKey("k", 20)));
            const { bytes } = one.log.segments.chunkAt(tail) as { bytes: number };
            expect(one.log.segments.hotBytes).toBe(held + bytes);
            commits.push({ base: tail, next: tail + count, time: one.now, bytes });
          }
          one.now += 10;
        } else if ("wait" in each) one.now += each.wait;
        // What was due before is done.
        await one.run();
        if (!("bounds" in each)) continue;
        const before = one.log.facts();
        const said = loss(one.log, { ...keepAll, ...each.bounds }, true, one.now);
        one.retain(each.bounds);
        await one.run();
        expect(one.log.span.head - before.head).toBe(said);
        if (said > 0) seen.said++;
        check(one, commits, before);
        one.log.check();
      }
    }),
    { numRuns: times(80, 400) },
  );
  expect(seen.said).toBeGreaterThan(times(10, 50));
});

test("a lowered bound cuts what was sealed when it was wide, and waits for nothing", async () => {
  const one = machine({});
  for (let n = 0; n < 400; n++) one.append(ofKey("k"));
  one.now += 1;
  one.retain({ retentionRecords: 80 });
  await one.run();
  expect(one.log.facts()).toMatchObject({ head: 320, records: 80 });
});

test.each([
  ["a snapshot", { retentionRecords: 50, keepForSnapshot: true }, { retentionRecords: 50 }],
  ["groups", { retentionRecords: 50, keepForGroups: true }, { retentionRecords: 50 }],
  ["groups, and nothing else kept any", { keepForGroups: true }, { retentionRecords: 50 }],
  ["both", { retentionRecords: 50, keepForGroups: true, keepForSnapshot: true }, { retentionRecords: 50 }],
] as const)("what waited for %s, and does not any more, is among what is said to go", async (_, before, bounds) => {
  for (const held of [0, 1, 99, 100, 101, 250, 399, 400]) {
    const one = machine({});
    one.retain(before);
    for (let n = 0; n < 40; n++) one.append(...Array.from({ length: 10 }, () => ofKey("k")));
    one.now += 1;
    new Archive(one.log, true).step(one.now, held);
    // There is no snapshot.
    const waits = "keepForSnapshot" in before ? 0 : held;
    const { head } = one.log.span;
    const holds = { lifted: waits, left: Number.POSITIVE_INFINITY };
    const said = loss(one.log, { ...keepAll, ...bounds }, true, one.now, holds);
    one.retain(bounds);
    await one.run();
    // What groups alone had kept, and all have finished, would have gone without the change, only later.
    const goes = "retentionRecords" in before || held < 400 ? one.log.span.head - head : 0;
    expect(said, `held at ${held}`).toBe(goes);
    if (held < 250) expect(said).toBeGreaterThan(80);
  }
});

test("what still waits for another is not among it", async () => {
  for (const [lifted, left] of [
    [0, 0],
    [100, 0],
    [0, 100],
    [100, 250],
    [250, 100],
  ]) {
    const one = machine({});
    one.retain({ retentionRecords: 50, keepForGroups: true, keepForSnapshot: true });
    for (let n = 0; n < 40; n++) one.append(...Array.from({ length: 10 }, () => ofKey("k")));
    one.now += 1;
    const bounds = { ...keepAll, retentionRecords: 50, keepForGroups: true };
    const said = loss(one.log, bounds, true, one.now, { lifted, left });
    one.retain(bounds);
    const archive = new Archive(one.log, true);
    archive.step(one.now, Math.min(lifted, left));
    const { head } = one.log.span;
    archive.step(one.now, left);
    expect(one.log.span.head - head, `${lifted} lifted, ${left} left`).toBe(said);
  }
});
