/** Lanes: what is noted of each is noted once, however often it is looked at. */
import { expect, test } from "vitest";
import { newItem } from "../../src/delivery/item.ts";
import { Lanes } from "../../src/delivery/lanes.ts";

const content = { timestamp: 0, bytes: new Uint8Array(100), from: 0, to: 100, checked: false };

test("ten thousand lanes that nobody may take are listed once each, over a thousand looks", () => {
  const lanes = new Lanes();
  const count = 10_000;
  for (let at = 0; at < count; at++) {
    const lane = lanes.create("key", `k${at}`, at, true);
    lanes.move(lane, at, true);
    lane.state = "retry";
    lane.due = 1_000 + (at % 15);
    lanes.fill(lane, [{ ...newItem({ ...content, offset: at, key: `k${at}` }), lane }]);
    lane.read = at + 1;
    lanes.schedule(lane, 0);
  }
  expect(lanes.readyCount).toBe(0);
  for (let now = 1_000; now < 2_000; now++) {
    if (now % 50 === 0) lanes.scheduleAll(now);
    lanes.come(now);
    for (const wear of ["untried", "tried", "worn"] as const) lanes.peek(wear, now);
    expect(lanes.readyCount).toBeLessThanOrEqual(count);
  }
  expect(lanes.readyCount).toBe(count);
  expect(lanes.nextDue).toBe(Number.POSITIVE_INFINITY);
  lanes.check();
});
