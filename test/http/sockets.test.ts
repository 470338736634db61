/** Members that hold a socket: credits, acks, lost and silent sockets, broken protocol, several partitions. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type Delivered, Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
/** A stream with a group; its paths. */
async function fresh(config: object = {}, partitions = 1) {
  const stream = `/v1/default/streams/sockets-${count++}`;
  await millrace.call("PUT", stream, { partitions });
  const group = `${stream}/groups/g`;
  expect((await millrace.call("PUT", group, config)).status).toBe(201);
  const append = (...keys: string[]) =>
    millrace.call("POST", `${stream}/records`, { records: keys.map((key, index) => ({ key, data: index })) });
  const status = async () => (await millrace.call("GET", `${group}/status`)).json;
  return { stream, group, append, status };
}

describe("a member", () => {
  test("gets as many deliveries as it has credits for, and more when it gives more", async () => {
    const { group, append } = await fresh();
    await append("a", "b", "c", "d", "e");
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 2 });
    expect((await member.until(2)).map(({ offset }) => offset)).toEqual([0, 1]);
    member.ack(...member.deliveries);
    member.send({ type: "credit", credits: 2 });
    await member.until(4);
    expect(member.deliveries).toHaveLength(4);
    member.socket.close();
  });

  test("that waits gets what is appended, and its acks free the next of the key", async () => {
    const { group, append, status } = await fresh();
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 100 });
    await append("a", "a", "b");
    const got = await member.until(2);
    expect(got.map(({ key, data }) => [key, data])).toEqual([
      ["a", 0],
      ["b", 2],
    ]);
    member.ack(...got);
    await member.until(3);
    expect(member.deliveries[2]).toMatchObject({ key: "a", data: 1, attempt: 1 });
    member.ack(member.deliveries[2]);
    await expect.poll(async () => (await status()).lag).toBe(0);
    member.socket.close();
    await expect.poll(() => member.closed).toBeDefined();
  });

  test("that nacks gets the record again after the delay, with the attempt counted", async () => {
    const { group, append } = await fresh();
    await append("a");
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 10 });
    const [first] = await member.until(1);
    member.send({ type: "nack", receipts: [first.receipt], delayMs: 50, reason: "not yet" });
    const [, again] = await member.until(2);
    expect(again).toMatchObject({ offset: 0, attempt: 2 });
    member.socket.close();
  });

  test("shares with the others, and leaves them its records when its socket closes", async () => {
    const { group, append, status } = await fresh({ ackTimeoutMs: 60_000 });
    await append("a", "b", "c", "d");
    const [one, other] = [await Member.open(millrace, group), await Member.open(millrace, group)];
    one.send({ type: "credit", credits: 2 });
    await one.until(2);
    other.send({ type: "credit", credits: 10 });
    await other.until(2);
    const together = [...one.deliveries, ...other.deliveries].map(({ offset }) => offset);
    expect(together.sort()).toEqual([0, 1, 2, 3]);
    expect((await status()).members).toHaveLength(2);
    one.socket.close();
    // At once: not when the lease runs out.
    await other.until(4);
    expect(
      other.deliveries
        .slice(2)
        .map(({ offset }) => offset)
        .sort(),
    ).toEqual(one.deliveries.map(({ offset }) => offset));
    other.socket.close();
  });

  test.each([1, 2])(
    "of %i partitions that falls silent is closed, and its leases return; one that says ping is not",
    async (partitions) => {
      const { group, append } = await fresh({ heartbeatMs: 1_000, ackTimeoutMs: 60_000 }, partitions);
      await append("a");
      const silent = await Member.open(millrace, group);
      silent.send({ type: "credit", credits: 1 });
      await silent.until(1);
      const alive = await Member.open(millrace, group);
      alive.send({ type: "credit", credits: 1 });
      const beat = setInterval(() => alive.socket.send("ping"), 200);
      const [again] = await alive.until(1);
      expect(again.offset).toBe(0);
      await expect.poll(() => silent.closed?.code, { timeout: 5_000 }).toBe(4000);
      expect(alive.closed).toBeUndefined();
      expect(alive.messages.some(({ type }) => type === "pong")).toBe(true);
      clearInterval(beat);
      alive.socket.close();
    },
  );

  test.each([1, 2])(
    "of %i partitions is told of receipts that are somebody else's by now, or none",
    async (partitions) => {
      const { group, append } = await fresh({ ackTimeoutMs: 100, backoff: [0] }, partitions);
      await append("a");
      const member = await Member.open(millrace, group);
      member.send({ type: "credit", credits: 10 });
      const [first] = await member.until(1);
      await member.until(2);
      member.ack(first);
      await expect
        .poll(() => member.messages.find(({ type }) => type === "refused")?.refused?.[0].code)
        .toBe("stale-lease");
      member.send({ type: "ack", receipts: ["?"] });
      await expect
        .poll(() => member.messages.findLast(({ type }) => type === "refused")?.refused?.[0].code)
        .toBe("invalid");
      expect(member.closed).toBeUndefined();
      member.socket.close();
    },
  );
});

