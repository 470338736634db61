/** The client library against the service: every public call, over sockets and by HTTP. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  type Delivery,
  type GroupConfig,
  Millrace,
  MillraceError,
  type MillraceOptions,
  type Placed,
  type StoredRecord,
  type Stream,
} from "../../src/client/index.ts";
import { gzipping, withText } from "../../src/client/options.ts";
import { type Service, service, token } from "./service.ts";

let service_: Service;
let millrace: Millrace;
beforeAll(async () => {
  service_ = await service();
  millrace = connect();
});
afterAll(() => service_.end());

const connect = (options: Partial<MillraceOptions> = {}) => new Millrace({ url: service_.url, token, ...options });

let count = 0;
async function fresh(partitions = 1) {
  const stream = millrace.stream<number>(`client-${count++}`);
  await stream.put({ partitions });
  return stream;
}
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);
const keyed = (some: readonly number[]) => some.map((data) => ({ key: `k${data % 7}`, data }));

async function take<Data>(from: AsyncIterable<StoredRecord<Data>>, count: number): Promise<StoredRecord<Data>[]> {
  const taken: StoredRecord<Data>[] = [];
  if (count === 0) return taken;
  for await (const record of from) if (taken.push(record) === count) break;
  return taken;
}

test("what goes to the service is refused there, where there is no option of the name", async () => {
  const stream = await fresh();
  const group = stream.group("g");
  await group.put();
  const odd = { dryrun: true } as object;
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    append: () => stream.append({ data: 1 }, odd),
    put: () => stream.put({ retentionRecords: 1 }, odd),
    ticket: () => stream.ticket(["read"], odd),
    restore: () => stream.restore(odd),
    receive: () => group.receive(odd),
    nack: () => group.nack([], odd),
    seek: () => group.seek("earliest", odd),
    deadLetters: () => group.deadLetters(odd),
    repair: () => stream.partition(0).repair({ mode: "isolate", ...odd }),
    trim: () => stream.partition(0).trim({ beforeOffset: 0, ...odd }),
    lease: () => stream.snapshots.lease({ holder: "h", seconds: 1, ...odd }),
    "a snapshot": () => stream.snapshots.put(0, "s", odd),
    snapshots: () => stream.snapshots.list(odd),
    streams: () => millrace.streams(odd).next(),
  };
  for (const [what, call] of Object.entries(calls))
    await expect(call(), what).rejects.toMatchObject({
      code: "unknown-field",
      message: expect.stringContaining("dryrun"),
    });
  expect((await stream.info()).config.retentionRecords).toBeNull();
});

describe("a stream", () => {
  test("is made, shown, listed and deleted, twice as once", async () => {
    const stream = millrace.stream("made");
    expect((await stream.put({ partitions: 2 })).config.partitions).toBe(2);
    expect((await stream.put()).config.partitions).toBe(2);
    expect((await stream.info()).stream).toBe("made");
    const names: string[] = [];
    for await (const { stream } of millrace.streams({ prefix: "ma" })) names.push(stream);
    expect(names).toEqual(["made"]);
    await stream.delete();
    await stream.delete();
    await expect(stream.info()).rejects.toMatchObject({ code: "stream-not-found", status: 404 });
  });

  test("takes one record, several, and conditions", async () => {
    const stream = await fresh();
    expect(await stream.append({ key: "a", data: 1 })).toEqual({ verdict: "appended", partition: 0, offset: 0 });
    const verdicts = await stream.append([{ data: 2 }, { data: 3 }], { expectedOffset: 1, atomic: true });
    expect(verdicts.map((one) => (one as Placed).offset)).toEqual([1, 2]);
    const error = await stream.append({ data: 4 }, { expectedOffset: 1 }).catch((error) => error);
    expect(error).toBeInstanceOf(MillraceError);
    expect(error).toMatchObject({ code: "expected-offset", retryable: false, clean: true, facts: { tail: 3 } });
    await expect(stream.append({ data: 1, tags: [7 as never] })).rejects.toMatchObject({ code: "invalid" });
    // What is no JSON is not sent, nor taken for the network's fault.
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    for (const data of [10n, cyclic, () => 1] as never[]) {
      const refused = { code: "invalid", clean: true };
      await expect(stream.append({ data })).rejects.toMatchObject(refused);
      await expect((async () => stream.producer().append({ data }))()).rejects.toMatchObject(refused);
    }
    expect((await take(stream.read(), 9)).length).toBe(3);
  });

  // What JavaScript lets pass, and TypeScript would not.
  test.each<[string, (stream: Stream) => unknown, RegExp]>([
    ["a text for a record", (stream) => stream.append("hello" as never), /record: must be an object, such as/],
    ["nothing for a record", (stream) => stream.append(undefined as never), /record: must be an object, such as/],
    ["a number among records", (stream) => stream.append([{}, 7 as never]), /records.1: must be an object/],
    ["a text for a producer", (stream) => stream.producer().append("hello" as never), /record: must be an object/],
    ["a field of their own", (stream) => stream.append({ total: 42 } as never), /'total' is not known.*under data/],
    ["one for a producer", (stream) => stream.producer().append({ total: 42 } as never), /'total'.*under data/],
    ["an option to follow", (stream) => stream.follow({ form: "earliest" } as never), /no option 'form'/],
    ["an option to read", (stream) => stream.read({ form: "earliest" } as never), /no option 'form'/],
    ["an option to append", (stream) => stream.append({}, { atomc: true } as never), /'atomc' is not known/],
    ["an option to receive", (stream) => stream.group("g").receive({ maxx: 1 } as never), /'maxx' is not known/],
    ["an option to consume", (stream) => stream.group("g").consume(() => {}, { conc: 1 } as never), /no option 'conc'/],
    ["no handler", (stream) => stream.group("g").consume(undefined as never), /handler: must be a function/],
    ["options for a handler", (stream) => stream.group("g").consume({ concurrency: 2 } as never), /handler: must/],
    ["a text for receipts", (stream) => stream.group("g").ack("x" as never), /receipts: must be a list/],
    ["no receipts", (stream) => stream.group("g").ack(undefined as never), /receipts: is missing: it must be a list/],
    ["an option to the client", () => connect({ timeoutMs: 5_000 } as never), /no option 'timeoutMs'/],
  ])("%s is refused by its name", async (_, call, says) => {
    const stream = await fresh();
    await stream.group("g").put();
    await expect((async () => call(stream as never))()).rejects.toThrow(says);
    expect((await take(stream.read(), 9)).length).toBe(0);
  });

  // Each has no members that JSON would have: taken as it is, it would be a record that is acknowledged and empty.
  test.each<[string, () => unknown]>([
    ["a promise that was not awaited", () => Promise.resolve({ data: 1 })],
    ["an async function", () => async () => ({ data: 1 })],
    ["a class", () => class Order {}],
    ["a Date", () => new Date(0)],
    ["a Map", () => new Map([["data", 1]])],
    ["a Set", () => new Set([1])],
    ["an Error", () => new Error("x")],
    ["a pattern", () => /x/],
    ["headers", () => new Headers({ data: "1" })],
    ["a URL", () => new URL("http://127.0.0.1/")],
    ["bytes", () => new Uint8Array(3)],
    ["a list of lists", () => [[{ data: 1 }]]],
    ["a wrapped number", () => Object(1)],
  ])("%s is refused as a record", async (_, made) => {
    const stream = await fresh();
    const says = /must be an object, such as/;
    for (const records of [made(), [made()]]) {
      await expect((async () => stream.append(records as never))()).rejects.toThrow(says);
      await expect((async () => stream.producer().append(made() as never))()).rejects.toThrow(says);
    }
    expect((await take(stream.read(), 9)).length).toBe(0);
  });

  test("is read to its tail, page by page, filtered, limited, backward, and on from a cursor", async () => {
    const stream = await fresh(3);
    await stream.append(keyed(numbers(500)));
    const all = await take(stream.read({ pageSize: 70 }), 1_000);
    expect(all.map(({ data }) => data).sort((a, b) => a - b)).toEqual(numbers(500));
    const reader = stream.read({ pageSize: 70 });
    const first = await take(reader, 100);
    const rest = await take(stream.read({ from: reader.cursor as string }), 1_000);
    expect([...first, ...rest].map(({ data }) => data)).toEqual(all.map(({ data }) => data));
    const ofKey = await take(stream.read({ filter: { key: "k3" } }), 1_000);
    expect(ofKey.map(({ data }) => data)).toEqual(numbers(500).filter((data) => data % 7 === 3));
    const mistyped = { filter: { keys: ["k3"] } as never };
    await expect(take(stream.read(mistyped), 1)).rejects.toThrow("keys");
    await expect(take(stream.follow({ ...mistyped, transport: "http", from: "earliest" }), 1)).rejects.toThrow("keys");
    await expect(take(stream.follow({ ...mistyped, from: "earliest" }), 1)).rejects.toThrow("keys");
    const last = await take(stream.read({ direction: "backward", limit: 10, pageSize: 3 }), 100);
    expect(last.map(({ data }) => data)).toEqual(
      all
        .slice(-10)
        .reverse()
        .map(({ data }) => data),
    );
    expect(await take(stream.read({ filter: { types: ["a", "b"] } }), 10)).toEqual([]);
  });
});

describe.each(["socket", "http"] as const)("following by %s", (transport) => {
  test.each([1, 3])("%i partitions: what was there and what comes", async (partitions) => {
    const stream = await fresh(partitions);
    await stream.append(keyed(numbers(300)));
    const follower = stream.follow({ from: "earliest", transport, window: 50 });
    const taking = take(follower, 500);
    for (let from = 300; from < 500; from += 20) await stream.append(keyed(numbers(20, from)));
    const records = await taking;
    expect(records.map(({ data }) => data).sort((a, b) => a - b)).toEqual(numbers(500));
    for (const key of numbers(7)) {
      const ofKey = records.filter((record) => record.key === `k${key}`).map(({ data }) => data);
      expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b));
    }
  });

  test("a cursor in the middle of a batch is exact", async () => {
    const stream = await fresh(2);
    await stream.append(keyed(numbers(60)));
    const seen: number[] = [];
    let cursor: string | undefined;
    while (seen.length < 60) {
      const follower = stream.follow({ from: cursor ?? "earliest", transport });
      for (const { data } of await take(follower, Math.min(7, 60 - seen.length))) seen.push(data);
      cursor = follower.cursor;
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(numbers(60));
  });

  test.each([1, 3])(
    "one of %i partitions that was left amid a batch goes on behind what it gave",
    async (partitions) => {
      const stream = await fresh(partitions);
      await stream.append(keyed(numbers(60)));
      const follower = stream.follow({ from: "earliest", transport });
      const seen: number[] = [];
      while (seen.length < 60)
        for (const { data } of await take(follower, Math.min(7, 60 - seen.length))) seen.push(data);
      expect([...seen].sort((a, b) => a - b)).toEqual(numbers(60));
      // So it does where batches are taken, and where a handler throws.
      await stream.append(keyed(numbers(60, 60)));
      for await (const batch of follower.batches()) {
        for (const { data } of batch) seen.push(data);
        break;
      }
      const left = async () => {
        for await (const { data } of follower) {
          seen.push(data);
          throw new Error("had enough");
        }
      };
      while (seen.length < 120) await expect(left()).rejects.toThrow("had enough");
      expect(seen.sort((a, b) => a - b)).toEqual(numbers(120));
    },
  );

  test("ends with its signal", async () => {
    const stream = await fresh();
    const abort = new AbortController();
    const following = take(stream.follow({ transport, signal: abort.signal }), 1);
    setTimeout(() => abort.abort(new Error("enough")), 50);
    await expect(following).rejects.toThrow("enough");
  });

  test("says why it cannot", async () => {
    const stream = await fresh();
    await expect(take(stream.follow({ transport, from: 17 }), 1)).rejects.toMatchObject({ code: "past-tail" });
    const nothing = millrace.stream("nothing").follow({ transport });
    await expect(take(nothing, 1)).rejects.toMatchObject({ code: "stream-not-found" });
    const stranger = connect({ token: "wrong" }).stream("x").follow({ transport });
    await expect(take(stranger, 1)).rejects.toMatchObject({ code: "unauthorized" });
    const following = take(stream.follow({ transport }), 1);
    await pause(100);
    await stream.delete();
    await expect(following).rejects.toMatchObject({ code: "stream-not-found" });
  });

  test("goes on when the stream grows", async () => {
    const stream = await fresh();
    await stream.append(keyed(numbers(50)));
    const taking = take(stream.follow({ from: "earliest", transport }), 150);
    await pause(50);
    await stream.put({ partitions: 3 });
    await stream.append(keyed(numbers(100, 50)));
    const records = await taking;
    expect(records.map(({ data }) => data).sort((a, b) => a - b)).toEqual(numbers(150));
  });
});

test("a follower is told what was trimmed before it came there", async () => {
  const stream = await fresh();
  await stream.append(keyed(numbers(10)));
  const lost: unknown[] = [];
  const follower = stream.follow({ from: "earliest", window: 2, onLost: (ranges) => lost.push(...ranges) });
  const seen: number[] = [];
  for await (const { data } of follower) {
    seen.push(data);
    if (data === 0) await service_.call("POST", `/v1/default${stream.path}/partitions/0/trim`, { beforeOffset: 8 });
    if (data === 9) break;
  }
  expect(seen).toEqual([0, 1, 8, 9]);
  expect(lost).toEqual([{ partition: 0, from: 2, to: 8, why: "trimmed" }]);
});

test("one partition that was split ends", async () => {
  const stream = await fresh();
  await stream.append(keyed(numbers(10)));
  await stream.put({ partitions: 2 });
  const records: number[] = [];
  for await (const { data } of stream.follow({ from: 0, partition: 0 })) records.push(data);
  expect(records).toEqual(numbers(10));
});

test("a ticket lets a browser follow, and nothing else", async () => {
  const stream = await fresh();
  let asked = 0;
  const ticket = async () => {
    asked++;
    return (await stream.ticket(["read"])).ticket;
  };
  const browser = connect({ token: undefined, ticket });
  await stream.append({ data: 1 });
  for (const transport of ["socket", "http"] as const) {
    const follower = browser.stream<number>(stream.name).follow({ from: "earliest", transport });
    expect((await take(follower, 1))[0].data).toBe(1);
  }
  expect(asked).toBe(2);
  await expect(browser.stream(stream.name).append({ data: 1 })).rejects.toMatchObject({ code: "forbidden" });
});

describe("a producer", () => {
  test.each([1, 3])("tells each record its place, in order, on %i partitions", async (partitions) => {
    const stream = await fresh(partitions);
    const producer = stream.producer({ batchRecords: 50 });
    const places = await Promise.all(numbers(1_000).map((data) => producer.append({ key: `k${data % 7}`, data })));
    await producer.close();
    const records = await take(stream.read(), 2_000);
    expect(records).toHaveLength(1_000);
    const at = new Map(records.map(({ partition, offset, data }) => [`${partition}.${offset}`, data]));
    expect(places.map(({ partition, offset }) => at.get(`${partition}.${offset}`))).toEqual(numbers(1_000));
  });

  test("makes a fast caller wait, and keeps what it holds bounded", async () => {
    const stream = await fresh();
    const producer = stream.producer({ bufferBytes: 20_000, batchBytes: 5_000 });
    let waited = 0;
    for (const data of numbers(2_000)) {
      const room = producer.push({ data, subject: "x".repeat(80) });
      if (room !== undefined) waited++;
      await room;
    }
    expect(waited).toBeGreaterThan(5);
    await producer.close();
    expect((await take(stream.read(), 3_000)).map(({ data }) => data)).toEqual(numbers(2_000));
    expect(() => producer.push({ data: 1 })).toThrow("closed");
  });

  test("refuses what does not fit, and goes on with the rest", async () => {
    const stream = millrace.stream<number | string>(`client-${count++}`);
    await stream.put({ recordBytesMax: 1_000 });
    const producer = stream.producer();
    const settled: (string | number | undefined)[] = [];
    producer.push({ data: "x".repeat(1_100_000) }, (error) => settled.push(error?.code));
    expect(settled).toEqual(["record-too-large"]);
    producer.push({ data: 1 }, (error, placed) => settled.push(error?.code ?? placed?.offset));
    await producer.flush();
    producer.push({ data: "x".repeat(1_000) }, (error) => settled.push(error?.code));
    await producer.flush();
    producer.push({ data: 2 }, (error, placed) => settled.push(error?.code ?? placed?.offset));
    await producer.flush();
    expect(settled).toEqual(["record-too-large", 0, "record-too-large", 1]);
    // Without a callback it is the flush that fails, once.
    producer.push({ data: "x".repeat(1_000) });
    await expect(producer.flush()).rejects.toMatchObject({ code: "record-too-large" });
    await producer.close();
  });

  test("does not send what it would not send as it was meant", async () => {
    const producer = (await fresh()).producer();
    expect(() => producer.push({ data: 1, colour: "red" } as never)).toThrow("colour");
    expect(() => producer.push({ key: 5 } as never)).toThrow("key: must be a string");
    expect(() => producer.push({ data: () => 1 })).toThrow("JSON");
    expect(() => producer.push({ data: 1n } as never)).toThrow("BigInt");
    await producer.close();
  });

  test("is fenced when another takes its name, and says so to all that waits", async () => {
    const stream = await fresh();
    const old = stream.producer({ id: "p", epoch: 1 });
    await old.append({ data: 1 });
    const young = stream.producer({ id: "p", epoch: 2 });
    await young.append({ data: 2 });
    await expect(old.append({ data: 3 })).rejects.toMatchObject({ code: "fenced" });
    expect(() => old.push({ data: 4 })).toThrow("epoch");
    await young.close();
    expect((await take(stream.read(), 9)).map(({ data }) => data)).toEqual([1, 2]);
  });

  test.each([
    ["with keys", (data: number) => ({ key: `k${data % 5}`, data })],
    ["without", (data: number) => ({ data })],
  ])("never duplicates over a line that loses answers, %s", async (_, record) => {
    const stream = await fresh(2);
    let calls = 0;
    // The request arrives, and every third answer does not.
    const lossy: MillraceOptions["fetch"] = async (input, init) => {
      const response = await fetch(input, init);
      if (++calls % 3 !== 0) return response;
      await response.arrayBuffer();
      throw new TypeError("the line is cut");
    };
    const producer = connect({ fetch: lossy, retry: { initialMs: 1 } })
      .stream<number>(stream.name)
      .producer({ batchRecords: 20 });
    const places = await Promise.all(numbers(600).map((data) => producer.append(record(data))));
    expect(new Set(places.map(({ partition, offset }) => `${partition}.${offset}`)).size).toBe(600);
    expect(places.some(({ verdict }) => verdict === "duplicate")).toBe(true);
    const records = await take(stream.read(), 2_000);
    expect(records.map(({ data }) => data).sort((a, b) => a - b)).toEqual(numbers(600));
  });
});

describe("retries", () => {
  /** A service that answers as it is told. */
  async function scripted(answers: (() => [number, object, Record<string, string>?])[]) {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      const [status, body, headers] = (answers[seen.length - 1] ?? answers[answers.length - 1])();
      if (status === 0) return void request.socket.destroy();
      if (status === -1) {
        response.writeHead(201, { "content-type": "application/json", "content-length": 100 }).write("{");
        return void setTimeout(() => request.socket.destroy(), 20);
      }
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = new Millrace({ url: `http://127.0.0.1:${port}`, token, retry: { initialMs: 1, attempts: 4 } });
    return { client, seen, server };
  }
  const overloaded = (): [number, object] => [
    503,
    { code: "overloaded", detail: "busy", retryable: true, clean: true, type: "", title: "", status: 503 },
  ];
  const unavailable = (): [number, object] => [
    503,
    { code: "unavailable", detail: "gone", retryable: true, clean: false },
  ];
  const done = (): [number, object] => [201, { verdicts: [{ verdict: "appended", partition: 0, offset: 9 }] }];

  test.each<[string, (() => [number, object])[], object, number, string | number]>([
    ["what was certainly not written", [overloaded, overloaded, done], {}, 3, 9],
    ["not what may have been", [unavailable, done], {}, 1, "unavailable"],
    ["not where the line broke", [() => [0, {}], done], {}, 1, "network"],
    ["records with an id, whatever happened", [unavailable, () => [0, {}], done], { id: "1" }, 3, 9],
    ["an answer that was cut off, where that is harmless", [() => [-1, {}], done], { id: "1" }, 2, 9],
    ["no answer that was cut off otherwise", [() => [-1, {}], done], {}, 1, "network"],
    ["not for ever", [overloaded], {}, 4, "overloaded"],
    ["not what will not get better", [() => [400, { code: "invalid", detail: "no" }], done], {}, 1, "invalid"],
    ["an answer of something in between", [() => [429, {}], done], {}, 2, 9],
    ["no error of something in between", [() => [502, {}], done], {}, 1, "http"],
  ])("%s", async (_, answers, record, calls, outcome) => {
    const { client, seen, server } = await scripted(answers);
    const got = await client
      .stream("s")
      .append({ data: 1, ...record })
      .then(({ offset }) => offset)
      .catch((error) => error.code);
    expect(got).toBe(outcome);
    expect(seen).toHaveLength(calls);
    server.close();
  });

  test("wait as long as the service asks for, and end with the signal", async () => {
    const wait = (): [number, object, Record<string, string>] => [...overloaded(), { "retry-after": "1" }];
    const { client, server } = await scripted([wait, done]);
    const start = Date.now();
    expect((await client.stream("s").append({ data: 1 })).offset).toBe(9);
    expect(Date.now() - start).toBeGreaterThanOrEqual(990);
    server.close();
    const forever = await scripted([wait]);
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")), 30);
    await expect(forever.client.stream("s").append({ data: 1 }, { signal: abort.signal })).rejects.toThrow("enough");
    forever.server.close();
  });
});

