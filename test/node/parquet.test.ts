/** What DuckDB reads from a file is what was in the records; and the guide's queries answer what the guide says. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { parquetAttributes, parquetColumn, parquetColumns } from "../../schemas/stream.ts";
import { type Column, ParquetSegment } from "../../src/archive/parquet.ts";
import { damagedFrame, openFrames } from "../../src/log/frame.ts";
import { type Rec, textFields } from "../../src/log/record.ts";
import { record } from "../cases/arbitrary.ts";
import { framesOf, json } from "../cases/parquet.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-parquet-"));
let file = "";
let files = 0;
let duck: DuckDBConnection;

beforeAll(async () => {
  duck = await (await DuckDBInstance.create(":memory:")).connect();
  await duck.run(`SET file_search_path = '${folder}'; SET TimeZone = 'UTC'`);
});
afterAll(() => {
  duck.closeSync();
  rmSync(folder, { recursive: true });
});

type Row = Record<string, unknown>;
const query = async (sql: string): Promise<Row[]> => (await duck.runAndReadAll(sql)).getRowObjectsJS();
/** Each time another file: DuckDB remembers what it has read of one. */
const store = (bytes: Uint8Array): void => {
  file = join(folder, `${files++}.parquet`);
  writeFileSync(file, bytes);
};
const rows = (bytes: Uint8Array): Promise<Row[]> => {
  store(bytes);
  return query(`SELECT * FROM '${file}' ORDER BY "offset"`);
};

/** A record's data as the columns should have them, judged by other means than the code's. */
function dataOf({ kind, data }: Rec): { data: string | null; data_binary: Buffer | null } {
  const text = Buffer.from(data).toString("utf8");
  const isText = Buffer.from(text).equals(data);
  const isJson = () => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  if (kind === 0) return { data: null, data_binary: null };
  const good = (kind === 1 && isText && isJson()) || (kind === 2 && isText);
  return good ? { data: text, data_binary: null } : { data: null, data_binary: Buffer.from(data) };
}

const expected = (partition: number, item: Rec, offset: number, timestamp: number): Row => ({
  partition,
  offset: BigInt(offset),
  timestamp: new Date(timestamp),
  ...Object.fromEntries(textFields.map((field) => [field, item[field] ?? null])),
  tags: item.tags ?? null,
  extensions: item.extensions === undefined ? null : JSON.stringify(item.extensions),
  ...dataOf(item),
});

/** Also data that are what they say, which bytes by chance hardly ever are. */
const anyRecord: fc.Arbitrary<Rec> = fc
  .tuple(record, fc.option(fc.json({ maxDepth: 2 })), fc.string({ unit: "binary" }))
  .map(([item, body, text]) => {
    if (item.kind === 1 && body !== null) return { ...item, data: new TextEncoder().encode(body) };
    if (item.kind === 2 && body !== null) return { ...item, data: new TextEncoder().encode(text) };
    return item;
  });

