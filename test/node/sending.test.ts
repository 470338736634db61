/** What the library sends, what it refuses to send, and how it waits: against a service that answers as it is told. */
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { problemOf } from "../../src/client/error.ts";
import { Millrace, type Stream } from "../../src/client/index.ts";
import { gzipping, withText } from "../../src/client/options.ts";
import { sleep } from "../../src/client/retry.ts";
import { type Asked, appended, clientOf, taken, unpacked } from "../cases/answering.ts";

afterEach(() => void vi.useRealTimers());

/** A producer that ends with its test, whatever it has left to send. */
function producerOf(stream: Stream) {
  const over = new AbortController();
  onTestFinished(() => over.abort());
  return stream.producer({ signal: over.signal });
}

describe("what the service says of waiting", () => {
  test.each([
    ["1", 1_000],
    ["1.5", 2_000],
    ["0", undefined],
    ["-1", undefined],
    ["7, 9", undefined],
    ["soon", undefined],
    ["Sun, 06 Nov 1994 08:49:37 GMT", undefined],
    ["3000000", 3_600_000],
    ["9999999999999999", 3_600_000],
  ])("Retry-After: %s", async (value, expected) => {
    const error = await problemOf(new Response("", { status: 503, headers: { "retry-after": value } }));
    expect(error.retryAfterMs).toBe(expected);
  });

  test("no wait is cut to nothing for being long", async () => {
    vi.useFakeTimers();
    const over = vi.fn();
    void sleep(2 ** 40).then(over);
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(over).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2 ** 31);
    expect(over).toHaveBeenCalled();
  });
});

function circle(): object {
  const one: Record<string, unknown> = {};
  one.self = one;
  return one;
}
function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

