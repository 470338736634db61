/** What the command line makes of lines and records, without a service: bytes stay what they are. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type StreamConfig, streamDefaults } from "../../schemas/stream.ts";
import { BadValue, recordOf } from "../../src/cli/appended.ts";
import { type ExactDelivery, environmentOf, startProblem } from "../../src/cli/child.ts";
import { type Exact, jsonOf, quoted, textOf } from "../../src/cli/exact.ts";
import { BadLine, numberedLines } from "../../src/cli/lines.ts";
import { Sender } from "../../src/cli/sender.ts";
import { formatOf } from "../../src/cli/showing.ts";
import { MillraceError, network } from "../../src/client/error.ts";
import type { Stream } from "../../src/client/index.ts";
import { decodeText } from "../../src/lib/bytes.ts";
import { kinds } from "../../src/log/record.ts";

const config = streamDefaults as StreamConfig;
const bytes = (text: string) => Buffer.from(text);

/** JSON as nobody's `JSON.stringify` would write it. */
const json = fc.letrec<{ value: string; space: string; member: string }>((tie) => ({
  space: fc.constantFrom("", "", " ", "\t", "\n", "\r\n "),
  member: fc
    .tuple(fc.constantFrom("data", "a", "a", "1", "\\u0061", "]"), tie("space"), tie("value"))
    .map(([name, space, value]) => `"${name}"${space}:${value}`),
  value: fc
    .tuple(
      tie("space"),
      fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom("9007199254740993", "1e400", "-0", "1.0", "1E-2", "12345678901234567890", "true", "null"),
        fc.constantFrom('"a"', '"\\ud800"', '"\\u00e9"', '"é"', '"\\"data\\":1"', '"]}"', '"\\\\"', '""', '"\u2028"'),
        fc.array(tie("value"), { maxLength: 3 }).map((list) => `[${list.join(",")}]`),
        fc.array(tie("member"), { maxLength: 3 }).map((list) => `{${list.join(",")}}`),
      ),
      tie("space"),
    )
    .map((parts) => parts.join("")),
})).value;

const deep = (depth: number) => `${"[".repeat(depth)}9007199254740993${"]".repeat(depth)}`;

describe("data as they came", () => {
  const page = (...data: string[]) =>
    `{"records":[${data.map((one, offset) => `{"partition":0,"offset":${offset},"data":${one}}`)}],"data":1.0,"next":2}`;

  test("come out of an answer as the text that they are", () => {
    fc.assert(
      fc.property(fc.array(json, { maxLength: 4 }), (data) => {
        const { records, next } = JSON.parse(quoted(page(...data))) as { records: Exact[]; next: number };
        expect(records.map((record) => record.data)).toEqual(data);
        expect(records.map(({ offset }) => offset)).toEqual(data.map((_, offset) => offset));
        expect(next).toBe(2);
      }),
    );
    const { records } = JSON.parse(quoted(page(deep(100_000)))) as { records: Exact[] };
    expect(records[0].data).toBe(deep(100_000));
  });

  test("of deliveries and dead letters too; everything else stays as it is", () => {
    expect(quoted(' {"deliveries":[{"data":1.0,"receipt":"r"}]}')).toBe(
      ' {"deliveries":[{"data":"1.0","receipt":"r"}]}',
    );
    expect(quoted('{"letters":[{"key":"a","data":{"a":1,"a":2}}]}')).toBe(
      '{"letters":[{"key":"a","data":"{\\"a\\":1,\\"a\\":2}"}]}',
    );
    for (const same of [
      '{"type":"confirm","nonce":"\\"data\\""}',
      '{"records":1,"data":1.0}',
      '["data"]',
      '{"data":',
      "pong",
    ])
      expect(quoted(same)).toBe(same);
  });

  test("are what a printed record is stored as, when it is appended again", () => {
    fc.assert(
      fc.property(json, (text) => {
        const line = jsonOf({ partition: 3, offset: 7, timestamp: "2026-11-20T10:00:00.000Z", key: "k", data: text });
        expect(line).not.toMatch(/[\r\n]/);
        const record = recordOf(bytes(line), config, { records: true }, 0);
        expect(record).toMatchObject({ key: "k", kind: kinds.json });
        expect(decodeText(record.data)).toBe(text.replace(/[\r\n]/g, " "));
      }),
    );
  });
});

