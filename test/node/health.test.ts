/** How a push judges its receiver: failures of one record say nothing, and whatever it waits for ends. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Health } from "../../src/delivery/health.ts";

const ten = Array.from({ length: 10 }, (_, index) => index);

describe("a receiver", () => {
  test("that fails nine records over and over is asked as ever, and never given up", () => {
    const health = new Health();
    for (let now = 0; now < 1_000; now++) {
      health.failed(now % 9, now);
      expect(health.mayAsk(now, false)).toBe(true);
      expect(health.slots(4)).toBe(4);
      expect(health.isLost(now, 1)).toBe(false);
    }
  });

  test("that fails ten is asked one at a time, after a rest, and agrees to all again with one success", () => {
    const health = new Health();
    for (const offset of ten) health.failed(offset, 0);
    expect(health.slots(4)).toBe(1);
    expect(health.mayAsk(0, false)).toBe(false);
    expect(health.mayAsk(health.askAt, false)).toBe(true);
    expect(health.isLost(1_000, 1_000)).toBe(true);
    health.succeeded();
    expect(health.slots(4)).toBe(4);
    expect(health.mayAsk(0, false)).toBe(true);
    expect(health.isLost(1_000, 1_000)).toBe(false);
  });

  test("is asked once in every rest for a record that was never tried", () => {
    const health = new Health();
    for (const offset of ten) health.failed(offset, 0);
    expect(health.mayAsk(1, true)).toBe(true);
    health.asked(1);
    expect(health.mayAsk(1, true)).toBe(false);
    // However many there are that were never tried: each that fails would bring the next.
    health.failed(99, 2);
    expect(health.mayAsk(3, true)).toBe(false);
    health.failed(0, health.askAt);
    expect(health.mayAsk(health.askAt - 1, true)).toBe(true);
  });

  test("that is busy for one partition is asked one at a time, and more as it agrees, and its records are not to blame", () => {
    const health = new Health();
    health.busy(undefined, 0, () => 0);
    expect(health.mayAsk(999, true)).toBe(false);
    expect(health.mayAsk(1_000, false)).toBe(true);
    expect(health.slots(8)).toBe(1);
    for (const slots of [2, 3, 4]) {
      health.succeeded();
      expect(health.slots(8)).toBe(slots);
    }
    health.busy(60_000, 1_000, () => 0);
    expect(health.slots(8)).toBe(2);
    expect(health.askAt).toBe(61_000);
    expect(health.inDoubt).toBe(false);
  });

  test("that fails the same ten for ever is asked after pauses that grow to half a minute", () => {
    const health = new Health();
    for (const offset of ten) health.failed(offset, 0);
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const now = health.askAt;
      health.failed(i, now);
      pauses.push(health.askAt - now);
      health.failed(i + 1, now + 1);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test("is judged after a sleep as before it", () => {
    expect(new Health().kept).toBeUndefined();
    const health = new Health();
    for (const offset of ten) health.failed(offset, 0);
    health.busy(3_600_000, 10, () => 0);
    const woken = Health.of(health.kept);
    expect(woken.kept).toBe(health.kept);
    expect([woken.askAt, woken.inDoubt, woken.slots(8)]).toEqual([3_600_010, true, 1]);
    expect([woken.isLost(999, 1_000), woken.isLost(1_000, 1_000)]).toEqual([false, true]);
    woken.succeeded();
    expect(woken.kept).toBeUndefined();
  });

  test("that does not agree to be pushed to gets nothing in the rest, tried or not", () => {
    const health = new Health();
    health.refused(0);
    expect(health.mayAsk(1, true)).toBe(false);
    expect(health.mayAsk(health.askAt, false)).toBe(true);
  });
});

test("whatever a receiver does, no wait of its own is longer than half a minute, and after it somebody may be asked", () => {
  const step = fc.oneof(
    fc.record({ does: fc.constant("fail" as const), offset: fc.nat(40), after: fc.nat(20_000) }),
    fc.record({ does: fc.constantFrom("succeed", "refuse", "busy"), offset: fc.constant(0), after: fc.nat(20_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 100 }), (steps, concurrency) => {
      const health = new Health();
      const failed = new Set<number>();
      let now = 0;
      for (const { does, offset, after } of steps) {
        now += after;
        health.asked(now);
        if (does === "fail") {
          failed.add(offset);
          health.failed(offset, now);
        } else if (does === "succeed") {
          failed.clear();
          health.succeeded();
        } else if (does === "refuse") health.refused(now);
        else health.busy(undefined, now, () => 0.5);
        expect(health.askAt - now).toBeLessThanOrEqual(30_000);
        expect(health.mayAsk(Math.max(now, health.askAt), false)).toBe(true);
        expect(health.slots(concurrency)).toBeGreaterThanOrEqual(1);
        expect(health.slots(concurrency)).toBeLessThanOrEqual(concurrency);
        if (failed.size >= 10) expect(health.slots(concurrency)).toBe(1);
      }
    }),
  );
});
