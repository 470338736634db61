/** Appends of a socket over several partitions, while the first of them takes its time. */
import { scheduler } from "node:timers/promises";
import { expect, test } from "vitest";
import { ok, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { Appending } from "../../src/http/live/appending.ts";
import { Log } from "../../src/log/log.ts";
import { Appends, type LiveHost } from "../../src/objects/appends.ts";
import { clientOf } from "../../src/objects/clients.ts";
import { Pool } from "../../src/objects/owed.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { spec } from "../cases/log.ts";
import "./machine.ts";
import { nodeSql } from "./sqlite.ts";

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

test("nor more in a partition's own object", async () => {
  const log = Log.create(nodeSql(), spec, 0);
  let answer = (_: unknown) => {};
  const add = () => new Promise((resolve) => (answer = resolve));
  const appends = new Appends({ log, commit: { add } } as unknown as LiveHost);
  const said: { type: string; id: number; code?: string }[] = [];
  const socket = { send: (text: string) => said.push(JSON.parse(text)) } as unknown as WebSocket;
  const hello = { rights: ["append"] as const, binary: false, pinned: true, from: 0, to: 2 ** 32 };
  const client = clientOf({ hello, subs: [] }, new Pool());
  const message = { type: "append", id: 0, records: [{ kind: 0, data: new Uint8Array(0) }], terms: undefined } as const;
  expect(appends.take(socket, client, { ...message, records: [...message.records] }, log)).toBeUndefined();
  const max = limits.refusalsWaitingMax;
  for (let id = 1; id <= max; id++) expect(appends.refuse(socket, id, unfit)).toBeUndefined();
  expect(appends.refuse(socket, max + 1, unfit)?.code).toBe("overloaded");
  expect(said).toEqual([]);
  answer(ok([{ verdict: "appended", offset: 0, count: 1 }]));
  await expect.poll(() => said.length).toBe(max + 1);
  expect(said[0].type).not.toBe("error");
  expect(said.slice(1).map(({ id }) => id)).toEqual(Array.from({ length: max }, (_, n) => n + 1));
  expect(appends.refuse(socket, max + 2, unfit)).toBeUndefined();
});
