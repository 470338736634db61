/** What a group says, and what its operator can do, when the service was killed and started again. */
import { rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Got, Group, newGroup, newStream, one, park, skip } from "./group.ts";
import { Member } from "./member.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";
import { load } from "./worked.ts";

let millrace: Service;
const receivers: Receiver[] = [];
const kept = { order: "key", backoff: [600_000] };
const patience = { timeout: 10_000 };
/** Every group is made ready before the one kill, and looked at after it. */
const groups: Record<string, Group> = {};
let before: { lag: number; lagSeconds: number; at: number; health: number };
let attempts: unknown[];
let hanging: Receiver;
let busy: Receiver;
let down: Receiver;
const dataIn = (body: string): string[] => JSON.parse(body).map(({ data }: { data: string }) => data);
const held: Record<string, Got[]> = {};
/** Letters as they are shown first after a crash. */
let shown: unknown;

async function receiver(...[behaviour]: Parameters<typeof Receiver.open>): Promise<Receiver> {
  const opened = await Receiver.open(behaviour);
  receivers.push(opened);
  return opened;
}

beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
  const { data } = millrace;
  groups.lag = await newGroup(millrace, kept);
  await groups.lag.append("a1", "a2", "b3", "c4", "d5");
  const [, b, c] = await groups.lag.receive({ max: 3 });
  await groups.lag.ack(c);
  await groups.lag.nack(b);
  await pause(1_500);
  before = { ...(await groups.lag.status()), at: Date.now(), health: 0 };

  // Leases that last: one given out a while after another, one of a socket, and one that is its record's only try.
  groups.busy = await newGroup(millrace, { ackTimeoutMs: 600_000 });
  await groups.busy.append("a1", "b2", "c3");
  held.busy = [one(await groups.busy.receive({ max: 1 }))];
  groups.socket = await newGroup(millrace, { ackTimeoutMs: 600_000 });
  await groups.socket.append("a1");
  const member = await Member.open(millrace, groups.socket.path);
  member.send({ type: "credit", credits: 1 });
  await vi.waitFor(() => expect(member.deliveries).toHaveLength(1), patience);
  groups.shown = await newGroup(millrace, { ...skip, ackTimeoutMs: 600_000 });
  await groups.shown.append("a1");
  const only = await Member.open(millrace, groups.shown.path);
  only.send({ type: "credit", credits: 1 });
  await vi.waitFor(() => expect(only.deliveries).toHaveLength(1), patience);
  groups.mortal = await newGroup(millrace, { ...skip, ackTimeoutMs: 600_000 });
  await groups.mortal.append("a1");
  held.mortal = await groups.mortal.receive();

  // One of which nothing is read after the restart, when its lease runs out.
  groups.still = await newGroup(millrace, { ackTimeoutMs: 9_000 });
  await groups.still.append("a1");
  await groups.still.receive();
  await groups.still.put({ only: ["nobody"] });

  groups.retrying = await newGroup(millrace, kept);
  groups.redriven = await newGroup(millrace, { ...park, ...kept, maxDeliveries: 1 });
  groups.moved = await newGroup(millrace, skip);
  for (const group of [groups.retrying, groups.redriven]) {
    await group.append("a1", "a2");
    await group.nack(one(await group.receive()));
  }
  expect(await groups.redriven.letters()).toHaveLength(1);
  expect((await groups.redriven.post("dead-letters/redrive", { letters: ["0.0"] })).status).toBe(200);
  const again = one(await groups.redriven.receive());
  await groups.redriven.nack(again);

  const failing = await receiver((response) => response.writeHead(503).end("not now"));
  groups.pushed = await newGroup(millrace, { ...kept, push: { url: failing.url } });
  await groups.pushed.append("a1", "b2", "c3");
  await vi.waitFor(() => expect(failing.calls).toHaveLength(3), patience);
  // A receiver that asks for an hour, and one that has failed for long.
  busy = await receiver((response) => response.writeHead(503, { "retry-after": "3600" }).end());
  groups.busyReceiver = await newGroup(millrace, { push: { url: busy.url } });
  await groups.busyReceiver.append("a1");
  down = await receiver((response) => response.writeHead(500).end());
  groups.down = await newGroup(millrace, { order: "none", push: { url: down.url, pauseAfterMs: 12_000 } });
  await groups.down.append(...Array.from({ length: 16 }, (_, i) => `k${i}`));
  const gone = await receiver((response) => response.writeHead(410).end());
  const stream = await newStream(millrace, { partitions: 4 });
  groups.gone = await newGroup(millrace, { push: { url: gone.url } }, stream);
  await groups.gone.append("a1");
  await vi.waitFor(async () => expect((await groups.gone.status()).paused).toBe(true), patience);

  held.busy.push(one(await groups.busy.receive({ max: 1 })));
  // Attempts are written down a few seconds after; until they are, the list is in memory.
  await pause(5_500);
  before.health = down.calls.length;
  attempts = (await groups.pushed.get("/attempts")).json.attempts;
  // A batch is cut in parts until one record is left alone, which gets no answer.
  hanging = await receiver((response, { body }) => {
    if (!body.includes('"d4"')) response.writeHead(204).end();
    else if (dataIn(body).length > 1) response.writeHead(500).end();
  });
  const push = { url: hanging.url, format: "batch", timeoutMs: 60_000 };
  groups.cut = await newGroup(millrace, { push, batch: { records: 4, waitMs: 500 } });
  await groups.cut.append("a1", "b2", "c3", "d4");
  await vi.waitFor(() => expect(hanging.calls).toHaveLength(5), patience);
  await pause(300);
  await millrace.stop("SIGKILL");
  millrace = await service(data, { privateNetwork: true });
  for (const [name, group] of Object.entries(groups)) groups[name] = new Group(millrace, group.stream, group.name);
}, 60_000);