describe("what DuckDB reads", () => {
  test("is what was written, in every column, in chunks of assigned offsets", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRecord, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(0, 2 ** 31 - 5, 2 ** 32 + 1, 2 ** 53 - 100),
        fc.nat(2_000),
        async (chunks, base, partition) => {
          const segment = new ParquetSegment(partition, []);
          const want: Row[] = [];
          let timestamp = 1_767_225_600_000;
          for (const chunk of chunks) {
            segment.add(framesOf(chunk, base, timestamp));
            for (const item of chunk) want.push(expected(partition, item, base++, timestamp));
            timestamp += 7;
          }
          expect(await rows(segment.finish())).toEqual(want);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("is what was written, with offsets and timestamps of the producer's own", async () => {
    const own = fc.record({ item: anyRecord, gap: fc.nat(2 ** 40), later: fc.nat(10_000_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(own, { minLength: 1, maxLength: 20 }), async (list) => {
        let offset = 0;
        let timestamp = 0;
        const want: Row[] = [];
        const chunk = list.map(({ item, gap, later }) => {
          offset += gap + 1;
          timestamp += later;
          want.push(expected(1, item, offset, timestamp));
          return { ...item, offset, timestamp };
        });
        const segment = new ParquetSegment(1, []);
        segment.add(framesOf(chunk, 0, 0));
        expect(await rows(segment.finish())).toEqual(want);
      }),
      { numRuns: 50 },
    );
  });

  test("comes in row groups of about a MiB, and of a bounded number of rows", async () => {
    const segment = new ParquetSegment(0, [{ name: "n", path: "n", type: "int" }]);
    let offset = 0;
    for (let chunk = 0; chunk < 5; chunk++) {
      const list = Array.from({ length: 5_000 }, (_, i) => json({ n: offset + i, pad: "x".repeat(120) }, { key: "k" }));
      segment.add(framesOf(list, offset, offset, true));
      offset += list.length;
    }
    const tiny = Array.from({ length: 70_000 }, (): Rec => ({ kind: 0, data: new Uint8Array(0) }));
    segment.add(framesOf(tiny, offset, offset, true));
    const want = offset + tiny.length;
    store(segment.finish());
    const [found] = await query(
      `SELECT count(*)::INT AS rows, max("offset")::INT AS last, count(DISTINCT "offset")::INT AS offsets,
              bool_and(n IS NULL OR n = "offset" AND key = 'k' AND (data->>'$.n') = n::TEXT) AS right, count(n)::INT AS numbers
       FROM '${file}'`,
    );
    expect(found).toEqual({ rows: want, last: want - 1, offsets: want, right: true, numbers: offset });
    const groups = await query(
      `SELECT row_group_num_rows::INT AS rows, stats_min_value AS low FROM parquet_metadata('${file}')
       WHERE path_in_schema = 'offset' ORDER BY row_group_id`,
    );
    expect(groups.length).toBeGreaterThan(5);
    expect(Math.max(...groups.map((group) => Number(group.rows)))).toBe(32_768);
    expect(groups[1].low).toBe(String(groups[0].rows));
  });

  test("of a segment without records is a table without rows, and a hole adds none", async () => {
    const columns: Column[] = [{ name: "amount", path: "a", type: "double" }];
    expect(await rows(new ParquetSegment(0, columns).finish())).toEqual([]);
    const names = (await query(`DESCRIBE SELECT * FROM '${file}'`)).map((row) => row.column_name);
    expect(names).toEqual([...parquetAttributes, "amount"]);
    const holed = new ParquetSegment(0, []);
    const hole = openFrames(damagedFrame(0, 10));
    holed.add(hole.ok ? hole.value : []);
    holed.add(framesOf([json(1)], 10, 0));
    expect((await rows(holed.finish())).map((row) => row.offset)).toEqual([10n]);
  });

  test("is data as they were sent, not as they would be written again", async () => {
    const sent = ['{"n":12345678901234567890, "a" :1e2}', '"\\ud800"', " null "];
    const segment = new ParquetSegment(0, [{ name: "n", path: "n", type: "json" }]);
    segment.add(
      framesOf(
        sent.map((text) => ({ kind: 1, data: new TextEncoder().encode(text) })),
        0,
        0,
        true,
      ),
    );
    expect((await rows(segment.finish())).map((row) => row.data)).toEqual(sent);
  });
});

describe("typed columns", () => {
  const read = async (type: Column["type"], texts: readonly string[], path = "a.b"): Promise<unknown[]> => {
    const segment = new ParquetSegment(0, [{ name: "x", path, type }]);
    const list = texts.map((text): Rec => ({ kind: 1, data: new TextEncoder().encode(text) }));
    segment.add(framesOf(list, 0, 0, true));
    return (await rows(segment.finish())).map((row) => row.x);
  };
  const within = (values: readonly string[]) => values.map((value) => `{"a":{"b":${value}}}`);
  const misfits = within(['"x"', "1.5", "true", "null", "[1]", "{}", "1e400"]);

  test.each<[Column["type"], string[], unknown[]]>([
    ["string", ['""', '"ü\\u0000"', '"\\ud800"'], ["", "ü\0", null]],
    ["int", ["0", "-9007199254740991", "9007199254740992", "1.0"], [0n, -(2n ** 53n) + 1n, null, 1n]],
    ["double", ["0.1", "-1e300", "3"], [0.1, -1e300, 3]],
    ["boolean", ["true", "false", "1"], [true, false, null]],
    [
      "timestamp",
      ['"2026-01-31T12:00:00.123456+02:00"', '"2026-02-30T00:00:00Z"', '"2026-01-01"', "1767225600000", '"T"'],
      [new Date("2026-01-31T10:00:00.123Z"), null, null, null, null],
    ],
    ["json", ['{"c":[1,"ü"]}', "null", '"s"', "1"], ['{"c":[1,"ü"]}', null, '"s"', "1"]],
  ])("%s", async (type, values, want) => {
    expect(await read(type, within(values))).toEqual(want);
  });

  test.each<[Column["type"], unknown[]]>([
    ["string", ["x", null, null, null, null, null, null]],
    ["int", [null, null, null, null, null, null, null]],
    ["double", [null, 1.5, null, null, null, null, null]],
    ["boolean", [null, null, true, null, null, null, null]],
    ["timestamp", [null, null, null, null, null, null, null]],
    ["json", ['"x"', "1.5", "true", null, "[1]", "{}", "null"]],
  ])("what does not fit %s is null", async (type, want) => {
    expect(await read(type, misfits)).toEqual(want);
  });

  test("a path leads through members of objects only", async () => {
    const texts = ['{"a":{"b":1}}', '{"a":[{"b":1}]}', '{"a.b":1}', '{"a":"b"}', '{"a":null}', "7", "null"];
    expect(await read("int", texts)).toEqual([1n, null, null, null, null, null, null]);
    expect(await read("int", ['{"a":[1]}'], "a.length")).toEqual([null]);
    expect(await read("json", ["{}", '{"__proto__":1}'], "__proto__")).toEqual([null, "1"]);
    expect(await read("json", ["{}"], "constructor")).toEqual([null]);
  });

  test("data of another kind, or that are not JSON, have none", async () => {
    const data = new TextEncoder().encode('{"x":1}');
    const broken = new TextEncoder().encode('{"x":1');
    const segment = new ParquetSegment(0, [{ name: "x", path: "x", type: "int" }]);
    const list: Rec[] = [
      { kind: 1, data },
      { kind: 2, data },
      { kind: 3, data },
      { kind: 1, data: broken },
    ];
    segment.add(framesOf(list, 0, 0));
    expect((await rows(segment.finish())).map((row) => row.x)).toEqual([1n, null, null, null]);
  });

  test("a column needs a name of its own, within the limits", () => {
    const column: Column = { name: "amount", path: "a.b", type: "int" };
    const takes = (more: object) => parquetColumn.safeParse({ ...column, ...more }).success;
    for (const name of ["a", "a_1", "a".repeat(limits.parquetNameCharsMax)]) expect(takes({ name })).toBe(true);
    const wrong = [...parquetAttributes, "", "A", "1a", "a b", "a".repeat(limits.parquetNameCharsMax + 1)];
    for (const name of wrong) expect(takes({ name })).toBe(false);
    for (const path of ["a", "a b.ü", "p".repeat(limits.parquetPathCharsMax)]) expect(takes({ path })).toBe(true);
    const broken = ["", ".", "a.", "a..b", "p".repeat(limits.parquetPathCharsMax + 1)];
    for (const path of broken) expect(takes({ path })).toBe(false);
    expect(takes({ type: "date" }) || takes({ more: 1 })).toBe(false);
    const list = (count: number) => Array.from({ length: count }, (_, i) => ({ ...column, name: `c${i}` }));
    expect(parquetColumns.safeParse(list(limits.parquetColumnsMax)).success).toBe(true);
    expect(parquetColumns.safeParse(list(limits.parquetColumnsMax + 1)).success).toBe(false);
    expect(parquetColumns.safeParse([column, column]).success).toBe(false);
    expect(() => new ParquetSegment(0, [{ ...column, name: "data" }])).toThrow("name of its own");
  });
});

describe("docs/ANALYTICS.md", () => {
  const guide = readFileSync(resolve(import.meta.dirname, "../../docs/ANALYTICS.md"), "utf8");
  const columns: Column[] = [
    { name: "amount", path: "order.amount", type: "double" },
    { name: "placed_at", path: "order.at", type: "timestamp" },
  ];
  const write = (stream: string, partition: number, base: number, list: readonly Rec[], typed: Column[]) => {
    const segment = new ParquetSegment(partition, typed);
    segment.add(framesOf(list, base, Date.UTC(2026, 0, 1)));
    const path = join(
      folder,
      `parquet/default/${stream}/0123456789abcdef0123/${partition}/${String(base).padStart(16, "0")}-0.parquet`,
    );
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, segment.finish());
  };
  const placed = (key: string, amount: number, day: number, more: Partial<Rec> = {}) =>
    json(
      { status: "placed", order: { amount, at: `2026-01-0${day}T10:00:00Z` } },
      { key, type: "order.placed", ...more },
    );
  const paid = (key: string, more: Partial<Rec> = {}) => json({ status: "paid" }, { key, type: "order.paid", ...more });

  beforeAll(() => {
    const vip = { tags: ["vip"], extensions: { region: "eu" } };
    const first = [placed("customer-2", 5, 1), placed("customer-1", 12.5, 1, vip), placed("customer-2", 40, 1)];
    write("orders", 0, 0, [...first, paid("customer-2", { tags: ["vip"] })], columns);
    const removed: Rec = { key: "customer-2", type: "order.removed", kind: 0, data: new Uint8Array(0) };
    write("orders", 0, 4, [paid("customer-1"), removed], columns);
    const note: Rec = { type: "note", kind: 2, data: new TextEncoder().encode("{call back") };
    const scan: Rec = { type: "scan", kind: 3, data: Uint8Array.from([0, 255]) };
    write("orders", 1, 0, [placed("customer-3", 2, 2), placed("customer-3", 20, 2), scan, note], columns);
    write("older", 0, 0, [placed("customer-1", 1, 1)], []);
  });

  const blocks = [...guide.matchAll(/```sql\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g)].map((match) => match.slice(1));

  test("every query of it is followed by its answer", () => {
    expect(blocks.length).toBe(guide.split("```sql").length - 1);
    expect(blocks.length).toBeGreaterThan(4);
  });

  test.each(blocks)("%s", async (sql, answer) => {
    const result = await duck.runAndReadAll(sql);
    const lines = result.getRowsJson().map((row) => row.map((value) => String(value)).join(" | "));
    expect([result.columnNames().join(" | "), ...lines].join("\n")).toBe(answer.trim());
  });

  test("its columns are those of a file", async () => {
    const table = [...guide.matchAll(/^\| `(\w+)` \| ([A-Z[\] ]+?) \|/gm)].map(([, name, type]) => [name, type]);
    const found = await query("DESCRIBE SELECT * FROM read_parquet('parquet/default/orders/*/*/*.parquet')");
    expect(table).toEqual(found.map((row) => [row.column_name, row.column_type]));
  });

  test("a condition on the file's name opens one file of two", async () => {
    const sql = blocks.find(([text]) => text.includes("filename"))?.[0];
    const plan = (await duck.runAndReadAll(`EXPLAIN ANALYZE ${sql}`)).getRowsJson().flat().join("\n");
    expect(plan).toMatch(/Scanning Files: 1\/2\b/);
  });
});
