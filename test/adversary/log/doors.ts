/** A batch as a request, by every door that takes appends. */
import { gzipSync } from "node:zlib";
import { packed } from "./frames.ts";
import type { Door } from "./plan.ts";
import type { Fields, Sent } from "./sent.ts";

export interface Body {
  readonly query: readonly (readonly [string, string])[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Packing {
  readonly gzip?: boolean;
  /** A byte order mark, where it is passed over. */
  readonly mark?: boolean;
}

export function bodyOf(records: readonly Sent[], door: Door, { gzip, mark }: Packing): Body {
  const plain = plainOf(records, door);
  const text = door !== "raw" && door !== "headers" && door !== "frames";
  const marked = mark && text ? Buffer.concat([Buffer.from("\ufeff"), plain.body]) : plain.body;
  if (!gzip) return { ...plain, body: marked };
  return { ...plain, body: gzipSync(marked), headers: { ...plain.headers, "content-encoding": "gzip" } };
}

function plainOf(records: readonly Sent[], door: Door): Body {
  const [first] = records as [Sent];
  switch (door) {
    case "json":
      return text("application/json", recordsText(records));
    case "ndjson":
      return text("application/x-ndjson", `${records.map(recordText).join("\n")}\n`);
    case "event":
      return text("application/cloudevents+json", eventText(first));
    case "events":
      return text("application/cloudevents-batch+json", `[${records.map(eventText).join(" ,\n")}]`);
    case "headers":
      return eventHeaders(first);
    case "raw":
      return rawBody(first);
    case "frames":
      return { query: [], headers: { "content-type": "application/vnd.millrace.frames" }, body: packed(records) };
  }
}

const text = (type: string, body: string): Body => ({
  query: [],
  headers: { "content-type": type },
  body: Buffer.from(body),
});

export const recordsText = (records: readonly Sent[]) => `{"records":[${records.map(recordText).join(",")}]}`;

function dataMember({ data }: Sent): string[] {
  if (data === undefined) return [];
  return "json" in data ? [`"data":${data.json}`] : [`"data_base64":"${data.bytes.toString("base64")}"`];
}

function recordText(sent: Sent): string {
  const fields = Object.entries(sent.fields).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...fields, ...stampMember(sent), ...dataMember(sent)].join(", ")}}`;
}

/** As a number, or as RFC 3339 has it. */
const stampMember = ({ n, stamp }: Sent) =>
  stamp === undefined ? [] : [`"timestamp":${n % 2 === 0 ? stamp : `"${new Date(stamp).toISOString()}"`}`];

/** A comma or a `%` within a tag is percent-encoded. */
const tagsText = (tags: readonly string[]) =>
  tags.map((tag) => tag.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");

function attributes({ key, tags, extensions, datacontenttype, ...fields }: Fields): Record<string, string> {
  return {
    specversion: "1.0",
    ...fields,
    ...(key !== undefined && { partitionkey: key }),
    ...(tags && { tags: tagsText(tags) }),
    ...(extensions as Record<string, string>),
  };
}

function eventText(sent: Sent): string {
  const members = Object.entries(attributes(sent.fields)).map(
    ([name, value]) => `"${name}" : ${JSON.stringify(value)}`,
  );
  return `{${[...members, ...dataMember(sent)].join(",\n")}}`;
}

/** Of the binding to HTTP: everything but what is printable ASCII, and `"` and `%`. */
const headerText = (value: string) => value.replace(/[^!#$&-~]/gu, (one) => encodeURIComponent(one));

function eventHeaders(sent: Sent): Body {
  const entries = Object.entries(attributes(sent.fields)).map(([name, value]) => [`ce-${name}`, headerText(value)]);
  const { datacontenttype } = sent.fields;
  return {
    query: [],
    headers: { ...Object.fromEntries(entries), ...(datacontenttype && { "content-type": datacontenttype }) },
    body: bytesOf(sent),
  };
}

function bytesOf({ data }: Sent): Buffer {
  if (data === undefined) return Buffer.alloc(0);
  return "json" in data ? Buffer.from(data.json) : data.bytes;
}

function rawBody(sent: Sent): Body {
  const { key, type, tags, datacontenttype } = sent.fields;
  return {
    query: [
      ["raw", "true"],
      ...(key === undefined ? [] : [["key", key] as const]),
      ...(type === undefined ? [] : [["type", type] as const]),
      ...(tags ?? []).map((tag) => ["tag", tag] as const),
    ],
    headers: { "content-type": datacontenttype as string },
    body: bytesOf(sent),
  };
}
