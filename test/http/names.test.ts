/** A name that objects have by themselves, by every door that takes names: it is refused by name, or comes to where it was sent. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
let receiver: Receiver;
const stream = "/v1/default/streams/names";
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
  receiver = await Receiver.open((response) => response.writeHead(204).end());
  await millrace.call("PUT", stream, {});
});
afterAll(async () => {
  await receiver.close();
  await millrace.end();
});

const json = { "content-type": "application/json" };
const headers = (name: string, value = '"x"') =>
  `{"start":"earliest","push":{"url":"${receiver.url}","headers":{"${name}":${value},"x-a":"b"}}}`;

test.each([
  ["PUT", '"x"'],
  ["PUT", "5"],
  ["PATCH", '"x"'],
  ["PATCH", "null"],
])("%s of a group, whose push has a header __proto__: %s", async (method, value) => {
  const group = `${stream}/groups/refused`;
  if (method === "PATCH") await millrace.call("PUT", group, {});
  const answer = await millrace.call(method, group, headers("__proto__", value), json);
  expect([answer.status, answer.json]).toEqual([
    400,
    expect.objectContaining({
      code: "invalid",
      detail: expect.stringContaining("__proto__"),
      path: "push.headers.__proto__",
      pointer: "/push/headers/__proto__",
    }),
  ]);
  const found = await millrace.call("GET", group);
  expect(found.status === 404 || found.json.config.push === null).toBe(true);
});

test.each([
  ["application/json", '{"records":[{"extensions":{"__proto__":"x"}}]}'],
  ["application/x-ndjson", '{"extensions":{"__proto__":"x"}}\n'],
  ["application/cloudevents+json", '{"specversion":"1.0","id":"1","source":"/a","type":"t","__proto__":"x"}'],
])("an append as %s with such an extension", async (type, body) => {
  const answer = await millrace.call("POST", `${stream}/records`, body, { "content-type": type });
  expect([answer.status, answer.json.detail]).toEqual([400, expect.stringContaining("__proto__")]);
});

test("names that are merely odd are sent", async () => {
  for (const name of ["constructor", "tostring", "valueof"]) {
    const group = `${stream}/groups/${name}`;
    const made = await millrace.call("PUT", group, headers(name), json);
    expect([made.status, Object.keys(made.json.config.push.headers).sort()]).toEqual([201, [name, "x-a"].sort()]);
  }
  await millrace.call("POST", `${stream}/records`, { records: [{ data: 1, extensions: { constructor: "c" } }] });
  const sent = () => receiver.calls.map((call) => call.headers);
  await expect.poll(() => sent().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
  for (const name of ["constructor", "tostring", "valueof"]) {
    expect(sent().filter((one) => Object.hasOwn(one, name) && one[name] === "x")).toHaveLength(1);
  }
  expect(sent().every((one) => one["ce-constructor"] === "c" && one["x-a"] === "b")).toBe(true);
});

test.each(["__proto__", "constructor", "hasOwnProperty"])(
  "%s is a name like others of a namespace, a stream, a group, a member, a producer, a key and a tag",
  async (name) => {
    // What stands in a path begins with a letter or a digit, and is refused else.
    const inPath = name.startsWith("_") ? "other" : name;
    expect((await millrace.call("PUT", `/v1/${name}`)).status).toBe(inPath === name ? 201 : 400);
    const namespace = `/v1/${inPath}`;
    expect((await millrace.call("PUT", namespace)).status).toBeLessThan(300);
    const path = `${namespace}/streams/${inPath}`;
    expect((await millrace.call("PUT", path, { partitions: 2, keyIndex: true })).status).toBe(201);
    const producer = { "producer-id": name, "producer-epoch": "0", "producer-seq": "0" };
    const record = {
      key: name,
      id: name,
      source: `/${name}`,
      type: name,
      subject: name,
      tags: [name],
      data: { a: name },
    };
    for (const verdict of ["appended", "duplicate"]) {
      const { json } = await millrace.call("POST", `${path}/records`, { records: [record] }, producer);
      expect(json.verdicts[0].verdict).toBe(verdict);
    }
    const read = await millrace.call("GET", `${path}/records?key=${name}&tag=${name}&type=${name}`);
    expect(read.json.records).toEqual([expect.objectContaining(record)]);
    expect((await millrace.call("PUT", `${path}/groups/${inPath}`, { start: "earliest", only: [name] })).status).toBe(
      201,
    );
    const received = await millrace.call("POST", `${path}/groups/${inPath}/receive`, { member: name, waitSeconds: 5 });
    expect(received.json.deliveries).toEqual([expect.objectContaining(record)]);
    const status = await millrace.call("GET", `${path}/groups/${inPath}/status`);
    expect(status.json.members).toEqual([{ member: name, inFlight: 1 }]);
    const receipts = received.json.deliveries.map(({ receipt }: { receipt: string }) => receipt);
    expect((await millrace.call("POST", `${path}/groups/${inPath}/ack`, { receipts })).status).toBe(200);
    for (const [list, all] of [
      ["streams", `${namespace}/streams`],
      ["groups", `${path}/groups`],
    ]) {
      expect((await millrace.call("GET", all)).json[list]).toHaveLength(1);
    }
    expect((await millrace.call("GET", `${path}/dump`)).status).toBe(200);
    expect((await millrace.call("DELETE", path)).status).toBe(204);
  },
);
