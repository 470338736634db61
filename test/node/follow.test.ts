/** Following, over node:sqlite. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { behind, portionOfPage, portionTerms } from "../../src/log/follow.ts";
import { kinds } from "../../src/log/record.ts";
import { Machine } from "../cases/archive.ts";
import { followingAgainstLog } from "../cases/follow.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

test("a follower gets the log from where it began", () => followingAgainstLog(() => nodeSql(), times(200, 1_000)));

test("what is trimmed while a page is on its way is shown or missing, and never both", () => {
  const share = fc.nat(999).map((thousandths) => thousandths / 1_000);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), share, share, share, fc.integer({ min: 1, max: 30 }), (...all) => {
      const [count, start, before, meanwhile, credits] = all;
      const { log } = new Machine(nodeSql(), memoryBlobs(), spec);
      for (let n = 0; n < count; n++) log.append([batch([{ kind: kinds.binary, data: new Uint8Array(n) }])], 1_000 + n);
      log.trim(Math.floor(before * count), 2_000);
      const place = Math.floor(start * count);
      const page = log.read(portionTerms(log, place, credits, undefined));
      if (!page.ok) throw new Error(page.refusal.detail);
      log.trim(Math.floor(meanwhile * count), 2_000);
      const { items, holes, next } = portionOfPage(page.value, place, credits, undefined);
      const missing = holes.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index));
      const offsets = [...missing, ...items.map(({ offset }) => offset)];
      expect(offsets).toEqual(Array.from({ length: next - place }, (_, index) => place + index));
      expect(behind(holes, place)).toBe(place + missing.length);
    }),
  );
});

test.each([
  [[], 5, 5],
  [[{ from: 5, to: 9 }], 5, 9],
  [[{ from: 6, to: 9 }], 5, 5],
  [
    [
      { from: 5, to: 7 },
      { from: 7, to: 9 },
      { from: 10, to: 11 },
    ],
    5,
    9,
  ],
  [[{ from: 0, to: 3 }], 5, 5],
])("behind the holes %j at %i is %i", (holes, place, next) => {
  expect(behind(holes, place)).toBe(next);
});
