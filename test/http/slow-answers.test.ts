/** Clients that ask for large answers and never read: what they hold together is bounded, others are served, and it is given back. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type Archived, archived } from "./archived.ts";
import { token } from "./service.ts";

let millrace: Archived;
const stream = "/v1/default/streams/slow";
const long = (length: number, name: string | number) => `${name}-`.padEnd(length, "x");

beforeAll(async () => {
  millrace = await archived();
  const post = async (path: string, body: object) => {
    const answer = await millrace.call("POST", `${stream}${path}`, body);
    expect(answer.status, answer.text.slice(0, 200)).toBeLessThan(300);
    return answer.json;
  };
  await millrace.call("PUT", stream, { deduplicationWindowMs: 0 });
  for (let batch = 0; batch < 6; batch++) {
    const records = Array.from({ length: 400 }, (_, index) => ({
      key: long(1_000, `${batch}.${index}`),
      data: long(2_500, "d"),
    }));
    await post("/records", { records });
  }
  await millrace.call("PUT", `${stream}/groups/lanes`, { backoff: [3_600_000], maxInFlight: 10_000 });
  for (let got = 0; got < 2_400; ) {
    const { deliveries } = await post("/groups/lanes/receive", { max: 1_000, maxBytes: limits.deliverBytesMax });
    const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
    await post("/groups/lanes/nack", { receipts, reason: long(1_000, "r") });
    got += deliveries.length;
  }
  for (let group = 0; group < 8; group++) {
    const only = Array.from({ length: 1_000 }, (_, index) => long(900, index));
    expect((await millrace.call("PUT", `${stream}/groups/g${group}`, { only })).status).toBe(201);
  }
  expect((await millrace.call("PUT", `${stream}/snapshots/5`, Buffer.alloc(16_777_216, 7))).status).toBe(201);
}, 120_000);
afterAll(() => millrace.end());

/** Asks, takes the first bytes, and nothing more. Gives the head of the answer, where there is one within 20 s. */
async function ask(path: string): Promise<{ socket: Socket; head: string }> {
  const { hostname, port, host } = new URL(millrace.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  const head = await new Promise<string>((resolve) => {
    const late = setTimeout(() => resolve(""), 20_000);
    socket.once("data", (bytes) => {
      socket.pause();
      clearTimeout(late);
      resolve(bytes.toString("latin1"));
    });
  });
  return { socket, head };
}

/** Waits until less than half of the room is used: pages are as large as they may be then. */
const roomAgain = () =>
  expect
    .poll(async () => (await millrace.call("GET", `${stream}/records?from=0&limit=1000`)).text.length, {
      timeout: 60_000,
      interval: 500,
    })
    .toBeGreaterThan(600_000);

const crowd = 40;
const statusOf = ({ head }: { head: string }) => head.slice(9, 12);

test("lanes come in pages, which are no larger than other lists", async () => {
  const keys: string[] = [];
  for (let after: string | undefined = "0.0"; after !== undefined; ) {
    const page = await millrace.call("GET", `${stream}/groups/lanes/lanes?limit=1000&after=${after}`);
    expect(page.text.length).toBeLessThan(1_100_000);
    keys.push(...page.json.lanes.map(({ key }: { key: string }) => key));
    after = page.json.after;
  }
  expect([keys.length, new Set(keys).size]).toEqual([2_400, 2_400]);
});

test.each([
  ["the list of groups", `${stream}/groups`],
  ["the dump of a stream", `${stream}/dump`],
])("%s", { timeout: 90_000 }, async (_what, path) => {
  const whole = await millrace.call("GET", path);
  expect(whole.status).toBe(200);
  expect(whole.text.length).toBeGreaterThan(4_000_000);
  const asked = await Promise.all(Array.from({ length: crowd }, () => ask(path)));
  try {
    const begun = asked.filter((one) => statusOf(one) === "200");
    expect(begun.length).toBeGreaterThan(2);
    // What was begun at the same time may be larger than it was thought to be.
    expect(begun.length * whole.text.length).toBeLessThan(2.5 * limits.untakenBytesMax);
    const refused = asked.filter((one) => statusOf(one) === "429");
    expect(refused.length).toBeGreaterThan(0);
    for (const { head } of refused) {
      expect(head).toMatch(/retry-after: \d/i);
      expect(head).toContain('"code":"too-many"');
    }
    // Nobody else is kept from what is small.
    expect((await millrace.call("GET", stream)).status).toBe(200);
    const read = await millrace.call("GET", `${stream}/records?from=0&limit=10`);
    expect([read.status, read.json.records.length]).toEqual([200, 10]);
    expect((await millrace.call("POST", `${stream}/records`, { records: [{ data: 1 }] })).status).toBe(201);
  } finally {
    for (const { socket } of asked) socket.destroy();
  }
  await roomAgain();
  expect((await millrace.call("GET", path)).status).toBe(200);
});

test("whoever asks for the head alone holds nothing", { timeout: 60_000 }, async () => {
  const whole = await millrace.call("GET", `${stream}/groups`);
  const paths = [`${stream}/groups`, `${stream}/records?maxBytes=all`, `${stream}/partitions/0/dump?part=state`];
  for (let round = 0; round < 24; round++) {
    const [path] = paths.splice(0, 1);
    paths.push(path);
    const { status, headers } = await millrace.call("HEAD", path);
    expect([path, status]).toEqual([path, 200]);
    if (path.endsWith("/groups")) expect(Number(headers.get("content-length"))).toBe(Buffer.byteLength(whole.text));
  }
  const begun = Date.now();
  expect((await millrace.call("GET", `${stream}/groups`)).status).toBe(200);
  expect(Date.now() - begun).toBeLessThan(2_500);
});

test("of snapshots that nobody reads there are so many at a time", { timeout: 90_000 }, async () => {
  const path = `${stream}/snapshots/5`;
  const most = limits.untakenBytesMax / 524_288;
  const asked = await Promise.all(Array.from({ length: most + 16 }, () => ask(path)));
  try {
    const begun = asked.filter((one) => statusOf(one) === "200").length;
    expect(begun).toBeGreaterThan(10);
    expect(begun).toBeLessThanOrEqual(most);
    const refused = asked.filter((one) => statusOf(one) === "429");
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0].head).toContain('"code":"too-many"');
  } finally {
    for (const { socket } of asked) socket.destroy();
  }
  await roomAgain();
  expect((await millrace.call("HEAD", path)).status).toBe(200);
});

test("a snapshot in a crowd that does not read comes whole, as do pages and the reference", {
  timeout: 90_000,
}, async () => {
  const asked = await Promise.all(Array.from({ length: crowd / 4 }, () => ask(`${stream}/snapshots/5`)));
  const others = await Promise.all(Array.from({ length: crowd }, () => ask("/openapi.json")));
  try {
    expect(new Set([...asked, ...others].map(statusOf))).toEqual(new Set(["200"]));
    const headers = { authorization: `Bearer ${token}` };
    const bytes = Buffer.from(await (await fetch(`${millrace.url}${stream}/snapshots/5`, { headers })).arrayBuffer());
    expect(bytes.equals(Buffer.alloc(16_777_216, 7))).toBe(true);
    expect((await millrace.call("GET", "/openapi.json")).json.openapi).toBe("3.1.0");
    expect((await millrace.call("GET", `${stream}/groups`)).status).toBe(200);
  } finally {
    for (const { socket } of [...asked, ...others]) socket.destroy();
  }
});
