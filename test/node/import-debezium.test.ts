/** What an import makes of Debezium's messages, in the forms in which they are printed. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { outboxRows, tableRows } from "../../src/cli/import/debezium.ts";
import type { Fields } from "../../src/cli/import/json.ts";
import type { Mapped, Mapping } from "../../src/cli/import/map.ts";

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString());
const shown = (mapped: Mapped | undefined): Fields | undefined =>
  mapped && { ...mapped.fields, data: text(mapped.data) };
const mapped = (map: Mapping, value: unknown) =>
  shown(map(Buffer.from(typeof value === "string" ? value : JSON.stringify(value))));

describe("debezium", () => {
  const row = {
    id: "e-1",
    aggregatetype: "order",
    aggregateid: "o-9",
    type: "OrderPlaced",
    payload: '{"total": 9007199254740993}',
    timestamp: 1_700_000_000_123_456,
  };
  const event = {
    id: "e-1",
    type: "OrderPlaced",
    key: "o-9",
    subject: "order",
    time: "2023-11-14T22:13:20.123456Z",
    data: '{"total": 9007199254740993}',
  };
  const change = (op: string, after: unknown) => ({ op, before: null, after, source: { ts_ms: 1_700_000_000_000 } });

  test("an outbox's rows, with the envelope and without", () => {
    const map = outboxRows({});
    for (const op of ["c", "r"]) expect(mapped(map, change(op, row))).toEqual(event);
    expect(mapped(map, { schema: { type: "struct" }, payload: change("c", row) })).toEqual(event);
    expect(mapped(map, { key: "x", value: change("c", row) })).toEqual(event);
    expect(mapped(map, row)).toEqual(event);
    for (const op of ["d", "u", "t"]) expect(mapped(map, change(op, row))).toBeUndefined();
    expect(mapped(map, "null")).toBeUndefined();
    expect(() => mapped(map, change("c", null))).toThrow("--table");
  });

  test.each([
    ["a text", "plain", '"plain"'],
    ["expanded", { a: 1 }, '{"a":1}'],
    ["nothing", null, undefined],
  ])("a payload that is %s", (_, payload, data) => {
    expect(mapped(outboxRows({}), change("c", { ...row, payload }))).toMatchObject({ data });
  });

  test("other columns, and the time of the change where there is none", () => {
    const { timestamp: _, aggregateid, ...rest } = row;
    const map = outboxRows({ key: "order_id", type: "=t" });
    expect(mapped(map, change("c", { ...rest, order_id: aggregateid }))).toMatchObject({
      key: "o-9",
      type: "t",
      time: "2023-11-14T22:13:20Z",
    });
  });

  const source = { table: "orders", name: "shop", lsn: 24_023_128, ts_ms: 1_700_000_000_000 };

  test("changes of a table, by the message's key or a column", () => {
    const value = { op: "u", before: null, after: { id: 9, total: 1 }, source, ts_ms: 1 };
    const record = {
      key: "9",
      type: "orders.u",
      id: expect.stringMatching(/^24023128:\/shop\/\/\/orders:u:9:[\w-]{22}$/),
      source: "shop",
      time: "2023-11-14T22:13:20Z",
      data: '{"id":9,"total":1}',
    };
    expect(mapped(tableRows({ key: "id" }), value)).toEqual(record);
    const keyed = tableRows({});
    expect(mapped(keyed, { key: { id: 9 }, value })).toEqual(record);
    expect(mapped(keyed, { key: { schema: {}, payload: { id: 9 } }, value: { schema: {}, payload: value } })).toEqual(
      record,
    );
    expect(mapped(keyed, `{"id":9}\t${JSON.stringify(value)}`)).toEqual(record);
    expect(mapped(keyed, { topic: "t", key: '{"id":9}', payload: JSON.stringify(value) })).toEqual(record);
    expect(mapped(keyed, { key: { a: 1, b: 2 }, value })).toMatchObject({ key: '{"a":1,"b":2}' });
    expect(() => mapped(keyed, value)).toThrow("--key");
    expect(() => mapped(keyed, { id: 1 })).toThrow("no 'op'");
  });

  test("a delete is a key without data, its tombstone nothing, a truncation of no key", () => {
    const gone = { op: "d", before: { id: 9 }, after: null, source };
    expect(mapped(tableRows({}), { key: { id: 9 }, value: gone })).toMatchObject({
      key: "9",
      type: "orders.d",
      data: undefined,
    });
    expect(mapped(tableRows({ key: "id" }), gone)).toMatchObject({ key: "9", data: undefined });
    expect(mapped(tableRows({}), { key: { id: 9 }, value: null })).toBeUndefined();
    expect(mapped(tableRows({}), '{"id":9}\tnull')).toBeUndefined();
    expect(mapped(tableRows({ key: "id" }), { op: "t", source })).toEqual({
      type: "orders.t",
      source: "shop",
      time: "2023-11-14T22:13:20Z",
      data: undefined,
    });
  });

  test.each([
    [{ lsn: 5 }, "5:////t:c:1"],
    [{ file: "bin.7", pos: 44, row: 2 }, "bin.7/44/2:////t:c:1"],
    [{ ts_ms: 8, row: 0 }, "8/0:////t:c:1"],
    [{ ts_ms: 8 }, undefined],
  ])("the id of %j begins with %s", (position, id) => {
    const value = { op: "c", after: { id: 1 }, source: { table: "t", ...position } };
    const found = tableRows({ key: "id" })(Buffer.from(JSON.stringify(value)));
    expect((found?.fields.id as string | undefined)?.replace(/:[\w-]{22}$/, "")).toBe(id);
  });
});

const source = { connector: "postgresql", name: "pg", db: "shop", schema: "a", table: "orders", lsn: 7, ts_ms: 1_000 };
const created = { op: "c", before: null, after: { id: 1, total: 2 }, source };

describe("ids", () => {
  const idOf = (value: object, key = "id") => tableRows({ key })(Buffer.from(JSON.stringify(value)))?.fields.id;

  test("tell connectors, databases, schemas, tables, operations and keys apart", () => {
    const sets: Record<string, readonly unknown[]> = {
      connector: ["mysql", "postgresql"],
      name: ["a", "a/b", "a:b"],
      db: ["b", "a/b", "%2F"],
      schema: ["a", "b/a", ":"],
      table: ["t", "a/t", "t:c"],
      lsn: [1, 2],
      op: ["c", "u"],
      id: ["1", "c:1", "2"],
    };
    const changes = Object.entries(sets).reduce(
      (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
      [{}] as Record<string, unknown>[],
    );
    const ids = changes.map(({ op, id, ...source }) => idOf({ op, after: { id }, source }));
    expect(changes).toHaveLength(1_944);
    expect(new Set(ids).size).toBe(changes.length);
  });

  test("name everything, in an order that stays", () => {
    expect(idOf(created)).toBe("7:postgresql/pg/shop/a/orders:c:1:VfO10u3QNUBNghJGlqLzs1");
  });

  const idsOf = (key: string, ...lines: unknown[]) =>
    lines.map((line) => mapped(tableRows({ key }), line)?.id as string | undefined);

  test("tell rows apart that were written together and share the key that is named", () => {
    const row = (op: string, id: number) => ({ ...created, op, after: { id, customer: 5 } });
    const values = [row("c", 1), row("c", 2), row("u", 1)];
    expect(new Set(idsOf("customer", ...values)).size).toBe(3);
    const alike = { ...created, after: { customer: 5 } };
    const messages = [1, 2].map((id) => ({ key: { id }, value: alike }));
    expect(new Set(idsOf("customer", ...messages)).size).toBe(2);
    // The same again is the same.
    expect(new Set(idsOf("customer", values[0], values[0])).size).toBe(1);
    expect(new Set(idsOf("customer", messages[0], messages[0])).size).toBe(1);
  });

  test("are not given to rows of a snapshot without a message's key: equal rows may be two", () => {
    const read = { ...created, op: "r" };
    expect(idsOf("id", read, { key: null, value: read })).toEqual([undefined, undefined]);
    expect(new Set(idsOf("id", { key: { n: 1 }, value: read }, { key: { n: 2 }, value: read })).size).toBe(2);
  });
});

describe("an outbox", () => {
  test("is not made of another table's changes: its first event tells", () => {
    const deleted = { ...created, op: "d", before: { id: 1 }, after: null };
    for (const event of [created, deleted, { ...created, op: "u" }]) {
      expect(() => mapped(outboxRows({}), event)).toThrow("changes of the table orders: add --table");
    }
    expect(() => mapped(outboxRows({}), { id: 1, __op: "c", __table: "orders" })).toThrow("the table orders");
    // Rows of an outbox that names its keys otherwise, or has a payload, are its own.
    expect(mapped(outboxRows({ key: "order_id" }), { ...created, after: { id: 1, order_id: 5 } })).toMatchObject({
      key: "5",
    });
    expect(() => mapped(outboxRows({}), { ...created, after: { id: 1, payload: "1" } })).toThrow(
      "no field 'aggregateid'",
    );
  });

  test("has bad rows behind good ones", () => {
    const map = outboxRows({});
    map(Buffer.from(JSON.stringify({ ...created, after: { id: "1", aggregateid: 2 ** 60 } })));
    expect(() => mapped(map, created)).toThrow("there are: id, total");
    expect(() => mapped(outboxRows({}, true), created)).toThrow("there are: id, total");
  });
});

describe("messages as tools print them", () => {
  const json = JSON.stringify(created);
  const keyed = tableRows({});

  test.each([
    ["kcat -K '\\t'", `{"id":1}\t${json}`, "1"],
    ["a key that is a text", `k1\t${json}`, "k1"],
    ["a number", `5\t${json}`, "5"],
    ["kcat -J", JSON.stringify({ topic: "t", partition: 0, offset: 3, key: '{"id":1}', payload: json }), "1"],
    ["rpk", JSON.stringify({ topic: "t", key: '{"id":1}', value: json, timestamp: 1, partition: 0, offset: 3 }), "1"],
    [
      "with envelopes",
      JSON.stringify({ key: { schema: {}, payload: { id: 1 } }, value: { schema: {}, payload: created } }),
      "1",
    ],
    ["with a line end of Windows", `{"id":1}\t${json}\r`, "1"],
  ])("%s", (_, line, key) => {
    expect(mapped(keyed, line)).toMatchObject({ key, type: "orders.c", data: '{"id":1,"total":2}' });
  });

  test.each(["\t", "NULL\t", " \t"])("without a key, as %j before the event", (before) => {
    expect(() => mapped(keyed, before + json)).toThrow("--key");
    expect(mapped(tableRows({ key: "id" }), before + json)).toMatchObject({ key: "1", type: "orders.c" });
  });

  test("an event with a tab behind it stays one", () => {
    for (const line of [`${json}\t`, `${json}\t\r`, `${JSON.stringify({ schema: {}, payload: created })}\t`]) {
      expect(mapped(tableRows({ key: "id" }), line)).toMatchObject({ key: "1", type: "orders.c" });
    }
    expect(mapped(outboxRows({}), '{"id":1,"aggregateid":2,"payload":3}\t')).toMatchObject({ key: "2", data: "3" });
  });

  test.each([
    "null",
    "k1\t",
    "k1\tNULL",
    "k1\tnull",
    '{"id":1}\t',
    '{"id":1}\t\r',
    '{"schema":{},"payload":{"id":1}}\t',
    "5\t",
    '"k1"\t',
    '{"id":1}\tNULL',
    '{"key":{"id":1},"value":null}',
    '{"topic":"t","partition":0,"offset":3,"key":"{}","payload":null}',
    '{"topic":"t","partition":0,"offset":3,"key":"{}","payload":""}',
    '{"topic":"t","partition":0,"offset":3,"key":"{}"}',
  ])("%j is a tombstone", (line) => {
    expect(mapped(keyed, line)).toBeUndefined();
    expect(mapped(outboxRows({}), line)).toBeUndefined();
  });

  test.each([
    { status: "BEGIN", id: "571:53195829", event_count: null, data_collections: null, ts_ms: 1 },
    { status: "END", id: "571", event_count: 2, data_collections: [{ data_collection: "a.b", event_count: 2 }] },
    { ts_ms: 1_700_000_000_000 },
    { ts_ms: 1, ts_us: 1_000, ts_ns: 1_000_000 },
    { source, databaseName: "shop", ddl: "CREATE TABLE t (id INT)", tableChanges: [] },
    { op: "m", source: { ...source, table: "" }, message: { prefix: "p", content: "" } },
  ])("%j is no change", (value) => {
    expect(mapped(keyed, value)).toBeUndefined();
    expect(mapped(keyed, { schema: {}, payload: value })).toBeUndefined();
    expect(mapped(keyed, `{"x":1}\t${JSON.stringify(value)}`)).toBeUndefined();
    expect(mapped(outboxRows({}), value)).toBeUndefined();
  });

  test("a row may have columns of a notice's names", () => {
    const row = { id: "1", status: "END", event_count: 2, ts_ms: 3 };
    expect(mapped(tableRows({ key: "id" }), { ...row, __op: "u", __table: "t" })).toMatchObject({ type: "t.u" });
    expect(mapped(tableRows({ key: "id" }), { ...created, after: row })).toMatchObject({ type: "orders.c" });
    expect(mapped(outboxRows({}), { ...row, aggregateid: 1 })).toMatchObject({ key: "1" });
    expect(mapped(outboxRows({ key: "id" }), { id: "1", status: "END", ts_ms: 3 })).toMatchObject({ key: "1" });
  });

  test("an outbox's row may have columns of a message's names", () => {
    const row = { aggregateid: 1, topic: "t", key: "k", partition: 1, offset: 2, payload: '{"a":1}' };
    expect(mapped(outboxRows({}), row)).toMatchObject({ key: "1", data: '{"a":1}' });
  });
});

describe("rows that were taken out of their events", () => {
  const row = { id: 1, total: 2, __op: "u", __table: "orders", __source_ts_ms: 1_000, __lsn: 7, __deleted: "false" };

  test("are changes by what they keep of them", () => {
    expect(mapped(tableRows({ key: "id" }), row)).toEqual({
      key: "1",
      type: "orders.u",
      id: expect.stringMatching(/^7:\/\/\/\/orders:u:1:[\w-]{22}$/),
      time: "1970-01-01T00:00:01Z",
      data: JSON.stringify(row),
    });
    const { __op: _, ...bare } = row;
    expect(mapped(tableRows({ key: "id" }), bare)).toMatchObject({ type: "orders.u" });
  });

  test("and deletes", () => {
    const gone = { ...row, __op: "d", __deleted: "true" };
    expect(mapped(tableRows({ key: "id" }), gone)).toMatchObject({ key: "1", type: "orders.d", data: undefined });
    expect(mapped(tableRows({ key: "id" }), { ...gone, __op: undefined })).toMatchObject({ type: "orders.d" });
  });

  test("have a table, or their topic's name", () => {
    const { __table: _, ...bare } = row;
    expect(() => mapped(tableRows({ key: "id" }), bare)).toThrow("'__table', which add.fields would add");
    const printed = { topic: "pg.a.orders", partition: 0, offset: 1, key: null, payload: JSON.stringify(bare) };
    expect(mapped(tableRows({ key: "id" }), printed)).toMatchObject({ type: "orders.u" });
  });
});

describe("a delete", () => {
  const gone = { ...created, op: "d", before: { id: 1, customer: null }, after: null };

  test("that does not know its key's column has the key of its message", () => {
    const byCustomer = tableRows({ key: "customer" });
    expect(mapped(byCustomer, { key: { id: 1 }, value: gone })).toMatchObject({ key: "1", type: "orders.d" });
    expect(mapped(byCustomer, { key: { id: 1, customer: 8 }, value: gone })).toMatchObject({ key: "8" });
    expect(mapped(byCustomer, { key: { id: 1 }, value: { ...gone, before: null } })).toMatchObject({ key: "1" });
    expect(mapped(byCustomer, { ...gone, before: { id: 1, customer: 8 } })).toMatchObject({ key: "8" });
    expect(() => mapped(byCustomer, gone)).toThrow("no field 'customer' for the key, and there is no message key");
  });
});

describe("times and decimals", () => {
  const timed = (source: object, event: object = {}) =>
    mapped(tableRows({ key: "id" }), { ...created, source: { table: "t", ...source }, ...event })?.time;

  test("the time is as exact as the source's", () => {
    expect(timed({ ts_ms: 1_700_000_000_123 })).toBe("2023-11-14T22:13:20.123Z");
    expect(timed({ ts_ms: 1_700_000_000_123, ts_us: 1_700_000_000_123_456 })).toBe("2023-11-14T22:13:20.123456Z");
    expect(
      mapped(tableRows({ key: "id" }), `{"op":"c","after":{"id":1},"source":{"table":"t","ts_ns":1700000000123456789}}`)
        ?.time,
    ).toBe("2023-11-14T22:13:20.123456789Z");
    expect(timed({ ts_ms: 0 }, { ts_ms: 1_000 })).toBe("1970-01-01T00:00:01Z");
    expect(timed({}, { ts_us: 1_000_001 })).toBe("1970-01-01T00:00:01.000001Z");
  });

  const envelope = (fields: object[], after: object) => ({
    schema: { type: "struct", fields: [{ field: "after", type: "struct", fields }] },
    payload: { ...created, after },
  });
  const field = (name: string, type: string, more: object = {}) => ({
    field: name,
    type: "int64",
    name: type,
    ...more,
  });

  test.each([
    ["io.debezium.time.Timestamp", 1_000, "1970-01-01T00:00:01Z"],
    ["io.debezium.time.MicroTimestamp", 1_000_000, "1970-01-01T00:00:01Z"],
    ["io.debezium.time.NanoTimestamp", 1_000_000_000, "1970-01-01T00:00:01Z"],
    ["org.apache.kafka.connect.data.Timestamp", 1_000, "1970-01-01T00:00:01Z"],
    ["io.debezium.time.Date", 20_000, "2024-10-04T00:00:00Z"],
    ["io.debezium.time.ZonedTimestamp", "2024-10-04T01:02:03.5Z", "2024-10-04T01:02:03.5Z"],
  ])("a column of %s", (type, at, time) => {
    const map = tableRows({ key: "id", time: "at" });
    expect(mapped(map, envelope([field("at", type)], { id: 1, at }))).toMatchObject({ time });
    const flat = { schema: { fields: [field("at", type)] }, payload: { id: 1, at, __op: "c", __table: "t" } };
    expect(mapped(map, flat)).toMatchObject({ time });
    const outbox = envelope([field("timestamp", type)], { aggregateid: 1, timestamp: at });
    expect(mapped(outboxRows({}), outbox)).toMatchObject({ time });
  });

  test("a unit that is said comes first, and a time of day is none", () => {
    const map = tableRows({ key: "id", time: "at", timeUnit: "s" });
    const value = envelope([field("at", "io.debezium.time.Timestamp")], { id: 1, at: 1 });
    expect(mapped(map, value)).toMatchObject({ time: "1970-01-01T00:00:01Z" });
    const ofDay = envelope([field("at", "io.debezium.time.MicroTime")], { id: 1, at: 1 });
    expect(() => mapped(tableRows({ key: "id", time: "at" }), ofDay)).toThrow("time of day");
  });

  const decimal = field("id", "org.apache.kafka.connect.data.Decimal", { type: "bytes", parameters: { scale: "2" } });

  test("decimals are read for keys, and stay as they are in data", () => {
    const found = mapped(tableRows({ key: "id" }), envelope([decimal], { id: "MDk=" }));
    expect(found).toMatchObject({ key: "123.45", data: '{"id":"MDk="}' });
    const key = { schema: { fields: [decimal] }, payload: { id: "z8c=" } };
    expect(mapped(tableRows({}), { key, value: created })).toMatchObject({ key: "-123.45" });
    expect(mapped(tableRows({}), { key: { id: { scale: 1, value: "BNI=" } }, value: created })).toMatchObject({
      key: "123.4",
    });
    expect(
      mapped(tableRows({ id: "n", key: "id" }), { ...created, after: { id: 1, n: { scale: 0, value: "" } } }),
    ).toMatchObject({ id: "0" });
  });

  test("every decimal comes back", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 100n), max: 2n ** 100n }),
        fc.integer({ min: -5, max: 30 }),
        (number, scale) => {
          const bytes = Buffer.from(BigInt.asUintN(128, number).toString(16).padStart(32, "0"), "hex");
          const after = { id: { scale, value: bytes.toString("base64") } };
          const key = mapped(tableRows({ key: "id" }), { ...created, after })?.key as string;
          const [whole, fraction = ""] = key.split(".");
          expect(fraction).toHaveLength(Math.max(0, scale));
          expect(BigInt(whole + fraction)).toBe(scale < 0 ? number * 10n ** BigInt(-scale) : number);
        },
      ),
    );
    expect(() =>
      mapped(tableRows({ key: "id" }), { ...created, after: { id: { scale: 1e9, value: "AQ==" } } }),
    ).toThrow("scale");
  });
});
