/** Whole bodies and heads that are odd, by name: each makes another request of one that is right. */
import { deflateSync, gzipSync } from "node:zlib";
import type { Sent } from "./wire.ts";

export type Form = (sent: Sent) => Sent;

const withBody =
  (make: (body: Buffer) => Buffer | string): Form =>
  (sent) => ({ ...sent, body: Buffer.from(make(sent.body ?? Buffer.from("{}"))) });

const withHeaders =
  (...headers: readonly (readonly [string, string])[]): Form =>
  (sent) => ({ ...sent, headers: [...sent.headers, ...headers] });

/** In place of those of the same name. */
const instead =
  (name: string, value: string | undefined): Form =>
  (sent) => {
    const kept = sent.headers.filter(([one]) => one !== name);
    return { ...sent, headers: value === undefined ? kept : [...kept, [name, value]] };
  };

const both =
  (...forms: readonly Form[]): Form =>
  (sent) =>
    forms.reduce((one, form) => form(one), sent);

const gzipped = instead("content-encoding", "gzip");

/** Zeros that are a thousandth of it in gzip; made when they are first wanted. */
const bombs = new Map<number, Buffer>();
export function bomb(mebibytes: number): Buffer {
  const known = bombs.get(mebibytes);
  if (known !== undefined) return known;
  // Members one after another are one file.
  const member = gzipSync(Buffer.alloc(16 << 20), { level: 6 });
  const made = Buffer.concat(Array.from({ length: mebibytes / 16 }, () => member));
  bombs.set(mebibytes, made);
  return made;
}

/** One member, which cannot be told to be too much from its beginning. */
const inOne = (mebibytes: number) => gzipSync(Buffer.alloc(mebibytes << 20), { level: 1 });

const mebibyte = 1 << 20;

export const bodyForms: Readonly<Record<string, Form>> = {
  "as it is": (sent) => sent,
  "in pieces": (sent) => ({ ...sent, chunked: 7 }),
  empty: withBody(() => ""),
  blanks: withBody(() => " \n\t "),
  brace: withBody(() => "{"),
  half: withBody((body) => body.subarray(0, body.length >> 1)),
  twice: withBody((body) => Buffer.concat([body, body])),
  mark: withBody((body) => Buffer.concat([Buffer.from("\ufeff"), body])),
  "two marks": withBody((body) => Buffer.concat([Buffer.from("\ufeff\ufeff"), body])),
  nul: withBody((body) => Buffer.concat([body, Buffer.alloc(3)])),
  "no utf-8": withBody(() => Buffer.from([0x22, 0xff, 0xfe, 0x22])),
  "utf-16": withBody((body) => Buffer.from(body.toString(), "utf16le")),
  "overlong utf-8": withBody(() => Buffer.concat([Buffer.from('{"'), Buffer.from([0xc0, 0xaf]), Buffer.from('":1}')])),
  surrogate: withBody(() => '{"records":[{"key":"\\ud800"}]}'),
  "deep lists": withBody(() => "[".repeat(1_000_000)),
  "deep members": withBody(() => '{"records":'.repeat(200_000)),
  "deep and closed": withBody(() => `{"records":${"[".repeat(50_000)}${"]".repeat(50_000)}}`),
  "deep data": withBody(() => `{"records":[{"data":${"[".repeat(100_000)}${"]".repeat(100_000)}}]}`),
  "many members": withBody(() => `{${Array.from({ length: 50_000 }, (_, i) => `"m${i}":${i}`).join(",")}}`),
  "one name often": withBody(() => `{${'"records":[],'.repeat(50_000)}"records":[]}`),
  "long name": withBody(() => `{"${"n".repeat(mebibyte)}":1}`),
  "long number": withBody(() => `{"records":[{"data":${"9".repeat(200_000)}}]}`),
  "many records": withBody(() => `{"records":[${'{"data":1},'.repeat(65_536)}{"data":1}]}`),
  "bad records": withBody(() => `{"records":[${'{"x":1},'.repeat(20_000)}{"x":1}]}`),
  "large record": withBody(() => `{"records":[{"data":"${"d".repeat(mebibyte)}"}]}`),
  "too large": withBody(() => Buffer.alloc(8 * mebibyte + 1, 0x20)),
  "far too large": withBody(() => Buffer.alloc(40 * mebibyte, 0x5b)),
  "far too large, in pieces": (sent) => ({ ...sent, body: Buffer.alloc(24 * mebibyte, 0x20), chunked: 65_536 }),
  lines: both(
    instead("content-type", "application/x-ndjson"),
    withBody(() => '{"data":1}\n\n{"data":2\n[]\n'),
  ),
  events: both(
    instead("content-type", "application/cloudevents-batch+json"),
    withBody(() => '[{"specversion":"0.3"},null,7]'),
  ),
  event: both(
    instead("content-type", "application/cloudevents+json"),
    withBody(() => '{"specversion":"1.0","id":1,"source":[],"type":null,"data":1,"data_base64":"!"}'),
  ),
  frames: both(
    instead("content-type", "application/vnd.millrace.frames"),
    withBody(() => Buffer.from("4d524632ffffffffffffffffffffffffffffffffffffffffffffffff", "hex")),
  ),
  dump: both(
    instead("content-type", "application/vnd.millrace.dump"),
    withBody(() => Buffer.from("4d525a31ffffffff00000000ffffffffffffffffffffffffffffffff", "hex")),
  ),
  "dump of zeros": both(
    instead("content-type", "application/vnd.millrace.dump"),
    withBody(() => Buffer.alloc(65_536)),
  ),
  gzip: both(
    gzipped,
    withBody((body) => gzipSync(body)),
  ),
  "gzip that is none": gzipped,
  "gzip of nothing": both(
    gzipped,
    withBody(() => ""),
  ),
  "gzip, cut": both(
    gzipped,
    withBody((body) => gzipSync(body).subarray(0, -6)),
  ),
  "gzip, damaged": both(
    gzipped,
    withBody((body) => {
      const bytes = gzipSync(body);
      bytes[bytes.length - 7] = (bytes.at(-7) as number) ^ 0xff;
      return bytes;
    }),
  ),
  "gzip and more": both(
    gzipped,
    withBody((body) => Buffer.concat([gzipSync(body), Buffer.from("more")])),
  ),
  "gzip in gzip": both(
    gzipped,
    withBody((body) => gzipSync(gzipSync(body))),
  ),
  "gzip bomb": both(
    gzipped,
    withBody(() => bomb(256)),
  ),
  "gzip bomb in one": both(
    gzipped,
    withBody(() => inOne(64)),
  ),
  "gzip bomb, in pieces": (sent) => ({ ...gzipped({ ...sent, body: bomb(64) }), chunked: 4096 }),
  deflate: both(
    instead("content-encoding", "deflate"),
    withBody((body) => deflateSync(body)),
  ),
  br: instead("content-encoding", "br"),
  "gzip twice": instead("content-encoding", "gzip, gzip"),
  "encoding that is none": instead("content-encoding", "\u00e9"),
};

