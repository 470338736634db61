import { request } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errors } from "../../schemas/errors.ts";
import { concat } from "../../src/lib/bytes.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { type Answer, type Service, service } from "./service.ts";

let millrace: Service;
const records = "/v1/default/streams/hostile/records";

beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", "/v1/default/streams/hostile", { partitions: 2 });
});
afterAll(() => millrace.end());

function isProblem(answer: Answer): void {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  const { code, status, type, title, detail, retryable, clean } = answer.json;
  expect(errors).toHaveProperty(code);
  expect(status).toBe(answer.status);
  expect(type).toBe(`/docs#${code}`);
  expect([typeof title, typeof detail, typeof retryable, typeof clean]).toEqual([
    "string",
    "string",
    "boolean",
    "boolean",
  ]);
}

const json = { "content-type": "application/json" };

describe("every refusal is a problem that says what to change", () => {
  test.each<[string, string, BodyInit | undefined, Record<string, string>, string, string | RegExp]>([
    ["GET", "/nowhere", undefined, {}, "unknown-route", "/docs"],
    ["GET", "/v1/default/streams/hostile/nowhere", undefined, {}, "unknown-route", "/docs"],
    ["PATCH", records, "{}", json, "method-not-allowed", "GET, POST"],
    ["POST", "/v1/default/streams/hostile/partitions/0/trim", "{}", json, "invalid", "either beforeOffset"],
    ["POST", "/v1/default/streams/hostile/erasures", '{"key":"a","subject":"b"}', json, "invalid", "either key"],
    ["POST", "/v1/default", undefined, {}, "method-not-allowed", "GET, PUT, DELETE"],
    ["POST", "/v1/default/streams/none/records", '{"records":[{}]}', json, "stream-not-found", "PUT"],
    ["GET", "/v1/none/streams/a", undefined, {}, "namespace-not-found", "PUT"],
    ["POST", records, "x", { "content-type": "multipart/form-data" }, "unsupported-media-type", "application/json"],
    ["POST", records, "key=1", { "content-type": "application/x-www-form-urlencoded" }, "unsupported-media-type", "-H"],
    ["POST", records, '{"records":[{"key":}]}', json, "bad-json", /Unexpected token .}. at line 1, column 20/],
    ["POST", records, "", json, "bad-json", "empty"],
    ["POST", records, "[]", json, "invalid", "object"],
    ["POST", records, '{\n "records": [\n  {"key": "a" "b"}]}', json, "bad-json", "line 3, column 15"],
    ["POST", records, '{"records":[{"key":"a', json, "bad-json", "column 22"],
    ["POST", records, '{"records":[]}', json, "invalid", "records"],
    ["POST", records, '{"records":[{"kee":1}]}', json, "unknown-field", "'kee'"],
    ["POST", records, '{"records":[],"atomic":true}', json, "unknown-field", "'atomic' is not known"],
    ["POST", records, '{"total":42}', json, "unknown-field", /'total' is not known; send .*"data".* under data$/],
    ["POST", records, '{"records":[{"total":42}]}', json, "unknown-field", /records.0: 'total' .*under data$/],
    ["POST", records, '{"total":42}', { "content-type": "application/x-ndjson" }, "unknown-field", /line 1: .*data$/],
    ["POST", records, '{"records":[{"key":""}]}', json, "invalid", "records.0: key: must not be empty"],
    ["POST", records, '{"records":[{},{"key":7}]}', json, "invalid", "records.1: key"],
    ["POST", records, '{"records":[{"data":1,"data_base64":"AA=="}]}', json, "invalid", "not both"],
    ["POST", records, '{"records":[{"offset":1}]}', json, "invalid", "offset"],
    ["POST", records, '{"records":[{"timestamp":1}]}', json, "invalid", "timestamp"],
    ["POST", records, '{"records":[{"time":"yesterday"}]}', json, "invalid", "RFC 3339"],
    ["POST", `${records}?acks=1`, '{"records":[{}]}', json, "unknown-field", "'acks'"],
    ["POST", `${records}?ack=quorum`, '{"records":[{}]}', json, "invalid", "ack"],
    ["POST", `${records}?key=a`, '{"records":[{}]}', json, "invalid", "raw"],
    ["POST", `${records}?partition=1&partition=0`, '{"records":[{}]}', json, "invalid", "twice"],
    ["GET", `${records}?from=soon`, undefined, {}, "invalid", "from"],
    ["GET", `${records}?limit=0`, undefined, {}, "invalid", "limit"],
    ["GET", `${records}?limit=10001`, undefined, {}, "invalid", "limit"],
    ["GET", `${records}?wait=31`, undefined, {}, "invalid", "wait"],
    ["GET", `${records}?filter=x`, undefined, {}, "unknown-field", "'filter'"],
    ["GET", `${records}?__proto__=1`, undefined, {}, "unknown-field", "'__proto__'"],
    ["GET", `${records}?constructor=1`, undefined, {}, "unknown-field", "'constructor'"],
    ["GET", `${records}?__proto__=1&__proto__=2`, undefined, {}, "invalid", "twice"],
    ["GET", "/v1/config?__proto__=1", undefined, {}, "unknown-field", "'__proto__'"],
    ["POST", "/v1/default/streams/hostile/partitions/0/trim", "{}", json, "invalid", "body"],
    ["PUT", "/v1/default/streams/hostile/partitions/0/fence", '{"tokn":"a"}', json, "unknown-field", "'tokn'"],
    ["GET", "/v1/default/streams/hostile/partitions/x", undefined, {}, "partition-not-found", "0 to 1"],
    ["GET", "/v1/default/streams?limit=x", undefined, {}, "invalid", "limit"],
    ["DELETE", "/v1/default?force=maybe", undefined, {}, "invalid", "force"],
  ])("%s %s %s", async (method, path, body, headers, code, said) => {
    const answer = await millrace.call(method, path, body, headers);
    isProblem(answer);
    expect(answer.json.code).toBe(code);
    expect(answer.json.detail).toMatch(said);
  });

  test("a number that is no offset is one at no door, though the id of a log may look like it", async () => {
    const stream = "/v1/default/streams/hostile";
    await millrace.call("PUT", `${stream}/groups/seeker`, {});
    for (const number of [
      "12345678901234567890",
      "18446744073709551615",
      "9007199254740992",
      "-18446744073709551615",
    ]) {
      const doors: [string, string, object | undefined, Record<string, string>, string][] = [
        ["GET", `${records}?partition=0&from=${number}`, undefined, {}, "from"],
        ["GET", `${records}?partition=0&from=${number}`, undefined, { accept: "text/event-stream" }, "from"],
        [
          "GET",
          `${records}?partition=0`,
          undefined,
          { accept: "text/event-stream", "last-event-id": number },
          "last-event-id",
        ],
        ["PUT", `${stream}/groups/starter`, { start: number }, {}, "start"],
        ["POST", `${stream}/groups/seeker/seek`, { to: number, partition: 0 }, {}, "to"],
      ];
      for (const [method, path, body, headers, field] of doors) {
        const answer = await millrace.call(method, path, body, headers);
        isProblem(answer);
        expect(answer.json, `${method} ${path}`).toMatchObject({ status: 400, code: "invalid", path: field });
        expect(answer.json.detail).toContain(number);
      }
    }
  });

  test("a place of a lost connection is refused by the header that has it, and an empty one is none", async () => {
    const events = async (id: string, query = "") => {
      const answer = await fetch(`${millrace.url}${records}${query}`, {
        headers: { authorization: "Bearer test-token", accept: "text/event-stream", "last-event-id": id },
      });
      const json = answer.status === 200 ? await answer.body?.cancel() : await answer.json();
      return { status: answer.status, json };
    };
    const refused = { status: 400, code: "invalid", path: "last-event-id" };
    for (const id of ["soon", "7"]) {
      const { json } = await events(id);
      expect(json).toMatchObject({ ...refused, detail: expect.stringContaining("headers: Last-Event-ID: ") });
    }
    expect((await events("", "?from=soon")).json).toMatchObject({ ...refused, path: "from" });
    for (const id of ["", "earliest"]) expect((await events(id)).status).toBe(200);
  });

  test.each(["", "x", "-1", "0x1", "1e0", "1.0", "9007199254740991", "1 1"])(
    "a producer's number is digits, and is not %j",
    async (number) => {
      for (const field of ["epoch", "seq"]) {
        const by = { "producer-id": "p", "producer-epoch": "0", "producer-seq": "0", [`producer-${field}`]: number };
        const answer = await millrace.call("POST", records, '{"records":[{"key":"a"}]}', { ...json, ...by });
        isProblem(answer);
        expect(answer.json).toMatchObject({ status: 400, code: "invalid" });
      }
    },
  );

  test("a method that is not allowed comes with those that are", async () => {
    expect((await millrace.call("DELETE", records)).headers.get("allow")).toBe("GET, POST, HEAD");
  });

  test("without the right token nothing is told, not even what exists", async () => {
    for (const authorization of ["", "Bearer wrong-token", "Basic dGVzdA==", "Bearer", "Bearer test-tokeN"]) {
      for (const path of [records, "/v1/none", "/v1/config"]) {
        const response = await fetch(millrace.url + path, { headers: { authorization } });
        expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="millrace"']);
        expect((await response.json()) as object).toMatchObject({ code: "unauthorized" });
      }
    }
    expect((await fetch(`${millrace.url}/healthz`)).status).toBe(200);
  });
});