describe("a value", () => {
  const of = (value: string, naming = {}) => recordOf(bytes(value), config, naming, 0);

  test("is JSON with the bytes that it has, or else a text", () => {
    for (const same of ["12345678901234567890", "1e400", '{"b":1,"a":1.0,"a":2}', '"\\ud800"', deep(100_000)])
      expect(decodeText(of(` ${same}\t`).data)).toBe(same);
    for (const text of ["plain", "a{1}", "01", '"'.repeat(3), " "])
      expect(JSON.parse(decodeText(of(text).data))).toBe(text);
    expect(decodeText(of("7", { text: true }).data)).toBe('"7"');
    for (const broken of ["{a:1}", " [1,", "{"]) {
      expect(() => of(broken)).toThrow(/^not JSON: .*; mend it, or say --text$/);
      expect(JSON.parse(decodeText(of(broken, { text: true }).data))).toBe(broken);
    }
  });

  test("has the key that its field says, digit for digit", () => {
    const line = '{"order":{"id":12345678901234567891},"name":"n","none":null,"empty":"","list":[1]}';
    expect(of(line, { keyField: "order.id" }).key).toBe("12345678901234567891");
    expect(of(line, { keyField: "name" }).key).toBe("n");
    for (const number of ["0.12345678901234567", "0.12345678901234568", "1.10", "1e400", "7"])
      expect(of(`{"n":${number}}`, { keyField: "n" }).key).toBe(number);
    for (const [keyField, says] of [
      ["order", "is an object"],
      ["list", "is an array"],
      ["none", "the field 'none' is null, and no key"],
      ["other", "there is no field 'other'"],
      ["empty", "is empty"],
    ])
      expect(() => of(line, { keyField })).toThrow(says);
    expect(() => of("text", { keyField: "a" })).toThrow(BadValue);
  });

  test("that is no record is refused by name", () => {
    expect(() => recordOf(Buffer.from("caf\u00e9", "latin1"), config, {}, 0)).toThrow("is not UTF-8");
    expect(() => of('{"colour":"red"}', { records: true })).toThrow("colour");
    expect(() => of("7", { records: true })).toThrow("a record is an object");
    expect(() => of("{", { records: true })).toThrow("not JSON");
    expect(() => of(`"${"x".repeat(1_000_000)}"`)).toThrow("the stream takes 1000000");
    expect(() => of('{"timestamp":1,"data":1}', { records: true })).toThrow("timestamp");
  });
});

describe("lines", () => {
  async function* pieces(whole: Uint8Array, size: number) {
    for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
  }
  const all = async (whole: Uint8Array, size: number, bytesMax = 100) => {
    const found: [number, string][] = [];
    for await (const { number, bytes } of numberedLines(pieces(whole, size), bytesMax))
      found.push([number, Buffer.from(bytes).toString("latin1")]);
    return found;
  };

  test("are the same however they come, with their bytes", async () => {
    const whole = Buffer.from("\u00ef\u00bb\u00bfone\r\n\nth\u00e9e\n\r\nlast", "latin1");
    const lines = [
      [1, "one"],
      [2, ""],
      [3, "th\u00e9e"],
      [4, ""],
      [5, "last"],
    ];
    for (let size = 1; size <= whole.length; size++) expect(await all(whole, size), String(size)).toEqual(lines);
    expect(await all(Buffer.from("a\n"), 9)).toEqual([[1, "a"]]);
  });

  test("have a bound, which names the line", async () => {
    const whole = Buffer.from(`${"a".repeat(10)}\n${"b".repeat(11)}\n`);
    for (const size of [1, 5, 11, 100]) {
      const error = await all(whole, size, 10).catch((error) => error);
      expect(error).toBeInstanceOf(BadLine);
      expect(error.message).toMatch(/^line 2: .*10 bytes/);
    }
  });
});

describe("a sender", () => {
  function sending(answer: (sequence: number) => object | Error, batchBytesMax = 1_048_576) {
    const told: string[] = [];
    const batches: number[] = [];
    const http = {
      options: { retry: { initialMs: 1, maxMs: 1 } },
      mayPass: ({ retryable }: { retryable: boolean }) => retryable,
      jsonOnce: async (
        _: string,
        __: string,
        ___: object,
        call: { body: Uint8Array; headers: Record<string, string> },
      ) => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        const found = answer(Number(call.headers["producer-seq"]));
        batches.push(call.body.length);
        if (found instanceof Error) throw found;
        return { runs: found };
      },
    };
    const sender = new Sender(
      { http, path: "/streams/s" } as unknown as Stream,
      { batchBytesMax },
      {
        settled: (verdict, count) => told.push(`${count} ${verdict}`),
        rejected: (lines, detail) => told.push(`${lines.join()}: ${detail}`),
      },
    );
    return { sender, told, batches };
  }
  const record = (size = 10) => recordOf(bytes(`"${"x".repeat(size)}"`), config, {}, 0);
  const appended = (count: number) => ({ verdict: "appended", partition: 0, offset: 0, count });

  test("settles what it took, in batches that the stream takes, also where it ends at once", async () => {
    const { sender, told, batches } = sending(() => [appended(1)], 2_000);
    for (let line = 1; line <= 5; line++) expect(await sender.push(record(600), line)).toBe(true);
    await sender.end();
    expect(told).toEqual(Array(5).fill("1 appended"));
    expect(Math.max(...batches)).toBeLessThan(1_000);
    expect(sender).toMatchObject({ sent: true, stop: undefined });
  });

  test("tells rejected lines by their numbers, and goes on", async () => {
    const { sender, told } = sending((sequence) =>
      sequence === 0
        ? [appended(1), { verdict: "rejected", reason: "bad-key", detail: "no", count: 2 }]
        : [appended(1)],
    );
    for (const line of [1, 3, 4]) await sender.push(record(), line);
    await sender.end();
    await sender.push(record(), 9);
    await sender.end();
    expect(told).toEqual(["1 appended", "3,4: no", "1 appended"]);
    const none = sending(() => new MillraceError("bad-key", "all of them", 400, false, true));
    await none.sender.push(record(), 7);
    await none.sender.end();
    expect([none.told, none.sender.stop, none.sender.sent]).toEqual([["7: all of them"], undefined, false]);
  });

  test("says what it cannot know, and what was certainly not appended", async () => {
    const lost = sending((sequence) => (sequence === 0 ? [appended(1)] : network(new Error("gone"))));
    await lost.sender.push(record(), 1);
    await lost.sender.end();
    await lost.sender.push(record(), 2);
    await new Promise((resolve) => setTimeout(resolve, 3));
    await lost.sender.push(record(), 3);
    await lost.sender.end();
    expect(lost.sender.stop).toMatchObject({ unknown: [2], from: 3 });
    expect(await lost.sender.push(record(), 4)).toBe(false);
    const refused = sending(() => new MillraceError("forbidden", "no", 403, false, true));
    await refused.sender.push(record(), 1);
    await refused.sender.end();
    expect(refused.sender.stop).toMatchObject({ unknown: [], from: 1 });
    // One partition had its share, and another had no room until the last attempt.
    const half = sending(() => [appended(1), { verdict: "rejected", reason: "overloaded", detail: "full", count: 1 }]);
    for (const line of [1, 2]) await half.sender.push(record(), line);
    await half.sender.end();
    expect(half.sender).toMatchObject({ sent: true, stop: { unknown: [1, 2] } });
  });
});

