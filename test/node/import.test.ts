/** What an import makes of its input: times, fields, change events, CSV, and where batches end. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type StreamConfig, streamDefaults } from "../../schemas/stream.ts";
import { type Batch, type Gathering, gather } from "../../src/cli/import/gather.ts";
import { dataRows, type Mapped, type Mapping, recordRows } from "../../src/cli/import/map.ts";
import { formatOf, mapOf } from "../../src/cli/import/options.ts";
import { recordOf } from "../../src/cli/import/record.ts";
import type { Place, Row } from "../../src/cli/import/row.ts";
import { type CsvOptions, csvRows, lineRows } from "../../src/cli/import/rows.ts";
import { toTime, type Unit, units } from "../../src/cli/import/times.ts";
import { readHeaders } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";

const start: Place = { bytes: 0, lines: 0 };
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString());
const shown = (mapped: Mapped | undefined) => mapped && { ...mapped.fields, data: text(mapped.data) };
const mapped = (map: Mapping, value: unknown) =>
  shown(map(Buffer.from(typeof value === "string" ? value : JSON.stringify(value))));

/** A text in pieces of some size, as a file comes. */
async function* pieces(content: Buffer | string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function rowsOf(pages: AsyncIterable<Row[]>): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

describe("times", () => {
  test.each([
    ["1700000000", "2023-11-14T22:13:20Z"],
    ["1700000000.25", "2023-11-14T22:13:20.250Z"],
    ["1700000000123", "2023-11-14T22:13:20.123Z"],
    ["1700000000123456", "2023-11-14T22:13:20.123456Z"],
    ["1700000000123456789", "2023-11-14T22:13:20.123456789Z"],
    ["-1", "1969-12-31T23:59:59Z"],
    ["2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"],
    ["2026-11-20t10:00:00.5+01:00", "2026-11-20T10:00:00.5+01:00"],
    ["2026-11-20 10:00:00", "2026-11-20T10:00:00Z"],
    ["2026-11-20 10:00:00.123", "2026-11-20T10:00:00.123Z"],
    ["2026-11-20 10:00:00.123456+00", "2026-11-20T10:00:00.123456+00:00"],
  ])("%s is %s", (given, time) => expect(toTime(given)).toBe(time));

  test.each(["", "yesterday", "2026-11-20", "99999999999999999999999", "12:00:00"])("'%s' is none", (given) => {
    expect(() => toTime(given)).toThrow();
  });

  test("every unit gives the same time back, guessed or said", () => {
    const digits: Record<Unit, number> = { s: 0, ms: 3, us: 6, ns: 9 };
    // From 1973, where the guess holds, to 2100.
    const times = fc.tuple(
      fc.integer({ min: 100_000_000, max: 4_102_444_800 }),
      fc.integer({ min: 0, max: 999_999_999 }),
    );
    fc.assert(
      fc.property(times, fc.constantFrom(...units), fc.boolean(), ([seconds, ns], unit, said) => {
        const fraction = String(ns).padStart(9, "0").slice(0, digits[unit]);
        const time = toTime(`${seconds}${fraction}`, said ? unit : undefined);
        expect(Math.floor(Date.parse(time) / 1_000)).toBe(seconds);
        const found = /\.(\d+)Z$/.exec(time)?.[1] ?? "";
        expect(Number(found.padEnd(9, "0"))).toBe(Number(fraction.padEnd(9, "0") || 0));
      }),
    );
  });

  test("a unit that is said comes before the magnitude", () => {
    expect(toTime("1700000000", "ms")).toBe("1970-01-20T16:13:20Z");
  });
});

describe("rows that are data", () => {
  test("name a record's fields by column and path, or give a text", () => {
    const map = dataRows({
      key: "customer.id",
      id: "n",
      type: "=order.placed",
      subject: "lines.0.sku",
      time: "at",
      tag: ["tags", "=all", "gone"],
    });
    const row = { n: 7, customer: { id: 3 }, lines: [{ sku: "s" }], at: "2026-11-20 10:00:00", tags: ["a", "b"] };
    expect(mapped(map, row)).toEqual({
      key: "3",
      id: "7",
      type: "order.placed",
      subject: "s",
      time: "2026-11-20T10:00:00Z",
      tags: ["a", "b", "all"],
      data: JSON.stringify(row),
    });
    expect(mapped(dataRows({ key: "a.b" }), { "a.b": "whole", a: { b: "path" } })).toMatchObject({ key: "whole" });
  });

  test.each(["key", "id", "type", "subject", "time", "tag"] as const)(
    "take for %s a text that is given for all",
    (field) => {
      const text = "2026-01-01T00:00:00Z";
      const map = dataRows({ [field]: field === "tag" ? [`=${text}`] : `=${text}` });
      const [name, value] = field === "tag" ? ["tags", [text]] : [field, text];
      expect(mapped(map, { [`=${text}`]: "a column" })).toMatchObject({ [name]: value });
    },
  );

  test.each([
    ["=nonsense", undefined],
    ["=", undefined],
    ["=99999999999999999999", "s"],
  ] as const)("a time for all that is none is no option's value: %j", (time, timeUnit) => {
    const options = { time, ...(timeUnit && { timeUnit }) };
    expect(() => mapOf("ndjson", options, {} as never, false)).toThrow(/^--time: '/);
    expect(() => mapOf("ndjson", { time: "=1767225600" }, {} as never, false)).not.toThrow();
  });

  test("keep their text, and numbers that JSON.parse would round", () => {
    const line = '{"id": 12345678901234567890, "at":1700000000123456789, "in":[{"id":9007199254740993}], "x":1.0}';
    const found = mapped(dataRows({ key: "id", time: "at", subject: "in.0.id" }), line);
    expect(found).toEqual({
      key: "12345678901234567890",
      time: "2023-11-14T22:13:20.123456789Z",
      subject: "9007199254740993",
      data: line,
    });
  });

  test.each([
    ["{", {}, /not JSON/],
    ["{}", { key: "k" }, /no field 'k'/],
    ['{"a":1,"b":2}', { key: "k" }, /no field 'k' for the key; there are: a, b$/],
    ['{"k":null}', { key: "k" }, /field 'k', of the key, is null/],
    ['{"k":""}', { key: "k" }, /field 'k', of the key, is empty/],
    ['{"k":{"a":1}}', { key: "k" }, /k is an object/],
    ['{"t":"soon"}', { time: "t" }, /'soon' is not a time/],
    ['"', {}, /not JSON/],
  ])("%s with %j is refused", (line, columns, why) => {
    expect(() => mapped(dataRows(columns), line)).toThrow(why);
  });

  test("whole records come without their place", () => {
    const line =
      '{"partition":0,"offset":7,"timestamp":"2026-11-20T10:00:00Z","key":"k","tags":["a"],"data":{"big":9007199254740993}}';
    const arrival = recordRows(streamDefaults);
    expect(mapped(arrival, line)).toEqual({ key: "k", tags: ["a"], data: '{"big":9007199254740993}' });
    const own = recordRows({ ...streamDefaults, timestamps: "client", offsets: "producer" });
    expect(mapped(own, line)).toMatchObject({ offset: 7, timestamp: "2026-11-20T10:00:00Z" });
    expect(() => mapped(arrival, "[]")).toThrow("a record is an object");
  });
});

describe("what the service would refuse is found by its row", () => {
  const row = (fields: object): Row => ({ line: 1, after: start, json: Buffer.from(JSON.stringify(fields)) });
  const convert = (fields: object, config: Partial<StreamConfig> = {}) =>
    recordOf(row(fields), recordRows({ ...streamDefaults, ...config }), { ...streamDefaults, ...config }, 5_000);

  test.each([
    [{ key: "k".repeat(1_025) }, {}, /key/],
    [{ colour: "red" }, {}, /'colour'/],
    [{ time: "2026-02-30T00:00:00Z" }, {}, /time/],
    [{ time: "1969-01-01T00:00:00Z" }, { timestamps: "client" as const }, /1970/],
    [{ time: "1970-01-01T02:00:00Z" }, { timestamps: "client" as const }, /ahead/],
    [{ data: "x".repeat(100) }, { recordBytesMax: 50 }, /bytes/],
    [{ key: "a" }, { offsets: "producer" as const }, /offset/],
  ])("%j under %j", (fields, config, why) => expect(() => convert(fields, config)).toThrow(why));

  test("where the stream takes timestamps, the time is one", () => {
    expect(convert({ time: "1970-01-01T00:00:01Z" }, { timestamps: "client" })?.timestamp).toBe(1_000);
    expect(convert({ key: "a" }, { timestamps: "client" })?.timestamp).toBe(5_000);
    expect(convert({ time: "1970-01-01T00:00:01Z" })?.timestamp).toBeUndefined();
  });
});

describe("lines", () => {
  test("are the same however they come, and from every place", async () => {
    const line = fc.oneof(
      fc.constant(""),
      fc.constant(" \r"),
      fc.json(),
      fc.string().map((s) => JSON.stringify(s)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.boolean(), fc.integer({ min: 1, max: 40 }), async (lines, ended, size) => {
        const content = Buffer.from(lines.join("\n") + (ended && lines.length > 0 ? "\n" : ""));
        const rows = await rowsOf(lineRows(pieces(content, size), start));
        const expected = lines.flatMap((one, index) => (one.trim() === "" ? [] : [[index + 1, one]]));
        expect(rows.map(({ line, json }) => [line, text(json)])).toEqual(expected);
        for (const { after } of rows) {
          const rest = await rowsOf(lineRows(pieces(content.subarray(after.bytes), size), after));
          expect(rest).toEqual(rows.filter(({ line }) => line > after.lines));
        }
      }),
    );
  });

  test("one that is too long is passed over, and the next one is found", async () => {
    const content = `1\n${"x".repeat(17 * 1_048_576)}\n3\n`;
    const rows = await rowsOf(lineRows(pieces(content, 1_048_576), start));
    expect(rows.map(({ line, why }) => [line, why !== undefined])).toEqual([
      [1, false],
      [2, true],
      [3, false],
    ]);
    expect(rows[2].after).toEqual({ bytes: content.length, lines: 3 });
  });
});

describe("csv", () => {
  const csv = (content: string, options: Partial<CsvOptions> = {}, size = 1_000) =>
    rowsOf(csvRows(pieces(content, size), start, { delimiter: ",", ...options }));
  const values = (rows: readonly Row[]) => rows.map(({ why, json }) => why ?? JSON.parse(text(json) as string));

  test("names cells by the header, or by what is said", async () => {
    expect(values(await csv('id,name\n1,"a ""b"", c"\r\n2,\n'))).toEqual([
      { id: "1", name: 'a "b", c' },
      { id: "2", name: "" },
    ]);
    expect(values(await csv("1;2", { columns: ["a", "b"], delimiter: ";" }))).toEqual([{ a: "1", b: "2" }]);
    await expect(csv("a,a\n1,2\n")).rejects.toThrow("two columns 'a'");
  });

  test("numbers and booleans are so only where it is asked, and keep their text", async () => {
    const content = "a,b,c,d,e\n1.50,true,007,9007199254740993,1e5\n";
    expect(text((await csv(content))[0].json)).toBe(
      '{"a":"1.50","b":"true","c":"007","d":"9007199254740993","e":"1e5"}',
    );
    const [row] = await csv(content, { numbers: true });
    expect(text(row.json)).toBe('{"a":1.50,"b":true,"c":"007","d":9007199254740993,"e":1e5}');
  });

  test("bad rows are told with their lines, and those behind them are found", async () => {
    const rows = await csv('a,b\n1,2\n\n"x\ny",3\n4\n5,q"r"\n6,7\n8,s"\n9,t"\n');
    expect(rows.map(({ line, why }) => [line, why])).toEqual([
      [2, undefined],
      [4, undefined],
      [6, "has 1 cells, not 2"],
      [7, expect.stringContaining("Invalid Opening Quote")],
      [8, undefined],
      [9, expect.stringContaining("Invalid Opening Quote")],
      [10, expect.stringContaining("Invalid Opening Quote")],
    ]);
  });

  test("where nobody could say what the next row is, it ends", async () => {
    await expect(csv('a,b\n1,"2\n3,4\n')).rejects.toThrow("begins in line 2 or later: Quote Not Closed");
    await expect(csv('a,b\n1,2\n1,"q"r\n3,4\n')).rejects.toThrow(
      "line 3, in what begins in line 3 or later: Invalid Closing",
    );
    await expect(csv(`a\n"${"x".repeat(17 * 1_048_576)}"\n2\n`, {}, 1_048_576)).rejects.toThrow("Max Record Size");
  });

  test("bytes that are no text are a bad row", async () => {
    const rows = await rowsOf(csvRows(pieces(Buffer.from([0x61, 0x0a, 0xff, 0x0a]), 10), start, { delimiter: "," }));
    expect(rows).toMatchObject([{ line: 2, why: expect.stringContaining("is not UTF-8") }]);
  });

  test("the sign for what could not be decoded is a letter like others", async () => {
    expect(values(await csv("n\u00e4me\n\ufffd\u00e9\n"))).toEqual([{ n\u00e4me: "\ufffd\u00e9" }]);
    expect(values(await csv("a\u00a6b\n1\u00a62\n", { delimiter: "\u00a6" }))).toEqual([{ a: "1", b: "2" }]);
  });

  test("an empty line is no row, and counted where it could have been meant as one", async () => {
    const blanks = (rows: readonly Row[]) => rows.map(({ line, blank, json }) => [line, blank ?? text(json)]);
    for (const size of [1, 2, 1_000]) {
      expect(blanks(await csv('a\n1\n\n\n2\n""\n', {}, size))).toEqual([
        [2, '{"a":"1"}'],
        [3, true],
        [4, true],
        [5, '{"a":"2"}'],
        [6, '{"a":""}'],
      ]);
      const rows = await csv("a\r\n1\r\n\r\n", {}, size);
      expect(blanks(rows)).toEqual([
        [2, '{"a":"1"}'],
        [3, true],
      ]);
      expect(rows[1].after).toEqual({ bytes: 8, lines: 3 });
      expect(blanks(await csv("a\n1\n", {}, size))).toEqual([[2, '{"a":"1"}']]);
      expect(blanks(await csv("a,b\n1,2\n\n", {}, size))).toEqual([[2, '{"a":"1","b":"2"}']]);
    }
  });

  test("any cells come back, in any pieces, and from every place", async () => {
    const cell = fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r\n", " ", "ü", "1") });
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 });
    const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 30 }), async (cells, size) => {
        const content = Buffer.from(cells.map((row) => row.map(quoted).join(",")).join("\n"));
        const options = { delimiter: ",", columns: ["x", "y"] };
        const rows = await rowsOf(csvRows(pieces(content, size), start, options));
        expect(values(rows)).toEqual(cells.map(([x, y]) => ({ x, y })));
        let line = 1;
        for (const [index, row] of rows.entries()) {
          expect(row.line).toBe(line);
          line += 1 + cells[index].join("").split("\n").length - 1;
          const rest = content.subarray(row.after.bytes);
          // Behind the last row there is nothing.
          if (rest.length === 0) continue;
          expect(await rowsOf(csvRows(pieces(rest, size), row.after, options))).toEqual(rows.slice(index + 1));
        }
      }),
    );
  });
});