export const headerForms: Readonly<Record<string, Form>> = {
  "no type": instead("content-type", undefined),
  "empty type": instead("content-type", ""),
  "type of another": instead("content-type", "text/html"),
  "type that is none": instead("content-type", "application/json/json"),
  "type twice": withHeaders(["content-type", "text/plain"]),
  "type with a charset": instead("content-type", "application/json; charset=utf-16"),
  "long type": instead("content-type", `text/${"x".repeat(8000)}`),
  form: instead("content-type", "multipart/form-data; boundary=x"),
  "accepts nothing": withHeaders(["accept", "image/png"]),
  "accepts nonsense": withHeaders(["accept", ";;q=9,/,*"]),
  "accepts events": withHeaders(["accept", "text/html"], ["accept", "application/x-ndjson;q=0"]),
  "range of nothing": withHeaders(["range", "bytes=9999999999999999999-"], ["if-range", "x"]),
  "many ranges": withHeaders(["range", `bytes=${"0-0,".repeat(1000)}1-1`]),
  "tag of anything": withHeaders(["if-none-match", "*"], ["if-match", '"x"']),
  "times of old": withHeaders(["if-modified-since", "Thu, 32 Foo 9999 99:99:99 GMT"]),
  "producer of nothing": withHeaders(["producer-id", "p"]),
  "producer twice": withHeaders(
    ["producer-id", "p"],
    ["producer-id", "q"],
    ["producer-epoch", "0"],
    ["producer-seq", "0"],
  ),
  "producer, huge": withHeaders(["producer-id", "p"], ["producer-epoch", "9".repeat(30)], ["producer-seq", "-1"]),
  "producer of many letters": withHeaders(
    ["producer-id", "p".repeat(9000)],
    ["producer-epoch", "0"],
    ["producer-seq", "0"],
  ),
  "half an event": withHeaders(["ce-specversion", "1.0"], ["ce-id", "%zz"]),
  "odd event": withHeaders(["ce-specversion", "9"], ["ce-id", ""], ["ce-source", " "], ["ce-type", "\u00ff"]),
  "many attributes": withHeaders(...Array.from({ length: 100 }, (_, i) => [`ce-a${i}`, "x"] as const)),
  "last event": withHeaders(["accept", "application/json"], ["last-event-id", "~~~"]),
  cookie: withHeaders(["cookie", "a=b; ".repeat(500)]),
  forwarded: withHeaders(
    ["x-forwarded-host", "evil"],
    ["x-forwarded-for", "127.0.0.1"],
    ["x-http-method-override", "DELETE"],
  ),
  "many headers": withHeaders(...Array.from({ length: 300 }, (_, i) => [`x-h${i}`, "x"] as const)),
  origin: withHeaders(["origin", "null"], ["access-control-request-method", "DELETE"]),
  upgrade: withHeaders(["upgrade", "h2c"], ["connection", "upgrade, http2-settings"], ["http2-settings", "AAMAAABk"]),
  "half a socket": withHeaders(["upgrade", "websocket"], ["connection", "upgrade"]),
  head: (sent) => ({ ...sent, method: "HEAD" }),
  options: (sent) => ({ ...sent, method: "OPTIONS" }),
  patch: (sent) => ({ ...sent, method: "PATCH" }),
  delete: (sent) => ({ ...sent, method: "DELETE" }),
  put: (sent) => ({ ...sent, method: "PUT" }),
  post: (sent) => ({ ...sent, method: "POST" }),
  get: (sent) => ({ ...sent, method: "GET" }),
  trace: (sent) => ({ ...sent, method: "TRACE" }),
  purge: (sent) => ({ ...sent, method: "PURGE" }),
};

/** Those whose encoding the service does not know. */
export const encodings: ReadonlySet<string> = new Set(["deflate", "br", "gzip twice", "encoding that is none"]);
