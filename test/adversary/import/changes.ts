/** Messages of Debezium's, of several connectors, databases, schemas and tables at once, as tools print them. */
import type { Data } from "./model.ts";
import type { Look, RowPlan } from "./plan.ts";
import { type Made, padOf } from "./rows.ts";
import { timeOf } from "./times.ts";
import { typed } from "./typed.ts";
import { oddJson } from "./values.ts";

interface Place {
  /** What its fields say, as JSON. */
  readonly fields: Readonly<Record<string, string>>;
  readonly table: string;
  /** Whether the documents leave no doubt that its changes have ids. */
  readonly known: boolean;
}

/** Where a change was made, in the log of which database. Rows that were written together share a place. */
function placeOf({ n, shape }: RowPlan): Place {
  const schema = ["a", "b", "a/b", ""][(n >> 2) % 4] as string;
  const db = ["shop", "b", "a:b"][Math.floor(n / 5) % 3] as string;
  const table = ["orders", "lines", "b:orders"][(n >> 1) % 3] as string;
  const text = (value: string) => JSON.stringify(value);
  const log = Math.floor(n / 6);
  const common = { connector: "", name: text(["pg", "my"][(n >> 2) % 2] as string), db: text(db) };
  switch (shape % 6) {
    case 0:
    case 1:
    case 2:
      return {
        fields: {
          ...common,
          connector: text("postgresql"),
          schema: text(schema),
          table: text(table),
          txId: String(500 + log),
          // Neighbours that a double cannot tell apart.
          lsn: String(9_223_372_036_854_770_000n + BigInt(log)),
          xmin: "null",
        },
        table,
        known: true,
      };
    case 3:
    case 4:
      return {
        fields: {
          ...common,
          connector: text(n % 2 === 0 ? "mysql" : "mariadb"),
          table: text(table),
          server_id: "1",
          gtid: "null",
          file: text("bin.000003"),
          pos: String(154 + log),
          row: String(n % 2),
          thread: "null",
        },
        table,
        known: true,
      };
    default:
      return {
        fields: { ...common, connector: text("mongodb"), collection: text(table), ord: String(n) },
        table,
        known: false,
      };
  }
}

/** The row's identity, which its message's key has: of tables, a number; `customer` is of several rows. */
const images = (row: RowPlan, look: Look) => {
  const { n, key, shape } = row;
  const id =
    key % 3 === 0 ? String(9_007_199_254_740_992n + BigInt(key * 1_000 + (n % 6))) : String(key * 1_000 + (n % 6));
  const pad = look.pad > 0 ? `,"pad":"${padOf(n, look.pad)}"` : "";
  const { idText, at, schemas, ...columns } = typed(n, id, look);
  const time = at === undefined ? "" : `,"at":${at.json}`;
  const fields = `"id":${columns.id}${time},"customer":"c-${key % 4}","n":${n},"v":${oddJson(shape, look.encoding)}${pad}`;
  return { id, idText, at, schemas, customer: `c-${key % 4}`, fields };
};

const object = (fields: Readonly<Record<string, string>>) =>
  `{${Object.entries(fields)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
    .join(",")}}`;

const schemaOf = (name: string, fields: readonly string[]) =>
  `{"type":"struct","optional":false,"name":"${name}","fields":[${fields.join(",")}]}`;
const keySchema = schemaOf("k", ['{"field":"id","type":"int64"}']);
const enveloped = (text: string, schema: string, is: boolean) => (is ? `{"schema":${schema},"payload":${text}}` : text);

/** The schema of an event, or of a row that was taken out of one. */
function valueSchema(schemas: readonly string[], unwrapped: boolean): string {
  if (unwrapped) return schemaOf("v", schemas);
  const row = (field: string) => `{"field":"${field}","type":"struct","optional":true,"fields":[${schemas.join(",")}]}`;
  return schemaOf("v", [row("before"), row("after"), '{"field":"op","type":"string"}']);
}

/** A message as it is printed. Without a value it is a tombstone. */
export function printed(
  key: string,
  value: string | undefined,
  { printing, envelope }: Look,
  n: number,
  schema = schemaOf("v", []),
): string {
  const isWrapped = key !== "null" && (envelope === "key" || envelope === "both");
  const json = enveloped(key, keySchema, isWrapped);
  // A text has no quotes where it is all that is printed.
  const k = key.startsWith('"') && !isWrapped ? (JSON.parse(key) as string) : json;
  const v = value && enveloped(value, schema, envelope === "value" || envelope === "both");
  const place = `"topic":"pg.a.orders","partition":0,"offset":${n}`;
  switch (printing) {
    case "value":
      return v ?? "null";
    case "object":
      return `{"key":${json},"value":${v ?? "null"}}`;
    case "kcat": {
      const texts = [k === "null" ? "null" : JSON.stringify(k), v === undefined ? "null" : JSON.stringify(v)];
      return `{${place},"tstype":"create","ts":1700000000000,"broker":1,"key":${texts[0]},"payload":${texts[1]}}`;
    }
    case "rpk": {
      const parts = [
        k === "null" ? "" : `,"key":${JSON.stringify(k)}`,
        v === undefined ? "" : `,"value":${JSON.stringify(v)}`,
      ];
      return `{"topic":"pg.a.orders"${parts.join("")},"timestamp":1700000000000,"partition":0,"offset":${n}}`;
    }
    case "tab":
      return `${k === "null" ? "" : k}\t${v ?? ""}`;
    case "tab-null":
      return `${k === "null" ? "NULL" : k}\t${v ?? "NULL"}`;
  }
}

