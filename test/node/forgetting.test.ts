/** Forgetting in a delivery, by every state that a record can be in there, and in what is on its way meanwhile. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Target } from "../../schemas/erasure.ts";
import { type GroupConfig, pushTarget } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import { Compaction } from "../../src/archive/compaction.ts";
import { Heritage } from "../../src/delivery/heritage.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { murmur3 } from "../../src/lib/hash.ts";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import { Attempts } from "../../src/objects/attempts.ts";
import { Forwarder } from "../../src/objects/forwarder.ts";
import { Pusher } from "../../src/objects/pusher.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { type Got, Rig, value } from "../cases/delivery.ts";
import { check } from "../cases/delivery-check.ts";
import { textAtHand, textIn } from "../cases/forgetting.ts";
import { batch, spec } from "../cases/log.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const word = "victim7f3a";
const reason = `cannot take the secret of ${word}`;
const isMine = ({ data }: Got) => data.includes(word);

/** Every third record is the victim's, of a key of its own or among those of another. */
function fill(r: Rig, key: string | undefined, records = 30): void {
  const all = Array.from({ length: records }, (_, index): Rec => {
    const mine = index % 3 === 0;
    const of = mine ? key : `k${index % 3}`;
    const data = new TextEncoder().encode(mine ? `"the secret of ${word}"` : String(index));
    const subject = mine ? { subject: `about/${word}` } : {};
    return { ...(of === undefined ? {} : { key: of }), ...subject, kind: 1, data };
  });
  value(r.log.append([batch(all)], r.now)[0]);
  r.delivery.state.known = r.log.span.tail;
}

/** Gives the victim's records back, and acks the others. */
function fail(r: Rig, delayMs?: number, max = 100): void {
  const got = r.receive(max);
  // In order those behind the first one that is given back go again.
  for (const { receipt } of got.filter(isMine)) r.tryNack([receipt], delayMs, reason);
  r.tryAck(got.filter((one) => !isMine(one)).map(({ receipt }) => receipt));
}

type State = [name: string, config: Partial<GroupConfig>, make: (r: Rig) => void];
const long = 600_000;
const states: State[] = [
  ["fresh", {}, () => {}],
  ["in the window", {}, (r) => r.fill()],
  ["under lease", {}, (r) => r.receive(100)],
  [
    "under lease for long",
    {},
    (r) => {
      r.receive(100);
      r.now += 6_000;
      r.delivery.state.saveLeases(r.now);
    },
  ],
  ["waiting for its retry", {}, (r) => fail(r, long)],
  [
    "failed twice",
    { backoff: [0] },
    (r) => {
      fail(r, 0);
      fail(r, long);
    },
  ],
  ["given back, and free again", { backoff: [0] }, (r) => fail(r, 0)],
  ["parked", { onFailure: "park", maxDeliveries: 1 }, (r) => fail(r)],
  [
    "a dead letter",
    { onFailure: "skip", maxDeliveries: 1 },
    (r) => {
      fail(r);
      fail(r);
    },
  ],
  ["a dead letter to be sent on", { onFailure: "skip", maxDeliveries: 1, deadLetterStream: "x" }, (r) => fail(r)],
  [
    "redriven",
    { onFailure: "skip", maxDeliveries: 1 },
    (r) => {
      fail(r);
      r.admin.redrive("all", undefined, r.now);
    },
  ],
  [
    "redriven, edited and under lease",
    { onFailure: "park", maxDeliveries: 1 },
    (r) => {
      fail(r);
      const [letter] = r.letters();
      r.admin.redrive([letter.offset], letter.body.slice(), r.now);
      r.receive(100);
    },
  ],
  [
    "redriven, and failed again",
    { onFailure: "skip", maxDeliveries: 2, backoff: [0] },
    (r) => {
      fail(r, 0);
      fail(r, 0);
      r.admin.redrive("all", undefined, r.now);
      fail(r, long);
    },
  ],
  [
    "left by its member",
    { maxDeliveries: 5, onFailure: "skip" },
    (r) => {
      r.receive(1, "m");
      r.delivery.members.leave("m", reason, r.now);
    },
  ],
  [
    "given back after a restart",
    { ackTimeoutMs: long },
    (r) => {
      const got = r.receive(100);
      r.now += 6_000;
      r.delivery.state.saveLeases(r.now);
      r.crash();
      r.tryNack(
        got.filter(isMine).map(({ receipt }) => receipt),
        long,
        reason,
      );
    },
  ],
  [
    "ahead in an incident",
    {},
    (r) => {
      r.configure({ only: [word] });
      fail(r, long, 1);
    },
  ],
  [
    "ahead in an incident that is over",
    {},
    (r) => {
      r.configure({ only: [word] });
      r.ack(...r.receive(1));
      fail(r, long, 1);
      r.configure({ only: null });
    },
  ],
  [
    "in rows of before",
    { backoff: [0] },
    (r) => {
      for (let round = 0; round < 40; round++) {
        fail(r, 0);
        r.now += 1;
      }
      fail(r, long);
    },
  ],
  [
    "of a group that stands still",
    {},
    (r) => {
      fail(r, long);
      r.admin.pause("for a while", r.now, undefined, r.now);
    },
  ],
  [
    "without room for it in memory",
    {},
    (r) => {
      vi.spyOn(Object.getPrototypeOf(r.delivery.state.lanes), "room", "get").mockReturnValue(false);
      fail(r, long);
    },
  ],
];
const orders = [
  ["key", word],
  ["key", undefined],
  ["partition", word],
  ["none", word],
] as const;
const targets: Target[] = [{ key: word }, { subject: `about/${word}` }];
const cases = states.flatMap((state) =>
  orders.flatMap(([order, key]) =>
    targets.flatMap((target) =>
      ["", "and a restart", "asked for early", "and a restart, asked for early"].map((how) => ({
        state,
        order,
        key,
        target,
        how,
      })),
    ),
  ),
);

