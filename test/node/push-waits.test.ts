/** Keys that fail, or hang, hold nobody else up: over splits, deaths, and doubts in the receiver. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { Heritage } from "../../src/delivery/heritage.ts";
import { Inheriting } from "../../src/objects/inheriting.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { Rig } from "../cases/delivery.ts";
import { foundPushes, pushProperty } from "../cases/push-trial.ts";
import { type Habit, PushWorld, type Told } from "../cases/push-world.ts";
import { nodeSql } from "./sqlite.ts";

Object.assign(globalThis, { WebSocketRequestResponsePair: class {} });

const worlds: PushWorld[] = [];
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockReturnValue();
});
afterEach(() => {
  for (const world of worlds.splice(0)) world.end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A group whose receiver does something with keys that begin with `p`. */
function world(bad: Habit, config: Partial<GroupConfig>, target: object = {}): PushWorld {
  const made = new PushWorld(
    () => nodeSql(),
    (key) => (key.startsWith("p") ? bad : "good"),
    config,
    target,
  );
  worlds.push(made);
  return made;
}

const several = (letter: string, count: number) => Array.from({ length: count }, (_, n) => `${letter}${n}`);
/** Keys that the partition of another takes. */
const beside = (made: PushWorld, key: string, letter: string) =>
  several(letter, 100).filter((one) => made.placeOf(one) === made.placeOf(key));

describe("beside a key that fails for ever in a partition that was split", () => {
  /** Its key waits in a half, and the half has waited for long. */
  async function holding() {
    const made = world("refuse", { backoff: [60_000] });
    made.append("p0", ...several("h", 100));
    made.split();
    // They were unfinished when the half asked, and are over now.
    made.append("p0");
    await pass(60_000);
    return { made, good: beside(made, "p0", "h") };
  }

  test("a key that was finished there goes out as soon as it comes here", async () => {
    const { made, good } = await holding();
    made.append(...good);
    await pass(500);
    expect(made.longest().ms).toBeLessThan(500);
  });

  test("what waits for nobody goes out though the other partition cannot be reached", async () => {
    const { made } = await holding();
    const fresh = beside(made, "p0", "g");
    const before = Date.now();
    const { keeper } = made.placeOf("p0");
    keeper?.inheriting.news();
    made.apart = true;
    made.append(...fresh);
    await pass(500);
    expect(made.longest(before).ms).toBeLessThan(500);
  });
});

test("a key that waited for the other partition goes on as soon as that is through with it, however much is at hand", async () => {
  const made = world("refuse", {}, { concurrency: 1 });
  made.append(...several("h", 100));
  made.split();
  const before = Date.now();
  const [first] = beside(made, "h0", "h");
  made.append(first, ...several("g", 1_000));
  await pass(1_500);
  const { done = Date.now() } = [...made.told.values()].findLast(({ key }) => key === first) as Told;
  expect(done - before).toBeLessThan(1_500);
  expect(made.longest().ms).toBe(1_500);
});

test("a half does not wait while the receiver is doubted in the partition that it continues, over a death too", async () => {
  const made = world("refuse", { backoff: [50] });
  made.append(...several("p", 12));
  await pass(20_000);
  made.split();
  await pass(1_000);
  made.crash();
  const before = Date.now();
  made.append(...several("h", 30));
  await pass(1_000);
  expect(made.longest(before).ms).toBeLessThan(500);
});

test("a push goes on within ten seconds of a death, though nobody asks for anything", async () => {
  const made = world("hang", { backoff: [1_000] }, { concurrency: 1, timeoutMs: 60_000 });
  made.append("p0", ...several("h", 20));
  await pass(12_000);
  made.crash();
  await pass(10_000);
  expect(made.asked).toEqual(["p0", "p0"]);
});

test("news that come while the other partition answers are not lost", async () => {
  const place = { partition: 1, parent: 0 };
  const rig = new Rig(nodeSql(), nodeSql(), {}, 0, undefined, place);
  const unfinished = vi.fn(async () => ({ ok: true, value: { caughtUp: true, keys: ["a"], records: 1 } }));
  const env = { DELIVERY: { getByName: () => ({ unfinished }) } } as unknown as Env;
  const inheriting = new Inheriting(env, "d", new Heritage(rig.delivery));
  await inheriting.ask();
  rig.append(["a"]);
  rig.fill();
  await pass(1_000);
  unfinished.mockImplementation(async () => {
    inheriting.news();
    return { ok: true, value: { caughtUp: true, keys: [], records: 1 } };
  });
  await inheriting.ask();
  expect(unfinished).toHaveBeenCalledTimes(2);
  expect(inheriting.dueAt).toBeLessThanOrEqual(Date.now());
});

