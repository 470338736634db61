import { gzipSync } from "node:zlib";
import { CloudEvent, HTTP } from "cloudevents";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../../src/lib/bytes.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { type Answer, type Service, service } from "./service.ts";

let millrace: Service;
const streams = "/v1/default/streams";
let count = 0;

beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

/** A new stream, and its records' path. */
async function stream(config: object = {}): Promise<string> {
  const path = `${streams}/append-${count++}`;
  expect((await millrace.call("PUT", path, config)).status).toBe(201);
  return `${path}/records`;
}
const read = async (path: string, query = "") => (await millrace.call("GET", `${path}${query}`)).json.records;
const append = (path: string, body: BodyInit | object, headers?: Record<string, string>) =>
  millrace.call("POST", path, body, headers);

describe("every format", () => {
  test("JSON, with data byte for byte as sent", async () => {
    const path = await stream();
    const data = '{"big":12345678901234567890, "same":1.0,"text":"\\u00e9\\/","nested":[{"data":"no"}]}';
    const body = `{"records":[{"key":"a","data":${data}},{"data":null},{"key":"a","type":"t","tags":["x"]},{"data_base64":"AAH/"}]}`;
    const answer = await append(path, body, { "content-type": "application/json" });
    expect(answer).toMatchObject({
      status: 201,
      json: { verdicts: [0, 1, 2, 3].map((offset) => ({ verdict: "appended", partition: 0, offset })) },
    });
    const { text } = await millrace.call("GET", path);
    expect(text).toContain(`"key":"a","data":${data}}`);
    expect(JSON.parse(text).records).toMatchObject([
      {},
      { data: null },
      { type: "t", tags: ["x"] },
      { data_base64: "AAH/" },
    ]);
    expect(JSON.parse(text).records[2]).not.toHaveProperty("data");
  });

  test("NDJSON, with the line of a mistake", async () => {
    const path = await stream();
    const type = { "content-type": "application/x-ndjson" };
    expect((await append(path, '{"key":"a","data":1}\n\n{"key":"b","data":2}\r\n', type)).json.verdicts.length).toBe(2);
    const bad = await append(path, '{"data":1}\n{"data":}\n', type);
    expect(bad).toMatchObject({ status: 400, json: { code: "bad-json", line: 2 } });
    expect((await read(path)).length).toBe(2);
  });

  test("CloudEvents as the reference package sends them: binary, structured, batched", async () => {
    const path = await stream();
    const event = new CloudEvent({
      id: "1",
      source: "/shop",
      type: "order",
      subject: "é x",
      time: "2026-11-20T10:00:00.000Z",
      partitionkey: "customer",
      traceparent: "00-1",
      data: { total: 42 },
    });
    const binary = HTTP.binary(event);
    const structured = HTTP.structured(event.cloneWith({ id: "2" }));
    for (const { headers, body } of [binary, structured]) {
      const plain = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, encodeURI(String(value))]),
      );
      expect(
        (await append(path, body as string, { ...plain, "content-type": String(headers["content-type"]) })).status,
      ).toBe(201);
    }
    const batch = JSON.stringify([
      event.cloneWith({ id: "3" }),
      event.cloneWith({ id: "4", datacontenttype: "text/plain", data: "hi" }),
    ]);
    expect((await append(path, batch, { "content-type": "application/cloudevents-batch+json" })).status).toBe(201);
    const records = await read(path);
    expect(records.map((one: { id: string }) => one.id)).toEqual(["1", "2", "3", "4"]);
    for (const one of records.slice(0, 3)) {
      expect(one).toMatchObject({
        key: "customer",
        source: "/shop",
        type: "order",
        subject: "é x",
        time: "2026-11-20T10:00:00.000Z",
        extensions: { traceparent: "00-1" },
        data: { total: 42 },
      });
    }
    expect(records[3].data).toBe("hi");
  });

  test.each([
    ["no specversion", { id: "1", source: "s", type: "t" }, "specversion"],
    ["no id", { specversion: "1.0", source: "s", type: "t" }, "id is missing"],
    [
      "a name that CloudEvents forbids",
      { specversion: "1.0", id: "1", source: "s", type: "t", Bad_Name: 1 },
      "Bad_Name",
    ],
  ])("an event with %s is refused", async (_name, event, said) => {
    const path = await stream();
    const answer = await append(path, JSON.stringify(event), { "content-type": "application/cloudevents+json" });
    expect(answer).toMatchObject({ status: 400, json: { code: "bad-event", detail: expect.stringContaining(said) } });
  });

  test("a raw body is one record with its content type", async () => {
    const path = await stream();
    expect(
      (await append(`${path}?key=k&type=note&tag=a&tag=b`, "hello", { "content-type": "text/plain" })).status,
    ).toBe(201);
    await append(path, new Uint8Array([0, 1, 255]), { "content-type": "image/png" });
    await append(`${path}?raw=true`, '{"records":"no batch"}', { "content-type": "application/json" });
    expect(await read(path)).toMatchObject([
      { key: "k", type: "note", tags: ["a", "b"], datacontenttype: "text/plain", data: "hello" },
      { datacontenttype: "image/png", data_base64: "AAH/" },
      { datacontenttype: "application/json", data: { records: "no batch" } },
    ]);
    expect(await append(path, "{", { "content-type": "application/geo+json" })).toMatchObject({
      json: { code: "bad-json" },
    });
  });

  test("packed frames, also gzipped, with runs for verdicts", async () => {
    const path = await stream();
    const writer = new FrameWriter();
    for (let i = 0; i < 1_000; i++) writer.add({ key: `k${i}`, kind: 1, data: new TextEncoder().encode(String(i)) });
    const bytes = concat(writer.finish(0));
    const type = { "content-type": "application/vnd.millrace.frames" };
    expect(await append(path, bytes, type)).toMatchObject({
      status: 201,
      json: { runs: [{ verdict: "appended", partition: 0, offset: 0, count: 1_000 }] },
    });
    const gzipped = await append(path, gzipSync(bytes), { ...type, "content-encoding": "gzip" });
    expect(gzipped.json.runs).toEqual([{ verdict: "appended", partition: 0, offset: 1_000, count: 1_000 }]);
    bytes[50] ^= 1;
    expect(await append(path, bytes, type)).toMatchObject({ status: 400, json: { code: "bad-frame" } });
  });

  test("what a packed frame calls JSON and is none comes back as the bytes that it is", async () => {
    const path = await stream();
    const writer = new FrameWriter();
    writer.add({ kind: 1, data: new TextEncoder().encode("{not json") });
    writer.add({ kind: 2, data: Uint8Array.from([255, 254]) });
    await append(path, concat(writer.finish(4)), { "content-type": "application/vnd.millrace.frames" });
    expect(await read(path)).toMatchObject([{ data_base64: btoa("{not json") }, { data_base64: "//4=" }]);
  });
});