afterAll(async () => {
  await millrace.stop("SIGKILL");
  await Promise.all(receivers.map((one) => one.close()));
  rmSync(millrace.data, { recursive: true, force: true });
});

test("lag and age are right before anybody works", async () => {
  const status = await groups.lag.status();
  expect([before.lag, status.lag]).toEqual([4, 4]);
  const age = before.lagSeconds + (Date.now() - before.at) / 1_000;
  expect(status.lagSeconds).toBeGreaterThanOrEqual(Math.floor(before.lagSeconds));
  expect(status.lagSeconds).toBeLessThanOrEqual(age + 1);
  expect(before.lagSeconds).toBeGreaterThanOrEqual(1);
  expect([status.inFlight, status.members]).toEqual([1, [{ member: expect.any(String), inFlight: 1 }]]);
});

test("leases of more than five seconds are held, whenever others were given out, and over one more crash", async () => {
  const extend = (group: Group) =>
    group.post("extend", { receipts: held.busy.map(({ receipt }) => receipt), ackTimeoutMs: 600_000 });
  expect((await groups.busy.status()).inFlight).toBe(2);
  const member = await Member.open(millrace, groups.busy.path);
  member.send({ type: "credit", credits: 1 });
  await vi.waitFor(() => expect(member.deliveries).toHaveLength(1), patience);
  member.socket.close();
  expect(one(await groups.busy.next())).toMatchObject({ data: "c3", attempt: 2 });
  // Of the only try of a socket that the crash has cut.
  await vi.waitFor(async () => expect(await groups.shown.letters()).toHaveLength(1), patience);
  const { data } = millrace;
  await millrace.stop("SIGKILL");
  millrace = await service(data, { privateNetwork: true });
  for (const [name, group] of Object.entries(groups)) groups[name] = new Group(millrace, group.stream, group.name);
  shown = await groups.shown.letters();
  expect(await extend(groups.busy)).toMatchObject({ status: 200, json: { settled: 2 } });
});

