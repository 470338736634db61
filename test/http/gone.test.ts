/** Members that go away, in every way there is: a record is with somebody who is there, or with nobody. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Group, newGroup } from "./group.ts";
import { Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const keys = (count: number, data = "0") => Array.from({ length: count }, (_, n) => ({ key: `k${n}`, data }));

/** Asks for records, and cuts the connection: by its end, or by a reset. */
async function cut(group: Group, body: object, afterMs: number, how: "end" | "reset"): Promise<void> {
  const { hostname, port } = new URL(millrace.url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const text = JSON.stringify(body);
  socket.write(
    `POST ${group.path}/receive HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
      `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
  // One that goes at once must not be there when the answer is.
  if (afterMs > 0) await pause(afterMs);
  if (how === "end") socket.destroy();
  else socket.resetAndDestroy();
}

describe.each([
  [1, "end"],
  [1, "reset"],
  [4, "end"],
  [4, "reset"],
] as const)("on %i partitions, a member that leaves a long poll by %s", (partitions, how) => {
  test("gets nothing: the next one does, at its first attempt", async () => {
    const stream = { partitions };
    const group = await newGroup(millrace, { maxDeliveries: 1, onFailure: "skip", ackTimeoutMs: 60_000 }, stream);
    await group.appendRecords(keys(4));
    await group.drain();
    await Promise.all(
      Array.from({ length: 10 }, () => cut(group, { max: 10, waitSeconds: 20, member: "gone" }, 250, how)),
    );
    await group.appendRecords(keys(50, "1"));
    const got: number[] = [];
    while (got.length < 50) {
      const some = await group.receive({ max: 100, waitSeconds: 10 });
      expect(some.length, `${got.length} of 50 came`).toBeGreaterThan(0);
      got.push(...some.map(({ attempt }) => attempt));
      await group.ack(...some);
    }
    expect(new Set(got)).toEqual(new Set([1]));
    expect(await group.status()).toMatchObject({ lag: 0, inFlight: 0, deadLetters: 0, redeliveries: 0 });
  });
});

test("what was received by nobody waits for whoever comes, however many have gone before", async () => {
  const group = await newGroup(millrace, { ackTimeoutMs: 60_000 });
  for (let round = 0; round < 5; round++) {
    await cut(group, { waitSeconds: 20 }, 50, "end");
    const [waited] = await Promise.all([group.receive({ waitSeconds: 10 }), group.append(`a${round}`)]);
    expect(waited).toMatchObject([{ data: `a${round}`, attempt: 1 }]);
    await group.ack(...waited);
  }
});

test.each([
  [1, 12],
  [4, 1],
])("what was lost of %i partitions is told to a member that is there", async (partitions, beforeOffset) => {
  for (let round = 0; round < 3; round++) {
    const group = await newGroup(millrace, {}, { partitions });
    await group.appendRecords(keys(12));
    for (let n = 0; n < partitions; n++)
      await millrace.call("POST", `${group.stream}/partitions/${n}/trim`, { beforeOffset });
    for (let gone = 0; gone < 3; gone++) await cut(group, {}, 0, "end");
    await pause(200);
    const told = new Set<number>();
    for (let asked = 0; asked < 2; asked++) {
      const { json } = await group.post("receive", {});
      for (const { partition } of (json.lost ?? []) as { partition: number }[]) told.add(partition);
    }
    expect(told.size).toBeGreaterThan(0);
    const { partitions: of } = await group.status();
    expect(of.filter(({ head }: { head: number }) => head > 0)).toHaveLength(told.size);
  }
});

describe("a member on a socket over several partitions", () => {
  test("is lent no more than its credits, however slow it is", { timeout: 30_000 }, async () => {
    const config = { onFailure: "skip", maxDeliveries: 1, ackTimeoutMs: 1_000 };
    const group = await newGroup(millrace, config, { partitions: 4 });
    await group.appendRecords(keys(12));
    const member = await Member.open(millrace, group.path);
    for (let done = 0; done < 12; done++) {
      member.send({ type: "credit", credits: 1 });
      const [one] = (await member.until(done + 1)).slice(done);
      const status = await group.status();
      expect(status.inFlight).toBe(1);
      await pause(250);
      member.ack(one);
    }
    expect(await group.status()).toMatchObject({ deadLetters: 0, redeliveries: 0 });
    expect(member.deliveries).toHaveLength(12);
  });

  test("is alive by any message", { timeout: 20_000 }, async () => {
    const group = await newGroup(millrace, { heartbeatMs: 1_000 }, { partitions: 4 });
    await group.appendRecords(keys(30));
    const member = await Member.open(millrace, group.path);
    member.send({ type: "credit", credits: 30 });
    const all = await member.until(30);
    for (const one of all.slice(0, 12)) {
      await pause(350);
      member.ack(one);
    }
    await expect.poll(async () => (await group.status()).inFlight).toBe(18);
    expect(member.deliveries).toHaveLength(30);
    expect(member.closed).toBeUndefined();
  });

  test("whose socket closes leaves why in the tries of what dies of it", { timeout: 20_000 }, async () => {
    const group = await newGroup(millrace, { maxDeliveries: 3, onFailure: "skip", backoff: [0] }, { partitions: 2 });
    await group.append("a1");
    for (let attempt = 1; attempt <= 3; attempt++) {
      const member = await Member.open(millrace, group.path);
      member.send({ type: "credit", credits: 1 });
      expect((await member.until(1))[0].attempt).toBe(attempt);
      member.socket.close();
      await expect.poll(async () => (await group.status()).inFlight).toBe(0);
    }
    const [letter] = await group.letters();
    expect(letter.attempts).toBe(3);
    expect(letter.tries.map(({ attempt }: { attempt: number }) => attempt)).toEqual([1, 2, 3]);
  });
});