describe("routing", () => {
  test("each record goes by its own key, verdicts in the order of the records, in every format", async () => {
    const path = await stream({ partitions: 4 });
    const records = Array.from({ length: 200 }, (_, i) => ({ key: `k${i % 20}`, data: i }));
    const first = (await append(path, { records })).json.verdicts;
    const partitionOf = new Map<string, number>();
    records.forEach(({ key }, i) => {
      expect(partitionOf.get(key) ?? first[i].partition).toBe(first[i].partition);
      partitionOf.set(key, first[i].partition);
    });
    expect(new Set(partitionOf.values()).size).toBe(4);
    const writer = new FrameWriter();
    for (const { key, data } of records) writer.add({ key, kind: 1, data: new TextEncoder().encode(String(data)) });
    const frames = await append(`${path}?verdicts=each`, concat(writer.finish(0)), {
      "content-type": "application/vnd.millrace.frames",
    });
    frames.json.verdicts.forEach((one: { partition: number }, i: number) => {
      expect(one.partition).toBe(partitionOf.get(records[i].key));
    });
    for (const key of partitionOf.keys()) {
      const found = await read(path, `?key=${key}`);
      const sent = records.filter((one) => one.key === key).map((one) => one.data);
      expect(found.map((one: { data: number }) => one.data)).toEqual([...sent, ...sent]);
    }
  });

  test("records without a key stay together in a request, and spread over requests", async () => {
    const path = await stream({ partitions: 4 });
    const partitions = new Set<number>();
    for (let i = 0; i < 40; i++) {
      const { verdicts } = (await append(path, { records: [{ data: 1 }, { data: 2 }] })).json;
      expect(verdicts[0].partition).toBe(verdicts[1].partition);
      partitions.add(verdicts[0].partition);
    }
    expect(partitions.size).toBeGreaterThan(1);
  });

  test("an explicit partition takes what belongs there, and refuses the rest", async () => {
    const path = await stream({ partitions: 2 });
    expect((await append(`${path}?partition=1`, { records: [{ data: 1 }] })).json.verdicts[0].partition).toBe(1);
    const keyed = (await append(path, { records: [{ key: "a" }] })).json.verdicts[0].partition;
    expect((await append(`${path}?partition=${keyed}`, { records: [{ key: "a" }] })).status).toBe(201);
    expect(await append(`${path}?partition=${1 - keyed}`, { records: [{ key: "a" }] })).toMatchObject({
      status: 409,
      json: { code: "wrong-partition", partition: keyed },
    });
    expect(await append(`${path}?partition=2`, { records: [{ data: 1 }] })).toMatchObject({
      status: 404,
      json: { code: "partition-not-found" },
    });
  });
});

