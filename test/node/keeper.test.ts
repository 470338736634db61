/** What keeps a delivery going: it looks again when something is due, and no more often. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type GroupConfig, pushTarget } from "../../schemas/group.ts";
import type { ReadCall } from "../../src/objects/answer.ts";
import { forget } from "../../src/objects/forgetting.ts";
import { Keeper } from "../../src/objects/keeper.ts";
import { operate, seek, unfinished } from "../../src/objects/operating.ts";
import { receive, wait } from "../../src/objects/pull.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

Object.assign(globalThis, { WebSocketRequestResponsePair: class {} });

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockReturnValue();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A delivery, and what keeps it going. `looks`: how often it has looked what is due. */
function kept(
  config: Partial<GroupConfig>,
  { read = vi.fn(), order = vi.fn(), inherit = vi.fn(), sockets = [] as unknown[] } = {},
) {
  const rig = new Rig(nodeSql(), nodeSql(), config);
  rig.now = Date.now();
  const setAlarm = vi.fn();
  const storage = { setAlarm, sync: async () => {} };
  const ctx = {
    storage,
    setWebSocketAutoResponse: () => {},
    getWebSockets: () => sockets,
    getWebSocketAutoResponseTimestamp: () => null,
  };
  const stuck = () => new Promise<never>(() => {});
  const env = {
    PARTITION: { getByName: () => ({ read, order }) },
    DELIVERY: { getByName: (name: string) => ({ inherit: (again: boolean) => inherit(name, again) }) },
    CATALOG: { getByName: () => ({ stream: stuck }) },
  };
  const looks = vi.spyOn(rig.delivery, "expire");
  const [state, bindings] = [ctx as unknown as DurableObjectState, env as unknown as Env];
  return { rig, looks, setAlarm, keeper: new Keeper(state, bindings, "d", rig.delivery) };
}

/** A record fails, and is due again in half a second. */
function failed(rig: Rig): void {
  rig.append(["a", "b"]);
  rig.nack(rig.receive(1));
}

const push = pushTarget.parse({ url: "http://localhost/" });

test.each(["key", "partition"] as const)(
  "a retry that nobody can take yet is not looked at for ever, in order of %s",
  async (order) => {
    const { rig, looks, keeper } = kept({ push, order, backoff: [500] });
    failed(rig);
    // The receiver has asked for a pause.
    vi.spyOn(keeper.pusher, "hungry", "get").mockReturnValue(false);
    vi.spyOn(keeper.pusher, "askAt", "get").mockReturnValue(Date.now() + 60_000);
    keeper.arm();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(looks.mock.calls.length).toBeLessThan(10);
  },
);

test("a retry of a partition in order is not looked at for ever while it is under way", async () => {
  vi.stubGlobal(
    "fetch",
    vi.fn(() => new Promise(() => {})),
  );
  const { rig, looks, keeper } = kept({ push, order: "partition", backoff: [500], maxInFlight: 2 });
  failed(rig);
  keeper.arm();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(fetch).toHaveBeenCalled();
  expect(looks.mock.calls.length).toBeLessThan(20);
});

test("a limit that is not reached is not waited for", async () => {
  const { rig, looks, keeper } = kept({ push, rate: { perSecond: 10, burst: 10 } });
  rig.append(["a"]);
  rig.fill();
  vi.spyOn(keeper.pusher, "hungry", "get").mockReturnValue(false);
  vi.spyOn(keeper.pusher, "askAt", "get").mockReturnValue(Date.now() + 60_000);
  keeper.arm();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(looks.mock.calls.length).toBeLessThan(10);
});

test("dead letters that go nowhere any more are not looked at for ever", async () => {
  const { rig, looks, keeper } = kept({ deadLetterStream: "letters", onFailure: "skip", maxDeliveries: 1 });
  failed(rig);
  expect(rig.delivery.state.letters.forwarding).toBe(1);
  rig.configure({ deadLetterStream: null });
  keeper.arm();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(looks.mock.calls.length).toBeLessThan(10);
});

test("a dead letter that is long on its way holds up no retry, and is not looked at for ever", async () => {
  const posted = vi.fn(() => new Promise(() => {}));
  vi.stubGlobal("fetch", posted);
  const { rig, looks, keeper } = kept({ push, deadLetterStream: "letters", backoff: [500] });
  failed(rig);
  vi.spyOn(rig.delivery.state.letters, "forwarding", "get").mockReturnValue(1);
  vi.spyOn(rig.delivery.state.letters, "awaits").mockReturnValue(true);
  vi.spyOn(rig.delivery.state.letters, "toForward").mockReturnValue([
    { offset: 9, number: 1, key: "z", checked: false, attempts: 1, reason: "", body: Uint8Array.of(0, 0) } as never,
  ]);
  keeper.arm();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(posted.mock.calls.length).toBe(2);
  expect(looks.mock.calls.length).toBeLessThan(30);
});

