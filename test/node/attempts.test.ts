/** The numbers of a push's attempts, by which its list goes on. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Attempts, numbered } from "../../src/objects/attempts.ts";
import { Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const attempt = (at: number) => ({
  at,
  deliveryId: `g.0.${at}`,
  records: 1,
  attempt: 1,
  status: 204,
  error: undefined,
  durationMs: 1,
  answer: "",
});
const numbersOf = (attempts: Attempts) => attempts.list.map(({ number, at }) => [number, at]);

test("go on over the fiftieth, and over a restart", () => {
  const { state } = new Rig(nodeSql(), nodeSql()).delivery;
  const first = new Attempts(state);
  for (let at = 0; at < 53; at++) first.add(attempt(at));
  const kept = Array.from({ length: 50 }, (_, n) => [n + 3, n + 3]);
  expect(numbersOf(first)).toEqual(kept);
  vi.advanceTimersByTime(3_000);
  const second = new Attempts(state);
  expect(numbersOf(second)).toEqual(kept);
  second.forget(([from]) => from === 10);
  second.add(attempt(53));
  expect(numbersOf(second)).toEqual([...kept.slice(1), [53, 53]]);
  second.stop();
});

test.each([
  ["all of a version before", [0, 1, 2].map(attempt), [0, 1, 2]],
  [
    "some of one before, that came back",
    [{ number: 7, ...attempt(0) }, { number: 8, ...attempt(1) }, attempt(2)],
    [7, 8, 9],
  ],
  ["none", [], []],
])("are given to what has none: %s", (_, list, numbers) => {
  expect(numbered(list).map(({ number }) => number)).toEqual(numbers);
  const { state } = new Rig(nodeSql(), nodeSql()).delivery;
  state.store.setMeta("attempts", JSON.stringify(list));
  const attempts = new Attempts(state);
  attempts.add(attempt(3));
  expect(attempts.list.map(({ number }) => number)).toEqual([...numbers, (numbers.at(-1) ?? -1) + 1]);
  attempts.stop();
});
