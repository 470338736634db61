/** Members that wait for what is to come: each call under its name, and nobody for ever. */
import { expect, test } from "vitest";
import { Callers } from "../../src/objects/callers.ts";

let split = false;
const nothing = () =>
  new Callers(
    () => false,
    () => 0,
    () => split,
  );

test("of two that wait under one name the one before is over, and says so, however often", async () => {
  const callers = nothing();
  let turns = 0;
  // As a wait does it: whoever is woken looks, and waits again.
  const waiting = async () => {
    while (await callers.wait("call", "m", 1, 60_000)) expect(++turns).toBeLessThan(100);
  };
  const all = Array.from({ length: 5 }, waiting);
  await Promise.all(all.slice(0, 4));
  expect([turns, callers.size]).toEqual([0, 1]);
  callers.wakeAll();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect([turns, callers.size]).toEqual([1, 1]);
});

test("all are woken, once, when the partition was split", async () => {
  const callers = nothing();
  let woken = 0;
  const wait = (name: string) => void callers.wait(name, "m", 1, 60_000).then(() => woken++);
  for (const name of ["a", "b", "c"]) wait(name);
  callers.offer();
  await Promise.resolve();
  expect(woken).toBe(0);
  split = true;
  callers.offer();
  await Promise.resolve();
  await Promise.resolve();
  expect([woken, callers.size]).toEqual([3, 0]);
  // They know it by now.
  wait("d");
  callers.offer();
  await Promise.resolve();
  expect([woken, callers.size]).toEqual([3, 1]);
});
