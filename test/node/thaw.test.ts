/** Followers of what is archived: what one socket is sent is bounded, however many subscriptions it has. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { LiveHost } from "../../src/objects/appends.ts";
import { type Client, clientOf, type Subscription } from "../../src/objects/clients.ts";
import { newAccount, Pool } from "../../src/objects/owed.ts";
import { Thaw } from "../../src/objects/thaw.ts";

const subscriptions = 16;

/** A log of which nothing is hot; pages bring their reader on by one, and take a moment. */
const log = {
  spec: { logId: "l", partition: 0 },
  sealed: false,
  span: { head: 0, tail: 1_000, dense: true },
  segments: { isHot: () => false },
  read: ({ from }: { from: { offset: number } }) => {
    const page = { pieces: [], from: from.offset, to: from.offset + 1, upToDate: false };
    return { ok: true, value: page };
  },
};

function followers(pool: Pool): Client {
  const subs = Array.from(
    { length: subscriptions },
    (_, id): Subscription => ({
      id,
      next: 0,
      said: 0,
      credits: 10,
      current: false,
    }),
  );
  return clientOf({ hello: { rights: ["read"], confirms: true } as never, subs, account: newAccount() }, pool);
}

test("subscriptions of one socket read in turn, none beyond what is left for it, and each has its turn", async () => {
  const client = followers(new Pool());
  const socket = {} as WebSocket;
  const shown: number[] = [];
  const bytes = 100;
  let room = 3 * bytes;
  const thaw = new Thaw({ log, history: {} } as unknown as LiveHost, {
    wanted: () => true,
    room: () => room,
    show: (_socket, _client, sub, portion) => {
      room -= bytes;
      shown.push(sub.id);
      sub.next = portion.next;
    },
    go: () => {},
  });
  for (const sub of client.subs.values()) thaw.read(socket, client, sub);
  await pause(20);
  expect(shown).toEqual([0, 1, 2]);
  room = subscriptions * bytes;
  for (const sub of client.subs.values()) thaw.read(socket, client, sub);
  await pause(20);
  expect(new Set(shown).size).toBe(subscriptions);
});

test("what is being read for a socket counts for all of them", async () => {
  const pool = new Pool();
  const most: number[] = [];
  const thaw = new Thaw({ log, history: {} } as unknown as LiveHost, {
    wanted: () => true,
    room: () => (pool.full ? 0 : 131_072),
    show: (_socket, client, sub, portion) => {
      most.push(pool.owed);
      client.owed?.sent(131_072);
      sub.next = portion.next;
    },
    go: () => {},
  });
  const clients = Array.from({ length: 2_000 }, () => followers(pool));
  for (const client of clients) {
    for (const sub of client.subs.values()) thaw.read({} as WebSocket, client, sub);
  }
  await pause(100);
  expect(most.length).toBeGreaterThan(400);
  expect(Math.max(...most)).toBeLessThan(70_000_000);
});