describe("a record that is", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test.each(states.map(([name]) => name))("%s leaves no word, in rows or in memory, and does not come", (name) => {
    for (const { state, order, key, target, how } of cases.filter((one) => one.state[0] === name)) {
      // Without a key only its subject tells.
      if (key === undefined && "key" in target) continue;
      const [, config, make] = state;
      if (name.includes("incident") && (order !== "key" || key === undefined)) continue;
      const label = `${name}, ${order}, ${JSON.stringify(target)}, ${how}`;
      const r = new Rig(nodeSql(), nodeSql(), { order, ackTimeoutMs: 60_000, ...config });
      fill(r, key);
      make(r);
      if (how.includes("restart")) r.crash();
      r.forget(target, how.includes("early"));
      // An incident that goes on names its keys: that is the group's configuration.
      const ours = r.config.only?.includes(word) ? reason : word;
      expect(textIn(r.sql), label).not.toContain(ours);
      expect(textAtHand(r.delivery), label).not.toContain(ours);
      check(r.delivery.state);
      r.configure({ only: null, backoff: [0], onFailure: "block" });
      r.delivery.state.pause(undefined);
      r.now += long * 2;
      const came: Got[] = [];
      r.admin.redrive("all", undefined, r.now);
      for (let got = r.receive(100); got.length > 0; got = r.receive(100)) {
        came.push(...got);
        r.ack(...got);
      }
      expect(came.filter(isMine), label).toEqual([]);
      expect(r.status(), label).toMatchObject({ lag: 0, inFlight: 0, deadLetters: 0 });
      expect(textIn(r.sql), label).not.toContain(ours);
    }
  });
});

test("records of the key that come after the request stay, with what was said of them", () => {
  const r = new Rig(nodeSql(), nodeSql(), { ackTimeoutMs: 60_000 });
  fill(r, word);
  r.forget({ key: word });
  fill(r, word);
  fail(r, long);
  expect(r.lanes()).toMatchObject([{ key: word, tries: [{ reason }] }]);
  r.forget({ key: "another" });
  expect(r.lanes()).toMatchObject([{ key: word, tries: [{ reason }] }]);
  r.now += long;
  expect(r.receive(100).filter(isMine)).toHaveLength(1);
});