const one: Exact = {
  partition: 1,
  offset: 7,
  timestamp: "2026-11-20T10:00:00.000Z",
  key: "k",
  type: "t",
  tags: ["a", "b"],
  data: '{"n":1.0}',
};

test("a format prints fields, texts without quotes, and bytes as they are", () => {
  const print = (format: string, record: Exact = one) => Buffer.from(formatOf(format)(record)).toString("latin1");
  expect(print("%k %v\\n")).toBe('k {"n":1.0}\n');
  expect(print("%p.%o\\t%d %{type} %{tags} %{id}%%\\\\")).toBe("1.7\t2026-11-20T10:00:00.000Z t a,b %\\");
  expect(print("%r")).toBe(jsonOf(one));
  expect(print("%v|%j", { ...one, data: '"te\\"xt"' })).toBe('te"xt|"te\\"xt"');
  expect(print("%v|%j", { ...one, data: ' "text"\t' })).toBe('text| "text"\t');
  expect(print("%v", { ...one, data: '"\\ud800"' })).toBe('"\\ud800"');
  expect(print("%v", { ...one, data: undefined, data_base64: "/wA=" })).toBe("\u00ff\0");
  expect(print("[%v]", { ...one, key: undefined, data: undefined })).toBe("[]");
  for (const wrong of ["%x", "%{colour}", "%", "\\q", "%{key"])
    expect(() => formatOf(wrong)).toThrow("--format: there is no");
  expect(textOf("[1]")).toBeUndefined();
});

describe("what a command gets", () => {
  const delivery = { ...one, receipt: "r", attempt: 2, deliveryId: "d.1.7" } as ExactDelivery;

  test("in its environment is what the record has, and nothing that it has not", () => {
    expect(environmentOf({ ...delivery, tags: ["a,b", "%"] }, "data")).toStrictEqual({
      MILLRACE_PARTITION: "1",
      MILLRACE_OFFSET: "7",
      MILLRACE_TIMESTAMP: one.timestamp,
      MILLRACE_ATTEMPT: "2",
      MILLRACE_DELIVERY_ID: "d.1.7",
      MILLRACE_KEY: "k",
      MILLRACE_TYPE: "t",
      MILLRACE_TAGS: "a%2Cb,%25",
      MILLRACE_ID: undefined,
      MILLRACE_SOURCE: undefined,
      MILLRACE_SUBJECT: undefined,
      MILLRACE_TIME: undefined,
      MILLRACE_CONTENT_TYPE: undefined,
    });
  });

  test("cannot be a NUL, but in the record as JSON", () => {
    const odd = { ...delivery, key: "a\0b" };
    expect(() => environmentOf(odd, "data")).toThrow("MILLRACE_KEY cannot have a NUL");
    expect(environmentOf(odd, "record").MILLRACE_KEY).toBeUndefined();
  });

  test("is told beforehand where there is no such command, or what it is written for is not there", () => {
    expect(startProblem("sh")).toBeUndefined();
    expect(startProblem("no-such-command")).toContain("there is no command");
    expect(startProblem("./no-such-command")).toContain("there is no command");
    expect(startProblem(import.meta.filename)).toContain("may not be executed: chmod +x");
    expect(startProblem(import.meta.dirname)).toContain("is a folder");
  });
});