test.each([1, 3])(
  "a member by socket, of %i partitions, keeps its leases in a group of short heartbeats",
  async (partitions) => {
    const heartbeatMs = 1_000;
    const stream = await fresh(partitions);
    const group = stream.group("g");
    await group.put({ heartbeatMs, ackTimeoutMs: 60_000, backoff: [1] });
    await stream.append(keyed(numbers(3)));
    const attempts: number[] = [];
    const lost = vi.fn();
    const consumer = group.consume(
      async ({ attempt }, { signal }) => {
        attempts.push(attempt);
        signal.addEventListener("abort", lost);
        await pause(3 * heartbeatMs);
      },
      { concurrency: 3 },
    );
    await expect.poll(async () => (await group.status()).lag, { timeout: 20_000 }).toBe(0);
    await consumer.stop();
    expect(attempts).toEqual([1, 1, 1]);
    expect(lost).not.toHaveBeenCalled();
  },
);

describe.each(["socket", "http"] as const)("a member by %s", (transport) => {
  test("is told of leases that are lost, at work and when it is done", async () => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put({ ackTimeoutMs: 60_000 });
    await stream.append({ key: "a", data: 1 });
    const lost: string[] = [];
    const taken: Delivery<number>[] = [];
    let end = () => {};
    const handler = async (delivery: Delivery<number>) => {
      taken.push(delivery);
      if (taken.length === 1) await new Promise<void>((resolve) => (end = resolve));
    };
    const consumer = group.consume(handler, { transport, concurrency: 2, onLost: (receipt) => lost.push(receipt) });
    await expect.poll(() => taken.length, { timeout: 20_000 }).toBe(1);
    await group.seek("earliest");
    await expect.poll(() => taken.length, { timeout: 20_000 }).toBe(2);
    end();
    await expect.poll(() => new Set(lost), { timeout: 20_000 }).toEqual(new Set([taken[0].receipt]));
    await consumer.stop();
  });

  test.each([1, 3])(
    "handles each record of %i partitions once, in order of its key, so many at a time",
    async (partitions) => {
      const stream = await fresh(partitions);
      const group = stream.group("g");
      await group.put();
      await stream.append(keyed(numbers(200)));
      const seen: number[] = [];
      let [now, most] = [0, 0];
      const consumer = group.consume(
        async ({ data }) => {
          most = Math.max(most, ++now);
          await pause(1);
          seen.push(data);
          now--;
        },
        { concurrency: 5, transport, member: "m" },
      );
      await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(200);
      await consumer.stop();
      expect([...seen].sort((a, b) => a - b)).toEqual(numbers(200));
      for (const key of numbers(7)) {
        const ofKey = seen.filter((data) => data % 7 === key);
        expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b));
      }
      expect(most).toBeLessThanOrEqual(5);
      expect(most).toBeGreaterThan(1);
      await expect.poll(async () => (await group.status()).lag).toBe(0);
    },
  );

  test("gives back what its handler throws, with its reason and its pause", async () => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put({ backoff: [60_000], maxDeliveries: 5 });
    await stream.append([
      { key: "a", data: 1 },
      { key: "b", data: 2 },
    ]);
    const seen: [number, number][] = [];
    const consumer = group.consume(
      ({ data, attempt }) => {
        seen.push([data, attempt]);
        if (data === 1 && attempt < 3) throw Object.assign(new Error("not yet"), { retryAfterMs: 1 });
      },
      { transport },
    );
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(4);
    await consumer.stop();
    expect(seen.filter(([data]) => data === 1)).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
    await expect.poll(async () => (await group.status()).lag).toBe(0);
  });

  test("goes on, whatever its handler says of a failure", async () => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put({ maxDeliveries: 9 });
    const wild = [
      { message: `${"é".repeat(2_000)}\ud83d`, retryAfterMs: 1.5 },
      { message: "", retryAfterMs: Number.NaN },
      { message: "x".repeat(1_023), retryAfterMs: -0.4 },
    ];
    const attempts: number[] = [];
    const consumer = group.consume(
      ({ attempt }) => {
        attempts.push(attempt);
        if (attempt <= wild.length) throw wild[attempt - 1];
      },
      { transport },
    );
    await stream.append({ data: 1 });
    await expect.poll(() => attempts, { timeout: 20_000 }).toEqual([1, 2, 3, 4]);
    await consumer.stop();
    await consumer.done;
    expect((await group.status()).deadLetters).toBe(0);
  });

  test("stops at once while it waits, and what comes then is the first attempt of another", async () => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put({ maxDeliveries: 1, onFailure: "skip", ackTimeoutMs: 1_000 });
    const handled: number[] = [];
    for (const data of numbers(10)) {
      const consumer = group.consume(({ data }) => void handled.push(data), { transport });
      await pause(150);
      const start = Date.now();
      await consumer.stop();
      expect(Date.now() - start).toBeLessThan(1_000);
      await stream.append({ data });
    }
    const { deliveries } = await group.receive({ waitSeconds: 5 });
    expect([...handled, ...deliveries.map(({ data }) => data)].sort((a, b) => a - b)).toEqual(numbers(10));
    expect(deliveries.map(({ attempt }) => attempt)).toEqual(deliveries.map(() => 1));
    expect((await group.status()).deadLetters).toBe(0);
  });

  test("keeps the lease of long work, though another is idle, and stops when it is done", async () => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put({ ackTimeoutMs: 300, backoff: [1] });
    const attempts: number[] = [];
    const work = async ({ attempt }: Delivery<number>) => {
      attempts.push(attempt);
      await pause(1_200);
    };
    const consumers = [group.consume(work, { transport }), group.consume(work, { transport })];
    await stream.append({ data: 1 });
    await expect.poll(() => attempts.length).toBe(1);
    await pause(800);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    expect(attempts).toEqual([1]);
    await expect.poll(async () => (await group.status()).lag).toBe(0);
  });

  test.each<[string, GroupConfig]>([
    ["parked", { onFailure: "park", maxDeliveries: 1 }],
    ["tried for ever", { onFailure: "block", backoff: [50] }],
  ])("gets what comes to new partitions, though a key of the old one is %s", async (_what, config) => {
    const stream = await fresh();
    const group = stream.group("g");
    await group.put(config);
    const seen = new Set<number>();
    let [works, failed] = [false, 0];
    const consumer = group.consume(
      ({ key, data }) => {
        if (key === "bad" && !works) throw new Error(`not yet, ${++failed}`);
        seen.add(data);
      },
      { concurrency: 10, transport },
    );
    await stream.append([{ key: "bad", data: 0 }]);
    await expect.poll(() => failed).toBeGreaterThan(0);
    await stream.put({ partitions: 3 });
    await stream.append(keyed(numbers(40)).map(({ key, data }) => ({ key, data: data + 1 })));
    await expect.poll(() => seen.size, { timeout: 15_000 }).toBe(40);
    works = true;
    if (config.onFailure === "park") await group.redrive("all");
    await expect.poll(() => seen.has(0), { timeout: 15_000 }).toBe(true);
    await consumer.stop();
    await expect.poll(async () => (await group.status()).lag).toBe(0);
  });

  test("says why it cannot go on", async () => {
    const stream = await fresh();
    const consumer = stream.group("none").consume(() => {}, { transport });
    await expect(consumer.done).rejects.toMatchObject({ code: "group-not-found" });
    const stranger = connect({ token: "wrong" })
      .stream("s")
      .group("g")
      .consume(() => {}, { transport });
    await expect(stranger.done).rejects.toMatchObject({ code: "unauthorized" });
  });
});