test("an alarm does not wait for a dead letter that is long on its way: the next one could not go", async () => {
  const { rig, setAlarm, keeper } = kept({ deadLetterStream: "letters", onFailure: "skip", maxDeliveries: 1 });
  failed(rig);
  const gone = vi.fn();
  void keeper.alarm().then(gone);
  await vi.advanceTimersByTimeAsync(0);
  expect(gone).toHaveBeenCalled();
  expect(setAlarm).toHaveBeenCalled();
});

test("a pause that the catalog did not take, for it came from before a change, is told again as soon as that is known", async () => {
  const { rig, keeper } = kept({ push });
  const { spec } = rig.delivery.state;
  const paused = [false, true];
  const setPaused = vi.fn(async () => ({
    ok: true,
    value: { id: spec.groupId, paused: paused.shift() ?? true, version: 2 },
  }));
  Object.assign(keeper.env, { CATALOG: { getByName: () => ({ setPaused }) } });
  keeper.pause("the receiver answered 410 Gone");
  await vi.advanceTimersByTimeAsync(0);
  expect(rig.delivery.state.paused?.untold).toBe(true);
  rig.configure({});
  keeper.configured();
  await vi.advanceTimersByTimeAsync(0);
  expect(setPaused).toHaveBeenCalledTimes(2);
  expect(setPaused).toHaveBeenLastCalledWith("s", "g", expect.anything(), spec.groupId, 2);
  expect(rig.delivery.state.paused?.untold).toBeUndefined();
  keeper.stop("over");
});

test("a delivery that was deleted sets no alarm any more", () => {
  const { rig, setAlarm, keeper } = kept({ push });
  failed(rig);
  keeper.stop("deleted");
  keeper.arm();
  expect(setAlarm).not.toHaveBeenCalled();
});

test("members with sockets need not wait for a heartbeat until a partition that could not be reached is asked again", async () => {
  const read = vi.fn(() => Promise.reject(new Error("out of reach")));
  const member = { id: "m", relayed: false, credits: 5, seen: Date.now() };
  const { keeper } = kept({}, { read, sockets: [{ deserializeAttachment: () => member }] });
  keeper.wake({ from: -1, to: -1, tail: 5, sealed: false, pieces: [] });
  await vi.advanceTimersByTimeAsync(2_500);
  expect(read.mock.calls.length).toBe(3);
});

test("a member that waits for any partition hears of a lease that runs out", async () => {
  const { rig, keeper } = kept({ ackTimeoutMs: 1_000, backoff: [500] });
  rig.append(["a"]);
  rig.receive();
  const heard = vi.fn();
  void wait(keeper, { call: "c", member: "m", max: 1, waitMs: 4_000, knowsSealed: false }).then(heard);
  await vi.advanceTimersByTimeAsync(1_700);
  expect(heard).toHaveBeenCalledWith({ ok: true, value: true });
});

test("a member that waits for a group that stands still does not look for ever at a retry that is due", async () => {
  const { rig, looks, keeper } = kept({ backoff: [500] });
  failed(rig);
  looks.mockClear();
  keeper.pause("for a while");
  void receive(
    keeper,
    { call: "c", max: 10, bytesMax: 1e6, waitMs: 3_000, member: "m", ack: [], knowsSealed: false },
    [],
  );
  await vi.advanceTimersByTimeAsync(4_000);
  expect(looks.mock.calls.length).toBeLessThan(10);
});

test("what was read, or sent, before it was forgotten, and arrives after it, is read again", async () => {
  vi.useRealTimers();
  const held = Promise.withResolvers<void>();
  const read = vi.fn(async (call: ReadCall) => {
    const page = rig.log.read(call);
    if (read.mock.calls.length === 1) await held.promise;
    const { tail, head } = rig.log.span;
    return page.ok ? { ok: true, value: { ...page.value, head, tail, sealed: false, promise: 0 } } : page;
  });
  const { rig, keeper } = kept({}, { read });
  rig.append(["victim", "a"]);
  const filled = keeper.filler.fill(() => rig.delivery.state.window.size > 0);
  await expect.poll(() => read.mock.calls.length).toBe(1);
  const fresh = rig.log.read({ from: { at: "offset", offset: 0 }, limit: 10, bytesMax: 1e6 });
  rig.forget({ key: "victim" });
  // A wake that carries the records, sent before.
  vi.spyOn(keeper, "wanted", "get").mockReturnValue(true);
  vi.spyOn(keeper.filler, "busy", "get").mockReturnValue(false);
  if (fresh.ok) keeper.wake({ ...fresh.value, tail: 2, sealed: false });
  expect(rig.delivery.state.window.size).toBe(0);
  held.resolve();
  await filled;
  expect([...rig.delivery.state.window.items.values()].map(({ key }) => key)).toEqual([undefined, "a"]);
  keeper.stop("over");
});

