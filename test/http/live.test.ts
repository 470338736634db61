/** A stream's socket: subscriptions with credits, appends, refusals that are fatal and that are not, tickets, ends. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { flags } from "../../src/log/frame.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
async function fresh(config: object = {}) {
  const stream = `/v1/default/streams/live-${count++}`;
  await millrace.call("PUT", stream, config);
  const append = async (...keys: string[]) =>
    (await millrace.call("POST", `${stream}/records`, { records: keys.map((key, index) => ({ key, data: index })) }))
      .json;
  const open = (query = "", protocols?: readonly string[]) =>
    StreamSocket.open(`${millrace.url}${stream}/live${query}`, {
      headers: { authorization: `Bearer ${token}` },
      ...(protocols === undefined ? {} : { protocols }),
    });
  return { stream, append, open };
}

const many = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `k${from + index}`);
const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);

describe("a subscription", () => {
  test("gets what was there, then what comes, without a gap or a repetition", async () => {
    const { append, open } = await fresh();
    await append(...many(500));
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
    const more = Array.from({ length: 40 }, () => append("a", "b", "c"));
    await Promise.all(more);
    const records = await client.untilRecords(620, 1);
    expect(records.map(({ offset }) => offset)).toEqual(upTo(620));
    expect(records[7]).toMatchObject({ partition: 0, offset: 7, key: "k7", data: 7 });
    await client.until(() => client.batches.at(-1)?.upToDate ?? false);
    client.socket.close();
  });

  test("begins at the tail where it does not say from where, and says that it is there", async () => {
    const { append, open } = await fresh();
    await append("old");
    const client = await open();
    client.send({ type: "subscribe", id: 4, credits: 10 });
    const [beat] = await client.untilOf("heartbeat");
    expect(beat).toMatchObject({ id: 4, upToDate: true, cursor: expect.stringMatching(/^[0-9a-f]{20}~0\.1$/) });
    await append("new");
    expect((await client.untilRecords(1)).map(({ key }) => key)).toEqual(["new"]);
    client.socket.close();
  });

  test("gets no more than it has credits for, and a large record costs more of them", async () => {
    const { stream, append, open } = await fresh();
    await append(...many(5));
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 2 });
    await client.untilRecords(2);
    await client.settled();
    expect(client.records()).toHaveLength(2);
    expect(client.batches[0]).toMatchObject({ cost: 2, upToDate: false });
    client.send({ type: "credit", id: 1, credits: 3 });
    await client.untilRecords(5);
    await millrace.call("POST", `${stream}/records`, { records: [{ data: "x".repeat(5_000) }, { data: 1 }] });
    client.send({ type: "credit", id: 1, credits: 2 });
    await client.untilRecords(6);
    await client.settled();
    // One that costs more than there are credits goes nevertheless, and is owed: nothing can stand in its way forever.
    expect(client.batches.at(-1)).toMatchObject({ cost: 5 });
    expect(client.records()).toHaveLength(6);
    client.send({ type: "credit", id: 1, credits: 3 });
    await client.settled();
    expect(client.records()).toHaveLength(6);
    client.send({ type: "credit", id: 1, credits: 1 });
    await client.untilRecords(7);
    client.socket.close();
  });

  test("goes on from a cursor on another socket", async () => {
    const { append, open } = await fresh();
    await append(...many(10));
    const first = await open();
    first.send({ type: "subscribe", id: 1, from: "earliest", credits: 4 });
    await first.untilRecords(4);
    const { cursor } = first.batches[0];
    first.socket.close();
    const second = await open();
    second.send({ type: "subscribe", id: 1, from: cursor, credits: 100 });
    expect((await second.untilRecords(6)).map(({ offset }) => offset)).toEqual(upTo(6, 4));
    second.socket.close();
  });

  test("is one of several on its socket, each with its own place, filter and credits", async () => {
    const { stream, append, open } = await fresh();
    await append("a", "b", "a", "b");
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: "earliest", filter: { key: "a" }, credits: 10 });
    client.send({ type: "subscribe", id: 2, from: 3, credits: 10 });
    client.send({ type: "subscribe", id: 3, from: "latest", filter: { tags: ["hot"] }, credits: 10 });
    await millrace.call("POST", `${stream}/records`, {
      records: [
        { key: "a", tags: ["hot"] },
        { key: "c", tags: ["cold"] },
        { key: "b", tags: ["cold", "hot"] },
      ],
    });
    expect((await client.untilRecords(3, 1)).map(({ offset }) => offset)).toEqual([0, 2, 4]);
    expect((await client.untilRecords(4, 2)).map(({ offset }) => offset)).toEqual([3, 4, 5, 6]);
    expect((await client.untilRecords(2, 3)).map(({ offset }) => offset)).toEqual([4, 6]);
    client.send({ type: "unsubscribe", id: 2 });
    await append("z");
    await client.settled();
    expect(client.records(2)).toHaveLength(4);
    client.socket.close();
  });

  test("that filters is told where it stands though nothing matches", async () => {
    const { append, open } = await fresh();
    await append(...many(300));
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: "earliest", filter: { key: "nobody" }, credits: 1 });
    const [beat] = await client.untilOf("heartbeat");
    expect(beat).toMatchObject({ upToDate: true });
    expect(beat.cursor).toMatch(/~0\.8c$/); // 300 in base 36
    client.socket.close();
  });

  test("from a number that is no offset is refused, and the socket goes on", async () => {
    const { open } = await fresh();
    const client = await open();
    for (const [index, number] of ["12345678901234567890", "18446744073709551615", "-18446744073709551615"].entries()) {
      client.send({ type: "subscribe", id: index, from: number, credits: 1 });
      const errors = await client.untilOf("error", index + 1);
      expect(errors[index]).toMatchObject({ code: "invalid", fatal: false, detail: expect.stringContaining(number) });
    }
    client.socket.close();
  });

  test("is told what was trimmed before it got there", async () => {
    const { stream, append, open } = await fresh();
    await append(...many(10));
    const client = await open();
    client.send({ type: "subscribe", id: 1, from: 2, credits: 1 });
    await client.untilRecords(1);
    await millrace.call("POST", `${stream}/partitions/0/trim`, { beforeOffset: 7 });
    client.send({ type: "credit", id: 1, credits: 100 });
    await client.untilRecords(4);
    expect(client.records().map(({ offset }) => offset)).toEqual([2, 7, 8, 9]);
    expect(client.of("lost")).toEqual([
      {
        type: "lost",
        id: 1,
        cursor: expect.stringMatching(/~0\.7$/),
        lost: [{ partition: 0, from: 3, to: 7, why: "trimmed" }],
      },
    ]);
    client.socket.close();
  });

  test("in binary gets the same records as frames", async () => {
    const { append, open } = await fresh();
    await append(...many(50));
    const client = await open("", ["millrace.v1.binary"]);
    expect(client.socket.protocol).toBe("millrace.v1.binary");
    client.send({ type: "subscribe", id: 9, from: 10, filter: { key: "k12" }, credits: 100 });
    client.send({ type: "subscribe", id: 11, from: 10, credits: 100 });
    const records = await client.untilRecords(40, 11);
    expect(records.map(({ offset }) => offset)).toEqual(upTo(40, 10));
    expect(records[3]).toEqual({ partition: 0, offset: 13, key: "k13", data: 13 });
    expect(client.records(9).map(({ offset }) => offset)).toEqual([12]);
    expect(client.batches.at(-1)).toMatchObject({ upToDate: true, next: 50 });
    client.socket.close();
  });
});

describe("an append", () => {
  test("is answered with its id, in order, however many are on their way", async () => {
    const { stream, open } = await fresh();
    const client = await open();
    for (let id = 1; id <= 2_000; id++) {
      client.send({
        type: "append",
        id,
        records: [{ key: `k${id % 7}`, data: id }, ...(id % 100 ? [] : [{ data: 0 }])],
      });
    }
    await client.until(() => client.answers.length, 2_000);
    expect(client.answers.map(({ id }) => id)).toEqual(upTo(2_000, 1));
    const offsets = client.answers.flatMap(({ runs }) =>
      runs.flatMap((run) => (run.verdict === "appended" ? upTo(run.count, run.offset) : [])),
    );
    expect(offsets).toEqual(upTo(2_020));
    const { json } = await millrace.call("GET", `${stream}/records?from=${offsets[150]}&limit=1`);
    expect(json.records[0].data).toBe(150);
    client.socket.close();
  });

  test("may share a message with others, each on its line, up to one that is none", async () => {
    const { open } = await fresh();
    const client = await open();
    const line = (id: number) => JSON.stringify({ type: "append", id, records: [{ data: id }] });
    client.send(`${line(1)}\n${line(2)}\n\n${line(3)}\n`);
    await client.until(() => client.answers.length, 3);
    client.send(`${line(4)}\nnonsense\n${line(5)}`);
    expect((await client.untilClosed()).code).toBe(1008);
    const next = await open();
    next.send({ type: "subscribe", id: 1, from: "earliest", credits: 10 });
    expect((await next.untilRecords(4)).map(({ data }) => data)).toEqual([1, 2, 3, 4]);
    await next.settled();
    expect(next.records()).toHaveLength(4);
    next.socket.close();
  });

  test("by a producer is taken once, and out of order not at all", async () => {
    const { open } = await fresh();
    const client = await open();
    const send = (id: number, sequence: number, data = 1) =>
      client.send({ type: "append", id, records: [{ data }], producer: { id: "p", epoch: 1, sequence } });
    send(1, 0);
    send(2, 0);
    send(3, 7);
    send(4, 0, 2);
    await client.untilOf("error", 2);
    await client.until(() => client.answers.length, 2);
    expect(client.answers.map(({ runs }) => runs[0].verdict)).toEqual(["appended", "duplicate"]);
    expect(client.of("error")).toMatchObject([
      { id: 3, code: "sequence-gap", fatal: false, clean: true },
      { id: 4, code: "sequence-conflict", fatal: false, clean: true },
    ]);
    client.socket.close();
  });

  test("with conditions is refused by its id, and the socket goes on", async () => {
    const { open } = await fresh();
    const client = await open();
    client.send({ type: "append", id: 1, records: [{ key: "a" }], expectedOffset: 0 });
    client.send({ type: "append", id: 2, records: [{ key: "a" }], expectedOffset: 0 });
    client.send({ type: "append", id: 3, records: [{ key: "a" }, { key: "b" }], expectedKeyOffset: "none" });
    client.send({ type: "append", id: 4, records: [{ key: "a" }], partition: 3 });
    client.send({ type: "append", id: 5, records: [{ key: "a", tags: [1] }] });
    client.send({ type: "append", id: 6, records: [{ data: "x".repeat(limits.recordBytesMax) }] });
    client.send({ type: "append", id: 7, records: [{ key: "a" }] });
    await client.until(() => client.answers.some(({ id }) => id === 7));
    const codes = new Map(client.of("error").map(({ id, code }) => [id, code]));
    expect(codes).toEqual(
      new Map([
        [2, "expected-offset"],
        [3, "bad-key"],
        [4, "partition-not-found"],
        [5, "invalid"],
        [6, "record-too-large"],
      ]),
    );
    expect(client.of("error").every(({ fatal }) => !fatal)).toBe(true);
    client.socket.close();
  });

  test.each([1, 4])("are answered in the order in which they came, refusals too: %i partitions", async (partitions) => {
    const { stream, open } = await fresh();
    await millrace.call("PUT", stream, { partitions });
    const client = await open();
    const good = { records: [{ key: "a", data: 1 }] };
    const kinds: object[] = [
      good,
      { records: [{ key: "a", tags: [1] }] },
      good,
      { ...good, producer: { id: "p", epoch: 0, sequence: 7 }, ...(partitions > 1 && { partition: partitions + 7 }) },
      good,
      good,
      { records: [{ data: "x".repeat(limits.recordBytesMax) }] },
      { ...good, partition: 99 },
    ];
    const count = 48;
    for (let id = 1; id <= count; id++) client.send({ type: "append", id, ...kinds[id % kinds.length] });
    // Several messages as one.
    const lines = Array.from({ length: count }, (_, n) => ({
      type: "append",
      id: count + n + 1,
      ...kinds[n % kinds.length],
    }));
    client.send(lines.map((line) => JSON.stringify(line)).join("\n"));
    await client.until(() => client.answers.length + client.of("error").length, 2 * count);
    const ids = client.messages.flatMap((message) =>
      message.type === "verdicts" ? message.answers.map(({ id }) => id) : message.type === "error" ? [message.id] : [],
    );
    expect(ids).toEqual(Array.from({ length: 2 * count }, (_, n) => n + 1));
    expect(client.answers).toHaveLength((2 * count * 4) / kinds.length);
    client.socket.close();
  });

  test("in binary carries frames, with terms before them", async () => {
    const { stream, open } = await fresh();
    const client = await open("", ["millrace.v1.binary"]);
    const binary = (id: number, terms: object | undefined, keys: readonly string[]) => {
      const writer = new FrameWriter();
      for (const key of keys) writer.add({ kind: 1, data: encodeText('"d"'), key });
      const head = terms === undefined ? new Uint8Array(0) : encodeText(JSON.stringify(terms));
      const frames = writer.finish(flags.checked);
      const bytes = new Uint8Array(8 + head.length + frames[0].length);
      bytes[0] = 1;
      new DataView(bytes.buffer).setUint16(2, head.length, true);
      new DataView(bytes.buffer).setUint32(4, id, true);
      bytes.set(head, 8);
      bytes.set(frames[0], 8 + head.length);
      return bytes;
    };
    client.socket.send(binary(1, undefined, many(100)));
    client.socket.send(binary(2, { producer: { id: "p", epoch: 0, sequence: 0 } }, ["a"]));
    client.socket.send(binary(3, { expectedOffset: 0 }, ["a"]));
    client.send({ type: "append", id: 4, records: [{ key: "text" }] });
    await client.until(() => client.answers.length, 3);
    expect(client.answers.map(({ id, runs }) => [id, runs.reduce((sum, { count }) => sum + count, 0)])).toEqual([
      [1, 100],
      [2, 1],
      [4, 1],
    ]);
    expect((await client.untilOf("error"))[0]).toMatchObject({ id: 3, code: "expected-offset" });
    const { json } = await millrace.call("GET", `${stream}/records?from=99`);
    expect(json.records.map(({ key }: { key: string }) => key)).toEqual(["k99", "a", "text"]);
    client.socket.close();
  });

  test("of one who has gone does not cost another's verdicts", async () => {
    const { open } = await fresh();
    const stays = await open();
    for (let round = 0; round < 20; round++) {
      const goes = await open();
      for (let id = 1; id <= 50; id++) {
        for (const one of [goes, stays]) {
          one.send({ type: "append", id: round * 50 + id, records: [{ data: "x".repeat(200) }] });
        }
      }
      goes.socket.close();
    }
    await stays.until(() => stays.answers.length, 1_000);
    expect(stays.answers.map(({ id }) => id)).toEqual(upTo(1_000, 1));
    stays.socket.close();
  });

  test("is seen by those who follow, on the same socket too", async () => {
    const { open } = await fresh();
    const [a, b] = [await open(), await open("", ["millrace.v1.binary"])];
    for (const one of [a, b]) one.send({ type: "subscribe", id: 0, credits: 100 });
    await a.untilOf("heartbeat");
    await b.untilOf("heartbeat");
    a.send({ type: "append", id: 1, records: [{ key: "x", data: { n: 1 } }] });
    expect(await a.untilRecords(1)).toMatchObject([{ offset: 0, data: { n: 1 } }]);
    expect(await b.untilRecords(1)).toMatchObject([{ offset: 0, data: { n: 1 } }]);
    a.socket.close();
    b.socket.close();
  });
});

describe("what is refused without harm", () => {
  test.each([
    ["a place past the tail", { from: 5 }, "past-tail", /valid are 0 to 1/],
    ["a place that is none", { from: "yesterday" }, "invalid", /yesterday/],
    ["a cursor of another stream", { from: `${"0".repeat(20)}~0.0` }, "wrong-log", /deleted/],
    ["a partition that is not here", { partition: 4 }, "partition-not-found", /partition 0/],
  ])("%s", async (_, terms, code, detail) => {
    const { append, open } = await fresh();
    await append("a");
    const client = await open();
    client.send({ type: "subscribe", id: 1, credits: 1, ...terms });
    expect((await client.untilOf("error"))[0]).toMatchObject({
      id: 1,
      code,
      detail: expect.stringMatching(detail),
      fatal: false,
    });
    client.send({ type: "subscribe", id: 2, credits: 1, from: "earliest" });
    await client.untilRecords(1, 2);
    client.socket.close();
  });

  test("a message to a subscription that has ended meanwhile", async () => {
    const { append, open } = await fresh();
    const client = await open();
    client.send({ type: "subscribe", id: 1, credits: 1 });
    client.send({ type: "unsubscribe", id: 1 });
    client.send({ type: "credit", id: 1, credits: 5 });
    client.send({ type: "unsubscribe", id: 1 });
    await append("a");
    client.send({ type: "subscribe", id: 2, credits: 5, from: "earliest" });
    await client.untilRecords(1, 2);
    expect(client.of("error")).toEqual([]);
    client.socket.close();
  });
});

describe("a client that does not keep to the protocol", () => {
  const subscribe = { type: "subscribe", id: 5, credits: 1 };
  test.each<[string, (object | string | Uint8Array)[], number, string]>([
    ["text that is not JSON", ["hello"], 1008, "bad-json"],
    ["a message of no known type", [{ type: "shout", id: 1 }], 1008, "invalid"],
    ["a field that is not known", [{ ...subscribe, colour: "red" }], 1008, "unknown-field"],
    ["no credits", [{ type: "subscribe", id: 1, credits: 0 }], 1008, "invalid"],
    ["an id that does not rise", [subscribe, subscribe], 1008, "invalid"],
    ["an append whose id does not rise", [subscribe, { type: "append", id: 4, records: [{}] }], 1008, "invalid"],
    ["credits for what never was", [{ type: "credit", id: 1, credits: 1 }], 1008, "invalid"],
    ...[null, true, "", "7", [7]].map((epoch): [string, object[], number, string] => [
      `a producer's epoch that is no number: ${JSON.stringify(epoch)}`,
      [{ type: "append", id: 1, producer: { id: "p", epoch, sequence: 0 }, records: [{}] }],
      1008,
      "invalid",
    ]),
    ["a negative id", [{ type: "append", id: -1, records: [{}] }], 1008, "invalid"],
    ["an id beyond 32 bits", [{ type: "append", id: 2 ** 32, records: [{}] }], 1008, "invalid"],
    ["an append without records", [{ type: "append", id: 1, records: [] }], 1008, "invalid"],
    ["binary that is no append", [new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0])], 1008, "bad-frame"],
    ["binary that is cut off", [new Uint8Array([1, 0, 200, 0, 0, 0, 0, 0, 123])], 1008, "bad-frame"],
  ])("%s", async (_, messages, code, problem) => {
    const { append, open } = await fresh();
    const [other, client] = [await open(), await open()];
    other.send({ type: "subscribe", id: 1, credits: 100 });
    for (const message of messages) {
      if (message instanceof Uint8Array) client.socket.send(message as Uint8Array<ArrayBuffer>);
      else client.send(message);
    }
    const closed = await client.untilClosed();
    expect(client.of("error").at(-1)).toMatchObject({ code: problem, fatal: true });
    expect(closed.code).toBe(code);
    expect(closed.reason).not.toBe("");
    await append("x");
    await other.untilRecords(1);
    expect(other.closed).toBeUndefined();
    other.socket.close();
  });

  test("a message that is too large, and one that just fits", async () => {
    const { open } = await fresh({ batchBytesMax: 100_000 });
    const client = await open();
    const empty = JSON.stringify({ type: "append", id: 1, records: [{ data: "" }] }).length;
    client.send({ type: "append", id: 1, records: [{ data: "x".repeat(100_000 - empty) }] });
    await client.until(() => client.answers.length);
    client.send({ type: "append", id: 2, records: [{ data: "x".repeat(100_001 - empty) }] });
    expect((await client.untilClosed()).code).toBe(1009);
    expect(client.of("error")[0]).toMatchObject({ code: "body-too-large", detail: expect.stringContaining("100000") });
  });
});

describe("limits of a socket", () => {
  test("subscriptions", async () => {
    const { open } = await fresh();
    const client = await open();
    for (let id = 0; id <= limits.subscriptionsMax; id++) client.send({ type: "subscribe", id, credits: 1 });
    expect(await client.untilOf("error")).toMatchObject([{ id: limits.subscriptionsMax, code: "too-many" }]);
    await client.untilOf("heartbeat", limits.subscriptionsMax);
    client.send({ type: "unsubscribe", id: 3 });
    client.send({ type: "subscribe", id: 50, credits: 1 });
    await client.untilOf("heartbeat", limits.subscriptionsMax + 1);
    client.socket.close();
  });

  test("bytes of its subscriptions", async () => {
    const { append, open } = await fresh();
    const client = await open();
    const tags = many(32).map((tag) => tag.padEnd(127, "x"));
    client.send({ type: "subscribe", id: 0, credits: 1, filter: { tags, match: "any" } });
    client.send({ type: "subscribe", id: 1, credits: 1, filter: { tags, match: "any" } });
    client.send({ type: "subscribe", id: 2, credits: 1, filter: { tags, match: "any" } });
    expect(await client.untilOf("error")).toMatchObject([{ id: 2, code: "too-many" }]);
    expect(client.of("heartbeat")).toHaveLength(2);
    await append("a");
    client.send({ type: "subscribe", id: 3, credits: 1, from: "earliest" });
    await client.untilRecords(1, 3);
    client.socket.close();
  });

  test("credits", async () => {
    const { open } = await fresh();
    const client = await open();
    client.send({ type: "subscribe", id: 0, credits: limits.creditsMax });
    await client.untilOf("heartbeat");
    client.send({ type: "credit", id: 0, credits: limits.creditsMax + 1 });
    expect((await client.untilClosed()).code).toBe(1008);
  });
});

describe("who may connect", () => {
  const base64Url = (text: string) => Buffer.from(text).toString("base64url");
  const ticketFor = async (stream: string, body: object) =>
    (await millrace.call("POST", `${stream}/tickets`, body)).json.ticket as string;
  const connect = (stream: string, protocols: readonly string[], query = "") =>
    StreamSocket.open(`${millrace.url}${stream}/live${query}`, { protocols });

  test("a token by subprotocol", async () => {
    const { stream } = await fresh();
    const client = await connect(stream, ["millrace.v1", `millrace.token.${base64Url(token)}`]);
    expect(client.socket.protocol).toBe("millrace.v1");
    expect(await client.untilOf("ready")).toMatchObject([{ logId: expect.stringMatching(/^[0-9a-f]{20}$/) }]);
    client.socket.close();
    await expect(connect(stream, ["millrace.v1", `millrace.token.${base64Url("wrong")}`])).rejects.toThrow();
    await expect(connect(stream, ["millrace.v1"])).rejects.toThrow();
  });

  test("a ticket by subprotocol or in the URL, for what it allows", async () => {
    const { stream, append } = await fresh();
    await append("a");
    const reader = await ticketFor(stream, {});
    const client = await connect(stream, ["millrace.v1", `millrace.ticket.${reader}`]);
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 9 });
    await client.untilRecords(1);
    client.send({ type: "append", id: 2, records: [{ key: "b" }] });
    expect(await client.untilOf("error")).toMatchObject([{ id: 2, code: "forbidden", fatal: false }]);
    client.socket.close();
    const writer = await ticketFor(stream, { rights: ["append"] });
    const other = await connect(stream, [], `?ticket=${writer}`);
    other.send({ type: "append", id: 1, records: [{ key: "b" }] });
    await other.until(() => other.answers.length);
    other.send({ type: "subscribe", id: 2, credits: 9 });
    expect(await other.untilOf("error")).toMatchObject([{ id: 2, code: "forbidden" }]);
    other.socket.close();
  });

  test("a ticket serves HTTP too, on its stream and for its rights only", async () => {
    const { stream } = await fresh();
    const other = await fresh();
    const ticket = await ticketFor(stream, { rights: ["read"] });
    const get = (path: string, method = "GET") => fetch(`${millrace.url}${path}?ticket=${ticket}`, { method });
    expect((await get(`${stream}/records`)).status).toBe(200);
    expect((await get(`${other.stream}/records`)).status).toBe(403);
    expect((await get(`${stream}/records`, "POST")).status).toBe(403);
    expect((await get(stream, "DELETE")).status).toBe(403);
    expect((await get("/v1")).status).toBe(403);
    const asBearer = (path: string, method = "GET") =>
      fetch(millrace.url + path, { method, headers: { authorization: `Bearer ${ticket}` } });
    expect((await asBearer(`${stream}/records`)).status).toBe(200);
    expect((await asBearer(`${stream}/records`, "POST")).status).toBe(403);
    expect((await asBearer("/v1")).status).toBe(403);
    expect((await get(`${stream}/tickets`, "POST")).status).toBe(403);
  });

  test("not with a ticket that has expired or was changed", async () => {
    const { stream } = await fresh();
    const ticket = await ticketFor(stream, { expiresInSeconds: 1 });
    const status = async (one: string) => {
      const response = await fetch(`${millrace.url}${stream}/records?ticket=${one}`);
      return [response.status, ((await response.json()) as { detail?: string }).detail];
    };
    expect((await status(ticket))[0]).toBe(200);
    expect(await status(`${ticket.slice(0, -2)}xx`)).toEqual([401, "the ticket is not valid"]);
    const [head, , signature] = ticket.split(".");
    const forged = base64Url(JSON.stringify({ rights: ["admin"], iss: "millrace", exp: 9e9 }));
    expect((await status(`${head}.${forged}.${signature}`))[0]).toBe(401);
    await expect.poll(() => status(ticket), { timeout: 5_000 }).toEqual([401, expect.stringContaining("expired")]);
  });

  test("a ticket's life has its limits", async () => {
    const { stream } = await fresh();
    const status = async (expiresInSeconds: number) =>
      (await millrace.call("POST", `${stream}/tickets`, { expiresInSeconds })).status;
    expect(await status(limits.ticketSecondsMax)).toBe(201);
    expect(await status(limits.ticketSecondsMax + 1)).toBe(400);
    expect(await status(0)).toBe(400);
  });

  test("nobody by plain HTTP, or with a subprotocol that is not ours", async () => {
    const { stream, open } = await fresh();
    expect((await millrace.call("GET", `${stream}/live`)).status).toBe(426);
    await expect(open("", ["mqtt"])).rejects.toThrow();
    await expect(open("?partition=7")).rejects.toThrow();
    await expect(open("?partition=x")).rejects.toThrow();
  });
});

describe("the end of a socket", () => {
  test("comes with the stream's", async () => {
    const { stream, open } = await fresh();
    const client = await open();
    client.send({ type: "subscribe", id: 1, credits: 9 });
    await client.untilOf("heartbeat");
    await millrace.call("DELETE", stream);
    expect(await client.untilClosed()).toMatchObject({ code: 4001, reason: "the stream was deleted" });
  });

  test("answers `ping`, and the client's close", async () => {
    const { open } = await fresh();
    const client = await open();
    client.send("ping");
    await client.until(() => client.pongs);
    client.socket.close(1000, "done");
    expect(await client.untilClosed()).toMatchObject({ code: 1000 });
  });
});
