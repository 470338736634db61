/** A stream's socket over several partitions: fanned in, in order of each key, across growth, loss and deletion. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Service, service, token } from "./service.ts";
import { type Shown, StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
async function fresh(partitions: number) {
  const stream = `/v1/default/streams/fan-${count++}`;
  await millrace.call("PUT", stream, { partitions });
  const appended = new Map<string, number>();
  /** Records count up for each key. */
  const append = async (...keys: string[]) => {
    const records = keys.map((key) => {
      const data = appended.get(key) ?? 0;
      appended.set(key, data + 1);
      return { key, data };
    });
    const { json } = await millrace.call("POST", `${stream}/records`, { records });
    return json.verdicts as { partition: number; offset: number }[];
  };
  const open = (query = "", protocols?: readonly string[]) =>
    StreamSocket.open(`${millrace.url}${stream}/live${query}`, {
      headers: { authorization: `Bearer ${token}` },
      ...(protocols === undefined ? {} : { protocols }),
    });
  const grow = async (partitions: number) => {
    expect((await millrace.call("PUT", stream, { partitions })).status).toBe(200);
  };
  return { stream, append, open, grow, appended };
}

const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index % 17}`);

/** Each record once, and those of a key in order. */
function expectAll(records: readonly Shown[], appended: ReadonlyMap<string, number>): void {
  const seen = new Map<string, unknown[]>();
  for (const { key, data } of records) seen.set(key as string, [...(seen.get(key as string) ?? []), data]);
  const wanted = [...appended].map(([key, count]) => [key, Array.from({ length: count }, (_, index) => index)]);
  expect(new Map(seen)).toEqual(new Map(wanted as [string, number[]][]));
}

describe.each(["millrace.v1", "millrace.v1.binary"])("%s", (protocol) => {
  test("the whole stream: what was there, and what comes", async () => {
    const { append, open, appended } = await fresh(4);
    await append(...keys(300));
    const client = await open("", [protocol]);
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
    for (let index = 0; index < 20; index++) await append(...keys(20));
    const records = await client.untilRecords(700);
    expectAll(records, appended);
    expect(new Set(records.map(({ partition }) => partition)).size).toBeGreaterThan(2);
    await client.until(() => (client.batches.at(-1)?.upToDate ?? false) || client.of("heartbeat").length > 0);
    client.socket.close();
  });

  test("no more than there are credits for, and all of it in the end", async () => {
    const { append, open, appended } = await fresh(3);
    await append(...keys(100));
    const client = await open("", [protocol]);
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 2 });
    await client.untilRecords(2);
    await client.settled();
    expect(client.records()).toHaveLength(2);
    for (let given = 2; given < 100; given += 7) {
      client.send({ type: "credit", id: 1, credits: 7 });
      await client.untilRecords(Math.min(100, given + 7));
    }
    expectAll(client.records(), appended);
    client.socket.close();
  });

  test("grows with the stream, and loses no order", async () => {
    const { append, open, grow, appended } = await fresh(1);
    await append(...keys(50));
    await grow(2);
    const client = await open("", [protocol]);
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
    await append(...keys(50));
    await client.untilRecords(100);
    await grow(5);
    await append(...keys(50));
    await client.untilRecords(150);
    expectAll(client.records(), appended);
    client.socket.close();
  });
});

test("a cursor of many partitions goes on in each where it was, whatever has been split since", async () => {
  const { append, open, grow, appended } = await fresh(2);
  await append(...keys(60));
  const records: Shown[] = [];
  let from = "earliest";
  for (let round = 0; records.length < 180; round++) {
    const client = await open();
    client.send({ type: "subscribe", id: 1, from, credits: 13 });
    await client.untilRecords(Math.min(13, 180 - records.length));
    await client.settled();
    records.push(...client.records());
    from = client.batches.at(-1)?.cursor as string;
    client.socket.close();
    if (round < 2) {
      await grow(4 + round * 3);
      await append(...keys(60));
    }
  }
  expectAll(records, appended);
});

test("over binary messages cursors come while the stream flows, and one goes on where it was", async () => {
  const { stream, append, open } = await fresh(3);
  const records = keys(600).map((key) => ({ key, data: "x".repeat(1_000) }));
  await millrace.call("POST", `${stream}/records`, { records });
  const client = await open("", ["millrace.v1.binary"]);
  client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
  await client.untilRecords(600);
  await client.until(() => client.of("heartbeat").at(-1)?.upToDate ?? false);
  // Of what was there, before it was up to date; then after each record.
  expect(client.of("heartbeat").filter(({ upToDate }) => !upToDate).length).toBeGreaterThan(0);
  for (let index = 0; index < 10; index++) {
    const { length } = client.of("heartbeat");
    await append(`k${index % 17}`);
    await client.untilRecords(601 + index);
    await client.untilOf("heartbeat", length + 1);
    const next = await open("", ["millrace.v1.binary"]);
    next.send({ type: "subscribe", id: 1, from: client.of("heartbeat").at(-1)?.cursor as string, credits: 100 });
    await next.untilOf("heartbeat");
    expect(next.records()).toEqual([]);
    next.socket.close();
  }
  client.socket.close();
});

test("latest is latest in partitions that were split long ago too", async () => {
  const { append, open, grow } = await fresh(1);
  await append(...keys(50));
  await grow(3);
  await append(...keys(50));
  const client = await open();
  client.send({ type: "subscribe", id: 1, credits: 100 });
  const [beat] = await client.untilOf("heartbeat");
  expect(beat).toMatchObject({ upToDate: true });
  const later = await open();
  await append("new");
  later.send({ type: "subscribe", id: 1, from: beat.cursor, credits: 100 });
  expect(await client.untilRecords(1)).toMatchObject([{ key: "new" }]);
  expect(await later.untilRecords(1)).toMatchObject([{ key: "new" }]);
  await client.settled();
  expect(client.records()).toHaveLength(1);
  expect(later.records()).toHaveLength(1);
  client.socket.close();
  later.socket.close();
});

test("one key, over the partitions that have held it; and one partition", async () => {
  const { append, open, grow, appended } = await fresh(1);
  await append(...keys(50));
  await grow(4);
  await append(...keys(50));
  const client = await open();
  client.send({ type: "subscribe", id: 1, from: "earliest", filter: { key: "k3" }, credits: 100 });
  client.send({ type: "subscribe", id: 2, from: 10, partition: 0, credits: 100 });
  const ofKey = await client.untilRecords(appended.get("k3") as number, 1);
  expect(ofKey.map(({ data }) => data)).toEqual(Array.from({ length: ofKey.length }, (_, index) => index));
  expect((await client.untilRecords(40, 2)).every(({ partition }) => partition === 0)).toBe(true);
  expect(await client.untilOf("end")).toMatchObject([{ id: 2, cursor: expect.stringMatching(/~0\.1e$/) }]);
  client.socket.close();
});

test("appends go where their keys belong, in order, and are answered in order", async () => {
  const { stream, open } = await fresh(3);
  const client = await open();
  for (let id = 1; id <= 1_000; id++) {
    client.send({ type: "append", id, records: [{ key: `k${id % 9}`, data: id }] });
  }
  client.send({ type: "append", id: 1_001, records: [{ key: "a" }, { key: "b" }, { key: "c" }, { key: "d" }] });
  client.send({ type: "append", id: 1_002, records: [{ key: "a" }], expectedKeyOffset: "none" });
  client.send({ type: "append", id: 1_003, records: [{ key: "a" }], partition: 99 });
  client.send({ type: "append", id: 1_004, records: [{ data: "x".repeat(1_000_000) }] });
  client.send({
    type: "append",
    id: 1_005,
    records: [{ key: "a" }, { key: "c" }],
    producer: { id: "p", epoch: 0, sequence: 0 },
  });
  client.send({ type: "append", id: 1_006, records: [{ key: "a" }] });
  await client.until(() => client.answers.at(-1)?.id === 1_006);
  const ids = client.answers.map(({ id }) => id);
  expect(ids).toEqual([...ids].sort((a, b) => a - b));
  expect(client.of("error").map(({ id, code }) => [id, code])).toEqual(
    expect.arrayContaining([
      [1_002, "key-index-off"],
      [1_003, "partition-not-found"],
      [1_004, "record-too-large"],
    ]),
  );
  expect(client.answers.find(({ id }) => id === 1_001)?.runs.reduce((sum, run) => sum + run.count, 0)).toBe(4);
  const { json } = await millrace.call("GET", `${stream}/records?key=k4&limit=1000`);
  const data = (json.records as { data: number }[]).map(({ data }) => data);
  expect(data).toEqual(Array.from({ length: data.length }, (_, index) => 4 + 9 * index));
  // Each verdict names the place where its record is.
  for (const { id, runs } of client.answers.filter(({ id }) => id <= 1_000 && id % 97 === 0)) {
    const [run] = runs;
    if (run.verdict === "rejected") throw new Error(run.detail);
    const read = await millrace.call("GET", `${stream}/records?partition=${run.partition}&from=${run.offset}&limit=1`);
    expect(read.json.records[0].data).toBe(id);
  }
  client.socket.close();
});

test("a batch that is sent again after a split is answered as at first, or says who has the answer", async () => {
  const { open, grow } = await fresh(1);
  const producer = { id: "p", epoch: 0, sequence: 0 };
  const records = [{ key: "a", data: 1 }, { data: 2 }, { key: "b", data: 3 }];
  const message = { type: "append", records, producer };
  const first = await open();
  first.send({ ...message, id: 1 });
  await first.until(() => first.answers.length);
  await grow(2);
  const relayed = await open();
  relayed.send({ ...message, id: 1 });
  relayed.send({ ...message, id: 2, records: [{ data: 9 }] });
  await relayed.until(() => relayed.answers.length);
  expect(relayed.answers).toMatchObject([
    { id: 1, runs: [{ verdict: "duplicate", partition: 0, offset: 0, count: 3 }] },
  ]);
  expect(await relayed.untilOf("error")).toMatchObject([{ id: 2, code: "sequence-conflict", fatal: false }]);
  // The partition that was split still knows; its child knows who does.
  const [parent, child] = [await open("?partition=0"), await open("?partition=1")];
  parent.send({ ...message, id: 1 });
  await parent.until(() => parent.answers.length);
  expect(parent.answers).toMatchObject([{ id: 1, runs: [{ verdict: "duplicate", offset: 0, count: 3 }] }]);
  child.send({ ...message, records: [{ data: 2 }], id: 1 });
  expect(await child.untilOf("error")).toMatchObject([
    { id: 1, code: "sequence-stale", detail: expect.stringContaining("partition 0"), fatal: false },
  ]);
  for (const { socket } of [first, relayed, parent, child]) socket.close();
});

test("an append at an expected offset says of which partition it is", async () => {
  const { open } = await fresh(4);
  const client = await open();
  const append = (id: number, more: object) =>
    client.send({ type: "append", id, records: [{ data: 1 }], expectedOffset: 0, ...more });
  for (let id = 1; id <= 8; id++) append(id, {});
  append(9, { partition: 2 });
  append(10, { records: [{ key: "k0" }], expectedOffset: 5 });
  append(11, { records: [{ key: "k0" }] });
  await client.until(() => client.answers.some(({ id }) => id === 11));
  expect(client.answers.map(({ id }) => id)).toEqual([9, 11]);
  const codes = client.of("error").map(({ code, fatal }) => [code, fatal]);
  expect(codes).toEqual([...Array.from({ length: 8 }, () => ["invalid", false]), ["expected-offset", false]]);
  client.socket.close();
});

test("a socket of a stream that grows ends when it has been read, and says where to go on", async () => {
  const { append, open, grow, appended } = await fresh(1);
  await append(...keys(40));
  const client = await open();
  client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10 });
  await client.untilRecords(10);
  await grow(2);
  await append(...keys(40));
  client.send({ type: "append", id: 2, records: [{ key: "late", data: 0 }] });
  expect(await client.untilOf("error")).toMatchObject([{ id: 2, code: "sealed", clean: true, fatal: false }]);
  client.send({ type: "credit", id: 1, credits: 1_000 });
  const [end] = await client.untilOf("end");
  expect(await client.untilClosed()).toMatchObject({ code: 4002 });
  expect(client.of("split")).toHaveLength(1);
  const next = await open();
  next.send({ type: "subscribe", id: 1, from: end.cursor, credits: 1_000 });
  await next.untilRecords(40);
  expectAll([...client.records(), ...next.records()], appended);
  next.socket.close();
});

describe("what is refused", () => {
  test.each([
    ["an offset of many partitions", { from: 5 }, "invalid"],
    ["a place past the tail of one", { from: 5, partition: 1 }, "past-tail"],
    ["a partition that is not there", { partition: 7 }, "partition-not-found"],
    ["a cursor of another stream", { from: `${"0".repeat(20)}~0.0` }, "wrong-log"],
  ])("%s", async (_, terms, code) => {
    const { append, open } = await fresh(2);
    const client = await open();
    client.send({ type: "subscribe", id: 1, credits: 1, ...terms });
    expect(await client.untilOf("error")).toMatchObject([{ id: 1, code, fatal: false }]);
    client.send({ type: "subscribe", id: 2, credits: 10 });
    await client.untilOf("heartbeat");
    await append("a");
    await client.untilRecords(1, 2);
    client.send({ type: "subscribe", id: 2, credits: 10 });
    expect((await client.untilClosed()).code).toBe(1008);
  });

  test("credits and ends that come before a subscription has begun count", async () => {
    const { append, open } = await fresh(2);
    await append(...keys(30));
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 1 });
    client.send({ type: "credit", id: 1, credits: 29 });
    client.send({ type: "subscribe", id: 2, from: "earliest", credits: 30 });
    client.send({ type: "unsubscribe", id: 2 });
    await client.untilRecords(30, 1);
    await client.settled();
    // It may have begun before its end came; after that nothing comes.
    const before = client.records(2).length;
    client.send({ type: "credit", id: 1, credits: 10 });
    await append("a", "b");
    await client.untilRecords(32, 1);
    await client.settled();
    expect(client.records(2)).toHaveLength(before);
    client.socket.close();
  });

  test("everything, when the stream is deleted", async () => {
    const { stream, open } = await fresh(2);
    const client = await open();
    client.send({ type: "subscribe", id: 1, credits: 1 });
    await client.untilOf("heartbeat");
    await millrace.call("DELETE", stream);
    expect(await client.untilClosed()).toMatchObject({ code: 4001 });
    expect(client.of("error")).toMatchObject([{ code: "stream-not-found", fatal: true }]);
  });
});