test("a key that was finished long ago goes on over two splits, whoever else is waited for", async () => {
  const made = world("refuse", { backoff: [50] }, { concurrency: 1 });
  // Unfinished when the halves asked, and nobody waits for it there.
  made.append("h6", "p2", "p0");
  await pass(1);
  made.split();
  made.append("p2", "p0");
  await pass(5_000);
  made.split();
  made.append("h6");
  await pass(500);
  expect(made.longest().ms).toBeLessThan(500);
});

test("keys go on in time over splits and deaths, whoever of them fails for ever", { timeout: 120_000 }, async () => {
  const keys = fc.array(fc.constantFrom(...several("p", 6), ...several("h", 8)), { minLength: 1, maxLength: 20 });
  const step = fc.record({
    keys,
    ms: fc.constantFrom(1, 30, 400, 2_500),
    next: fc.constantFrom("", "", "split", "crash"),
  });
  const terms = fc.record({
    backoff: fc.constantFrom([50], [1_000, 5_000]),
    concurrency: fc.integer({ min: 1, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(terms, fc.array(step, { minLength: 2, maxLength: 8 }), async ({ backoff, concurrency }, steps) => {
      vi.useFakeTimers();
      const made = world("refuse", { backoff: [...backoff] }, { concurrency });
      let since = 0;
      for (const { keys, ms, next } of steps) {
        made.append(...keys);
        await pass(ms);
        if (next === "split" && made.places.length < 5) made.split();
        if (next !== "crash") continue;
        made.crash();
        since = Date.now();
        // Whoever takes records is woken by them; what was split has its halves to wake it.
        made.append(...several("h", 30));
      }
      await pass(1_500);
      expect(made.longest(since).ms).toBeLessThan(1_500);
      made.end();
    }),
    { numRuns: 60 },
  );
});

test("no attempt is charged twice, or for nothing, and nothing waits for ever, whatever the receiver answers, and when", {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    pushProperty(() => nodeSql()),
    { numRuns: foundPushes.length + 40, examples: foundPushes },
  );
});

describe("of a receiver that is doubted", () => {
  test("a record that was not read yet is read, and asked with, before what has failed is tried again", async () => {
    const made = world("refuse", { backoff: [100] }, { concurrency: 1 });
    made.append(...several("p", 11));
    // The one request is under way, and nobody takes what is sent with the wake.
    while (made.asked.length < 11) await pass(1);
    made.append(...several("h", 20));
    await pass(3_000);
    expect(made.longest().ms).toBeLessThan(1_500);
  });

  test("one that was never tried goes before one that failed, in a rest and after it", async () => {
    const made = world("refuse", { backoff: [50] }, { concurrency: 1 });
    made.append(...several("p", 12));
    // What is tried in the rest fails, and the next may be tried when it is over.
    while (made.asked.length < 12) await pass(1);
    const before = made.asked.length;
    made.append("p20", "p21", "h0");
    await pass(4_000);
    expect(made.asked.slice(before, before + 3)).toEqual(["p20", "p21", "h0"]);
  });
});

describe("keys that hang", () => {
  test.each([
    ["requests", { concurrency: 3 }, {}],
    ["leases", { concurrency: 6 }, { maxInFlight: 3 }],
  ])("leave one of the %s to what comes next, however many they are", async (_, target, config) => {
    const made = world("hang", { backoff: [50], ...config }, { timeoutMs: 10_000, ...target });
    made.append(...several("p", 9));
    await pass(120_000);
    for (let n = 0; n < 20; n++) {
      const before = Date.now();
      made.append(`h${n}`);
      await pass(700);
      expect(made.longest(before).ms).toBeLessThan(50);
    }
  });

  test("take a tenth of the time each time they come again, where there is one request at a time", async () => {
    const timeoutMs = 10_000;
    const made = world("hang", { backoff: [50] }, { timeoutMs, concurrency: 1 });
    made.append("p0", "h0", "p1", ...several("h", 500));
    await pass(3 * timeoutMs + 5_000);
    expect(made.longest().ms).toBeLessThan(3 * timeoutMs + 5_000);
  });
});
