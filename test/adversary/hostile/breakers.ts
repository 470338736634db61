/** Requests that are no HTTP, or nearly, and what they may be answered. */
import type { Round } from "../frame/round.ts";
import { eventually } from "../frame/time.ts";
import type { RawAttack } from "./plan.ts";
import { exchange, type RawReply } from "./raw.ts";
import type { Siege } from "./siege.ts";

export interface Breaker {
  readonly bytes: (ground: Place) => Buffer | string;
  /** The client says that it is done, and listens on. */
  readonly halfClose?: boolean;
  /** The length of its body can be read in two ways: it is answered once, and the connection ends. */
  readonly ambiguous?: boolean;
  /** It is for a path that there is not, whatever else stands in it. */
  readonly nowhere?: boolean;
  /** The platform answers it by itself, with a status of its own. */
  readonly platform?: boolean;
  /** The feature without which it is left out. */
  readonly feature?: string;
}

interface Place {
  readonly token: string;
  readonly namespace: string;
  readonly stream: string;
}

const get = (host: string, more = "") => ({
  bytes: ({ token }: Place) =>
    `GET /v1/never-there HTTP/1.1\r\nHost: ${host}\r\n${more}Authorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
});

const hosts = ["x:99999", "[::", "a<b", "", "a b", "%00", "a:b:c", "[::1]:x", "\u00ff", "a".repeat(4000), "..", "*"];
const paths = ["h/v1/{ns}/streams/{stream}?", "h/healthz?", "h/v1#", "h\\v1?", "u@h/v1?", "h/v1/{ns}/streams?x="];

const named = (text: string, { namespace, stream }: Place) =>
  text.replace("{ns}", namespace).replace("{stream}", stream);

const post = (head: string, body: string, more: Partial<Breaker> = {}): Breaker => ({
  bytes: ({ token, namespace, stream }) =>
    `POST /v1/${namespace}/streams/${stream}/records HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n` +
    `Authorization: Bearer ${token}\r\n${head}\r\n\r\n${body}`,
  ...more,
});

const line = (first: string, more: Partial<Breaker> = {}): Breaker => ({
  bytes: (place) => `${named(first, place)}\r\nHost: a\r\nConnection: close\r\n\r\n`,
  ...more,
});

/** A second request, which only somebody sees who reads the first one's length in the other way. */
const second = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const cut = { feature: "cut-bodies", halfClose: true };
const twoLengths = { ambiguous: true };

export const breakers: Readonly<Record<string, Breaker>> = {
  ...Object.fromEntries(hosts.map((host, i) => [`host ${i}`, { ...get(host), feature: "hosts", nowhere: true }])),
  ...Object.fromEntries(
    hosts
      .slice(0, 4)
      .map((host, i) => [
        `host ${i} with a ticket`,
        { ...line(`GET /v1/never-there?ticket=a HTTP/1.1\r\nHost: ${host}`), feature: "hosts", nowhere: true },
      ]),
  ),
  ...Object.fromEntries(
    hosts.map((host, i) => [
      `host ${i} of a read`,
      {
        bytes: (place: Place) =>
          named(`GET /v1/{ns}/streams/{stream}/records HTTP/1.1\r\nHost: ${host}\r\n`, place) +
          `Authorization: Bearer ${place.token}\r\nConnection: close\r\n\r\n`,
        feature: "hosts",
      },
    ]),
  ),
  ...Object.fromEntries(
    paths.map((path, i) => [
      `path in host ${i}`,
      { bytes: (place: Place) => get(named(path, place)).bytes(place), feature: "host-paths", nowhere: true },
    ]),
  ),
  "no host": { bytes: () => "GET /v1 HTTP/1.1\r\nConnection: close\r\n\r\n" },
  "two hosts": { ...get("a\r\nHost: b"), nowhere: true },
  "absolute url": line("GET http://elsewhere/v1/{ns} HTTP/1.1"),
  "absolute url of nothing": line("GET http:// HTTP/1.1"),
  "absolute url, odd": line("GET http://[::/v1 HTTP/1.1"),
  "other scheme": line("GET gopher://a/v1 HTTP/1.1"),
  connect: line("CONNECT a:1 HTTP/1.1", { platform: true }),
  "connect to a path": line("CONNECT /v1/{ns} HTTP/1.1", { platform: true }),
  "unknown method": line("BREW /v1/{ns} HTTP/1.1"),
  "long method": line(`${"M".repeat(5000)} /v1 HTTP/1.1`),
  "small method": line("get /v1 HTTP/1.1"),
  star: line("OPTIONS * HTTP/1.1"),
  "no version": line("GET /v1"),
  "version 3": line("GET /v1 HTTP/3.7"),
  "version 1.0": { bytes: () => "GET /v1 HTTP/1.0\r\n\r\n" },
  "no slash": line("GET v1 HTTP/1.1"),
  "two slashes": line("GET //v1/{ns} HTTP/1.1"),
  dots: line("GET /v1/../v1/./{ns} HTTP/1.1"),
  "bad percents": line("GET /v1/%zz/%f/% HTTP/1.1"),
  "percent nul": line("GET /v1/%00 HTTP/1.1"),
  "high bytes": {
    bytes: () => Buffer.from("GET /v1/\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "latin1"),
  },
  fragment: line("GET /v1/{ns}#x HTTP/1.1"),
  "long path": line(`GET /v1/${"a".repeat(100_000)} HTTP/1.1`),
  "long query": line(`GET /v1?prefix=${"a".repeat(60_000)} HTTP/1.1`),
  "blank name": line("GET /v1 HTTP/1.1\r\nbad name: 1"),
  "no name": line("GET /v1 HTTP/1.1\r\n: 1"),
  folded: line("GET /v1 HTTP/1.1\r\nx: 1\r\n folded"),
  "nul in a header": line("GET /v1 HTTP/1.1\r\nx: \0"),
  "lone line feeds": { bytes: () => "GET /v1 HTTP/1.1\nHost: a\nConnection: close\n\n" },
  "long header": line(`GET /v1 HTTP/1.1\r\nx: ${"a".repeat(200_000)}`),
  "many headers": line(`GET /v1 HTTP/1.1${"\r\nx: y".repeat(20_000)}`),
  tls: { bytes: () => Buffer.from("16030102000100", "hex"), halfClose: true },
  zeros: { bytes: () => Buffer.alloc(4096), halfClose: true },
  http2: { bytes: () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", halfClose: true },
  nothing: { bytes: () => "", halfClose: true },
  "length and chunks": post("Content-Length: 5\r\nTransfer-Encoding: chunked", `0\r\n\r\n${second}`, twoLengths),
  "chunks and length": post("Transfer-Encoding: chunked\r\nContent-Length: 5", `0\r\n\r\n${second}`, twoLengths),
  "two lengths": post("Content-Length: 5\r\nContent-Length: 6", `abcde${second}`, twoLengths),
  "odd encoding": post("Transfer-Encoding: xchunked", `0\r\n\r\n${second}`, twoLengths),
  "chunked first": post("Transfer-Encoding: chunked, identity", `0\r\n\r\n${second}`, twoLengths),
  "two encodings": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", `0\r\n\r\n${second}`, twoLengths),
  "blank before the colon": post("Transfer-Encoding : chunked", `0\r\n\r\n${second}`, twoLengths),
  "plus length": post("Content-Length: +5", `abcde${second}`, twoLengths),
  "negative length": post("Content-Length: -5", `abcde${second}`, twoLengths),
  "hex length": post("Content-Length: 0x5", `abcde${second}`, twoLengths),
  "length list": post("Content-Length: 5, 5", `abcde${second}`),
  "huge length": post("Content-Length: 99999999999999999999", "abcde", { halfClose: true }),
  "body of a GET": {
    bytes: ({ namespace }) => `GET /v1/${namespace} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde${second}`,
  },
  "bad chunk": post("Transfer-Encoding: chunked", "ZZ\r\n", cut),
  "huge chunk": post("Transfer-Encoding: chunked", "ffffffffffffffffff\r\nabc", cut),
  "negative chunk": post("Transfer-Encoding: chunked", "-1\r\nabc", cut),
  "chunk without an end": post("Transfer-Encoding: chunked", "3\r\n{}\n0\r\n\r\n", cut),
  "cut chunk": post("Transfer-Encoding: chunked", "5\r\nabc", cut),
  "cut body": post("Content-Length: 50", "abc", cut),
  "no body": post("Content-Length: 50", "", cut),
  "extended chunk": post("Transfer-Encoding: chunked", '2;a="b\\"";c=\r\n{}\r\n0\r\nTrailer: x\r\n\r\n', {
    halfClose: true,
  }),
  "expects the impossible": post("Expect: 200-ok\r\nContent-Length: 2", "{}", { halfClose: true }),
};

const quietMs = 700;

/** Of what the service's HTTP does not know: a method that is none, a version that is none. */
const unknownToAll = new Set([501, 505]);

export async function breaker(siege: Siege, { form }: RawAttack): Promise<void> {
  const known = breakers[form];
  if (known === undefined) return;
  const { round, ground, token } = siege;
  const place = { token, namespace: ground.namespace, stream: ground.stream };
  const made = known.bytes(place);
  const bytes = typeof made === "string" ? Buffer.from(made, "latin1") : made;
  round.operations++;
  const reply = await exchange(round.service.origin, bytes, known.halfClose === true, quietMs);
  const words = `raw, ${form}`;
  siege.beside.amid = words;
  const said = () =>
    `${words}: ${reply.answers.map(({ status, body }) => `${status} ${body.subarray(0, 200).toString()}`).join("; ") || "nothing"}${reply.ended ? ", and the end" : ""}`;
  round.history.note([words], said);
  judgeRaw(round, known, reply, words, said);
  siege.refused(words);
  // One that breaks the connection breaks nothing else.
  const up = await eventually(async () => (await round.call("GET", "/healthz")).status === 200, 10_000);
  round.checks.that("alive", up === true, () => `${words}: the service is not healthy afterwards`, [words]);
}

function judgeRaw(round: Round, known: Breaker, { answers, ended }: RawReply, words: string, said: () => string): void {
  const { checks } = round;
  const final = answers.filter(({ status }) => status >= 200);
  if (known.nowhere)
    checks.that(
      "addressed",
      final.every(({ status }) => status >= 400),
      said,
      [words],
    );
  for (const { status, headers, json } of answers) {
    checks.that("never-5xx", status < 500 || unknownToAll.has(status) || known.platform === true, said, [words]);
    const isProblem = headers.get("content-type")?.startsWith("application/problem+json") === true;
    if (isProblem) {
      const formed = typeof json?.code === "string" && typeof json?.detail === "string" && json?.status === status;
      checks.that("problem", formed && typeof json.clean === "boolean", said, [words]);
    }
  }
  if (known.ambiguous) checks.that("framing", final.length <= 1 && ended, said, [words]);
}