describe("what cannot be sent as it is meant is refused at once, by name:", () => {
  test.each<[string, unknown, string]>([
    ["NaN", { total: Number.NaN }, "data.total is NaN"],
    ["infinite", { a: [1, { b: Number.NEGATIVE_INFINITY }] }, "data.a.1.b is -Infinity"],
    ["NaN alone", Number.NaN, "data is NaN"],
    ["a map", new Map([[1, 2]]), "data is a Map"],
    ["a set beside what is fine", { a: {}, b: null, c: new Set([1]) }, "data.c is a Set"],
    ["a promise", { order: Promise.resolve(1) }, "data.order is a Promise"],
    ["an invalid date", { at: new Date(Number.NaN) }, "data.at is an invalid Date"],
    ["NaN that is written for it", { a: { toJSON: () => Number.NaN } }, "data.a is NaN"],
    ["a map that is written for it", { a: { toJSON: () => new Map([[1, 2]]) } }, "data.a is a Map"],
    ["what is undefined in a list", [1, undefined], "data.1 is undefined"],
    ["a hole in a list", Object.assign([1], { length: 2 }), "data.1 is undefined"],
    ["a function in a list", [() => 1], "data.0 is function"],
    ["a function", { a: { total: () => 1 } }, "data.a.total is function"],
    ["a method of a class", { a: Map }, "data.a is function"],
    ["a symbol", { a: Symbol("x") }, "data.a is symbol"],
    ["bytes", new Uint8Array([255, 0]), "data is a Uint8Array"],
    ["bytes of Node", { body: Buffer.of(1) }, "data.body is a Uint8Array"],
    ["numbers", [new Float64Array([1])], "data.0 is a Float64Array"],
    ["a buffer", { body: new ArrayBuffer(2) }, "data.body is a ArrayBuffer"],
    ["an error with fields", { error: Object.assign(new Error("no"), { code: "E" }) }, "data.error is a Error"],
    ["an expression", /x/, "data is a RegExp"],
    ["undefined", undefined, "data is undefined"],
    ["a function alone", () => 1, "data is function"],
    ["a large integer", { id: 10n }, "BigInt"],
    [
      "what throws",
      {
        toJSON: () => {
          throw new Error("boo");
        },
      },
      "data: Error: boo",
    ],
    ["itself", circle(), "circular"],
    ["too many levels", deep(100_000), "data: RangeError"],
  ])("%s", async (_, data, said) => {
    const { stream, asked } = clientOf(appended);
    const refused = { name: "MillraceError", code: "invalid", clean: true, message: expect.stringContaining(said) };
    await expect(stream.append({ data })).rejects.toMatchObject(refused);
    const within = said.startsWith("data") ? `records.1.${said}` : said;
    await expect(stream.append([{ data: 1 }, { data }])).rejects.toThrow(within);
    await expect((async () => producerOf(stream).push({ data }))()).rejects.toMatchObject(refused);
    expect(asked).toEqual([]);
  });

  test("and nothing is that is JSON, or says how it is written", async () => {
    const { stream, asked } = clientOf(appended);
    class Point {}
    const data = {
      a: null,
      b: {},
      c: [[]],
      d: new Date(0),
      e: new Point(),
      f: "null {}",
      g: undefined,
      h: "",
      i: [-0, true, "", { toJSON: () => "x" }, { toJSON: () => null }],
      j: Object.create(null),
      k: Object.assign(new Point(), { x: 1 }),
      l: { toJSON: 5 },
    };
    await stream.append({ key: "k", data });
    expect(JSON.parse(asked[0].body as string)).toEqual({
      records: [{ key: "k", data: JSON.parse(JSON.stringify(data)) }],
    });
    expect(() => producerOf(stream).push({ data })).not.toThrow();
  });

  test.each<[object, string]>([
    [{ data_base64: "%%%" }, "data_base64: must be base64"],
    [{ data: 1, text: "1" }, "without data"],
    [{ data: 1, data_base64: "AA==" }, "without data"],
    [{ text: "1", data_base64: "AA==" }, "without data"],
    [{ text: "{a:1}" }, "JSON"],
    [{ text: '"\ud800"' }, "half of a surrogate pair"],
    [{ offset: Number.NaN }, "offset: must be a whole number"],
    [{ offset: -1 }, "offset: must be a whole number"],
    [{ timestamp: Number.POSITIVE_INFINITY }, "timestamp: must be"],
    [{ timestamp: 1.5 }, "timestamp: must be"],
  ])("%j", (record, said) => {
    const { stream } = clientOf(appended);
    expect(() => producerOf(stream).push(record)).toThrow(said);
  });

  test("data are left out by not naming them, or by giving others", async () => {
    const { stream, asked } = clientOf(appended);
    await stream.append({ key: "k" });
    await stream.append({ data: undefined, text: "1" });
    await stream.append({ data: undefined, data_base64: "AA==" });
    expect(asked.map(({ body }) => JSON.parse(body as string).records[0])).toEqual([
      { key: "k" },
      { data: 1 },
      { data_base64: "AA==" },
    ]);
    const producer = producerOf(stream);
    for (const record of [{ key: "k" }, { data: undefined, text: "1" }, { data: undefined, data_base64: "AA==" }])
      expect(() => producer.push(record)).not.toThrow();
    expect(() => producer.push({ extensions: { a: Number.NaN } } as never)).toThrow("extensions.a is NaN");
  });

  test.each([".", ".."])("the name %s, which a URL would take for a step", async (name) => {
    const { client, stream, asked } = clientOf(appended);
    const refused = { code: "invalid", clean: true };
    await expect(client.stream(name).delete()).rejects.toMatchObject(refused);
    await expect(stream.group(name).delete()).rejects.toMatchObject(refused);
    await expect(stream.erasure(name)).rejects.toMatchObject(refused);
    await expect(stream.snapshots.delete(name as never)).rejects.toMatchObject(refused);
    await expect(clientOf(appended, { namespace: name }).stream.delete()).rejects.toMatchObject(refused);
    expect(asked).toEqual([]);
  });

  test("a configuration whose numbers would become null, which means for ever", async () => {
    const { stream, asked } = clientOf(appended);
    await expect(stream.put({ retentionAgeMs: Number.NaN })).rejects.toThrow("body.retentionAgeMs is NaN");
    expect(asked).toEqual([]);
  });

  test("a token, and a producer's name, that no header can carry", async () => {
    const { client, stream, asked } = clientOf(appended, { token: "gehéim" });
    await expect(stream.append({ data: 1 })).rejects.toMatchObject({ code: "invalid", message: /^authorization: / });
    const named = () => clientOf(appended).stream.producer({ id: "Łódź" });
    expect(named).toThrow(expect.objectContaining({ code: "invalid", message: expect.stringMatching(/^id: /) }));
    expect([client.http.options.token, asked]).toEqual(["gehéim", []]);
  });

  test("but the end of a token's line", async () => {
    const { stream, asked } = clientOf(appended, { token: () => "t\n" });
    await stream.append({ data: 1 });
    expect(asked[0].headers.authorization).toBe("Bearer t");
  });

  test("a filter with half of a surrogate pair", async () => {
    const { stream, asked } = clientOf(appended);
    const reading = stream
      .read({ filter: { key: "\ud83d" } })
      [Symbol.asyncIterator]()
      .next();
    await expect(reading).rejects.toMatchObject({ code: "invalid", message: /^key: / });
    expect(asked).toEqual([]);
  });

  test.each([
    undefined,
    "",
    "localhost:8787",
    "ftp://a",
    "http://",
    "http://a:99999",
    "http://user:secret@a",
    "http://a/?x=1",
    "http://a/#x",
  ])("the URL %s", (url) => {
    expect(() => new Millrace({ url })).toThrow(`url, urls: must be http(s)://host:port/path, not '${url}'`);
    if (url !== undefined) expect(() => new Millrace({ urls: ["http://a", url] })).toThrow(`, not '${url}'`);
  });

  test("no URL at all", () => {
    for (const none of [{}, { urls: [] }])
      expect(() => new Millrace(none)).toThrow("url, urls: must be http(s)://host:port/path");
  });

  test("a port that nobody connects to", async () => {
    const client = new Millrace({ url: "http://127.0.0.1:6000", token: "t" });
    await expect(client.stream("s").info()).rejects.toMatchObject({ code: "network", retryable: false });
  });
});