test("who continues a partition need not wait until what was read of it has gone out: the rest is read for it", async () => {
  vi.useRealTimers();
  const read = vi.fn(async (call: ReadCall) => {
    const page = rig.log.read(call);
    const { tail, head } = rig.log.span;
    return page.ok ? { ok: true, value: { ...page.value, head, tail, sealed: true, promise: 0 } } : page;
  });
  const { rig, keeper } = kept({}, { read });
  for (const key of ["a", "b", "c"]) rig.append([key], 700_000);
  rig.log.seal();
  const answer = await unfinished(keeper, { heir: 1 });
  expect(answer).toMatchObject({ value: { caughtUp: true, keys: ["a", "b", "c"] } });
  expect(read.mock.calls.length).toBeGreaterThan(2);
  keeper.stop("over");
});

/** A range that a group has lost, and a call that asks for records. */
const lost = { from: 0, to: 2, why: "trimmed" } as const;
const ask = { call: "c", max: 10, bytesMax: 1e6, waitMs: 0, member: "m", ack: [], knowsSealed: false };

test("a member that is told what was lost is told once, over a crash too", async () => {
  const { rig, keeper } = kept({}, { read: vi.fn(async () => ({ ok: false, refusal: { code: "past-tail" } })) });
  rig.delivery.state.lost.add(lost);
  rig.delivery.state.save();
  expect(await receive(keeper, ask, [])).toMatchObject({ ok: true, value: { lost: [lost] } });
  await vi.advanceTimersByTimeAsync(1_000);
  rig.crash();
  expect(rig.status().lost).toEqual([]);
});

test("of sockets the first that is there is told what was lost; where none is, it is kept", async () => {
  const socket = (send: () => void) => ({
    send,
    close: () => {},
    serializeAttachment: () => {},
    deserializeAttachment: () => ({ id: "m", relayed: false, credits: 0, seen: Date.now() }),
  });
  const dead = socket(() => {
    throw new Error("it has gone");
  });
  for (const heard of [undefined, vi.fn()]) {
    const sockets = heard === undefined ? [dead, dead] : [dead, socket(heard)];
    const { rig, keeper } = kept({}, { sockets });
    rig.delivery.state.lost.add(lost);
    rig.delivery.state.save();
    keeper.kick();
    await vi.advanceTimersByTimeAsync(1_000);
    rig.crash();
    expect(rig.status().lost).toEqual(heard === undefined ? [lost] : []);
    if (heard !== undefined) expect(heard.mock.calls).toEqual([[expect.stringContaining('"from":0,"to":2')]]);
    keeper.stop("over");
  }
});

/** What is asked of a delivery, and waits for its partition before it writes. */
const asked: [string, (keeper: Keeper) => Promise<unknown>][] = [
  ["seek", (keeper) => seek(keeper, { at: "earliest" }, [])],
  ["status", (keeper) => operate(keeper, "status")],
  ["lanes", (keeper) => operate(keeper, "lanes", -1, 10, 1_000)],
  ["skipLane", (keeper) => operate(keeper, "skipLane", 1)],
  ["resumeLane", (keeper) => operate(keeper, "resumeLane", 1)],
  ["unfinished", (keeper) => unfinished(keeper, { heir: 1 })],
  ["receive", (keeper) => receive(keeper, ask, [])],
  ["wait", (keeper) => wait(keeper, { ...ask, waitMs: 1_000 })],
  ["forget", (keeper) => forget(keeper, { subject: "a" }, 2, true)],
];

test.each(asked)(
  "%s is answered as gone, and writes nothing, where the group was deleted meanwhile",
  async (name, asks) => {
    vi.useRealTimers();
    for (const refusal of [undefined, { code: "trimmed", detail: "", facts: { head: 2 } }]) {
      const held = Promise.withResolvers<unknown>();
      const late = vi.fn(() => held.promise);
      const { rig, keeper } = kept({ backoff: [0] }, { read: late, order: late });
      failed(rig);
      rig.crash();
      const again = new Keeper(keeper.ctx, keeper.env, "d", rig.delivery);
      // Who resumes a lane reads only where it is not known which record that is of.
      const { lanes } = rig.delivery.state;
      if (name === "resumeLane") for (const lane of lanes.byId.values()) lanes.move(lane, 0, false);
      rig.append(["a"]);
      const answer = asks(again);
      await expect.poll(() => late.mock.calls.length).toBeGreaterThan(0);
      again.stop("deleted");
      for (const table of ["meta", "place", "lanes", "leases", "letters"]) rig.sql.run(`DROP TABLE ${table}`);
      const page = { from: 0, to: 2, pieces: [], head: 2, tail: 2, sealed: false, promise: 0, upToDate: true };
      held.resolve(
        refusal === undefined ? { ok: true, value: asks === asked[0][1] ? 0 : page } : { ok: false, refusal },
      );
      expect(await answer).toEqual({ ok: false, moved: 0 });
    }
  },
);