describe("promises", () => {
  const one = { records: [{ key: "a", data: 1 }] };

  test("a producer's retry gets the first offsets, marked as duplicates", async () => {
    const path = await stream();
    const by = (seq: number, epoch = 0) => ({
      "producer-id": "p",
      "producer-epoch": String(epoch),
      "producer-seq": String(seq),
    });
    expect(await append(path, one, by(0))).toMatchObject({ status: 201 });
    for (let i = 0; i < 10; i++) {
      expect(await append(path, one, by(0))).toMatchObject({
        status: 200,
        json: { verdicts: [{ verdict: "duplicate", offset: 0 }] },
      });
    }
    expect(await append(path, one, by(2))).toMatchObject({
      status: 409,
      json: { code: "sequence-gap", expected: 1, retryable: false, clean: true },
    });
    expect((await append(path, one, by(0, 1))).status).toBe(201);
    expect(await append(path, one, by(1, 0))).toMatchObject({ status: 409, json: { code: "fenced" } });
    expect(await append(path, one, { "producer-id": "p" })).toMatchObject({ status: 400, json: { code: "invalid" } });
    expect((await read(path)).length).toBe(2);
  });

  test("over several partitions a retry appends what is missing only", async () => {
    const path = await stream({ partitions: 4 });
    const records = Array.from({ length: 40 }, (_, i) => ({ key: `k${i}`, data: i }));
    const by = { "producer-id": "p", "producer-epoch": "0", "producer-seq": "7" };
    const first = await append(path, { records }, by);
    const again = await append(path, { records }, by);
    expect(again.json.verdicts).toEqual(
      first.json.verdicts.map((verdict: object) => ({ ...verdict, verdict: "duplicate" })),
    );
    expect((await read(path)).length).toBe(40);
  });

  test.each(["each", "runs"])(
    "over splits a retry is answered record by record as at first, by verdicts=%s",
    async (form) => {
      const path = await stream();
      const records = [
        ...Array.from({ length: 10 }, (_, i) => ({ key: `k${i}`, data: i })),
        { data: 10 },
        { id: "i", data: 11 },
      ];
      const by = (seq: number) => ({ "producer-id": "p", "producer-epoch": "0", "producer-seq": String(seq) });
      const verdictsOf = ({ json }: Answer) =>
        json.verdicts ??
        json.runs.flatMap(({ count, offset, ...run }: { count: number; offset: number }) =>
          Array.from({ length: count }, (_, i) => ({ ...run, offset: offset + i })),
        );
      const first = verdictsOf(await append(`${path}?verdicts=${form}`, { records }, by(0)));
      expect(first.map(({ offset }: { offset: number }) => offset)).toEqual(records.map((_, i) => i));
      for (const partitions of [2, 4, 5]) {
        await millrace.call("PUT", path.replace("/records", ""), { partitions });
        const again = await append(`${path}?verdicts=${form}`, { records }, by(0));
        expect(again.status).toBe(200);
        expect(verdictsOf(again)).toEqual(first.map((one: object) => ({ ...one, verdict: "duplicate" })));
      }
      const atomic = await append(`${path}?atomic=true`, { records }, by(0));
      expect(verdictsOf(atomic)).toEqual(first.map((one: object) => ({ ...one, verdict: "duplicate" })));
      expect((await append(path, { records: records.slice(1) }, by(0))).json.code).toBe("sequence-conflict");
      expect((await read(path)).length).toBe(12);
    },
  );

  test.each([1, 2])("a number with another batch is a conflict, on %i partitions", async (partitions) => {
    const path = await stream({ partitions });
    const some = (count: number, from = 0) => ({
      records: Array.from({ length: count }, (_, i) => ({ key: `k${from + i}`, data: from + i })),
    });
    const by = { "producer-id": "q", "producer-epoch": "0", "producer-seq": "0" };
    expect((await append(path, some(10), by)).status).toBe(201);
    for (const other of [some(12), some(9), some(10, 1)]) {
      for (const form of ["each", "runs"]) {
        expect(await append(`${path}?verdicts=${form}`, other, by)).toMatchObject({
          status: 409,
          json: { code: "sequence-conflict", retryable: false, clean: true },
        });
      }
    }
    expect((await append(path, some(10), by)).status).toBe(200);
    expect((await read(path)).length).toBe(10);
  });

  test("a record with an id and no key is there once, however many partitions there are", async () => {
    const path = await stream({ partitions: 8 });
    const event = { specversion: "1.0", id: "43", source: "/s", type: "t", data: 1 };
    const places = new Set<string>();
    for (let i = 0; i < 12; i++) {
      if (i === 6) await millrace.call("PUT", path.replace("/records", ""), { partitions: 11 });
      const by: Record<string, string> =
        i % 3 === 0 ? { "producer-id": `p${i}`, "producer-epoch": "0", "producer-seq": "0" } : {};
      const plain = await append(path, { records: [{ id: "42", source: "/s", data: 1 }] }, by);
      const sent = await append(path, JSON.stringify(event), { "content-type": "application/cloudevents+json" });
      for (const answer of [plain, sent]) {
        expect(answer.status).toBe(i === 0 ? 201 : 200);
        places.add(JSON.stringify({ ...answer.json.verdicts[0], verdict: "" }));
      }
    }
    expect(places.size).toBe(2);
    expect((await read(path)).length).toBe(2);
  });

  test("the same id under another key is another record", async () => {
    for (const partitions of [1, 8]) {
      const path = await stream({ partitions });
      const records = ["k1", "k7", undefined].map((key) => ({ key, id: "1", source: "/s" }));
      for (const verdict of ["appended", "duplicate"]) {
        const { verdicts } = (await append(path, { records })).json;
        expect(verdicts.map((one: { verdict: string }) => one.verdict)).toEqual([verdict, verdict, verdict]);
      }
      expect((await read(path)).length).toBe(3);
    }
  });

  test("source and id make a record a duplicate within the window", async () => {
    const path = await stream();
    const events = {
      records: [
        { source: "s", id: "1" },
        { source: "s", id: "2" },
        { source: "s", id: "1" },
      ],
    };
    expect((await append(path, events)).json.verdicts.map((one: { verdict: string }) => one.verdict)).toEqual([
      "appended",
      "appended",
      "duplicate",
    ]);
    expect((await append(path, events)).status).toBe(200);
    const off = await stream({ deduplicationWindowMs: 0 });
    await append(off, events);
    expect((await read(off)).length).toBe(3);
  });

  test("of two racing conditional appends one wins, and the other learns the tail", async () => {
    const path = await stream();
    const race = await Promise.all([append(`${path}?expectedOffset=0`, one), append(`${path}?expectedOffset=0`, one)]);
    expect(race.map(({ status }) => status).sort()).toEqual([201, 412]);
    expect(race.find(({ status }) => status === 412)?.json).toMatchObject({ code: "expected-offset", tail: 1 });
  });

  test("expectedKeyOffset is about one key, and wants the index", async () => {
    const path = await stream({ keyIndex: true });
    expect((await append(`${path}?expectedKeyOffset=none`, one)).status).toBe(201);
    expect(await append(`${path}?expectedKeyOffset=none`, one)).toMatchObject({
      status: 412,
      json: { code: "expected-key-offset", actual: 0 },
    });
    expect((await append(`${path}?expectedKeyOffset=0`, one)).status).toBe(201);
    const two = { records: [{ key: "a" }, { key: "b" }] };
    expect(await append(`${path}?expectedKeyOffset=0`, two)).toMatchObject({ status: 400, json: { code: "bad-key" } });
    expect(await append(`${await stream()}?expectedKeyOffset=0`, one)).toMatchObject({
      status: 409,
      json: { code: "key-index-off" },
    });
  });

  test("a fence keeps out the writer that names another token", async () => {
    const path = await stream();
    const fence = `${path.replace("/records", "")}/partitions/0/fence`;
    expect(await millrace.call("PUT", fence, { token: "t1" })).toMatchObject({ status: 200, json: { fence: "t1" } });
    expect((await append(`${path}?fence=t1`, one)).status).toBe(201);
    expect(await append(`${path}?fence=t0`, one)).toMatchObject({ status: 409, json: { code: "fenced" } });
    expect(await millrace.call("PUT", fence, { token: "t2", expected: "t0" })).toMatchObject({ status: 409 });
    expect((await millrace.call("PUT", fence, { token: null })).json).not.toHaveProperty("fence");
  });

  test("atomic wants one partition", async () => {
    const path = await stream({ partitions: 8 });
    const records = Array.from({ length: 30 }, (_, i) => ({ key: `k${i}` }));
    expect(await append(`${path}?atomic=true`, { records })).toMatchObject({
      status: 400,
      json: { code: "atomic-spans-partitions" },
    });
    expect((await append(`${path}?atomic=true`, one)).status).toBe(201);
    expect((await read(path)).length).toBe(1);
  });

  test("ack=none answers 202, and the record arrives", async () => {
    const path = await stream();
    expect(await append(`${path}?ack=none`, one)).toMatchObject({ status: 202, json: { accepted: 1 } });
    await expect.poll(() => read(path)).toHaveLength(1);
  });

  test("producer-given offsets: a repeated one is a no-op, one out of order is refused", async () => {
    const path = await stream({ offsets: "producer" });
    const at = (...offsets: number[]) => ({ records: offsets.map((offset) => ({ offset, data: offset })) });
    expect((await append(path, at(5, 9))).json.verdicts).toMatchObject([{ offset: 5 }, { offset: 9 }]);
    expect((await append(path, at(9, 12))).json.verdicts).toMatchObject([
      { verdict: "duplicate" },
      { verdict: "appended", offset: 12 },
    ]);
    const another = await append(path, { records: [{ offset: 9, key: "k", data: "another" }] });
    expect(another).toMatchObject({ status: 200, json: { verdicts: [{ verdict: "duplicate", offset: 9 }] } });
    expect((await read(path)).map((one: { data: unknown }) => one.data)).toEqual([5, 9, 12]);
    expect(await append(path, at(7))).toMatchObject({ status: 409, json: { code: "offset-regressed" } });
    expect((await append(path, { records: [{ data: 1 }] })).json.code).toBe("invalid");
    expect((await read(path)).map((one: { offset: number }) => one.offset)).toEqual([5, 9, 12]);
  });

  test("client timestamps are kept, raised, and bounded", async () => {
    const path = await stream({ timestamps: "client" });
    await append(path, {
      records: [{ timestamp: 1_000 }, { time: "1970-01-01T00:00:00.500Z" }, { timestamp: "1970-01-01T00:00:02Z" }],
    });
    expect((await read(path)).map((one: { timestamp: string }) => Date.parse(one.timestamp))).toEqual([
      1_000, 1_000, 2_000,
    ]);
    const ahead = Date.now() + limits.timestampAheadMsMax + 60_000;
    expect(await append(path, { records: [{ timestamp: ahead }] })).toMatchObject({
      status: 400,
      json: { code: "invalid" },
    });
  });
});

