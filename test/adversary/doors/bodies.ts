/** Whole bodies that are odd: marks, blanks, nesting, packing, members that come twice. */
import { gzipSync } from "node:zlib";
import type { Json } from "../frame/http.ts";
import type { Store } from "./feed.ts";
import { items, members, parsed } from "./raw-json.ts";
import { refusalOf } from "./reply.ts";
import type { Verdict } from "./rules.ts";
import { type Binary, binaryOf } from "./values.ts";

interface Body {
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly allowed: Verdict;
  /** Data of the records that it means. */
  readonly data?: readonly string[];
}

const mark = "\ufeff";
const json = "application/json";
const lines = "application/x-ndjson";
const event = '{"specversion":"1.0","id":"#","source":"/bodies","type":"t","data":1}';
const deep = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
const zip = (text: string) => gzipSync(Buffer.from(text));
const gzip = { "content-encoding": "gzip" };
const one = '{"records":[{"data":1}]}';

/** A name says what is odd; `#` in a body is another number each time. */
export const bodies: Readonly<Record<string, Body>> = {
  "mark before JSON": { type: json, body: mark + one, allowed: "yes", data: ["1"] },
  "mark before lines": { type: lines, body: `${mark}{"data":1}\n${mark}{"data":2}`, allowed: "yes", data: ["1", "2"] },
  "mark before an event": { type: "application/cloudevents+json", body: mark + event, allowed: "yes", data: ["1"] },
  "mark before events": {
    type: "application/cloudevents-batch+json",
    body: `${mark}[${event}]`,
    allowed: "yes",
    data: ["1"],
  },
  "mark before a body": { type: "text/plain", body: `${mark}a`, allowed: "yes", data: [`"${mark}a"`] },
  "mark in gzip": { type: json, body: zip(mark + one), headers: gzip, allowed: "yes", data: ["1"] },
  "two marks": { type: json, body: mark + mark + one, allowed: "no" },
  "mark behind": { type: json, body: one + mark, allowed: "no" },
  "blanks around": { type: json, body: ` \r\n\t${one}\n `, allowed: "yes", data: ["1"] },
  "no-break space around": { type: json, body: `\u00a0${one}`, allowed: "no" },
  "line ends of both kinds": {
    type: lines,
    body: '{"data":1}\r\n{"data":2}\n{"data":3}\r\n',
    allowed: "yes",
    data: ["1", "2", "3"],
  },
  "no last line end": { type: lines, body: '{"data":1}\n{"data":2}', allowed: "yes", data: ["1", "2"] },
  "an empty line": { type: lines, body: '{"data":1}\n\n{"data":2}\n', allowed: "either", data: ["1", "2"] },
  "a bad second line": { type: lines, body: '{"data":1}\n{"data":}\n', allowed: "no" },
  "an array a line": { type: lines, body: '[{"data":1}]\n', allowed: "no" },
  "separators in a line": {
    type: lines,
    body: '{"data":"\u2028\u2029\u0085"}\n',
    allowed: "yes",
    data: ['"\u2028\u2029\u0085"'],
  },
  nothing: { type: json, body: "", allowed: "no" },
  "no lines": { type: lines, body: "", allowed: "no" },
  "only line ends": { type: lines, body: "\n\n\r\n", allowed: "no" },
  "no records": { type: json, body: '{"records":[]}', allowed: "no" },
  "no events": { type: "application/cloudevents-batch+json", body: "[]", allowed: "either", data: [] },
  null: { type: json, body: "null", allowed: "no" },
  text: { type: json, body: '"records"', allowed: "no" },
  "a record that is null": { type: json, body: '{"records":[{"data":1},null]}', allowed: "no" },
  "a record that is an array": { type: json, body: '{"records":[[1]]}', allowed: "no" },
  "records that are an object": { type: json, body: '{"records":{"0":{"data":1},"length":1}}', allowed: "no" },
  "an empty record": { type: json, body: '{"records":[{}]}', allowed: "yes", data: [""] },
  "deep arrays": { type: json, body: deep("[", "]"), allowed: "no" },
  "deep objects": { type: json, body: deep('{"a":', "}").replace("}", "1}"), allowed: "no" },
  "deep records": { type: json, body: `{"records":${deep("[", "]")}}`, allowed: "no" },
  "deep key": { type: json, body: `{"records":[{"key":${deep("[", "]")}}]}`, allowed: "no" },
  "deep extension": { type: json, body: `{"records":[{"extensions":{"a":${deep("[", "]")}}}]}`, allowed: "no" },
  "deep attribute": { type: "application/cloudevents+json", body: event.replace('"t"', deep("[", "]")), allowed: "no" },
  "deep open": { type: json, body: "[".repeat(1_000_000), allowed: "no" },
  "deep lines": { type: lines, body: `${deep("[", "]")}\n`, allowed: "no" },
  "an unknown member": { type: json, body: '{"records":[{"data":1}],"other":1}', allowed: "no" },
  "a member of proto": { type: json, body: '{"__proto__":1,"records":[{"data":1}]}', allowed: "no" },
  "inherited records": { type: json, body: '{"__proto__":{"records":[{"data":1}]}}', allowed: "no" },
  "inherited data": { type: json, body: '{"records":[{"__proto__":{"key":"a"},"data":1}]}', allowed: "no" },
  "both kinds of data": { type: json, body: '{"records":[{"data":1,"data_base64":"AA=="}]}', allowed: "no" },
  "base64 unpadded": { type: json, body: '{"records":[{"data_base64":"AA"}]}', allowed: "no" },
  "base64 for URLs": { type: json, body: '{"records":[{"data_base64":"-_8="}]}', allowed: "no" },
  "base64 in lines": { type: json, body: '{"records":[{"data_base64":"AA\\n=="}]}', allowed: "no" },
  "base64 that is none": { type: json, body: '{"records":[{"data_base64":7}]}', allowed: "no" },
  "gzip cut": { type: json, body: zip(one).subarray(0, -6), headers: gzip, allowed: "no" },
  "gzip and more": { type: json, body: Buffer.concat([zip(one), Buffer.from("more")]), headers: gzip, allowed: "no" },
  "gzip that is none": { type: json, body: one, headers: gzip, allowed: "no" },
  "gzip of nothing": { type: json, body: zip(""), headers: gzip, allowed: "no" },
  "gzip of zeros": { type: json, body: gzipSync(Buffer.alloc(200_000_000)), headers: gzip, allowed: "no" },
  "gzip in capitals": {
    type: json,
    body: zip(one),
    headers: { "content-encoding": "GZIP" },
    allowed: "either",
    data: ["1"],
  },
  "gzip twice": { type: json, body: zip(one), headers: { "content-encoding": "gzip, gzip" }, allowed: "no" },
  "an unknown packing": { type: json, body: one, headers: { "content-encoding": "zstd" }, allowed: "no" },
  "JSON in another charset": { type: `${json}; charset=iso-8859-1`, body: one, allowed: "either", data: ["1"] },
  "JSON with a charset": { type: `${json}; charset="utf-8"`, body: one, allowed: "yes", data: ["1"] },
  "JSON in capitals": { type: "Application/JSON", body: one, allowed: "yes", data: ["1"] },
  "UTF-16": { type: json, body: Buffer.from(mark + one, "utf16le"), allowed: "no" },
  "an event of another version": {
    type: "application/cloudevents+json",
    body: event.replace("1.0", "0.3"),
    allowed: "no",
  },
  "an event without a source": {
    type: "application/cloudevents+json",
    body: event.replace('"source":"/bodies",', ""),
    allowed: "no",
  },
  "an event that is an array": { type: "application/cloudevents+json", body: `[${event}]`, allowed: "no" },
  "events that are one": { type: "application/cloudevents-batch+json", body: event, allowed: "no" },
  "a format that is none of ours": { type: "application/cloudevents+avro", body: event, allowed: "yes", data: [""] },
};

