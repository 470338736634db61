/** What the command line puts first in a report, thinks of a clock, and completes. */
import { expect, test } from "vitest";
import { kindOf } from "../../src/cli/completion.ts";
import { clockOf } from "../../src/cli/doctor.ts";
import { each } from "../../src/cli/each.ts";
import { type GroupLine, worstFirst } from "../../src/cli/report.ts";

test("a report begins with what stands still, then what is stuck, then the oldest", () => {
  const line = (group: string, more: Partial<GroupLine>): GroupLine => ({
    ...{
      stream: "s",
      group,
      lag: 0,
      lagSeconds: 0,
      inFlight: 0,
      retrying: 0,
      parked: 0,
      deadLetters: 0,
      paused: false,
    },
    ...more,
  });
  const lines = [
    line("idle", {}),
    line("resting", { paused: true }),
    line("old", { lag: 1, lagSeconds: 900 }),
    line("many", { lag: 500, lagSeconds: 3 }),
    line("parked", { parked: 1 }),
    line("letters", { deadLetters: 9, lag: 1, lagSeconds: 1 }),
    line("paused", { paused: true, lag: 1 }),
  ];
  expect(lines.sort(worstFirst).map(({ group }) => group)).toEqual([
    "paused",
    "letters",
    "parked",
    "old",
    "many",
    "idle",
    "resting",
  ]);
});

test.each([
  ["2026-11-29T12:00:00Z", 0, "ok"],
  ["2026-11-29T12:00:04Z", 0, "ok"],
  ["2026-11-29T12:01:00Z", 0, "wrong"],
  ["2026-11-29T11:59:00Z", 0, "wrong"],
  ["2026-11-29T11:59:30Z", 40_000, "ok"],
  ["", 0, "unknown"],
])("a service that says %s after %i ms has a clock that is %s", (theirs, tookMs, is) => {
  const ours = Date.parse("2026-11-29T12:00:00Z");
  expect(clockOf({ theirs: Date.parse(theirs), ours, tookMs }).is).toBe(is);
});

test.each([
  [["streams", "show"], undefined, "stream"],
  [["streams", "create"], undefined, undefined],
  [["streams"], undefined, undefined],
  [["append"], undefined, "stream"],
  [["append", "orders"], undefined, undefined],
  [["groups", "status"], undefined, "stream"],
  [["groups", "status", "orders"], undefined, "group"],
  [["groups", "list", "orders"], undefined, undefined],
  [["groups", "create", "orders"], undefined, undefined],
  [["snapshot", "get"], undefined, "stream"],
  [["namespaces", "rm"], undefined, "namespace"],
  [["context", "use"], undefined, "context"],
  [["streams", "ls"], "-n", "namespace"],
  [["streams", "ls"], "--context", "context"],
  [[], undefined, undefined],
])("behind %j %s stands a name of %s", (before, option, kind) => expect(kindOf(before, option)).toBe(kind));

test("each is done once, so many at a time, and the results keep the order", async () => {
  let running = 0;
  let most = 0;
  const doubled = await each([...Array(20).keys()], 3, async (item) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, item % 4));
    running--;
    return item * 2;
  });
  expect(doubled).toEqual([...Array(20).keys()].map((item) => item * 2));
  expect(most).toBe(3);
});