describe("limits, on both sides of the edge", () => {
  const raw = (bytes: number) => new Uint8Array(bytes);
  const binary = { "content-type": "application/octet-stream" };
  // Two bytes of fields, and the content type with its length.
  const overhead = 2 + 1 + binary["content-type"].length;

  test("a record of the largest size is taken, one byte more is refused with the limit", async () => {
    const path = await stream();
    expect((await append(path, raw(limits.recordBytesMax - overhead), binary)).status).toBe(201);
    expect(await append(path, raw(limits.recordBytesMax - overhead + 1), binary)).toMatchObject({
      status: 413,
      json: {
        code: "record-too-large",
        limit: limits.recordBytesMax,
        detail: expect.stringContaining(String(limits.recordBytesMax)),
      },
    });
    const [stored] = await read(path);
    expect(atob(stored.data_base64).length).toBe(limits.recordBytesMax - overhead);
  });

  test("a stream may set its records lower", async () => {
    const path = await stream({ recordBytesMax: 100 });
    expect((await append(path, raw(100 - overhead), binary)).status).toBe(201);
    expect((await append(path, raw(101 - overhead), binary)).json).toMatchObject({
      code: "record-too-large",
      limit: 100,
    });
  });

  test("a body is cut off at the stream's limit, announced, chunked or gzipped", async () => {
    const path = await stream({ batchBytesMax: 10_000 });
    const chunked = (bytes: number) =>
      fetch(millrace.url + path, {
        method: "POST",
        headers: { authorization: "Bearer test-token", ...binary },
        body: new Blob([raw(bytes)]).stream(),
        duplex: "half",
      } as RequestInit);
    expect((await append(path, raw(10_000), binary)).status).toBe(201);
    expect(await append(path, raw(10_001), binary)).toMatchObject({
      status: 413,
      json: { code: "body-too-large", limit: 10_000 },
    });
    expect((await chunked(10_000)).status).toBe(201);
    expect((await chunked(10_001)).status).toBe(413);
    const gzip = { ...binary, "content-encoding": "gzip" };
    expect((await append(path, gzipSync(raw(10_000)), gzip)).status).toBe(201);
    expect((await append(path, gzipSync(raw(5_000_000)), gzip)).status).toBe(413);
    expect((await append(path, raw(100), gzip)).json.code).toBe("bad-gzip");
    expect((await append(path, gzipSync(raw(1_000)).subarray(0, 20), gzip)).json.code).toBe("bad-gzip");
    expect((await append(path, raw(1), { ...binary, "content-encoding": "br" })).json.code).toBe(
      "unsupported-media-type",
    );
  });

  test("a batch of as many records as allowed is taken, one more is refused", async () => {
    const path = await stream();
    const lines = (records: number) => "{}\n".repeat(records);
    const type = { "content-type": "application/x-ndjson" };
    expect((await append(`${path}?verdicts=runs`, lines(limits.batchRecordsMax), type)).json.runs).toMatchObject([
      { count: limits.batchRecordsMax },
    ]);
    expect(await append(path, lines(limits.batchRecordsMax + 1), type)).toMatchObject({
      status: 413,
      json: { code: "batch-too-large" },
    });
  });

  test("keys are counted in bytes", async () => {
    const path = await stream();
    expect((await append(path, { records: [{ key: "é".repeat(limits.keyBytesMax / 2) }] })).status).toBe(201);
    expect((await append(path, { records: [{ key: "é".repeat(limits.keyBytesMax / 2 + 1) }] })).json).toMatchObject({
      code: "invalid",
      path: "key",
    });
  });
});