describe("the protocol", () => {
  test.each([
    ["no JSON", "{"],
    ["an unknown type", '{"type":"subscribe"}'],
    ["an unknown field", '{"type":"credit","credits":1,"more":1}'],
    ["no credits", '{"type":"credit","credits":0}'],
    ["too many credits", '{"type":"credit","credits":10001}'],
    ["no receipts", '{"type":"ack","receipts":[]}'],
  ])("is broken by %s: the socket is closed with a reason, and the others go on", async (_what, text) => {
    const { group, append } = await fresh();
    const [broken, other] = [await Member.open(millrace, group), await Member.open(millrace, group)];
    broken.socket.send(text);
    await expect.poll(() => broken.closed?.code).toBe(1008);
    expect(broken.messages.find(({ type }) => type === "error")?.code).toBe(
      _what === "an unknown field" ? "unknown-field" : "invalid",
    );
    other.send({ type: "credit", credits: 1 });
    await append("a");
    await other.until(1);
    other.socket.close();
  });

  test("takes messages and credits up to their limits, and no further", async () => {
    const { group, append } = await fresh();
    await append("a");
    const credit = (credits: number) => JSON.stringify({ type: "credit", credits });
    const [full, beyond] = [await Member.open(millrace, group), await Member.open(millrace, group)];
    beyond.socket.send(credit(1).padEnd(limits.messageBytesMax + 1));
    await expect.poll(() => beyond.closed?.code).toBe(1008);
    full.socket.send(credit(limits.creditsMax).padEnd(limits.messageBytesMax));
    await full.until(1);
    expect(full.closed).toBeUndefined();
    full.socket.close();
  });

  test("allows so many sockets to a group and partition, and refuses the next", async () => {
    const { group, append } = await fresh();
    await append("a");
    const members: Member[] = [];
    for (let i = 0; i < limits.socketsMax; i += 50) {
      members.push(...(await Promise.all(Array.from({ length: 50 }, () => Member.open(millrace, group)))));
    }
    expect(members).toHaveLength(limits.socketsMax);
    await expect(Member.open(millrace, group)).rejects.toThrow();
    const leaving = members.pop() as Member;
    leaving.send({ type: "credit", credits: 1 });
    await leaving.until(1);
    leaving.socket.close();
    await expect.poll(() => leaving.closed !== undefined).toBe(true);
    const next = await Member.open(millrace, group);
    for (const member of [...members, next]) member.socket.close();
  });

  test("is a WebSocket's: a plain GET is told so, and one without a token learns nothing", async () => {
    const { group } = await fresh();
    expect(await millrace.call("GET", `${group}/live`)).toMatchObject({
      status: 426,
      json: { code: "upgrade-required" },
    });
    expect((await fetch(`${millrace.url}${group}/live`)).status).toBe(401);
  });

  test.each([1, 2])("ends when the group is deleted, on %i partitions", async (partitions) => {
    const { group, append } = await fresh({}, partitions);
    await append("a");
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 1 });
    await member.until(1);
    await millrace.call("DELETE", group);
    await expect.poll(() => member.closed !== undefined).toBe(true);
    expect(member.closed).toMatchObject({ code: 4001, reason: expect.stringContaining("deleted") });
    expect(member.messages.some(({ type }) => type === "error")).toBe(false);
  });
});