describe("a last line without an end", () => {
  test.each(["\n", "\r\n"])("is not counted again with it, where the content goes on: %j", async (end) => {
    const csvOptions = { delimiter: ",", columns: ["a"] };
    const forms = [
      (content: string, from: Place) => rowsOf(lineRows(pieces(content, 3), from)),
      (content: string, from: Place) => rowsOf(csvRows(pieces(content, 3), from, csvOptions)),
    ];
    for (const rows of forms) {
      const before = ["1", "2", "3"].join(end);
      const { after } = (await rows(before, start)).at(-1) as Row;
      expect(after).toEqual({ bytes: before.length, lines: 3, open: true });
      expect(await rows("", after)).toEqual([]);
      expect(await rows(end, after)).toEqual([]);
      const behind = await rows([end, "4", end, "5"].join(""), after);
      expect(behind.map((row) => [row.line, row.blank])).toEqual([
        [4, undefined],
        [5, undefined],
      ]);
    }
    const bad = await rowsOf(csvRows(pieces(`${end}x"y"${end}5`, 100), { bytes: 9, lines: 3, open: true }, csvOptions));
    expect(bad.map(({ line }) => line)).toEqual([4, 5]);
  });
});

describe("batches", () => {
  const row = (n: number): Row => ({ line: n, after: { bytes: n * 10, lines: n }, json: Buffer.from(String(n)) });
  async function* pages(numbers: readonly number[], size: number) {
    for (let at = 0; at < numbers.length; at += size) yield numbers.slice(at, at + size).map(row);
  }
  /** Numbers divisible by 7 are bad, by 5 meant to be nothing. */
  const gathered = async (
    numbers: readonly number[],
    page: number,
    limits: Pick<Gathering, "bytesMax" | "recordsMax" | "firstMax"> = { bytesMax: 60, recordsMax: 4 },
  ) => {
    const batches: Batch[] = [];
    const convert = (one: Row) => {
      if (one.line % 5 === 0) return undefined;
      return recordOf(one, dataRows({}), streamDefaults, 0);
    };
    const bad = () => {};
    const marked = async function* () {
      for await (const rows of pages(numbers, page))
        yield rows.map((one) => (one.line % 7 === 0 ? { ...one, why: "7" } : one));
    };
    for await (const batch of gather(marked(), { ...limits, convert, bad })) batches.push(batch);
    return batches;
  };
  const linesOf = ({ frames }: Batch) => {
    const found: number[] = [];
    const read = readHeaders(frames ?? new Uint8Array(0));
    for (const frame of read.ok ? read.value : []) decodeFrame(frame, ({ data }) => found.push(Number(text(data))));
    return found;
  };
  const sum = (batches: readonly Batch[], what: "skipped" | "ignored") =>
    batches.reduce((total, { entries }) => total + (entries.at(-1)?.[what] ?? 0), 0);
  const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, index) => from + index);

  test("end where the rows say, wherever it begins anew", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 1, max: 20 }), async (count, page) => {
        const whole = await gathered(upTo(count), 1_000);
        expect(await gathered(upTo(count), page)).toEqual(whole);
        expect(whole.flatMap(linesOf)).toEqual(upTo(count).filter((n) => n % 5 !== 0 && n % 7 !== 0));
        expect(sum(whole, "skipped")).toBe(Math.floor(count / 7));
        expect(sum(whole, "ignored")).toBe(upTo(count).filter((n) => n % 5 === 0 && n % 7 !== 0).length);
        for (const [index, { entries }] of whole.entries()) {
          const { lines } = entries[entries.length - 1].after;
          expect(await gathered(upTo(count - lines, lines + 1), page)).toEqual(whole.slice(index + 1));
        }
      }),
    );
  });

  test("the first one ends where it did when it was sent before, and the others where they would behind it", async () => {
    const limits = { bytesMax: 1_000, recordsMax: 4 };
    for (const firstMax of [1, 2, 3, 4]) {
      const [first, ...others] = await gathered(upTo(20), 3, { ...limits, firstMax });
      expect(linesOf(first)).toEqual([1, 2, 3, 4].slice(0, firstMax));
      const { lines } = first.entries[firstMax - 1].after;
      expect(others).toEqual(await gathered(upTo(20 - lines, lines + 1), 3, limits));
    }
  });

  test("what came before an end is given first", async () => {
    const found: Batch[] = [];
    const bad = () => {
      throw new Error("here");
    };
    const rows = async function* () {
      yield [row(1), row(2), { ...row(3), why: "bad" }];
    };
    const limits = { bytesMax: 1_000, recordsMax: 100 };
    const convert = (one: Row) => recordOf(one, dataRows({}), streamDefaults, 0);
    const all = (async () => {
      for await (const batch of gather(rows(), { ...limits, convert, bad })) found.push(batch);
    })();
    await expect(all).rejects.toThrow("here");
    expect(found.flatMap(linesOf)).toEqual([1, 2]);
  });
});

test.each([
  ["a.ndjson", "ndjson"],
  ["a.csv.gz", "csv"],
  ["a.tsv", "csv"],
  ["outbox.ndjson", "debezium"],
  [undefined, "ndjson"],
])("%s is taken for %s", (path, format) => expect(formatOf(undefined, path, {})).toBe(format));

test("options of another format, or that contradict each other, are refused", () => {
  expect(() => formatOf("ndjson", "a.csv", { numbers: true })).toThrow("--numbers is for --format csv");
  expect(() => formatOf("csv", "a.csv", { table: true })).toThrow("--table is for --format debezium");
  expect(() => formatOf(undefined, "a.ndjson", { records: true, key: "k" })).toThrow("exclude each other");
});
