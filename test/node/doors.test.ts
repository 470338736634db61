/**
 * Fields × nasty values × ways in × ways out: what can be stored can be delivered, unchanged, by every door; what cannot is
 * refused at every door, by the field's name.
 */
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { takeIn } from "../../src/intake/intake.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { flags, openFrame } from "../../src/log/frame.ts";
import { inspect } from "../../src/log/inspect.ts";
import { FrameWriter, type Rec } from "../../src/log/record.ts";
import { hop, pushed, storedOf, waysIn, waysOut } from "../cases/doors.ts";

/** Half pairs, controls, noncharacters, marks, and whatever means something to a header, a list, a URL or JSON. */
const nasty = [
  "plain",
  "é",
  "🙂",
  "\u{10ffff}x",
  "\ufeff",
  "\ufeffx",
  "\ufffd",
  "\ud800",
  "a\ud83d",
  "\udc00b",
  "\ude42\ud83d",
  "\u0000",
  "a\u0007",
  "a\nb",
  "a\r\nx: y",
  "\t",
  "\u001f",
  "\u007f",
  "\u0085",
  "\u009f",
  "\u00a0",
  "\u2028",
  "\ufdd0",
  "\uffff",
  "\u{1fffe}",
  " ",
  " a",
  "a ",
  "a b",
  "a  b",
  "%",
  "%41",
  "100%",
  "%2C,",
  "a,b",
  ",",
  "a;b",
  "a=b",
  '"',
  '"q"',
  "\\",
  "\\u0000",
  "<>{}|^`",
  "[]",
  "null",
  "1",
  "true",
  "-0",
  "text/plain",
  "text/plain; charset=utf-8",
  'a/b;c="d\\"e";;f=g',
  "text/plain;",
  "text/plain ",
  "text/plain; ",
  "text /plain",
  "text/plain\r\nx: y",
  "text/plain, text/html",
  "/",
  "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
  "https://example.com/a?b=c#d",
  "https://example.com/ä",
  "//example.com/a b",
  "1-555-123-4567",
  ":",
  "a:",
  "",
] as const;

const times = [
  "2026-11-20T10:00:00Z",
  "2026-11-20t10:00:00z",
  "2026-11-20T10:00:00.5+23:59",
  "2026-11-20T10:00:00-00:00",
  "2016-12-31T23:59:60Z",
  "2016-12-31T15:59:60.999-08:00",
  `2026-11-20T10:00:00.${"1234567890".repeat(30)}Z`,
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "2024-02-29T00:00:00Z",
  // None of these is one.
  "2026-11-20 10:00:00Z",
  "2026-11-20T24:00:00Z",
  "2026-11-20T10:00:60Z",
  "2016-12-31T23:59:61Z",
  "2023-02-29T00:00:00Z",
  "2026-13-01T00:00:00Z",
  "2026-00-01T00:00:00Z",
  "2026-11-20T10:00Z",
  "2026-11-20T10:00:00",
  "2026-11-20T10:00:00.Z",
  "2026-11-20T10:00:00,5Z",
  "2026-11-20T10:00:00+24:00",
  "2026-11-20T10:00:00+01:60",
  "2026-11-20T10:00:00+0100",
  "2026-11-20",
  "12026-11-20T10:00:00Z",
  "1795168800000",
];

const full = (bytes: number, unit = "x") => unit.repeat(bytes / encodeText(unit).length);
const lengths = (bytesMax: number) => [
  full(bytesMax),
  full(bytesMax, "é"),
  full(bytesMax, '"'),
  full(bytesMax + 1),
  `${full(bytesMax, "é")}x`,
];

interface Field {
  readonly name: string;
  /** What a refusal may call it: an event's sender knows the key by another name. */
  readonly called?: RegExp;
  readonly values: readonly unknown[];
  readonly sent: (value: unknown) => Record<string, unknown>;
  readonly taken: readonly unknown[];
  readonly refused: readonly unknown[];
}