test("a place that was moved gives nothing out before those that continue it have heard, whoever dies meanwhile", async () => {
  const out = () => Promise.reject(new Error("out of reach"));
  const inherit = vi.fn<(name: string, again: boolean) => Promise<void>>(out);
  const { rig, keeper } = kept({}, { inherit, order: vi.fn(async () => ({ ok: true, value: 0 })) });
  rig.append(["a", "b"]);
  rig.ack(...rig.receive());
  // Of 3, which came to be since, nobody knows who asks for the seek.
  keeper.inheriting.addHeir(3);
  expect(await seek(keeper, { at: "earliest" }, [2, 1])).toMatchObject({ refusal: { code: "unavailable" } });
  keeper.stop("it dies");
  rig.crash();
  rig.delivery.state.known = 2;
  const again = new Keeper(keeper.ctx, keeper.env, "d", rig.delivery);
  expect(rig.receive()).toEqual([]);
  // One after another: who continues another that goes on as before would be done with it at once.
  inherit.mockImplementation(async (name) => (name === "d/2" ? out() : undefined));
  inherit.mockClear();
  await again.alarm();
  await vi.advanceTimersByTimeAsync(500);
  expect(inherit.mock.calls).toEqual([
    ["d/1", true],
    ["d/2", true],
  ]);
  expect(rig.receive()).toEqual([]);
  inherit.mockResolvedValue();
  inherit.mockClear();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(inherit.mock.calls).toEqual([
    ["d/2", true],
    ["d/3", true],
  ]);
  expect(rig.receive().map(({ key }) => key)).toEqual(["a", "b"]);
  again.stop("over");
});

/** A partition that was split has finished something of which 1 waits to hear; `reach` says of each call whether it comes through. */
async function finishing(reach: (call: number) => boolean) {
  const calls: number[] = [];
  const begun = Date.now();
  const inherit = vi.fn(async () => {
    calls.push(Date.now() - begun);
    if (!reach(calls.length)) throw new Error("out of reach");
  });
  const made = kept({}, { inherit });
  const { rig, keeper } = made;
  rig.append(["a", "b"]);
  const got = rig.receive();
  rig.delivery.state.sealed = true;
  keeper.inheriting.addHeir(1);
  keeper.kick();
  return { ...made, calls, got };
}

test("who could not be told of what is finished is told again until it is, in growing pauses, and then no more", async () => {
  const { rig, keeper, calls, got } = await finishing((call) => call > 4);
  await vi.advanceTimersByTimeAsync(600_000);
  const pauses = calls.slice(1).map((at, n) => at - calls[n]);
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000]);
  // What is finished next is told by itself, and at once.
  rig.ack(got[0]);
  keeper.kick();
  await vi.advanceTimersByTimeAsync(100);
  expect(calls).toHaveLength(6);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(calls).toHaveLength(6);
  keeper.stop("over");
});

test("who cannot be told for long is left to ask by itself, and is told of what comes at once", async () => {
  const { rig, keeper, calls, got } = await finishing(() => false);
  await vi.advanceTimersByTimeAsync(10_000);
  const before = calls.length;
  expect(before).toBe(4);
  // Amid the pauses: they begin anew, and there is one line of them.
  rig.ack(got[0]);
  keeper.kick();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(calls).toHaveLength(before + 7);
  expect(vi.getTimerCount()).toBeLessThan(3);
  rig.ack(got[1]);
  keeper.kick();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(calls).toHaveLength(before + 7 + 3);
  // Nor is anybody told anything when the group is gone.
  keeper.stop("over");
  await vi.advanceTimersByTimeAsync(600_000);
  expect(calls).toHaveLength(before + 7 + 3);
});

test("who is told that the one before it begins anew says so to those that continue it, first", async () => {
  const inherit = vi.fn<(name: string, again: boolean) => Promise<void>>(() =>
    Promise.reject(new Error("out of reach")),
  );
  const { keeper } = kept({}, { inherit });
  keeper.inheriting.addHeir(4);
  await expect(keeper.inherit(true)).rejects.toThrow("could not be told");
  inherit.mockResolvedValue();
  await keeper.inherit(true);
  expect(inherit).toHaveBeenLastCalledWith("d/4", true);
  keeper.stop("over");
});