/** A group that pushes records of the victim, and what its receiver is asked. */
function pushing(more: object, answer: (method: string, body: string) => Promise<Response>) {
  const push = pushTarget.parse({ url: "http://127.0.0.1:9/", concurrency: 1, ...more });
  const r = new Rig(nodeSql(), nodeSql(), { push, backoff: [long] });
  r.now = Date.now();
  r.delivery.state.configure({ ...r.delivery.state.spec, privateTargets: true, version: 2 });
  const attempts = new Attempts(r.delivery.state);
  const posted: string[] = [];
  vi.stubGlobal("fetch", (_url: string, { method, body }: RequestInit) => {
    const text = body === undefined ? "" : new TextDecoder().decode(body as Uint8Array);
    if (method === "POST") posted.push(text);
    return answer(method as string, text);
  });
  const host = { core: r.delivery, attempts, stopped: false, settled: () => {}, pause: vi.fn() };
  const pusher = new Pusher(host);
  fill(r, word, 1);
  r.fill();
  pusher.run();
  return { r, attempts, posted, pusher };
}

const echo = (body: string) => new Response(body, { status: 500 });

describe("what is pushed while it is forgotten", () => {
  test("has had its last delivery; nothing of the answer is kept", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { r, attempts, posted, pusher } = pushing({}, async (_method, body) => {
      await promise;
      return echo(body);
    });
    await expect.poll(() => posted.length).toBe(1);
    expect(posted[0]).toContain(word);
    r.forget({ key: word });
    resolve();
    await expect.poll(() => pusher.active).toBe(0);
    expect(attempts.list).toMatchObject([{ status: 500, answer: "" }]);
    r.now += 2 * long;
    r.fill();
    pusher.run();
    expect(posted).toHaveLength(1);
    expect(r.status()).toMatchObject({ lag: 0, inFlight: 0 });
    expect(textIn(r.sql)).not.toContain(word);
    attempts.stop();
  });

  test("is not sent after the handshake that it waited for", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { r, attempts, posted, pusher } = pushing({ validate: true }, async (method, body) => {
      if (method === "POST") return echo(body);
      await promise;
      return new Response(null, { status: 200, headers: { "webhook-allowed-origin": "*" } });
    });
    r.forget({ key: word });
    resolve();
    await expect.poll(() => pusher.active).toBe(0);
    expect(posted).toEqual([]);
    expect(attempts.list).toEqual([]);
  });

  test("is not sent again because the connection was lost", async () => {
    vi.stubGlobal("scheduler", { wait: async () => {} });
    const { r, attempts, posted, pusher } = pushing({}, async () => {
      r.forget({ key: word });
      throw new Error("Network connection lost.");
    });
    await expect.poll(() => pusher.active).toBe(0);
    expect(posted).toHaveLength(1);
    expect(JSON.stringify(attempts.list)).not.toContain(word);
    attempts.stop();
  });
});

test("what receivers answered about others stays in the attempts", () => {
  const { state } = new Rig(nodeSql(), nodeSql()).delivery;
  const attempts = new Attempts(state);
  const one = (deliveryId: string) =>
    attempts.add({
      at: 1,
      deliveryId,
      records: 1,
      attempt: 1,
      status: 500,
      error: undefined,
      durationMs: 1,
      answer: "said",
    });
  for (const id of ["g.0.3", "g.0.5", "g.0.4-6", "g.0.7-9", "g.0.5-8-0123456789abcdef", "g.0.6-7-0123456789abcdef"])
    one(id);
  attempts.forget(([from, to]) => from <= 5 && 5 < to);
  expect(attempts.list.map(({ answer }) => answer)).toEqual(["said", "", "", "said", "", "said"]);
  attempts.stop();
});

test("a letter that is forgotten while others are sent to the dead-letter stream is not sent after them", async () => {
  const r = new Rig(nodeSql(), nodeSql(), { onFailure: "skip", maxDeliveries: 1, deadLetterStream: "letters" });
  r.append(["a", word, "b"]);
  r.nack(r.receive(3));
  const sent: number[] = [];
  const append = async (_version: number, bytes: Uint8Array) => {
    sent.push(bytes.length);
    if (sent.length === 1) r.forget({ key: word });
    return 0;
  };
  const stream = async () => ({
    ok: true,
    value: { logId: "l", map: [{ partition: 0, from: 0, to: 2 ** 32, sealed: false }], version: 1, config: {} },
  });
  const env = { CATALOG: { getByName: () => ({ stream }) }, PARTITION: { getByName: () => ({ append }) } };
  await new Forwarder(env as unknown as Env, r.delivery, () => false).run();
  expect(sent).toHaveLength(2);
  expect(r.delivery.state.letters.forwarding).toBe(0);
  expect(r.letters().map(({ key }) => key)).toEqual(["a", "b"]);
});