test("data go through as text, by every way in and out", async () => {
  const exact = connect({ parse: withText });
  const stream = exact.stream(`client-${count++}`);
  await stream.put();
  const group = stream.group("g");
  await group.put();
  const texts = [
    `{"n": 9007199254740993,"one":1.0,"inf":1e400,"a":1,"a":2}`,
    `"x\\u0000"`,
    `${"[".repeat(2_000)}${"]".repeat(2_000)}`,
  ];
  const producer = stream.producer();
  for (const text of texts) await producer.append({ key: "k", text });
  await stream.append(texts.map((text) => ({ key: "k", text })));
  await stream.append({ key: "k" });
  const expected = [...texts, ...texts, undefined];
  const text = (some: readonly { readonly text?: string }[]) => some.map(({ text }) => text);
  expect(text(await take(stream.read(), 9))).toEqual(expected);
  for (const transport of ["socket", "http"] as const)
    expect(text(await take(stream.follow({ from: "earliest", transport }), 7))).toEqual(expected);
  const handled: (string | undefined)[] = [];
  const consumer = group.consume(({ text }) => void handled.push(text));
  await expect.poll(() => handled.length).toBe(7);
  await consumer.stop();
  expect(handled).toEqual(expected);
  expect((await take(millrace.stream(stream.name).read(), 1))[0]).not.toHaveProperty("text");
});