describe("text of JSON", () => {
  const texts = fc.array(fc.option(fc.json(), { nil: undefined }), { maxLength: 6 });

  test("is sent as it is", async () => {
    const verdict = { verdict: "appended", partition: 0, offset: 7 };
    const { stream, asked } = clientOf(() => Response.json({ verdicts: [verdict, verdict, verdict] }));
    const text = '{"n": 9007199254740993, "a":1,"a":1.0}';
    await stream.append([{ text, key: "k", id: "1" }, { text: "null" }, { data: 1 }]);
    expect(asked[0].body).toBe(`{"records":[{"data":${text},"key":"k","id":"1"},{"data":null},{"data":1}]}`);
  });

  test.each(["records", "deliveries"])("is given with each of the %s", (name) => {
    fc.assert(
      fc.property(texts, fc.string({ unit: "binary" }), (some, key) => {
        const records = some.map((text) => {
          const field = JSON.stringify(key);
          return `{"partition":0,"key":${field},"tags":[${field}]${text === undefined ? "" : `,"data":${text}`}}`;
        });
        const page = `{"type":"x","${name}":[${records}],"lost":[{"data":1}],"cursor":"c"}`;
        const value = withText(page) as Record<string, { text?: string; data: unknown }[]>;
        expect(value[name].map(({ text }) => text)).toEqual(some);
        expect(value[name].map(({ data }) => data)).toEqual(some.map((text) => text && JSON.parse(text)));
      }),
    );
  });

  test.each(["5", "null", '{"records":5}', '{"records":[{"data":'])("of %s is nothing that would not end", (text) => {
    const read = () => withText(text);
    if (text.endsWith(":")) expect(read).toThrow(SyntaxError);
    else expect(read()).toEqual(JSON.parse(text));
  });

  test("what `parse` cannot read is not asked for again", async () => {
    const parse = () => {
      throw new RangeError("no such number");
    };
    const { stream, asked } = clientOf(() => Response.json({}), { parse });
    await expect(stream.info()).rejects.toThrow("no such number");
    expect(asked).toHaveLength(1);
  });
});