/** JSON where a member comes twice: it may be refused; where it is taken, the last one counts, as in every parser. */
export const twice: Readonly<Record<string, readonly [record: string, field: string, last: string]>> = {
  key: ['{"key":"first","key":"last","data":1}', "key", "last"],
  id: ['{"id":"first","id":"last","data":1}', "id", "last"],
  data: ['{"data":"first","data":"last"}', "data", "last"],
  escaped: ['{"key":"first","\\u006bey":"last","data":1}', "key", "last"],
};

async function send(store: Store, name: string, { type, body, headers }: Body, n: number): Promise<Json> {
  const bytes = typeof body === "string" ? Buffer.from(body.replaceAll("#", `${n}`)) : body;
  const { round } = store;
  const call = { headers: { "content-type": type, ...headers }, body: bytes };
  const answer = await round.call("POST", `${store.path}/records?verdicts=each`, call);
  const said = () => `a body with ${name}: ${answer.status} ${answer.body.subarray(0, 300)}`;
  round.history.note([name], said);
  return { answer, said };
}

/** The log has nothing but what was allowed. */
export async function oddBodies(outer: Store): Promise<void> {
  const store = { ...outer, path: `/v1/${outer.round.name}/streams/bodies` };
  const { round } = store;
  await round.must("PUT", "/streams/bodies", { body: { partitions: 1 } });
  const wanted: Binary[] = [];
  let n = 0;
  for (const [name, body] of Object.entries(bodies)) {
    const { answer, said } = await send(store, name, body, n++);
    round.checks.that("never-5xx", answer.status < 500, said, [name]);
    round.checks.that("allowed", body.allowed !== "yes" || answer.status === 201, said, [name]);
    round.checks.that("forbidden", body.allowed !== "no" || answer.status >= 400, said, [name]);
    if (answer.status < 300) wanted.push(...(body.data ?? []).map(binaryOf));
    else round.checks.that("problem", refusalOf(answer).formed && answer.json.clean === true, said, [name]);
  }
  await theSame(store, wanted);
  await lastCounts(store, wanted.length);
}

async function theSame({ round }: Store, wanted: readonly Binary[]): Promise<void> {
  const answer = await round.ask("GET", "/streams/bodies/records?from=earliest&limit=1000&maxBytes=8388608");
  const records = items(members(answer.body.toString("latin1")).get("records") as Binary);
  const came = records.map((record) => members(record).get("data") ?? "");
  const differs = () =>
    `the bodies that were taken mean ${JSON.stringify(wanted)}, and the log has ${JSON.stringify(came)}`;
  round.checks.that("nothing-else", JSON.stringify(came) === JSON.stringify(wanted), differs);
}

async function lastCounts(store: Store, from: number): Promise<void> {
  const { round } = store;
  for (const [name, [record, field, last]] of Object.entries(twice)) {
    const body = { type: json, body: `{"records":[${record}]}`, allowed: "either" as const };
    const { answer, said } = await send(store, `${name} twice`, body, 0);
    round.checks.that("never-5xx", answer.status < 500, said, [name]);
    if (answer.status !== 201) continue;
    const { offset } = answer.json.verdicts[0];
    const page = await round.ask("GET", `/streams/bodies/records?partition=0&from=${offset}&limit=1`);
    const [found] = items(members(page.body.toString("latin1")).get("records") as Binary);
    const value = parsed(members(found as Binary).get(field) ?? "null");
    round.checks.that("last-counts", value === last && offset >= from, () => `${said()}; ${field} is ${value}`, [name]);
  }
}
