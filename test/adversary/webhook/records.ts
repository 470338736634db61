/** The records of a round: what is appended, and what each must look like when it is pushed. */
import type { Json } from "../frame/http.ts";
import type { Event } from "./events.ts";
import type { Sent } from "./plan.ts";

export interface Pushed {
  readonly partition: number;
  readonly offset: number;
  readonly n: number;
  readonly keyNumber: number | null;
  readonly key: string | undefined;
  /** As it was sent, a member of `records`. */
  readonly text: string;
  readonly data: Data;
  readonly attributes: Readonly<Record<string, string>>;
  readonly appendedAt: number;
}

interface Data {
  /** `json`: the text as it was sent; `text`, `binary`: the bytes. */
  readonly kind: "json" | "text" | "binary" | "none";
  readonly bytes: Buffer;
}

const keyOf = (key: number) => (key % 5 === 3 ? `key ${key}, 100 % é😀` : `k${key}`);

/** Texts that no parser gives back as they were. */
const awkward = (n: number) =>
  `{"n":${n},"big":9007199254740993,"d":1.10,"e":1e400,"z":-0,"a":1,"a":2, "s":"\\u00e9é"}`;

const attributes = (n: number): Record<string, string> => ({
  id: `id-${n}`,
  source: "/adversary",
  type: "adversary.made",
  subject: `subject ${n} é😀`,
  time: "2026-01-02T03:04:05.678901Z",
  dataschema: "https://example.com/schema#1",
});

/** The record as JSON text: `data` stand in it as they must come out. */
export function drawn(n: number, { key, form }: Sent): Omit<Pushed, "partition" | "offset" | "appendedAt"> {
  const name = key === null ? undefined : keyOf(key);
  const members: string[] = name === undefined ? [] : [`"key":${JSON.stringify(name)}`];
  const extra: Record<string, string> = {};
  let data: Data = { kind: "json", bytes: Buffer.from(form === "long" ? longText(n) : awkward(n)) };
  if (form === "attributes") {
    Object.assign(extra, attributes(n));
    for (const [attribute, value] of Object.entries(extra)) members.push(`"${attribute}":${JSON.stringify(value)}`);
    members.push('"tags":["red","green"]', '"extensions":{"shade":"dark","level":7,"warm":true}');
    Object.assign(extra, { tags: "red,green", shade: "dark", level: "7", warm: "true" });
  }
  if (form === "text") {
    data = { kind: "text", bytes: Buffer.from(`text ${n}\r\né😀\u0000`) };
    members.push(`"data":${JSON.stringify(data.bytes.toString())}`, '"datacontenttype":"text/plain"');
    extra.datacontenttype = "text/plain";
  } else if (form === "binary") {
    data = { kind: "binary", bytes: Buffer.from([n & 255, n >> 8, 0, 255, 254, 0xc3, 0x28]) };
    members.push(`"data_base64":"${data.bytes.toString("base64")}"`, '"datacontenttype":"application/octet-stream"');
    extra.datacontenttype = "application/octet-stream";
  } else if (form === "none") data = { kind: "none", bytes: Buffer.alloc(0) };
  else members.push(`"data":${data.bytes}`);
  return { n, keyNumber: key, key: name, text: `{${members.join(",")}}`, data, attributes: extra };
}

const longText = (n: number) => JSON.stringify({ n, long: "é".repeat(60_000) });

/** Why an event is not what was appended, if so. */
export function altered(record: Pushed, event: Event, body: Buffer): string | undefined {
  const { attributes: came } = event;
  if (came.partitionkey !== record.key) return `partitionkey is ${came.partitionkey}, and should be ${record.key}`;
  for (const [name, value] of Object.entries(record.attributes)) {
    if (came[name] !== value) return `${name} is ${came[name]}, and should be ${value}`;
  }
  for (const name of ["id", "source", "type", "time", "specversion"]) if (!came[name]) return `${name} is missing`;
  return event.data === undefined ? alteredInside(record, event.json, body) : alteredBody(record, event.data);
}

function alteredBody({ data }: Pushed, body: Buffer): string | undefined {
  if (data.bytes.equals(body)) return undefined;
  return `the data are ${quoted(body)}, and should be ${quoted(data.bytes)}`;
}

function alteredInside({ data }: Pushed, event: Json, body: Buffer): string | undefined {
  const wanted = `should be ${quoted(data.bytes)}`;
  if (data.kind === "none")
    return "data" in event || "data_base64" in event ? "there are data, and should be none" : undefined;
  if (data.kind === "text")
    return event.data === data.bytes.toString() ? undefined : `the data are ${event.data}; ${wanted}`;
  if (data.kind === "binary") {
    return event.data_base64 === data.bytes.toString("base64")
      ? undefined
      : `data_base64 is ${event.data_base64}; ${wanted}`;
  }
  if (body.includes(data.bytes)) return undefined;
  return `the data are ${JSON.stringify(event.data)?.slice(0, 200)} in the event, and ${wanted}`;
}

const quoted = (bytes: Buffer) => JSON.stringify(bytes.subarray(0, 200).toString());