const info = () => Response.json({ logId: "l", config: {} });

describe("several doors", () => {
  const urls = ["http://a", "http://b/"];
  const hosts = (asked: readonly Asked[]) => asked.map(({ url }) => new URL(url).host);

  test("the next one is asked where one does not answer, and from then on", async () => {
    const { stream, asked } = clientOf(({ url }) => (url.startsWith("http://a") ? new TypeError("no") : info()), {
      url: undefined,
      urls,
    });
    await Promise.all([stream.info(), stream.info()]);
    await stream.info();
    expect(hosts(asked)).toEqual(["a", "a", "b", "b", "b"]);
  });

  test.each([502, 503, 504])("an answer of %i turns to the next one", async (status) => {
    const { stream, asked } = clientOf(
      ({ url }) => (url.startsWith("http://b") ? info() : new Response("bad gateway", { status })),
      { urls },
    );
    await stream.info();
    expect(hosts(asked)).toEqual(["a", "b"]);
  });

  test("what may have been appended is not appended there, too", async () => {
    const { stream, asked } = clientOf(() => new TypeError("the line is cut"), { urls });
    await expect(stream.append({ data: 1 })).rejects.toMatchObject({ code: "network" });
    expect(hosts(asked)).toEqual(["a"]);
    const again = clientOf(({ url }) => (url.startsWith("http://a") ? new TypeError("no") : appended()), { urls });
    await again.stream.append({ id: "1", data: 1 });
    expect(hosts(again.asked)).toEqual(["a", "b"]);
  });
});

describe("compression", () => {
  const long = { data: { text: "x".repeat(10_000) } };
  const away = "http://millrace.example.com";
  test.each<[string, string, { data: unknown }, string | undefined]>([
    ["what is long", away, long, "gzip"],
    ["not what is short", away, { data: 1 }, undefined],
    ["not to this machine", "http://localhost:8787", long, undefined],
    ["not to this machine by address", "http://127.0.0.1:80/a", long, undefined],
    ["to a host that is only called so", "http://localhost.example.com", long, "gzip"],
  ])("%s", async (_, url, record, encoding) => {
    const answer = (one: Asked) => (one.headers["producer-id"] === undefined ? appended() : taken(one, 0));
    const { stream, asked } = clientOf(answer, { url }, gzipping);
    await stream.append(record);
    await producerOf(stream).append(record);
    const [json, packed] = asked;
    expect(asked.map(({ headers }) => headers["content-encoding"])).toEqual([encoding, encoding]);
    const text = encoding === "gzip" ? gunzipSync(json.body).toString() : json.body;
    expect(JSON.parse(text as string)).toEqual({ records: [record] });
    expect(unpacked(packed).data).toEqual([record.data]);
  });

  test("not what is not shorter then, nor a snapshot", async () => {
    const answer = () =>
      Response.json({ partition: 0, offset: 0, runs: [{ verdict: "appended", partition: 0, offset: 0, count: 1 }] });
    const { stream, asked } = clientOf(answer, { url: away }, gzipping);
    const bytes = crypto.getRandomValues(new Uint8Array(10_000));
    await producerOf(stream).append({ data_base64: Buffer.from(bytes).toString("base64") });
    await stream.snapshots.put(0, new Uint8Array(10_000));
    for (const { headers, body } of asked) {
      expect(headers).not.toHaveProperty("content-encoding");
      expect(body instanceof Blob ? body.size : body.length).toBeGreaterThanOrEqual(10_000);
    }
  });
});
