/** Appends of a socket over several partitions, while the first of them takes its time. */
import { scheduler } from "node:timers/promises";
import { expect, test } from "vitest";
import { refuse } from "../../schemas/errors.ts";
import { Appending } from "../../src/http/live/appending.ts";
import type { Env } from "../../src/objects/stubs.ts";
import "./machine.ts";

const config = { recordBytesMax: 1e6, timestamps: "arrival", offsets: "assigned" } as const;
const { refusal: unfit } = refuse("invalid", "it is not fit");

test("refusals wait for their turn, and no more of them than there is room for", async () => {
  let answer = (_: unknown) => {};
  const stream = () => new Promise((resolve) => (answer = resolve));
  const env = { CATALOG: { getByName: () => ({ stream }) } } as unknown as Env;
  const said: [number, string][] = [];
  const refused = (id: number, { code }: { code: string }) => void said.push([id, code]);
  const appending = new Appending(env, "default", "slow", () => {}, refused);
  expect(appending.refuse(0, unfit)).toBeUndefined();
  expect(said).toEqual([[0, "invalid"]]);
  appending.take({ type: "append", id: 1, records: [{ kind: 0, data: new Uint8Array(0) }], terms: undefined }, config);
  await scheduler.wait(20);
  let waiting = 0;
  while (waiting < 20_000 && appending.refuse(waiting + 2, unfit) === undefined) waiting++;
  expect([waiting, said.length]).toEqual([10_000, 1]);
  expect(appending.refuse(waiting + 2, unfit)?.code).toBe("overloaded");
  answer(refuse("stream-not-found", "it is gone"));
  await expect.poll(() => said.length).toBe(waiting + 2);
  expect(said.map(([id]) => id)).toEqual(Array.from({ length: waiting + 2 }, (_, id) => id));
  expect(said[1]).toEqual([1, "stream-not-found"]);
});
