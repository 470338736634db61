/** Large pages, many at a time, some never read: each is a page, and a walk over them meets every record once. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaults, limits } from "../../schemas/limits.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const stream = "/v1/default/streams/large-pages";
const [count, size] = [24, 900_000];
beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", stream, {});
  for (let index = 0; index < count; index++) {
    const body = Buffer.alloc(size, index);
    const type = { "content-type": "application/octet-stream" };
    expect((await millrace.call("POST", `${stream}/records?raw=true`, body, type)).status).toBe(201);
  }
}, 60_000);
afterAll(() => millrace.end());

const page = (query: string, accept = "application/json") =>
  millrace.call("GET", `${stream}/records?${query}`, undefined, { accept });

async function walk(): Promise<number[]> {
  const offsets: number[] = [];
  for (let from = 0; from < count; ) {
    const { status, json } = await page(`from=${from}&maxBytes=${limits.pageBytesMax}`);
    expect(status).toBe(200);
    for (const { offset, data_base64 } of json.records) {
      expect(Buffer.from(data_base64, "base64").equals(Buffer.alloc(size, offset))).toBe(true);
      offsets.push(offset);
    }
    expect(json.next).toBeGreaterThan(from);
    from = json.next;
  }
  return offsets;
}

const all = Array.from({ length: count }, (_, index) => index);

test("one alone has what it asks for; one that waits for records has the usual size", async () => {
  const alone = await page(`from=0&maxBytes=${limits.pageBytesMax}`);
  expect(alone.json.records.length).toBeGreaterThan(5);
  expect(Number(alone.headers.get("content-length"))).toBe(Buffer.byteLength(alone.text));
  const waited = await page(`from=0&maxBytes=${limits.pageBytesMax}&wait=1`);
  expect(waited.json.records.length).toBe(1);
  const usual = await page(`from=0&maxBytes=${defaults.pageBytes}`);
  expect(usual.json.records.length).toBe(1);
});

test("among clients that never read, of every form", { timeout: 120_000 }, async () => {
  const { hostname, port, host } = new URL(millrace.url);
  const forms = ["application/json", "application/vnd.millrace.frames", "application/x-ndjson"];
  const asked = [
    ...forms.map((accept) => [accept, `maxBytes=${limits.pageBytesMax}`]),
    ...forms.map((accept) => [accept, "maxBytes=all"]),
    ["text/event-stream", "from=earliest"],
  ];
  const deaf = Array.from({ length: 3 * asked.length }, (_, index) => {
    const [accept, query] = asked[index % asked.length];
    const socket = connect({ host: hostname, port: Number(port) });
    socket.on("error", () => {});
    socket.pause();
    socket.write(
      `GET ${stream}/records?${query} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    return socket;
  });
  try {
    expect(await Promise.all([walk(), walk(), walk()])).toEqual([all, all, all]);
  } finally {
    for (const socket of deaf) socket.destroy();
  }
});

test("what was held is given back, by those who read, left, and asked for the head alone", {
  timeout: 60_000,
}, async () => {
  for (let round = 0; round < 8; round++) {
    const left = new AbortController();
    const url = `${millrace.url}${stream}/records?maxBytes=${limits.pageBytesMax}`;
    const headers = { authorization: `Bearer ${token}` };
    await fetch(url, { method: "HEAD", headers });
    const answer = await fetch(url, { headers, signal: left.signal });
    await answer.body?.getReader().read();
    left.abort();
  }
  await expect
    .poll(async () => (await page(`from=0&maxBytes=${limits.pageBytesMax}`)).json.records.length, { timeout: 45_000 })
    .toBeGreaterThan(5);
});

test("everything up to the tail, in every form and many at a time, is whole", { timeout: 120_000 }, async () => {
  const whole = async (accept: string) => {
    const headers = { authorization: `Bearer ${token}`, accept };
    const answer = await fetch(`${millrace.url}${stream}/records?maxBytes=all`, { headers });
    expect(answer.status).toBe(200);
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (accept === "application/vnd.millrace.frames") {
      let found = 0;
      for (let at = 0; found < count; found++) {
        at = bytes.indexOf(Buffer.alloc(1_000, found), at);
        if (at < 0) break;
      }
      return found;
    }
    const text = bytes.toString();
    const records =
      accept === "application/json"
        ? JSON.parse(text).records
        : text
            .trimEnd()
            .split("\n")
            .map((line: string) => JSON.parse(line));
    expect(records.map(({ offset }: { offset: number }) => offset)).toEqual(all);
    return records.length;
  };
  const forms = ["application/json", "application/x-ndjson", "application/vnd.millrace.frames"];
  expect(await Promise.all([...forms, ...forms].map(whole))).toEqual(Array(6).fill(count));
});

test("a receive has what it asks for, or, where it waits, what is usual", { timeout: 60_000 }, async () => {
  await millrace.call("PUT", `${stream}/groups/g`, { start: "earliest" });
  const receive = async (body: object) => {
    const { json } = await millrace.call("POST", `${stream}/groups/g/receive`, body);
    return json.deliveries.map(({ offset }: { offset: number }) => offset);
  };
  const maxBytes = limits.deliverBytesMax;
  expect(await receive({ max: 10, maxBytes, waitSeconds: 5 })).toEqual([0]);
  const some: number[] = await receive({ max: 10, maxBytes });
  expect(some.length).toBeGreaterThan(2);
  expect(some).toEqual(all.slice(1, 1 + some.length));
});
