/** The doors that only HTTP has: queries, paths and headers as bytes, marks before bodies, sockets, pushes on the wire. */
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { EventReader } from "./event-reader.ts";
import { newGroup, newStream } from "./group.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
});
afterAll(() => millrace.end());

const json = { "content-type": "application/json" };
const records = async (stream: string) => (await millrace.call("GET", `${stream}/records`)).json.records;

/** A request whose line and headers are these bytes, which no library would send. */
async function raw(
  line: string,
  headers: Record<string, string>,
  body = "",
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(millrace.url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const all = { host: "h", connection: "close", authorization: `Bearer ${token}`, ...headers };
  const head = Object.entries({ ...all, "content-length": String(Buffer.byteLength(body)) }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.write(Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${head.join("")}\r\n`, "latin1"), Buffer.from(body)]));
  const answer = await text(socket);
  return { status: Number(answer.split(" ")[1]), body: answer.slice(answer.indexOf("\r\n\r\n") + 4) };
}

describe("what is no UTF-8 in a query", () => {
  const wrong = ["%FF", "a%C3", "%ED%A0%80", "%C0%AF", "%F4%90%80%80", "x%E9y"];

  test.each(wrong)("%s is refused by the parameter's name, whoever reads it", async (value) => {
    const stream = await newStream(millrace);
    await millrace.call("PUT", `${stream}/groups/g`, {});
    const refused = async (method: string, path: string, name: string, body?: string) => {
      const answer = await millrace.call(method, path, body, { "content-type": "text/plain" });
      expect(answer, `${method} ${path}`).toMatchObject({ status: 400, json: { code: "invalid", path: name } });
      expect(answer.json.detail).toContain(name);
    };
    for (const name of ["key", "type", "tag", "fence"])
      await refused("POST", `${stream}/records?${name}=${value}`, name, "x");
    for (const name of ["key", "type", "source", "tag", "from"])
      await refused("GET", `${stream}/records?a=1&${name}=${value}`, name);
    await refused("GET", `${stream}/groups/g/live?member=${value}`, "member");
    await refused("GET", `/v1/default/streams?prefix=${value}`, "prefix");
    await refused("GET", `${stream}/partitions/0/dump?part=keys&after=${value}`, "after");
    expect(await records(stream)).toEqual([]);
  });

  test("and what is UTF-8 is what was sent, a sign of replacement too", async () => {
    const stream = await newStream(millrace);
    for (const key of ["é🙂", "\ufffd", "\ufeff", "a+b c", "%", "\u0000\n"]) {
      expect(
        (
          await millrace.call("POST", `${stream}/records?key=${encodeURIComponent(key)}`, "x", {
            "content-type": "text/plain",
          })
        ).status,
      ).toBe(201);
      expect(
        (await millrace.call("GET", `${stream}/records?key=${encodeURIComponent(key)}`)).json.records,
      ).toMatchObject([{ key }]);
    }
    expect((await millrace.call("GET", `${stream}/records?key=100%`)).json.records).toEqual([]);
  });

  test("a path with it names nothing, and is no fault of ours", async () => {
    const stream = await newStream(millrace);
    for (const path of [
      "/v1/%FF/streams/s",
      "/v1/default/streams/%FF",
      `${stream}/groups/%ED%A0%80`,
      `${stream}/erasures/%FF`,
      `${stream}/partitions/%FF`,
      `${stream}/snapshots/%FF`,
    ]) {
      const { status, json } = await millrace.call("GET", path);
      expect([path, status >= 400 && status < 500, json.code]).toEqual([path, true, expect.any(String)]);
    }
  });
});

describe("a header's bytes", () => {
  const event = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", ...json };

  test.each([
    ["bytes that are no UTF-8", { "ce-subject": "a\xff" }, "subject"],
    ["percent-encoded bytes that are no UTF-8", { "ce-subject": "%ED%A0%80" }, "subject"],
    ["a percent sign that encodes nothing", { "ce-subject": "100%" }, "subject"],
    ["a control character", { "ce-id": "a%07" }, "id"],
    ["no time", { "ce-time": "yesterday" }, "time"],
    ["data that the body is", { "ce-data": "x" }, "data"],
    ["a type that content-type has", { "ce-datacontenttype": "text/plain" }, "datacontenttype"],
    ["no media type", { "content-type": "json" }, "datacontenttype"],
    ["a name that objects have by themselves", { "ce-__proto__": "x" }, "__proto__"],
  ])("with %s are refused by the attribute's name", async (_what, headers, name) => {
    const stream = await newStream(millrace);
    const { status, body } = await raw(`POST ${stream}/records`, { ...event, ...headers }, "1");
    expect([status, JSON.parse(body).detail]).toEqual([400, expect.stringContaining(name)]);
    expect(await records(stream)).toEqual([]);
  });

  test("with a name of the service's, from a push of another Millrace, are left out", async () => {
    const stream = await newStream(millrace);
    expect((await raw(`POST ${stream}/records`, { ...event, "ce-millraceoffset": "7" }, "1")).status).toBe(201);
    const [stored] = await records(stream);
    expect(stored).toMatchObject({ id: "1", offset: 0 });
    expect(stored).not.toHaveProperty("extensions");
  });

  test("are unquoted and decoded once", async () => {
    const stream = await newStream(millrace);
    const headers = { "ce-subject": '"a \\"b\\" %25"', "ce-ext": "%C3%A9%EF%BF%BD", "ce-partitionkey": "%00" };
    expect((await raw(`POST ${stream}/records`, { ...event, ...headers }, "1")).status).toBe(201);
    expect(await records(stream)).toMatchObject([
      { subject: 'a "b" %', extensions: { ext: "é\ufffd" }, key: "\u0000" },
    ]);
  });

  test("of a producer's name that is no UTF-8 are refused: two names would become one", async () => {
    const stream = await newStream(millrace);
    const by = (id: string) => ({ ...json, "producer-id": id, "producer-epoch": "0", "producer-seq": "0" });
    const append = (id: string) => raw(`POST ${stream}/records`, by(id), '{"records":[{"data":1}]}');
    const refused = await append("caf\xe9");
    expect([refused.status, JSON.parse(refused.body).detail]).toEqual([400, expect.stringContaining("Producer-Id")]);
    expect((await append(Buffer.from("café").toString("latin1"))).status).toBe(201);
  });

  test.each(["plain", "text/plain, text/html", "text /plain"])(
    "of a raw body's content type that is none, %s, are refused",
    async (type) => {
      const stream = await newStream(millrace);
      const { status, body } = await raw(`POST ${stream}/records`, { "content-type": type }, "x");
      expect([status, JSON.parse(body).detail]).toEqual([400, expect.stringContaining("content-type")]);
    },
  );
});

describe("a byte order mark", () => {
  const mark = "\ufeff";
  const event = { specversion: "1.0", id: "1", source: "/s", type: "t", data: 1 };

  test.each([
    ["application/json", `${mark}{"records":[{"data":1}]}`],
    ["application/x-ndjson", `${mark}{"data":1}\n`],
    ["application/x-ndjson", `{"data":1}\n${mark}{"data":1}\n${mark}\n`],
    ["application/cloudevents+json", `${mark}${JSON.stringify(event)}`],
    ["application/cloudevents-batch+json", `${mark}[${JSON.stringify(event)}]`],
  ])("before %s is passed over, gzipped too", async (type, body) => {
    const stream = await newStream(millrace, { deduplicationWindowMs: 0 });
    for (const [sent, encoding] of [
      [body, undefined],
      [gzipSync(body), "gzip"],
    ] as const) {
      const answer = await millrace.call("POST", `${stream}/records`, sent, {
        "content-type": type,
        ...(encoding && { "content-encoding": encoding }),
      });
      expect(answer.status, answer.text).toBe(201);
    }
    expect((await records(stream)).every(({ data }: { data: unknown }) => data === 1)).toBe(true);
  });

  test("before a definition, or an order, is passed over", async () => {
    const stream = await newStream(millrace);
    const put = (path: string, body: string) => millrace.call("PUT", path, `${mark}${body}`, json);
    expect((await put(stream, '{"deduplicationWindowMs":7}')).json.config.deduplicationWindowMs).toBe(7);
    expect((await put(`${stream}/groups/g`, '{"maxDeliveries":3}')).json.config.maxDeliveries).toBe(3);
    expect((await millrace.call("POST", `${stream}/groups/g/receive`, `${mark}{"max":1}`, json)).status).toBe(200);
  });

  test("in a raw body is data, and stays", async () => {
    const stream = await newStream(millrace);
    const bodies = [
      ["application/json", `${mark}{"a":1}`],
      ["text/plain", `${mark}hi`],
      ["text/csv", mark],
    ] as const;
    for (const [type, body] of bodies) {
      expect((await millrace.call("POST", `${stream}/records?raw=true`, body, { "content-type": type })).status).toBe(
        201,
      );
    }
    expect(await records(stream)).toMatchObject([
      { datacontenttype: "application/json", data_base64: Buffer.from(bodies[0][1]).toString("base64") },
      { data: `${mark}hi` },
      { data: mark },
    ]);
    const half = await millrace.call("POST", `${stream}/records?raw=true`, `${mark}{`, json);
    expect(half).toMatchObject({ status: 400, json: { code: "bad-json" } });
  });
});

describe("a socket", () => {
  const open = (stream: string, protocol: string) =>
    StreamSocket.open(`${millrace.url}${stream}/live`, {
      protocols: [protocol],
      headers: { authorization: `Bearer ${token}` },
    });

  test.each([1, 3])("of %i partitions refuses what has no UTF-8 by its name, and goes on", async (partitions) => {
    const stream = await newStream(millrace, { partitions });
    const socket = await open(stream, "millrace.v1");
    socket.send('{"type":"append","id":1,"records":[{"key":"\\ud800","data":1}]}');
    socket.send('{"type":"append","id":2,"records":[{"data":1}],"producer":{"id":"\\ud800","epoch":0,"sequence":0}}');
    const [first, second] = await socket.untilOf("error", 2);
    expect(first).toMatchObject({ id: 1, code: "invalid", detail: expect.stringContaining("key"), fatal: false });
    // What is no message at all ends it: the number of the append is not believed.
    expect(second).toMatchObject({ code: "invalid", detail: expect.stringContaining("producer.id") });
    expect(await records(stream)).toEqual([]);
    socket.socket.close();
  });

  test("takes data of any depth", async () => {
    const stream = await newStream(millrace);
    const socket = await open(stream, "millrace.v1");
    const data = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    socket.send(`{"type":"append","id":1,"records":[{"data":${data}}]}`);
    await socket.until(() => socket.answers.length);
    expect((await millrace.call("GET", `${stream}/records`)).text.includes(`"data":${data}`)).toBe(true);
    socket.socket.close();
  });

  test("in binary is the strict one: bytes that are no UTF-8 are refused", async () => {
    const stream = await newStream(millrace);
    const socket = await open(stream, "millrace.v1.binary");
    const writer = new FrameWriter();
    writer.add({ kind: 1, data: encodeText("1"), key: "x\u00e9" });
    const frame = concat(writer.finish(0));
    const send = (id: number, bytes: Uint8Array) => {
      const message = new Uint8Array(8 + bytes.length);
      message[0] = 1;
      new DataView(message.buffer).setUint32(4, id, true);
      message.set(bytes, 8);
      socket.socket.send(message);
    };
    const wrong = frame.slice();
    wrong[wrong.indexOf(0xc3)] = 0x78;
    send(1, reseal(wrong));
    send(2, frame);
    expect((await socket.untilOf("error"))[0]).toMatchObject({
      id: 1,
      code: "bad-frame",
      detail: expect.stringContaining("key: must be UTF-8"),
    });
    await socket.until(() => socket.answers.length);
    expect(await records(stream)).toMatchObject([{ key: "xé" }]);
    socket.socket.close();
  });
});

/** The records of a frame under a checksum that fits. */
function reseal(frame: Uint8Array): Uint8Array {
  const writer = new FrameWriter();
  // One record, whose length is one byte.
  writer.copy(frame, 33, frame.length);
  return concat(writer.finish(0));
}

describe("definitions and orders", () => {
  const half = "\ud800";
  const push = { url: "https://example.com/" };

  test.each([
    ["a filter's key", { filter: { key: half } }, "filter.key"],
    ["a filter's type", { filter: { types: [half] } }, "filter.types"],
    ["a filter's tag", { filter: { tags: [half] } }, "filter.tags"],
    ["a key of incident mode", { only: [half] }, "only"],
    ["a target with a space", { push: { url: "https://example.com/a b" } }, "push.url"],
    ["a target with a line end", { push: { url: "https://exam\nple.com/" } }, "push.url"],
    ["a target that is no URL", { push: { url: "https://" } }, "push.url"],
    ["a target of another kind", { push: { url: "ftp://example.com/" } }, "push.url"],
    ["a header that ends with a space", { push: { ...push, headers: { a: "b " } } }, "push.headers"],
    ["a header of the sender's", { push: { ...push, headers: { "Millrace-Group": "b" } } }, "push.headers"],
    ["a header of the sender's", { push: { ...push, headers: { "User-Agent": "b" } } }, "push.headers"],
    ["a header twice", { push: { ...push, headers: { A: "1", a: "2" } } }, "push.headers"],
    ["a secret of 33 characters", { push: { ...push, secrets: [`whsec_${"a".repeat(33)}`] } }, "push.secrets"],
    ["a secret with too much padding", { push: { ...push, secrets: [`whsec_${"a".repeat(32)}==`] } }, "push.secrets"],
    ["a secret without its padding", { push: { ...push, secrets: [`whsec_${"a".repeat(43)}`] } }, "push.secrets"],
    [
      "a secret of 23 bytes",
      { push: { ...push, secrets: [`whsec_${Buffer.alloc(23).toString("base64")}`] } },
      "push.secrets",
    ],
    [
      "a secret of 65 bytes",
      { push: { ...push, secrets: [`whsec_${Buffer.alloc(65).toString("base64")}`] } },
      "push.secrets",
    ],
  ])("%s is refused by its name", async (_what, config, path) => {
    const stream = await newStream(millrace);
    const answer = await millrace.call("PUT", `${stream}/groups/g`, config);
    expect(answer).toMatchObject({ status: 400, json: { code: "invalid", detail: expect.stringContaining(path) } });
  });

  test("secrets of 24 and of 64 bytes are taken, and sign", async () => {
    const receiver = await Receiver.open();
    const stream = await newStream(millrace);
    const secrets = [24, 25, 26, 64].map((bytes) => `whsec_${Buffer.alloc(bytes, 1).toString("base64")}`);
    expect((await millrace.call("PUT", `${stream}/groups/g`, { push: { url: receiver.url, secrets } })).status).toBe(
      201,
    );
    await millrace.call("POST", `${stream}/records`, { records: [{ data: 1 }] });
    await expect.poll(() => receiver.calls.length).toBe(1);
    expect(String(receiver.calls[0].headers["webhook-signature"]).split(" ")).toHaveLength(4);
    await receiver.close();
  });

  test.each([
    ["a member's name", "groups/g/receive", { member: half }, "member"],
    ["a reason", "groups/g/nack", { receipts: ["0.0.0.a"], reason: half }, "reason"],
    ["a reason to pause", "groups/g/pause", { reason: half }, "reason"],
    ["a key to forget", "erasures", { key: half }, "key"],
    ["a fence", "partitions/0/fence", { token: half }, "token"],
    ["a holder of a lease", "snapshots/lease", { partition: 0, holder: half, seconds: 1 }, "holder"],
    ["a snapshot's content type", "snapshots/0/uploads?partition=0", { contentType: "a/b\r\nx: y" }, "contentType"],
  ])("%s is refused by its name", async (_what, path, body, name) => {
    const stream = await newStream(millrace);
    await millrace.call("PUT", `${stream}/groups/g`, {});
    const answer = await millrace.call(path.endsWith("fence") ? "PUT" : "POST", `${stream}/${path}`, body);
    expect(answer).toMatchObject({ status: 400, json: { code: "invalid" } });
    expect(answer.json.detail).toContain(name);
  });

  test("trimming by a time takes every form of it, and refuses what is none in words", async () => {
    const stream = await newStream(millrace, { timestamps: "client" });
    const at = (...times: string[]) =>
      millrace.call("POST", `${stream}/records`, { records: times.map((time) => ({ time })) });
    expect((await at("2016-12-31t23:59:59.9z", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.5+00:00")).status).toBe(
      201,
    );
    const trim = (beforeTime: string) => millrace.call("POST", `${stream}/partitions/0/trim`, { beforeTime });
    expect((await trim("2016-12-31T15:59:60-08:00")).json.head).toBe(1);
    expect((await trim("2017-01-01T24:00:00Z")).json.detail).toContain("beforeTime");
  });
});

describe("a place in time", () => {
  const hour = 3_600_000;
  /** A stream with records of three hours ago, of half an hour ago, and of now: their data in minutes. */
  async function timed(partitions: number): Promise<string> {
    const stream = await newStream(millrace, { timestamps: "client", partitions });
    const now = Date.now();
    const records = [180, 30, 0].map((data) => ({ key: "a", data, timestamp: now - data * 60_000 }));
    expect((await millrace.call("POST", `${stream}/records`, { records })).status).toBe(201);
    return stream;
  }
  const today = () => new Date(Date.now() - 3 * hour - 60_000).toISOString().slice(0, 10);
  const dataOf = (some: readonly { readonly data: unknown }[]) => some.map(({ data }) => data);

  test.each([1, 2])("is so long ago, or a day, by every door that reads: %i partitions", async (partitions) => {
    const stream = await timed(partitions);
    for (const [from, wanted] of [
      ["1h", [30, 0]],
      ["10m", [0]],
      ["1h2m3s", [30, 0]],
      ["1w", [180, 30, 0]],
      [today(), [180, 30, 0]],
      ["9999-01-01", []],
    ] as const) {
      const page = await millrace.call("GET", `${stream}/records?from=${from}`);
      expect(dataOf(page.json.records), from).toEqual(wanted);
      if (wanted.length === 0) continue;
      const events = await EventReader.open(`${millrace.url}${stream}/records?from=${from}`);
      expect(dataOf((await events.until(wanted.length)).map(({ data }) => data)), from).toEqual(wanted);
      events.close();
      for (const query of partitions === 1 ? ["", "?partition=0"] : [""]) {
        const url = `${millrace.url}${stream}/live${query}`;
        const socket = await StreamSocket.open(url, { headers: { authorization: `Bearer ${token}` } });
        socket.send({ type: "subscribe", id: 1, from, credits: 100 });
        expect(dataOf(await socket.untilRecords(wanted.length)), from).toEqual(wanted);
        socket.socket.close();
      }
      const group = await newGroup(millrace, { start: from }, stream);
      expect(await group.drain(), from).toEqual(wanted);
      expect((await group.post("seek", { to: from })).status).toBe(200);
      expect(await group.drain(), from).toEqual(wanted);
    }
    const trim = (partition: number) =>
      millrace.call("POST", `${stream}/partitions/${partition}/trim`, { beforeTime: "1h" });
    for (let partition = 0; partition < partitions; partition++) expect((await trim(partition)).status).toBe(200);
    expect(dataOf(await records(stream))).toEqual([30, 0]);
  });

  test("of a group's start stays what it is, however often the group is put", async () => {
    const group = await newGroup(millrace, { start: "1h" });
    const before = (await group.get()).json;
    expect(before.config.start).toBe("1h");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await group.put({ start: "1h" })).toMatchObject({ status: 200, json: before });
    expect(await group.put({ start: "2h" })).toMatchObject({ status: 409, json: { code: "conflict" } });
  });

  test("that is none is refused in words that say what would be one", async () => {
    const stream = await newStream(millrace);
    await millrace.call("PUT", `${stream}/groups/g`, {});
    for (const [method, path, body, field] of [
      ["GET", "records?from=yesterday", undefined, "from"],
      ["POST", "groups/g/seek", { to: "yesterday" }, "to"],
      ["PUT", "groups/other", { start: "yesterday" }, "start"],
      ["POST", "partitions/0/trim", { beforeTime: "yesterday" }, "beforeTime"],
    ] as const) {
      const answer = await millrace.call(method, `${stream}/${path}`, body);
      expect(answer, path).toMatchObject({ status: 400, json: { code: "invalid" } });
      expect(answer.json.detail, path).toContain(field);
      expect(answer.json.detail, path).toContain("90m");
    }
  });
});

describe("a push on the wire", () => {
  const numbers = '{"n":9007199254740993,"d":1.10,"e":1e400,"z":-0,"a":1,"a":2}';
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;

  test.each(["binary", "structured", "batch"])(
    "in %s mode has the data byte for byte, deep ones too, and costs no neighbour",
    async (format) => {
      const receiver = await Receiver.open();
      const stream = await newStream(millrace);
      const all = [numbers, deep, '"\\ud800"', "null"];
      const body = `{"records":[${all.map((data, index) => `{"key":"k${index}","data":${data}}`).join(",")}]}`;
      expect((await millrace.call("POST", `${stream}/records`, body, json)).status).toBe(201);
      const config = { onFailure: "skip", maxDeliveries: 1, push: { url: receiver.url, format } };
      await millrace.call("PUT", `${stream}/groups/g`, config);
      await expect.poll(async () => (await millrace.call("GET", `${stream}/groups/g/status`)).json.lag).toBe(0);
      const sent = receiver.calls.map(({ body }) => body).join("\n");
      for (const data of all) expect(sent.includes(format === "binary" ? data : `,"data":${data}}`)).toBe(true);
      expect((await millrace.call("GET", `${stream}/groups/g/dead-letters`)).json.letters).toEqual([]);
      await receiver.close();
    },
  );

  test("has a record at every limit, and its letter goes to another stream", async () => {
    const receiver = await Receiver.open((response) => response.writeHead(500).end());
    const [stream, letters] = [await newStream(millrace), await newStream(millrace)];
    const extensions = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`x${index}`, index]));
    const plain = { key: "k", extensions };
    const room = 1_000_000 - new FrameWriter().add({ ...plain, kind: 1, data: new Uint8Array(0) });
    const records = [{ ...plain, data: "x".repeat(room - 2) }];
    expect((await millrace.call("POST", `${stream}/records`, { records })).status).toBe(201);
    const push = { url: receiver.url, format: "structured" };
    const config = { deadLetterStream: letters.split("/").pop(), onFailure: "skip", maxDeliveries: 1, push };
    expect((await millrace.call("PUT", `${stream}/groups/g`, config)).status).toBe(201);
    await expect
      .poll(async () => (await millrace.call("GET", `${letters}/records`)).json.records.length, { timeout: 15_000 })
      .toBe(1);
    const [letter] = (await millrace.call("GET", `${letters}/records`)).json.records;
    expect(letter).toMatchObject({
      key: "k",
      data: records[0].data,
      extensions: { ...extensions, deadletteroffset: "0" },
    });
    await receiver.close();
  });
});
