/** Members that hold a socket, on one delivery: what keeps them, over the object's sleep too. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import type { Member } from "../../src/objects/members.ts";
import { Sockets } from "../../src/objects/sockets.ts";
import { Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

Object.assign(globalThis, { WebSocketRequestResponsePair: class {} });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A socket as the object has it. What it is told is JSON; its attachment is a copy, as it is on the platform. */
class Socket {
  readonly told: { readonly type: string; readonly deliveries?: { readonly offset: number; receipt: string }[] }[] = [];
  closed: number | undefined;
  written = 0;

  constructor(public attachment: Member) {}

  serializeAttachment(member: Member): void {
    this.written++;
    this.attachment = structuredClone(member);
  }

  deserializeAttachment(): Member {
    return structuredClone(this.attachment);
  }

  send(text: string): void {
    this.told.push(JSON.parse(text));
  }

  close(code: number): void {
    this.closed = code;
  }

  get deliveries() {
    return this.told.flatMap(({ deliveries = [] }) => deliveries);
  }
}

const memberOf = (more: Partial<Member> = {}): Member => ({
  id: "m#1",
  relayed: false,
  credits: 0,
  told: false,
  seen: Date.now(),
  ...more,
});

/** A delivery with one socket. `wake`: its object has slept, and is there again. */
function held(config: Partial<GroupConfig> = {}, more: Partial<Member> = {}) {
  const rig = new Rig(nodeSql(), nodeSql(), config);
  rig.now = Date.now();
  const socket = new Socket(memberOf(more));
  const ctx = {
    setWebSocketAutoResponse: () => {},
    getWebSockets: () => [socket],
    getWebSocketAutoResponseTimestamp: () => null,
  } as unknown as DurableObjectState;
  const open = () => new Sockets(ctx, { core: rig.delivery, settled: () => {}, arm: () => {} });
  let sockets = open();
  return {
    rig,
    socket,
    say: (text: string) => sockets.message(socket as unknown as WebSocket, text),
    run: () => sockets.run(),
    beat: () => sockets.beat(Date.now()),
    wake: () => {
      sockets = open();
    },
    get hungry() {
      return sockets.hungry;
    },
  };
}

const heartbeatMs = 30_000;
const receipt = "0.0.0.00000000000.00000000000";

test.each([
  ["a credit", { type: "credit", credits: 1 }],
  ["an ack", { type: "ack", receipts: [receipt] }],
  ["an ack of a text that is no receipt", { type: "ack", receipts: ["?"] }],
  ["a nack", { type: "nack", receipts: [receipt] }],
  ["an extend", { type: "extend", receipts: [receipt] }],
  ["a confirm of what nobody asked", { type: "confirm", nonce: "?" }],
])("%s keeps a socket that sleeps, for a heartbeat and not much longer", async (_what, message) => {
  const one = held({ heartbeatMs });
  await vi.advanceTimersByTimeAsync(20_000);
  one.say(JSON.stringify(message));
  await vi.advanceTimersByTimeAsync(20_000);
  one.wake();
  one.beat();
  expect(one.socket.closed).toBeUndefined();
  await vi.advanceTimersByTimeAsync(heartbeatMs);
  one.beat();
  expect(one.socket.closed).toBe(4000);
});

test("a socket that says something often is not written down each time, and is kept for a heartbeat from the last", async () => {
  const one = held({ heartbeatMs });
  for (let count = 0; count < 100; count++) {
    await vi.advanceTimersByTimeAsync(300);
    one.say(JSON.stringify({ type: "ack", receipts: [receipt] }));
  }
  expect(one.socket.written).toBeLessThan(6);
  one.wake();
  await vi.advanceTimersByTimeAsync(heartbeatMs - 1);
  one.beat();
  expect(one.socket.closed).toBeUndefined();
  await vi.advanceTimersByTimeAsync(heartbeatMs / 4 + 1);
  one.beat();
  expect(one.socket.closed).toBe(4000);
});

describe("a partition that was split", () => {
  const told = ({ socket }: ReturnType<typeof held>) => [
    socket.told.filter(({ type }) => type === "split").length,
    socket.closed,
  ];
  /** Of three keys the first has failed; `left`: what becomes of it. */
  const split = (config: Partial<GroupConfig>, more: Partial<Member> = {}) => {
    const one = held({ backoff: [60_000], ...config }, { credits: 10, ...more });
    one.rig.append(["bad", "a", "b"]);
    one.rig.nack(one.rig.receive(1, "another"));
    one.run();
    one.rig.delivery.state.sealed = true;
    return one;
  };
  const settle = (one: ReturnType<typeof held>) =>
    one.say(JSON.stringify({ type: "ack", receipts: one.socket.deliveries.map(({ receipt }) => receipt) }));

  test.each<[string, Partial<GroupConfig>]>([
    ["is parked", { onFailure: "park", maxDeliveries: 1 }],
    ["is tried again", { onFailure: "block" }],
    ["is tried again at once, and fails again", { onFailure: "block", backoff: [0] }],
  ])("lets a member go that holds nothing of it, though a key %s", (_what, config) => {
    const one = split(config);
    const { length } = one.socket.deliveries;
    expect(length).toBeGreaterThanOrEqual(2);
    one.run();
    expect(told(one)).toEqual([0, undefined]);
    expect(one.socket.deliveries).toHaveLength(length);
    expect(one.hungry).toBe(false);
    settle(one);
    one.run();
    expect(told(one)).toEqual([1, 4002]);
    one.run();
    expect(told(one)).toEqual([1, 4002]);
  });

  test("lets a member go that has slept meanwhile, when what it holds is settled", async () => {
    const one = split({ onFailure: "park", maxDeliveries: 1, heartbeatMs: 300_000, ackTimeoutMs: 300_000 });
    const receipts = one.socket.deliveries.map(({ receipt }) => receipt);
    one.rig.delivery.state.save();
    one.rig.delivery.state.saveLeases(Date.now() + 60_000);
    one.rig.crash();
    one.wake();
    one.rig.delivery.state.sealed = true;
    one.run();
    expect(told(one)).toEqual([0, undefined]);
    one.say(JSON.stringify({ type: "ack", receipts }));
    one.run();
    expect(told(one)).toEqual([1, 4002]);
  });

  test("keeps a member that asked for it by its number until it is finished", () => {
    const one = split({ onFailure: "park", maxDeliveries: 1 }, { named: true });
    settle(one);
    one.run();
    expect(told(one)).toEqual([0, undefined]);
    expect(one.hungry).toBe(true);
    for (const lane of one.rig.lanes()) one.rig.admin.skipLane(lane.lane, Date.now());
    one.rig.fill();
    one.run();
    expect(told(one)).toEqual([1, 4002]);
  });

  test("tells a relay once, which goes on with it and what continues it", () => {
    const one = split({ onFailure: "block", backoff: [0] }, { relayed: true });
    one.run();
    one.run();
    expect(told(one)).toEqual([1, undefined]);
    expect(one.socket.deliveries.length).toBeGreaterThan(0);
  });
});