/** Requests that are nearly right: spoilt bodies, headers, queries and paths of good ones. */
const hostile = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH"),
  path: fc.oneof(
    { weight: 5, arbitrary: fc.constant(records) },
    fc.constantFrom("/v1/default/streams/hostile/partitions/0/trim", "/v1/default/streams/hostile/partitions/0/fence"),
    fc.constantFrom("/v1/default/streams/hostile/partitions/9", "/v1/%00/streams/a", "/v1/default/streams/%ff/records"),
    fc.webPath().map((path) => `/v1/default/streams/hostile/x${path}`),
  ),
  query: fc.dictionary(
    fc.constantFrom(
      "from",
      "limit",
      "partition",
      "key",
      "ack",
      "wait",
      "atomic",
      "expectedOffset",
      "maxBytes",
      "junk",
      "tag",
    ),
    fc.oneof(fc.string(), fc.constantFrom("-1", "1e309", "9007199254740993", "NaN", "true", "0", "%", "all")),
    { maxKeys: 2 },
  ),
  type: fc.constantFrom(
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/vnd.millrace.frames",
    "text/plain",
    "",
  ),
  extra: fc.constantFrom<Record<string, string>>(
    {},
    { "content-encoding": "gzip" },
    { "ce-specversion": "1.0", "ce-id": "%zz" },
    { "producer-id": "p", "producer-epoch": "x", "producer-seq": "-1" },
    { accept: "text/html" },
  ),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.json().map((text) => new TextEncoder().encode(text)),
    fc.tuple(fc.nat(), fc.nat(255)).map(([place, byte]) => spoil(place, byte)),
    fc
      .constantFrom(
        ...[
          '{"records":[{"key":"\ud800"}]}',
          "[".repeat(10_000),
          '{"records":[{"__proto__":{}}]}',
          '{"records":[{"tags":["",""]}]}',
        ],
      )
      .map((text) => new TextEncoder().encode(text)),
  ),
});