test("what was shown as a letter is one after another crash, before anything is read again", () => {
  expect(shown).toMatchObject([{ letter: "0.0", attempts: 1 }]);
});

test("what a socket held goes to others at once", async () => {
  expect(one(await groups.socket.next())).toMatchObject({ data: "a1", attempt: 2 });
});

test("a record that is given back for the last time becomes a letter, though nobody receives", async () => {
  expect((await groups.mortal.status()).inFlight).toBe(1);
  await groups.mortal.nack(held.mortal[0]);
  await vi.waitFor(
    async () => expect(await groups.mortal.letters()).toMatchObject([{ data: "a1", attempts: 1 }]),
    patience,
  );
  expect(await groups.mortal.status()).toMatchObject({ inFlight: 0, lag: 0, deadLetters: 1 });
});

test("a lease that runs out where nothing may be read costs nothing", async () => {
  await vi.waitFor(async () => expect((await groups.still.status()).inFlight).toBe(0), {
    timeout: 12_000,
    interval: 500,
  });
  await pause(500);
  expect(await load(millrace, 1_500)).toBeLessThan(5);
});

test("attempts are what they were", async () => {
  expect(attempts).toHaveLength(3);
  expect((await groups.pushed.get("/attempts")).json.attempts).toEqual(attempts);
});

test("what of a batch was confirmed does not come again, though the rest had no answer yet", async () => {
  const came = hanging.calls.map(({ body }) => dataIn(body));
  expect(came.slice(0, 5)).toEqual([["a1", "b2", "c3", "d4"], ["a1", "b2"], ["c3", "d4"], ["c3"], ["d4"]]);
  await vi.waitFor(() => expect(hanging.calls.length).toBeGreaterThan(5), patience);
  await pause(500);
  expect(new Set(hanging.calls.slice(5).flatMap(({ body }) => dataIn(body)))).toEqual(new Set(["d4"]));
});

test("a receiver that asked to be left alone is, and one that has failed is not asked as if it never had", async () => {
  expect(busy.calls).toHaveLength(1);
  const { health } = before;
  expect(health).toBeGreaterThanOrEqual(10);
  for (const group of [groups.busyReceiver, groups.down]) await group.append("z1");
  await pause(2_000);
  expect(busy.calls).toHaveLength(1);
  // In doubt: after a restart too one at a time, with rests.
  expect(down.calls.length - health).toBeLessThanOrEqual(3);
});

test("a lane that waits an hour can be skipped at once", async () => {
  const [{ lane }] = await groups.retrying.lanes();
  expect(await groups.retrying.post("lanes/skip", { lane })).toMatchObject({ status: 200, json: { lane } });
  expect(await groups.retrying.letters()).toMatchObject([{ letter: "0.0", data: "a1", attempts: 1 }]);
  expect(one(await groups.retrying.receive()).data).toBe("a2");
});

test("a redriven record that waits goes on when its lane is resumed", async () => {
  const [{ lane }] = await groups.redriven.lanes();
  expect(await groups.redriven.post("lanes/resume", { lane })).toMatchObject({ status: 200 });
  expect(one(await groups.redriven.receive())).toMatchObject({ data: "a1" });
});

test("a 410 has paused the group, on every partition and by every word", async () => {
  const [shown, status] = [(await groups.gone.get()).json, await groups.gone.status()];
  expect([shown.paused, status.paused]).toEqual([true, true]);
  expect(shown.pausedBecause.reason).toContain("410");
  expect(status.pausedBecause).toEqual(shown.pausedBecause);
  const gone = receivers[3];
  const asked = gone.calls.length;
  expect(asked).toBe(1);
  await groups.gone.append("b1", "c2", "d3", "e4", "f5", "g6");
  await pause(1_500);
  expect(gone.calls).toHaveLength(asked);
});
