/** A refusal says where in what was sent the mistake is, by every door: whoever follows the pointer finds what is wrong. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newGroup, newStream } from "./group.ts";
import { Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

/** What a pointer points to, as RFC 6901 reads it; undefined where nothing is there. */
const at = (value: unknown, pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((found, name) => (found as Record<string, unknown> | undefined)?.[name], value);

/** A record that is wrong, where in it, and what is there. */
const lies: [string, object, string, unknown][] = [
  ["a key that is a number", { key: 5 }, "/key", 5],
  ["a field that is not known", { kex: "k" }, "/kex", "k"],
  ["a field whose name has a slash and a tilde", { "a/~b": 1 }, "/a~1~0b", 1],
  ["a tag that is none", { tags: ["a", 7] }, "/tags/1", 7],
  ["an extension that is a list", { extensions: { tenant: [1] } }, "/extensions/tenant", [1]],
  ["an extension whose name is none", { extensions: { "Bad Name": "x" } }, "/extensions/Bad Name", "x"],
  ["data twice", { data: 1, data_base64: "AA==" }, "/data_base64", "AA=="],
  ["an offset that is not the producer's to give", { offset: 7 }, "/offset", 7],
  [
    "a timestamp that is not the client's to give",
    { timestamp: "2026-01-01T00:00:00Z" },
    "/timestamp",
    "2026-01-01T00:00:00Z",
  ],
  ["a time that is none", { time: "soon" }, "/time", "soon"],
];
const good = { key: "a", data: 1 };

describe("of a record with", () => {
  test.each(lies)("%s", async (_, lie, pointer, wrong) => {
    const stream = await newStream(millrace);
    const body = { records: [good, lie] };
    const asJson = await millrace.call("POST", `${stream}/records`, body);
    expect(asJson, asJson.text).toMatchObject({ status: 400, json: { pointer: `/records/1${pointer}` } });
    expect(at(body, asJson.json.pointer)).toEqual(wrong);
    const lines = `${JSON.stringify(good)}\n\n${JSON.stringify(lie)}\n`;
    const asLines = await millrace.call("POST", `${stream}/records`, lines, { "content-type": "application/x-ndjson" });
    expect(asLines, asLines.text).toMatchObject({ status: 400, json: { line: 3, pointer } });
    for (const partitions of [1, 2]) {
      const other = await newStream(millrace, { partitions });
      const headers = { authorization: `Bearer ${token}` };
      const socket = await StreamSocket.open(`${millrace.url}${other}/live`, { headers });
      // Alone and last it is read by the shortest way.
      for (const [id, records, index] of [
        [1, [good, lie], 1],
        [2, [lie], 0],
      ] as const) {
        const message = { type: "append", id, records };
        socket.send(message);
        const error = (await socket.untilOf("error", id))[id - 1];
        expect(error, JSON.stringify(error)).toMatchObject({
          id,
          fatal: false,
          pointer: `/records/${index}${pointer}`,
        });
        expect(at(message, error.pointer as string)).toEqual(wrong);
      }
      socket.socket.close();
    }
  });
});

describe("of an event with", () => {
  const event = { specversion: "1.0", id: "1", source: "/s", type: "t", data: 1 };
  test.each<[string, object, string]>([
    ["a key that is a number", { partitionkey: 5 }, "/partitionkey"],
    ["tags that are a list", { tags: ["a"] }, "/tags"],
    ["a tag that is too long", { tags: `${"t".repeat(2_000)},b` }, "/tags"],
    ["an extension that is a list", { tenant: [1] }, "/tenant"],
    ["an extension whose name is none", { "Bad/Name": "x" }, "/Bad~1Name"],
    ["another version", { specversion: "2.0" }, "/specversion"],
    ["no type", { type: "" }, "/type"],
    ["a source with a space", { source: "a b" }, "/source"],
  ])("%s", async (_, lie, pointer) => {
    const stream = await newStream(millrace);
    const one = { ...event, ...lie };
    const send = (body: object, type: string) =>
      millrace.call("POST", `${stream}/records`, JSON.stringify(body), {
        "content-type": `application/cloudevents${type}`,
      });
    const alone = await send(one, "+json");
    expect(alone, alone.text).toMatchObject({ status: 400, json: { pointer } });
    expect(at(one, alone.json.pointer)).toBeDefined();
    const batch = await send([event, one], "-batch+json");
    expect(batch.json, batch.text).toMatchObject({ pointer: `/1${pointer}` });
  });

  test("a header that is wrong, there is no place in the body", async () => {
    const stream = await newStream(millrace);
    const headers = {
      "ce-specversion": "1.0",
      "ce-id": "1",
      "ce-source": "a%20b",
      "ce-type": "t",
      "content-type": "text/plain",
    };
    const answer = await millrace.call("POST", `${stream}/records`, "x", headers);
    expect(answer).toMatchObject({ status: 400, json: { path: "source" } });
    expect(answer.json).not.toHaveProperty("pointer");
  });
});

test.each<[string, object, string]>([
  ["group", { push: { url: "https://example.com/", headers: { "x-a": "\n" } } }, "/push/headers/x-a"],
  ["group", { push: { url: "https://localhost/" } }, "/push/url"],
  ["group", { push: { url: "https://example.com/", secrets: ["whsec_"] } }, "/push/secrets/0"],
  ["group", { backoff: [1, -1] }, "/backoff/1"],
  ["group", { start: "never" }, "/start"],
  ["group", { order: "none", only: ["a"] }, "/only"],
  ["group", { maxInFlite: 1 }, "/maxInFlite"],
  ["stream", { retentionRecords: "7" }, "/retentionRecords"],
  ["group/seek", { to: "never" }, "/to"],
  ["group/receive", { max: 0 }, "/max"],
])("of the definition, or the order, of a %s: %j", async (what, body, pointer) => {
  const group = await newGroup(millrace);
  const [, order] = what.split("/");
  const answer =
    what === "stream"
      ? await millrace.call("PUT", group.stream, body)
      : order === undefined
        ? await millrace.call("PUT", `${group.stream}/groups/fresh`, body)
        : await group.post(order, body);
  expect(answer, answer.text).toMatchObject({ json: { pointer } });
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(at(body, pointer)).toBeDefined();
});

test("of a query there is no pointer", async () => {
  const stream = await newStream(millrace);
  const answer = await millrace.call("GET", `${stream}/records?limit=0`);
  expect(answer).toMatchObject({ status: 400, json: { path: "limit" } });
  expect(answer.json).not.toHaveProperty("pointer");
});

test.each([1, 2])("of a message of a member's, on %i partitions", async (partitions) => {
  const group = await newGroup(millrace, {}, { partitions });
  for (const [message, pointer] of [
    [{ type: "credit", credits: 0 }, "/credits"],
    [{ type: "ack", receipts: ["a", 7] }, "/receipts/1"],
    [{ type: "credit", credits: 1, more: 1 }, "/more"],
  ] as const) {
    const member = await Member.open(millrace, group.path);
    member.send(message);
    await expect.poll(() => member.closed?.code, { timeout: 10_000 }).toBe(1008);
    const error = member.messages.find(({ type }) => type === "error");
    expect(error).toMatchObject({ fatal: true, retryable: false, clean: true, pointer });
    expect(at(message, pointer)).toBeDefined();
  }
});
