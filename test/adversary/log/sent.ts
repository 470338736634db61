/** Records as they are sent, with data of every shape, and as they are to come back. */
import type { Door, Drawn, Shape } from "./plan.ts";

/** Fields of a record but its place and its data. */
export interface Fields {
  key?: string;
  id?: string;
  source?: string;
  type?: string;
  tags?: string[];
  datacontenttype?: string;
  extensions?: Record<string, string | number | boolean>;
}

/** JSON goes back as the text it was; of other data the bytes count. */
export type Data = { readonly json: string } | { readonly bytes: Buffer; readonly text: boolean } | undefined;

export interface Sent {
  readonly n: number;
  readonly fields: Fields;
  readonly data: Data;
  /** The timestamp that it brings, in ms. */
  readonly stamp?: number;
}

/** Keys that are hard on headers, queries and hashes alike. */
const hardKeys = ["k0", "k1", "ключ", "a b&c=d%20", "😀", 'q"\\', "k\u0001\n", "ü", "𝔊, x", "k9"];

export const keyName = (key: number): string => hardKeys[key % hardKeys.length] as string;

export const keyCount = hardKeys.length;

/** Data that have no room for a number are told by a tag. */
const nameless: readonly Shape[] = ["number", "none"];

export const isEvent = (door: Door) => door === "event" || door === "events" || door === "headers";

/** One body, one record. */
export const isSingle = (door: Door) => door === "raw" || door === "event" || door === "headers";

const jsonOf: Partial<Record<Shape, (n: number) => string>> = {
  plain: (n) => `{"n":${n}}`,
  odd: (n) => `{ "n" :${n},"x":[1e400, -0,1.0 ,1E+2],"a":1,"a":{"b":[]} }`,
  escapes: (n) => `{"n":${n},"s":"\\ud800 \\u00e9 é 😀 \\/ \\u0000","\\u006b":null}`,
  lines: (n) => `{\r\n\t"n": ${n},\n\n"x":\r[ ]}`,
  text: (n) => `"n${n}: \\"said\\"\\n"`,
  number: (n) => `${n % 7}.50`,
  large: (n) => `{"n":${n},"pad":"${"abcdefgh".repeat(200 + (n % 50) * 180)}"}`,
};

function bytesOf(n: number, large: boolean): Buffer {
  const noise = Buffer.from(Array.from({ length: large ? 30_000 : n % 300 }, (_, i) => (i * 31 + n) & 0xff));
  return Buffer.concat([Buffer.from(`n${n};`), noise]);
}

/** A byte order mark and line ends are data in a raw body. */
const rawText = (n: number) => `\ufeffn${n}; straße\r\n 😀 \0`;

function dataOf(shape: Shape, n: number, door: Door): Data {
  if (shape === "none") return door === "raw" ? { bytes: Buffer.from(`n${n};`), text: true } : undefined;
  if (shape === "bytes") return { bytes: bytesOf(n, false), text: false };
  if (shape === "text" && (door === "raw" || door === "headers")) return { bytes: Buffer.from(rawText(n)), text: true };
  // A line is a record there.
  const safe = shape === "lines" && door === "ndjson" ? "odd" : shape;
  return { json: (jsonOf[safe] as (n: number) => string)(n) };
}

function contentTypeOf(data: Data, door: Door, n: number): string | undefined {
  if (door === "raw" || door === "headers") {
    if (data === undefined) return undefined;
    if ("json" in data) return "application/json";
    return data.text ? "text/plain" : n % 2 === 0 ? "image/png" : "application/octet-stream";
  }
  return undefined;
}

/** A record with a number of its own; what the door needs besides is added. */
export function sentOf(drawn: Drawn, n: number, door: Door): Sent {
  const event = isEvent(door);
  const data = dataOf(drawn.shape, n, door);
  const tags = [...(drawn.color === null ? [] : [drawn.color]), ...(nameless.includes(drawn.shape) ? [`n${n}`] : [])];
  const type = drawn.type ?? (event ? "event" : undefined);
  const contentType = contentTypeOf(data, door, n);
  const stamped = drawn.stampMs !== undefined && (door === "json" || door === "ndjson" || door === "frames");
  return {
    n,
    data,
    ...(stamped && { stamp: Date.now() + (drawn.stampMs ?? 0) }),
    fields: {
      ...(drawn.key !== null && { key: keyName(drawn.key) }),
      ...((event || (drawn.id && door !== "raw")) && {
        id: `id-${n}`,
        ...((event || n % 2 === 0) && { source: "/adversary" }),
      }),
      ...(type !== undefined && { type }),
      ...(tags.length > 0 && { tags }),
      ...(contentType !== undefined && { datacontenttype: contentType }),
      ...(event && n % 3 === 0 && { extensions: { hop: `h${n} é` } }),
    },
  };
}

/** Which record it is, by what came back of it. */
export function numberOf(tags: readonly string[] | undefined, data: string): number | undefined {
  const tag = tags?.find((one) => /^n\d+$/.test(one));
  if (tag !== undefined) return Number(tag.slice(1));
  const found = /^(?:\{\s*"n"\s*:\s*|"?\ufeff?n)(\d+)/.exec(data);
  return found === null ? undefined : Number(found[1]);
}