describe("several partitions on one socket", () => {
  test("deliver everything once, in order per key, and acks find their partition", async () => {
    const { group, append, status } = await fresh({}, 4);
    const keys = Array.from({ length: 200 }, (_, index) => `k${index % 20}`);
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 16 });
    member.socket.addEventListener("message", ({ data }) => {
      const { deliveries } = JSON.parse(String(data)) as { deliveries?: Delivered[] };
      if (deliveries === undefined) return;
      member.ack(...deliveries);
      member.send({ type: "credit", credits: deliveries.length });
    });
    await append(...keys);
    await member.until(200);
    const seen = new Map<string, unknown[]>();
    for (const { key, data } of member.deliveries) seen.set(key!, [...(seen.get(key!) ?? []), data]);
    for (const data of seen.values()) expect(data).toEqual([...data].sort((a, b) => Number(a) - Number(b)));
    await expect.poll(async () => (await status()).lag).toBe(0);
    expect(member.deliveries).toHaveLength(200);
    expect(new Set(member.deliveries.map(({ partition }) => partition)).size).toBe(4);
    member.socket.close();
  });

  test("come to be while the socket is open", async () => {
    const { stream, group, append, status } = await fresh({}, 2);
    const member = await Member.open(millrace, group);
    const keys = Array.from({ length: 60 }, (_, index) => `k${index % 12}`);
    member.socket.addEventListener("message", ({ data }) => {
      const { deliveries } = JSON.parse(String(data)) as { deliveries?: Delivered[] };
      if (deliveries !== undefined) member.ack(...deliveries);
    });
    member.send({ type: "credit", credits: 1_000 });
    await append(...keys);
    await member.until(60);
    expect((await millrace.call("PUT", stream, { partitions: 8 })).status).toBe(200);
    await append(...keys);
    await member.until(120);
    const partitions = new Set(member.deliveries.slice(60).map(({ partition }) => partition));
    expect(Math.min(...partitions)).toBeGreaterThan(1);
    for (const key of new Set(keys)) {
      const data = member.deliveries.filter((one) => one.key === key).map((one) => Number(one.data));
      const each = keys.flatMap((one, index) => (one === key ? [index] : []));
      expect(data).toEqual([...each, ...each]);
    }
    await expect.poll(async () => (await status()).lag).toBe(0);
    member.socket.close();
  });

  test("of a stream that had one are announced: the member is told to connect again", async () => {
    const { stream, group, append } = await fresh({}, 1);
    const member = await Member.open(millrace, group);
    member.send({ type: "credit", credits: 10 });
    await append("a");
    member.ack(...(await member.until(1)));
    await millrace.call("PUT", stream, { partitions: 2 });
    await expect.poll(() => member.closed?.code, { timeout: 5_000 }).toBe(4002);
    expect(member.messages.at(-1)?.type).toBe("split");
  });
});

describe("a partition that was split, of which a key is parked", () => {
  async function parked(query = "") {
    const one = await fresh({ onFailure: "park", maxDeliveries: 1 });
    await one.append("bad", "good");
    const member = await Member.open(millrace, one.group, token, query);
    member.send({ type: "credit", credits: 100 });
    const [bad, good] = await member.until(2);
    member.send({ type: "nack", receipts: [bad.receipt] });
    await expect.poll(async () => (await one.status()).lanes.parked).toBe(1);
    await millrace.call("PUT", one.stream, { partitions: 2 });
    await one.append("a", "b", "c", "d");
    return { ...one, member, good };
  }

  test("sends a member away when it has settled what it holds: it comes back for all partitions, and redriven letters", async () => {
    const { group, member, good, status } = await parked();
    expect(member.closed).toBeUndefined();
    member.ack(good);
    await expect.poll(() => member.closed?.code).toBe(4002);
    expect(member.messages.at(-1)?.type).toBe("split");
    const again = await Member.open(millrace, group);
    again.send({ type: "credit", credits: 100 });
    await again.until(4);
    expect(again.deliveries.every(({ partition }) => partition > 0)).toBe(true);
    await millrace.call("POST", `${group}/dead-letters/redrive`, { all: true });
    await again.until(5);
    expect(again.deliveries[4]).toMatchObject({ partition: 0, key: "bad", attempt: 1 });
    again.ack(...again.deliveries);
    await expect.poll(async () => (await status()).lag).toBe(0);
    again.socket.close();
  });

  test("keeps a member that asked for it by its number, with its letters, until it is finished", async () => {
    const { group, member, good } = await parked("?partition=0");
    member.ack(good);
    await millrace.call("POST", `${group}/dead-letters/redrive`, { all: true });
    await member.until(3);
    expect(member.closed).toBeUndefined();
    member.ack(member.deliveries[2]);
    await expect.poll(() => member.closed?.code).toBe(4002);
    expect(member.deliveries).toHaveLength(3);
  });
});

test("a group that is not durable keeps its place, and its leases, while nothing happens", async () => {
  const { group, append } = await fresh({ durable: false, heartbeatMs: 60_000, ackTimeoutMs: 60_000 });
  await append("a", "b", "c");
  const { deliveries } = (await millrace.call("POST", `${group}/receive`, { max: 2 })).json;
  const [first, second] = deliveries.map(({ receipt }: { receipt: string }) => receipt);
  await millrace.call("POST", `${group}/ack`, { receipts: [first] });
  // An object that nothing keeps is put out of memory after ten seconds.
  await pause(13_000);
  expect((await millrace.call("GET", `${group}/status`)).json).toMatchObject({ lag: 2, inFlight: 1 });
  expect((await millrace.call("POST", `${group}/ack`, { receipts: [second] })).json).toMatchObject({ settled: 1 });
});

test("a group that is not durable goes with its last member", async () => {
  const { group, append } = await fresh({ durable: false, heartbeatMs: 1_000, start: "latest" });
  const member = await Member.open(millrace, group);
  member.send({ type: "credit", credits: 1 });
  await append("a");
  await member.until(1);
  expect((await millrace.call("GET", group)).status).toBe(200);
  member.socket.close();
  await expect.poll(async () => (await millrace.call("GET", group)).status, { timeout: 10_000 }).toBe(404);
});