function spoil(place: number, byte: number): Uint8Array {
  const writer = new FrameWriter();
  writer.add({ key: "k", type: "t", tags: ["a"], extensions: { e: 1 }, kind: 1, data: new TextEncoder().encode("1") });
  const bytes = concat(writer.finish(0));
  bytes[place % bytes.length] ^= byte;
  return bytes;
}

test("a thousand hostile requests are never answered with a 5xx, and what is refused has changed nothing", async () => {
  const state = async () => {
    const facts = await Promise.all(
      [0, 1].map((number) => millrace.call("GET", `/v1/default/streams/hostile/partitions/${number}`)),
    );
    return facts.map(({ json }) => `${json.head} ${json.tail} ${json.fence}`).join();
  };
  let before = await state();
  let refused = 0;
  for (const one of fc.sample(hostile, 1_000)) {
    const query = new URLSearchParams(one.query).toString();
    const wait = /wait=\d/.test(query) ? "" : query;
    const body = one.method === "GET" ? undefined : one.body;
    const headers = { ...one.extra, ...(one.type === "" ? {} : { "content-type": one.type }) };
    const answer = await millrace.call(one.method, `${one.path}?${wait}`, body as BodyInit, headers);
    expect(answer.status, JSON.stringify({ ...one, answer: answer.text })).toBeLessThan(500);
    const after = await state();
    if (answer.status >= 400) {
      refused++;
      isProblem(answer);
      expect(after, JSON.stringify(one)).toBe(before);
    }
    before = after;
  }
  expect(refused).toBeGreaterThan(500);
  for (const number of [0, 1]) {
    expect((await millrace.call("POST", `/v1/default/streams/hostile/partitions/${number}/verify`)).json.intact).toBe(
      true,
    );
  }
});

describe("a refusal arrives though much of the body is still on its way", () => {
  const sent = (path: string, size: number, headers: Record<string, string>, body = Buffer.alloc(size, "a")) =>
    new Promise<number | string | undefined>((done) => {
      const method = path.endsWith("/g") ? "PUT" : "POST";
      const own = { authorization: "Bearer test-token", "content-type": "application/json", ...headers };
      const call = request(millrace.url + path, { method, headers: own }, (answer) => {
        answer.resume();
        answer.on("end", () => done(answer.statusCode));
      });
      call.on("error", (error: NodeJS.ErrnoException) => done(error.code));
      call.end(body);
    });

  test.each<[string, number, number, Record<string, string>, number]>([
    ["an order that is too large", 10_000_000, 413, {}, 0],
    ["a stream that is not there", 5_000_000, 404, {}, 1],
    ["a token that is none", 5_000_000, 401, { authorization: "Bearer wrong" }, 2],
    ["a batch that is too large", 20_000_000, 413, {}, 2],
    ["one whose length is not said", 20_000_000, 413, { "transfer-encoding": "chunked" }, 2],
  ])("%s", async (_, size, status, headers, at) => {
    const path = ["/v1/default/streams/hostile/groups/g", "/v1/default/streams/none/records", records][at] as string;
    const seen = new Set<unknown>();
    for (let i = 0; i < 5; i++) seen.add(await sent(path, size, headers));
    expect(seen).toEqual(new Set([status]));
  });
});