test("what is compressed arrives as it was", async () => {
  let packed = 0;
  const to = gzipping((url, init = {}) => {
    if ("content-encoding" in (init.headers as object)) packed++;
    return fetch(service_.url + new URL(url).pathname, init);
  });
  // By another name than this machine's.
  const packing: MillraceOptions["fetch"] = (url, init) => to(url.replace(/127.0.0.1|localhost/, "elsewhere"), init);
  const stream = connect({ fetch: packing }).stream<string>(`client-${count++}`);
  await stream.put({ batchBytesMax: 65_536 });
  const data = numbers(40).map((number) => `${number}${"é".repeat(9_000)}`);
  await stream.append({ data: data[0] });
  const producer = stream.producer();
  for (const one of data.slice(1)) producer.push({ data: one });
  expect(await producer.close()).toEqual({ sent: 39, unsent: 0 });
  expect((await take(stream.read(), 99)).map(({ data }) => data)).toEqual(data);
  expect(packed).toBeGreaterThan(1);
});

test("a group is made, shown, moved, paused, and its dead letters are tended", async () => {
  const stream = await fresh();
  const group = stream.group("g");
  await group.put({ maxDeliveries: 1, onFailure: "skip" });
  await stream.append(keyed(numbers(3)));
  const { deliveries } = await group.receive({ max: 3, waitSeconds: 5 });
  expect(deliveries.map(({ data }: Delivery<number>) => data)).toEqual([0, 1, 2]);
  const receipts = deliveries.map(({ receipt }) => receipt);
  await group.nack(receipts.slice(0, 2), { reason: "broken" });
  await group.ack(receipts.slice(2));
  const { letters } = await group.deadLetters();
  expect(letters.map(({ letter }) => letter)).toEqual(["0.0", "0.1"]);
  await group.redrive(["0.0"]);
  await group.discard(["0.1"]);
  expect((await group.receive({ waitSeconds: 5 })).deliveries).toMatchObject([{ offset: 0 }]);
  expect((await group.pause("lunch")).paused).toBe(true);
  expect((await group.resume()).paused).toBe(false);
  await group.seek("earliest");
  expect((await group.receive({ waitSeconds: 5 })).deliveries).toHaveLength(3);
  expect((await group.info()).config.onFailure).toBe("skip");
  await group.delete();
  await group.delete();
  await expect(group.info()).rejects.toMatchObject({ code: "group-not-found" });
});