/** Messages that tell of the changes, rather than of one. */
const notices = [
  '{"status":"BEGIN","id":"571:53195829","ts_ms":1700000000000,"event_count":null,"data_collections":null}',
  '{"status":"END","id":"571:53195829","ts_ms":1700000000000,"event_count":2,"data_collections":[{"data_collection":"a.orders","event_count":2}]}',
  '{"ts_ms":1700000000000}',
  '{"source":{"connector":"mysql","name":"my","ts_ms":1700000000000},"ts_ms":1700000000000,"databaseName":"shop","ddl":"CREATE TABLE t (id INT)","tableChanges":[]}',
  '{"op":"m","ts_ms":1700000000000,"source":{"connector":"postgresql","name":"pg","db":"shop","schema":"","table":"","lsn":5,"ts_ms":1700000000000},"message":{"prefix":"p","content":"aGk="}}',
];

/** What the message has, and the key that it makes: the value of its only column, or all of it, or a text. */
function messageKey(id: string, { key, ids, fields }: Look): { key: string; text: string } {
  if (key !== "none" && key !== "literal") return { key: `{"id":${id}}`, text: id };
  const whole = `{"id":${id},"region":"r/1"}`;
  return ids
    ? { key: whole, text: whole }
    : fields
      ? { key: `"k-${id}"`, text: `k-${id}` }
      : { key: `{"id":${id}}`, text: id };
}

const ops = ["c", "c", "c", "u", "u", "d", "r", "r", "r", "t"] as const;

/** `--key`: a column, or what the message has. */
export const changeArgs = ({ key, time }: Look): string[] => [
  "--table",
  ...(time === "none" ? [] : ["--time", "at"]),
  ...(key === "column" ? ["--key", "id"] : key === "path" ? ["--key", "customer"] : []),
];

export function changeRow(row: RowPlan, look: Look): Made {
  const { n, shape } = row;
  if (shape < 0) return { text: shape % 2 === 0 ? '{"op":"c","after"' : '{"id":5}\t{"oh":', fate: "bad" };
  const kind = shape % 13;
  const { id, idText, customer, fields, schemas, at: column } = images(row, look);
  const { key, text: keyText } = messageKey(id, look);
  if (kind === 10) return { text: printed("null", notices[n % notices.length] as string, look, n), fate: "ignored" };
  if (kind === 11) return { text: printed(key, undefined, look, n), fate: "ignored" };
  const place = placeOf(row);
  // Of rows that were taken out of their events no truncation is known.
  const op = look.unwrapped && ops[kind % ops.length] === "t" ? "c" : (ops[kind % ops.length] as string);
  const at = timeOf(n, (["ms", "us", "ns"] as const)[n % 3] as "ms");
  const source = {
    ...place.fields,
    ts_ms: timeOf(n, "ms").json,
    ...(n % 3 > 0 && { ts_us: timeOf(n, "us").json }),
    ...(n % 3 > 1 && { ts_ns: at.json }),
  };
  const image = shape % 5 === 2 ? `{ ${fields.replaceAll(',"', ' , "')} }` : `{${fields}}`;
  const flat = flatOf(fields, op, source);
  // A delete may know no more than its key.
  const isBare = op === "d" && look.key === "path" && look.printing !== "value" && !look.unwrapped && n % 2 === 1;
  const event = look.unwrapped ? flat : eventOf(op, isBare ? `{"id":${id}}` : image, source, n);
  const named = look.key === "path" && !isBare ? customer : look.key === "column" ? idText : keyText;
  const data: Data =
    op === "d" || op === "t" ? { kind: "none" } : { kind: "json", texts: [look.unwrapped ? flat : image] };
  // Without keys, equal rows of a snapshot may be two.
  const isNamed = op !== "r" || look.printing !== "value";
  const identity = [place.fields.connector, place.fields.name, place.fields.db, place.fields.schema, place.table];
  const of = place.known ? JSON.stringify([log(place), ...identity, op, id]) : `${n}`;
  return {
    text: printed(op === "t" ? "null" : key, event, look, n, valueSchema(schemas, look.unwrapped)),
    fate: {
      ...(op !== "t" && { key: named, ...(isNamed && { place: of }) }),
      fields: { type: `${place.table}.${op}` },
      time: column === undefined || op === "t" || isBare ? at.time : column.time,
      data,
    },
  };
}

const log = ({ fields }: Place) => [fields.lsn, fields.file, fields.pos, fields.row].join();

function eventOf(op: string, image: string, source: Readonly<Record<string, string>>, n: number): string {
  // A delete's image is whole, as with `REPLICA IDENTITY FULL`.
  const before = op === "d" || (op === "u" && n % 2 === 0) ? image : "null";
  const after = op === "d" || op === "t" ? "null" : image;
  return `{"before":${before},"after":${after},"source":${object(source)},"op":"${op}","ts_ms":1700000099000,"transaction":null}`;
}

/** A row that was taken out of its event, with what `add.fields` adds. */
function flatOf(
  fields: string,
  op: string,
  { table, collection, ...source }: Readonly<Record<string, string>>,
): string {
  const named = (name: string) => (name.startsWith("ts_") ? `__source_${name}` : `__${name}`);
  const added = Object.entries(source).map(([name, value]) => `"${named(name)}":${value}`);
  return `{${fields},"__op":"${op}","__table":${table ?? collection},${added.join(",")},"__deleted":"${op === "d"}"}`;
}