const halves = ["\ud800", "a\ud83d", "\udc00b", "\ude42\ud83d"];
const controls = ["\u0000", "a\u0007", "a\nb", "a\r\nx: y", "\t", "\u001f", "\u007f", "\u0085", "\u009f"];
const noncharacters = ["\ufdd0", "\uffff", "\u{1fffe}"];
const odd = ["é", "🙂", "\ufeff", "\ufffd", "%41", "100%", '"q"', "\\", "a,b", "<>{}|^`", "null", "-0"];

const attribute = (
  name: string,
  taken: readonly unknown[],
  refused: readonly unknown[],
  more: readonly unknown[] = [],
): Field => ({
  name,
  values: [...nasty, ...more],
  called: name === "datacontenttype" ? /\b(datacontenttype|content-type)\b/ : undefined,
  sent: (value) => ({ [name]: value }),
  taken,
  refused: [...halves, "", ...refused],
});
const bounds = lengths(limits.attributeBytesMax);

/** Names that CloudEvents gives, and the service. */
const attributes = [
  "id",
  "source",
  "specversion",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
  "data",
  "partitionkey",
];
const own = ["tags", "key", "offset", "timestamp", "partition", "millrace", "millraceoffset", "millracex"];

const fields: readonly Field[] = [
  {
    ...attribute("key", [...odd, ...controls, ...noncharacters, " ", "a b"], [], lengths(limits.keyBytesMax)),
    called: /\b(partition)?key\b/,
  },
  attribute("id", [...odd, " ", "a b", bounds[0]], [...controls, ...noncharacters, bounds[3]], bounds),
  attribute(
    "source",
    [...odd, "/", "1-555-123-4567", bounds[1]],
    [...controls, ...noncharacters, " ", "a b", bounds[4]],
    bounds,
  ),
  attribute("type", [...odd, " ", bounds[2]], [...controls, ...noncharacters], bounds),
  attribute("subject", [...odd, " ", "\u2028"], [...controls, ...noncharacters], bounds),
  attribute("time", times.slice(0, 10), [...odd, ...controls, ...times.slice(10)], times),
  attribute(
    "datacontenttype",
    ["text/plain", "text/plain; charset=utf-8", 'a/b;c="d\\"e";;f=g', "text/plain;"],
    [
      ...odd,
      ...controls,
      "text/plain ",
      "text/plain; ",
      "text /plain",
      "text/plain\r\nx: y",
      "text/plain, text/html",
      "plain",
    ],
  ),
  attribute(
    "dataschema",
    ["urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "https://example.com/a?b=c#d"],
    ["plain", "/", ":", "a:", "a b", ...controls],
  ),
  {
    name: "tags",
    values: [...nasty, ...lengths(limits.tagBytesMax)],
    called: /\btags?\b/,
    sent: (value) => ({ tags: ["x", value, "y"] }),
    taken: [...odd, ...controls, "%2C,", ","],
    refused: [...halves, "", full(limits.tagBytesMax + 1)],
  },
  {
    name: "an extension's value",
    called: /\bext\b/,
    values: [...nasty, ...bounds, 0, -1, 2 ** 31 - 1, -(2 ** 31), true, false, 2 ** 31, 1.5, null, [], {}],
    sent: (value) => ({ extensions: { ext: value } }),
    taken: [...odd, " ", 0, -1, 2 ** 31 - 1, -(2 ** 31), true, false, bounds[0], bounds[2]],
    refused: [...halves, ...controls, ...noncharacters, 2 ** 31, 1.5, [], {}, bounds[3]],
  },
  {
    name: "an extension's name",
    called: /./,
    values: [
      "a",
      "a1",
      "traceparent",
      full(64),
      full(65),
      "",
      "A",
      "a_b",
      "ä",
      "a b",
      "__proto__",
      "data_base64",
      "constructor",
      ...attributes,
      ...own,
      "millra",
      "deadletterreason",
    ],
    sent: (value) => ({ extensions: { [String(value)]: "x" } }),
    taken: ["a", "traceparent", "constructor", "millra", "deadletterreason", full(64)],
    refused: [full(65), "", "A", "a_b", "ä", "__proto__", ...attributes, ...own],
  },
];

const ofEvents = new RegExp(`^(${attributes.join("|")}|tags|millrace.*)$`);
/** Doors that know the name as an attribute's take it as that. */
const isAttribute = (field: Field, value: unknown, door: string) =>
  field.name === "an extension's name" && /event/.test(door) && ofEvents.test(String(value));
/** Headers have texts only, and JSON's null in an event is nothing. */
const isOther = (field: Field, value: unknown, door: string) =>
  field.name === "an extension's value" &&
  ((typeof value !== "string" && door === "binary event") || (value === null && /event/.test(door)));

const shown = (value: unknown) => JSON.stringify(value).slice(0, 40);

describe.each(fields)("$name", (field) => {
  const called = field.called ?? new RegExp(`\\b${field.name}\\b`);
  const outcomes = new Map<string, boolean>();

  test.each(Object.keys(waysIn))("by %s is the same at the end, or refused by its name", (door) => {
    for (const value of field.values) {
      if (isAttribute(field, value, door) || isOther(field, value, door)) continue;
      const fields = field.sent(value);
      const taken = waysIn[door]({ fields, data: "1" });
      if (taken === undefined) continue;
      const what = `${shown(value)} by ${door}`;
      // All doors are of one mind.
      const known = outcomes.get(JSON.stringify(value));
      if (known !== undefined) expect(!("refused" in taken), what).toBe(known);
      outcomes.set(JSON.stringify(value), !("refused" in taken));
      if ("refused" in taken) expect(taken.refused, what).toMatch(called);
      else
        for (const [way, out] of Object.entries(waysOut)) {
          const got = out(storedOf(taken.frames));
          const expected = way === "binary push" ? asHeader(fields) : fields;
          expect(got.fields, `${what}, out as ${way}`).toMatchObject(expected);
        }
      if ("refused" in taken) continue;
      for (const format of ["binary", "structured", "batch"] as const) {
        const pushed = hop(storedOf(taken.frames), format);
        if ("refused" in pushed) throw new Error(`${what}, pushed into another: ${pushed.refused}`);
        const expected = format === "binary" ? asHeader(fields) : fields;
        const { data, fields: arrived } = waysOut.page(storedOf(pushed.frames));
        expect(arrived, `${what}, pushed into another`).toMatchObject(expected);
        // Under a type that is not JSON's the same bytes are a text.
        if (fields.datacontenttype === undefined) expect(data).toBe("1");
        expect(Object.keys(arrived.extensions ?? {}).filter((name) => name.startsWith("millrace"))).toEqual([]);
      }
    }
  });

  test("is taken where it is sensible, and refused where it cannot be carried", () => {
    for (const value of field.taken)
      expect([shown(value), outcomes.get(JSON.stringify(value))]).toEqual([shown(value), true]);
    for (const value of field.refused)
      expect([shown(value), outcomes.get(JSON.stringify(value))]).toEqual([shown(value), false]);
  });
});

/** Headers say numbers and booleans as texts. */
function asHeader({ extensions, ...fields }: Record<string, unknown>): Record<string, unknown> {
  if (extensions === undefined) return fields;
  return {
    extensions: Object.fromEntries(Object.entries(extensions as object).map(([name, value]) => [name, String(value)])),
  };
}

describe("data that are JSON", () => {
  const deep = 100_000;
  const values = [
    "null",
    "-0",
    "1e400",
    "1.0",
    "9007199254740993",
    '{"n":9007199254740993,"d":1.10,"e":1e400,"a":1,"a":2}',
    '{"b":1,"a":2,"1":3}',
    '{ "spaced" : [ 1 , 2 ] }',
    '"\\ud800"',
    '{"\\ude42\\ud83d":"\\u0041\\/"}',
    '"\\u0000\\u2028\u2028\ufeff\ufffd"',
    '{"__proto__":1,"data":{"data":"x"}}',
    '",\\"data\\":"',
    `${"[".repeat(deep)}${"]".repeat(deep)}`,
    `${'{"a":'.repeat(deep)}1${"}".repeat(deep)}`,
    `[${"1,".repeat(10_000)}1]`,
    '{\n"a":\r\n1}',
  ];

  test.each(Object.keys(waysIn))("by %s are the same bytes in every form", (door) => {
    let tried = 0;
    for (const data of values) {
      // The library prints what it is given: an object of its own, not a text.
      if (door === "library" && data.length > 1_000) continue;
      const taken = waysIn[door]({ fields: {}, data });
      if (taken === undefined) continue;
      tried++;
      if ("refused" in taken) throw new Error(`${data.slice(0, 40)}: ${taken.refused}`);
      const stored = storedOf(taken.frames);
      for (const [way, out] of Object.entries(waysOut)) {
        // The reference package, and a look at the whole event, go only so deep.
        if (data.length > deep) continue;
        const expected = way === "line" ? data.replace(/[\r\n]/g, " ") : data;
        expect(out(stored).data, `${data.slice(0, 40)} by ${door}, out as ${way}`).toBe(expected);
      }
      for (const format of ["binary", "structured", "batch"] as const) {
        expect(new TextDecoder().decode(pushed(stored, format).body).includes(data.replace(/^\ufeff/, ""))).toBe(true);
      }
    }
    expect(tried).toBeGreaterThan(2);
  });
});

describe("data that are bytes, or text", () => {
  const bytes = (text: string) => btoa(text);

  test.each(["", bytes("\u0000\u00ff"), bytes("\u00ef\u00bb\u00bf{}"), bytes("plain")])(
    "%s come back",
    (data_base64) => {
      for (const door of ["json", "ndjson", "structured event", "batch of events", "socket", "frames", "library"]) {
        const taken = waysIn[door]({ fields: { data_base64 } });
        if (taken === undefined || "refused" in taken) throw new Error(`${door}: ${JSON.stringify(taken)}`);
        const stored = storedOf(taken.frames);
        for (const [way, out] of Object.entries(waysOut)) {
          if (way === "binary push")
            expect(Buffer.from(pushed(stored, "binary").body).toString("base64")).toBe(data_base64);
          else expect(out(stored).fields.data_base64 ?? "", `${door}, out as ${way}`).toBe(data_base64);
        }
      }
    },
  );

  test.each(["hi", "", '"quoted"', "\ufeffmarked", "a\u0000b\r\n", "\u2028", "🙂"])(
    "a text %j comes back as that text",
    (text) => {
      const fields = { datacontenttype: "text/plain" };
      for (const door of ["json", "ndjson", "structured event", "batch of events", "socket"]) {
        const taken = waysIn[door]({ fields, data: JSON.stringify(text) });
        if (taken === undefined || "refused" in taken) throw new Error(`${door}: ${JSON.stringify(taken)}`);
        const stored = storedOf(taken.frames);
        for (const [way, out] of Object.entries(waysOut)) {
          const { data } = out(stored);
          expect(way === "binary push" ? (data ?? "") : JSON.parse(data as string), `${door}, out as ${way}`).toBe(
            text,
          );
        }
      }
    },
  );

  test.each(["json", "ndjson", "structured event", "batch of events", "socket"])(
    "half a pair in a text is refused by %s",
    (door) => {
      const taken = waysIn[door]({ fields: { datacontenttype: "text/plain" }, data: '"\\ud800"' });
      expect(taken).toMatchObject({ refused: expect.stringMatching(/data: .*text\/plain.*surrogate/) });
    },
  );
});

const rules = { recordBytesMax: 1e6, ownOffsets: false, ownTimestamps: false, timestampMax: 0 };

/** Packs a record as only the service itself could, or a service of before. */
function stored(record: Rec, checked: boolean) {
  const writer = new FrameWriter();
  writer.add(record);
  const frame = openFrame(writer.finish(0)[0], 0);
  if (!frame.ok) throw new Error(frame.refusal.detail);
  const inspected = inspect(frame.value, { ...rules, stored: true });
  if (!inspected.ok) throw new Error(inspected.refusal.detail);
  return storedOf([{ ...inspected.value, frame: { ...frame.value, flags: checked ? flags.checked : 0 } }]);
}

describe("the mode of a CloudEvent", () => {
  const config = { recordBytesMax: 1e6, batchBytesMax: 1e7, timestamps: "arrival", offsets: "assigned" } as const;
  const named = { "ce-specversion": "1.0", "ce-id": "header", "ce-source": "/s", "ce-type": "t" };
  const inBody = '{"specversion":"1.0","id":"body","source":"/s","type":"t","data":1}';
  const packed = () => {
    const writer = new FrameWriter();
    writer.add({ kind: 1, data: encodeText("1"), id: "body" });
    return writer.finish(0)[0];
  };
  const [json, event, events] = [
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
  ];

  test.each([
    ["binary", json, named, inBody, "header"],
    ["binary, of lines", "application/x-ndjson", named, inBody, "header"],
    ["binary, without a type", undefined, named, inBody, "header"],
    ["structured, with headers too", `${event}; charset=utf-8`, named, inBody, "body"],
    ["structured, with some headers", event, { "ce-id": "header" }, inBody, "body"],
    ["a batch, with headers too", events, named, `[${inBody}]`, "body"],
    ["structured in another format, with headers too", "application/cloudevents+avro", named, inBody, undefined],
    ["raw", json, { ...named, raw: "true" }, inBody, undefined],
    ["a header alone", json, { "ce-id": "header" }, '{"records":[{"id":"body"}]}', /specversion/],
    ["an extension alone", "text/plain", { "ce-any": "x" }, "1", /specversion/],
    ["a header that is empty", json, { "ce-specversion": "" }, inBody, /specversion/],
    ["headers beside frames", "application/vnd.millrace.frames", named, packed(), /ce-/],
    ["an extension beside frames", "application/vnd.millrace.frames", { "ce-any": "x" }, packed(), "body"],
    ["an extension beside records", json, { "ce-any": "x" }, '{"records":[{"id":"body"}]}', "body"],
    ["frames", "application/vnd.millrace.frames", {}, packed(), "body"],
  ] as const)("%s", (_mode, type, given, body, expected) => {
    const { raw, ...sent }: Record<string, string> = given;
    const headers = new Headers({ ...sent, ...(type === undefined ? {} : { "content-type": type }) });
    const terms = { ack: "durable", atomic: false, raw: raw !== undefined } as const;
    const taken = takeIn(headers, typeof body === "string" ? encodeText(body) : body, terms, config, 0);
    if (expected instanceof RegExp) {
      expect(taken).toMatchObject({ refusal: { code: "bad-event", detail: expect.stringMatching(expected) } });
    } else expect(taken.ok && waysOut.page(storedOf(taken.value)).fields.id).toBe(expected);
  });

  test("binary takes no key from the query", () => {
    const headers = new Headers({ "content-type": "text/plain", "ce-any": "x" });
    const terms = { ack: "durable", atomic: false, raw: false, key: "k" } as const;
    expect(takeIn(headers, encodeText("1"), terms, config, 0)).toMatchObject({ refusal: { facts: { path: "key" } } });
  });
});

describe("what was stored before a rule", () => {
  const plain: Rec = { kind: 1, data: encodeText("1"), id: "real", source: "/s", type: "t", key: "p" };

  test("goes out, and its extensions speak for no attribute", () => {
    const extensions = {
      ...Object.fromEntries([...attributes, "tags", "millraceoffset"].map((name) => [name, "evil"])),
      fine: "yes",
    };
    const record = stored({ ...plain, extensions }, true);
    for (const way of ["binary push", "structured push", "batched push"]) {
      const { fields } = waysOut[way](record);
      expect(fields).toMatchObject({ id: "real", source: "/s", type: "t", key: "p", extensions: { fine: "yes" } });
      expect(JSON.stringify(fields)).not.toContain("evil");
    }
    expect(waysOut.page(record).fields.extensions).toEqual(extensions);
  });

  test("goes out with its control characters", () => {
    const record = stored({ ...plain, id: "a\u0000", subject: "b\r\n", source: "c d" }, true);
    for (const out of Object.values(waysOut)) {
      expect(out(record).fields).toMatchObject({ id: "a\u0000", subject: "b\r\n", source: "c d" });
    }
  });

  test("and what no header can carry fails by its name, in binary mode only", () => {
    const record = stored({ ...plain, datacontenttype: "text/plain\r\nx: y" }, true);
    expect(() => pushed(record, "binary")).toThrow(/^datacontenttype: /);
    expect(waysOut["structured push"](record).fields.datacontenttype).toBe("text/plain\r\nx: y");
  });
});

describe("data that are not what they are called", () => {
  const hidden = (kind: 1 | 2, data: Uint8Array, more: Partial<Rec> = {}) => stored({ kind, data, ...more }, false);

  test.each([
    ["half a JSON", hidden(1, encodeText("{"))],
    ["JSON behind a mark", hidden(1, encodeText("\ufeff{}"))],
    ["JSON that is no UTF-8", hidden(1, Uint8Array.of(34, 255, 34))],
    ["deep JSON that never ends", hidden(1, encodeText("[".repeat(900_000)))],
    ["a text that is none", hidden(2, Uint8Array.of(255, 254))],
  ] as const)("%s goes out as bytes", (_name, record) => {
    const data = Buffer.from(record.bytes.subarray(record.from + 2, record.to)).toString("base64");
    for (const way of ["page", "line", "structured push", "batched push"]) {
      expect(waysOut[way](record).fields.data_base64).toBe(data);
    }
    const { headers, body } = pushed(record, "binary");
    expect(Buffer.from(body).toString("base64")).toBe(data);
    expect(headers["content-type"]).toBe("application/octet-stream");
  });

  test("deep JSON that is some goes out as it is", () => {
    const data = `${"[".repeat(400_000)}${"]".repeat(400_000)}`;
    expect(Buffer.from(pushed(hidden(1, encodeText(data)), "structured").body).toString()).toContain(
      `,"data":${data}}`,
    );
  });

  test("a text under a JSON type, and a string under another, are bytes in every form of push", () => {
    const text = hidden(2, encodeText("hello"), { datacontenttype: "application/json" });
    const string = hidden(1, encodeText('"hello"'), { datacontenttype: "text/plain" });
    for (const [record, bytes] of [
      [text, "hello"],
      [string, '"hello"'],
    ] as const) {
      expect(waysOut["structured push"](record).fields.data_base64).toBe(btoa(bytes));
      expect(Buffer.from(pushed(record, "binary").body).toString()).toBe(bytes);
    }
  });
});

test.each(["\n1", "1 ", "1.0", "1e2", "-0", ' "a"', '""', "null", "[]"])(
  "an extension's value in a frame is one JSON text with nothing around it, which %j is not",
  (value) => {
    const writer = new FrameWriter();
    // As long as a value of its own, in whose place it is put: the last bytes of the record.
    const ext = value.length === 2 ? 10 : "x".repeat(value.length - 2);
    writer.add({ kind: 0, data: new Uint8Array(0), extensions: { ext } });
    const bytes = writer.finish(0)[0];
    const frame = { bytes, at: 0, flags: 0, count: 1, from: 32, to: bytes.length, base: 0, timestamp: 0 };
    expect(inspect(frame, rules).ok).toBe(true);
    bytes.set(encodeText(value), bytes.length - value.length);
    const inspected = inspect(frame, rules);
    expect(inspected.ok ? "" : inspected.refusal.detail).toMatch(/extensions: ext: /);
  },
);