test("a half of a split partition forgets for whom it waited", () => {
  const r = new Rig(nodeSql(), nodeSql(), {}, 0, limits.lanesMax, { partition: 1, parent: 0 });
  const heritage = new Heritage(r.delivery);
  heritage.take(new Set([word, "k"]), 2, r.now);
  heritage.released([word], r.now);
  expect([...(r.delivery.state.heldKeys ?? [])]).toEqual(["k"]);
});

test("a half of a split partition knows nothing of the other half's keys", () => {
  const keys = Array.from({ length: 20 }, (_, n) => `${word}-${n}`);
  const held = [0, 1].map((half) => {
    const range = { from: half * 2 ** 31, to: (half + 1) * 2 ** 31 };
    const r = new Rig(nodeSql(), nodeSql(), {}, 0, limits.lanesMax, { partition: half + 1, parent: 0, range });
    new Heritage(r.delivery).take(new Set(keys), 2, r.now);
    const ours = [...(r.delivery.state.heldKeys ?? [])];
    expect(ours.every((key) => Math.floor(murmur3(encodeText(key)) / 2 ** 31) === half)).toBe(true);
    return ours;
  });
  expect(held.flat().sort()).toEqual(keys.sort());
});

test("a chunk that was opened for a repeat does not stay when segments change", () => {
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 60_000 }, 0);
  const repeat = () =>
    log.append([batch([{ key: word, id: word, source: "/s", kind: 1, data: new Uint8Array(2) }])], 1);
  repeat();
  const read = vi.spyOn(log.segments, "body");
  repeat();
  repeat();
  expect(read).toHaveBeenCalledTimes(1);
  log.change(1, () => log.segments.cut(log.span.tail, 1));
  repeat();
  expect(read).toHaveBeenCalledTimes(2);
  expect(log.span.tail).toBe(1);
});

test("what a compaction has learnt of keys goes with what is to be forgotten", async () => {
  const one = machine({ compact: true });
  const learning = new Compaction(one.log, () => false);
  for (let n = 0; n < 2; n++) {
    one.append(ofKey(word));
    one.seal();
  }
  one.now += 1_000;
  const due = learning.due(one.now);
  if (due === undefined || !("learn" in due)) throw new Error("there are keys to be learnt");
  learning.learn(ofKey(word), 1);
  const fate = () => learning.fates(one.now)(ofKey(word), 0, 0);
  expect(fate()).toBe("drop");
  learning.relearn();
  expect(fate()).toBe("keep");
  // In the object that does both.
  const relearn = vi.spyOn(Compaction.prototype, "relearn");
  one.history.workshop!.erasures.request("r", { key: word }, one.now);
  await one.run();
  expect(one.history.workshop!.erasures.get("r")).toMatchObject({ state: "done", records: 2 });
  expect(relearn).toHaveBeenCalled();
  relearn.mockRestore();
});

test("an erasure waits for every object that was left to be deleted, however many, and for no later one", async () => {
  const one = machine({ archive: true });
  const keys = Array.from(
    { length: 2_500 },
    (_, n) => `logs/${one.spec.logId}/0/${String(n).padStart(16, "0")}-${n}.seg`,
  );
  for (const key of keys) await one.blobs.create(key, new TextEncoder().encode(word));
  // The log begins behind them.
  one.append(...Array.from({ length: 3_000 }, () => ofKey("k")));
  one.log.trim(2_900, one.now);
  for (const key of keys) one.log.segments.store.addGarbage(key, one.now + 1_000_000);
  const { erasures } = one.history.workshop!;
  erasures.request("r", { key: word }, one.now);
  await one.run();
  // What goes to the garbage behind the place of the request is none of its.
  one.log.segments.store.addGarbage(`logs/${one.spec.logId}/0/${"9".repeat(16)}-9.seg`, one.now + 5_000_000);
  for (let left = keys.length; left > 0; left -= 500) {
    expect(erasures.get("r")).toMatchObject({ state: "deleting" });
    for (const key of keys.slice(keys.length - left, keys.length - left + 500)) one.log.segments.store.dropGarbage(key);
    // A crash between a deletion and its notice: the next start looks.
    expect(one.history.workshop!.wakeAt(one.now) !== undefined || left > 500).toBe(true);
    one.reopen();
    await one.run();
  }
  expect(one.history.workshop!.erasures.get("r")).toMatchObject({ state: "done", objects: [] });
});
