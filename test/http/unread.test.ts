/** What a socket is owed that gives credits, and does not say that it has read: bounded, by every door. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const headers = { authorization: `Bearer ${token}` };
const [count, size] = [60, 100_000];
/** The first window, and one message beyond for each partition: none has more than one record then, or a portion. */
const boundOf = (partitions: number) => limits.unconfirmedBytesFirst + partitions * 2 * 262_144;

async function filled(name: string, partitions: number): Promise<string> {
  const stream = `/v1/default/streams/${name}`;
  await millrace.call("PUT", stream, { partitions });
  for (let at = 0; at < count; at += 20) {
    const records = Array.from({ length: 20 }, (_, index) => ({ key: `k${at + index}`, data: "x".repeat(size) }));
    expect((await millrace.call("POST", `${stream}/records`, { records })).status).toBe(201);
  }
  return stream;
}

describe.each([1, 3])("%i partitions", (partitions) => {
  let stream: string;
  beforeAll(async () => {
    stream = await filled(`unread-${partitions}`, partitions);
  });

  test.each(["millrace.v1", "millrace.v1.binary"])("a stream's socket, %s", async (protocol) => {
    const client = await StreamSocket.open(`${millrace.url}${stream}/live`, { headers, protocols: [protocol] });
    client.confirms = false;
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
    for (let round = 2; round < 12; round++) {
      client.send({ type: "credit", id: 1, credits: 10_000 });
      // It is answered behind what the credits have brought.
      client.send({ type: "subscribe", id: round, partition: 999, credits: 1 });
      await client.untilOf("error", round - 1);
    }
    await client.settled();
    expect(client.records(1).length).toBeGreaterThan(0);
    expect(client.records(1).length * size).toBeLessThan(boundOf(partitions));
    const [asked] = await client.untilOf("confirm");
    client.send({ type: "confirm", nonce: "made up" });
    await client.settled();
    expect(client.records(1).length * size).toBeLessThan(boundOf(partitions));
    client.confirms = true;
    client.send(asked);
    const records = await client.untilRecords(count, 1);
    expect(new Set(records.map(({ key }) => key)).size).toBe(count);
    client.socket.close();
  });

  test("a group's socket", async () => {
    const group = `${stream}/groups/unread`;
    await millrace.call("PUT", group, { start: "earliest", ackTimeoutMs: 600_000 });
    const member = await Member.open(millrace, group);
    member.confirms = false;
    const of = (type: string) => member.messages.filter((message) => message.type === type);
    const { receipt } = (await millrace.call("POST", `${group}/receive`, { max: 1, waitSeconds: 5, member: "other" }))
      .json.deliveries[0];
    for (let round = 1; round < 11; round++) {
      member.send({ type: "credit", credits: 10_000 });
      member.send({ type: "ack", receipts: [`${receipt}x`] });
      await expect.poll(() => of("refused").length, { timeout: 10_000 }).toBe(round);
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(member.deliveries.length).toBeGreaterThan(0);
    expect(member.deliveries.length * size).toBeLessThan(boundOf(partitions));
    await expect.poll(() => of("confirm").length, { timeout: 10_000 }).toBe(1);
    member.send({ type: "confirm", nonce: "made up" });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(member.deliveries.length * size).toBeLessThan(boundOf(partitions));
    member.confirms = true;
    member.send(of("confirm")[0]);
    const deliveries = await member.until(count - 1);
    expect(new Set(deliveries.map(({ key }) => key)).size).toBe(count - 1);
    member.socket.close();
  });
});

test("answers that nobody reads end the socket", async () => {
  const stream = "/v1/default/streams/unread-answers";
  await millrace.call("PUT", stream, {});
  const client = await StreamSocket.open(`${millrace.url}${stream}/live`, { headers, protocols: ["millrace.v1"] });
  client.confirms = false;
  const line = JSON.stringify({ type: "append", id: 0, records: [{ data: 1 }] }).replace("0", "ID");
  // Each is answered with more than it has.
  for (let id = 0; client.closed === undefined && id < 400_000; ) {
    client.send(Array.from({ length: 2_000 }, () => line.replace("ID", String(id++))).join("\n"));
    await client.until(() => client.answers.length + 20_000 > id || client.closed !== undefined);
  }
  const { code } = await client.untilClosed();
  expect(code).toBe(4004);
  expect((await millrace.call("GET", `${stream}/records?limit=1`)).status).toBe(200);
});
