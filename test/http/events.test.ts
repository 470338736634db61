/** Server-sent events: what a browser's EventSource gets, and how it goes on after it was cut off. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Event, EventReader } from "./event-reader.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

let count = 0;
async function fresh(partitions = 1) {
  const stream = `/v1/default/streams/events-${count++}`;
  await millrace.call("PUT", stream, { partitions });
  const append = (...keys: string[]) =>
    millrace.call("POST", `${stream}/records`, { records: keys.map((key) => ({ key, data: { key } })) });
  return { stream, append };
}

const open = (path: string, headers?: Record<string, string>) => EventReader.open(millrace.url + path, headers);
const many = (count: number) => Array.from({ length: count }, (_, index) => `k${index % 23}`);

describe.each([1, 3])("a stream of %i partitions", (partitions) => {
  test("is followed, and gone on with after every single event", async () => {
    const { stream, append } = await fresh(partitions);
    await append(...many(20));
    const reader = await open(`${stream}/records`);
    await append(...many(5));
    const events = await reader.until(25);
    expect(reader.retry).toBe("1000");
    const place = ({ data }: Event) => `${data.partition}.${data.offset}`;
    expect(new Set(events.map(place)).size).toBe(25);
    reader.close();
    for (const at of [0, 7, 24]) {
      const again = await open(`${stream}/records`, { "last-event-id": events[at].id });
      await again.until(24 - at);
      await again.until(1, "heartbeat");
      const seen = [...events.slice(0, at + 1), ...again.of("")].map(place);
      expect(seen).toHaveLength(25);
      expect(new Set(seen).size).toBe(25);
      again.close();
    }
  });

  test("is followed from now on, for one key, through a filter", async () => {
    const { stream, append } = await fresh(partitions);
    await append("a", "b");
    const reader = await open(`${stream}/records?key=a&from=latest`);
    expect(await reader.until(1, "heartbeat")).toMatchObject([{ data: { upToDate: true } }]);
    await append("b", "a", "b");
    expect(await reader.until(1)).toMatchObject([{ data: { key: "a", data: { key: "a" } } }]);
    expect(reader.of("")).toHaveLength(1);
    reader.close();
  });

  test("can be large", async () => {
    const { stream } = await fresh(partitions);
    for (let index = 0; index < 20; index++) {
      const records = Array.from({ length: 500 }, (_, at) => ({ key: `k${at}`, data: "x".repeat(500) }));
      await millrace.call("POST", `${stream}/records`, { records });
    }
    const reader = await open(`${stream}/records`);
    await reader.until(10_000);
    expect(new Set(reader.of("").map(({ id }) => id)).size).toBe(10_000);
    reader.close();
  });
});

test("data with line ends are one event, and one line of NDJSON", async () => {
  const { stream } = await fresh();
  const body = '{"records":[{"key":"a","data":{\n  "a": "x\\ny",\r\n  "b": [1,\r2]\n}}]}';
  await millrace.call("POST", `${stream}/records`, body, { "content-type": "application/json" });
  const reader = await open(`${stream}/records`);
  expect((await reader.until(1))[0].data.data).toEqual({ a: "x\ny", b: [1, 2] });
  reader.close();
  const lines = await millrace.call("GET", `${stream}/records`, undefined, { accept: "application/x-ndjson" });
  expect(lines.text.trimEnd().split(/\r\n|\r|\n/)).toHaveLength(1);
  expect(JSON.parse(lines.text).data).toEqual({ a: "x\ny", b: [1, 2] });
});

test("one partition that was split ends", async () => {
  const { stream, append } = await fresh();
  await append("a");
  await millrace.call("PUT", stream, { partitions: 2 });
  const reader = await open(`${stream}/records?partition=0`);
  expect(await reader.until(1, "end")).toHaveLength(1);
  await expect.poll(() => reader.ended).toBe(true);
});

test("a stream that is deleted ends with the problem", async () => {
  const { stream } = await fresh();
  const reader = await open(`${stream}/records`);
  await reader.until(1, "heartbeat");
  await millrace.call("DELETE", stream);
  expect(await reader.until(1, "problem")).toMatchObject([{ data: { code: "stream-not-found" } }]);
  await expect.poll(() => reader.ended).toBe(true);
});

test("what was trimmed on the way is told", async () => {
  const { stream } = await fresh();
  for (let index = 0; index < 60; index++) {
    await millrace.call("POST", `${stream}/records`, { records: [{ data: "x".repeat(900_000) }] });
  }
  const response = await fetch(`${millrace.url}${stream}/records`, {
    headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
  });
  // Nothing is taken yet: what is on its way is bounded by the credits, and the rest is trimmed.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await millrace.call("POST", `${stream}/partitions/0/trim`, { beforeOffset: 60 });
  await millrace.call("POST", `${stream}/records`, { records: [{ data: "last" }] });
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    if (text.includes('"last"')) break;
  }
  expect(text).toMatch(
    /event: lost\nid: [0-9a-f]{20}~0\.1o\ndata: \{"lost":\[\{"partition":0,"from":\d+,"to":60,"why":"trimmed"\}\]\}/,
  );
});

test.each([
  ["limit=5", "invalid", /limit/],
  ["wait=5", "invalid", /wait/],
  ["direction=backward", "not-acceptable", /forward/],
  ["from=77", "past-tail", /past the tail/],
  ["from=soon", "invalid", /from/],
  ["partition=9", "partition-not-found", /partition/],
])("%s is refused before anything is sent", async (query, code, detail) => {
  const { stream } = await fresh();
  const { json } = await millrace.call("GET", `${stream}/records?${query}`, undefined, { accept: "text/event-stream" });
  expect(json).toMatchObject({ code, detail: expect.stringMatching(detail) });
});
