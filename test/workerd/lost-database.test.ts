/** A partition whose database was lost, though the bucket has what was in it: whoever looks is told. */
import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { StreamMessage } from "../../schemas/frames.ts";
import { call } from "./call.ts";
import { made, until } from "./made.ts";

const keys = Array.from({ length: 10 }, (_, n) => `k${n}`);

const fetched = (path: string, headers: object) =>
  (exports as unknown as { default: Fetcher }).default.fetch(`http://millrace${path}`, {
    headers: { authorization: "Bearer test-token", ...headers },
  });

/** A socket of a stream, and what it was told. */
async function socketOf(path: string) {
  const socket = (await fetched(path, { upgrade: "websocket" })).webSocket as WebSocket;
  const heard: StreamMessage[] = [];
  const closes: number[] = [];
  socket.addEventListener("message", ({ data }) => heard.push(JSON.parse(String(data))));
  socket.addEventListener("close", ({ code }) => closes.push(code));
  socket.accept();
  const send = (message: object) => socket.send(JSON.stringify(message));
  return { heard, closes, send, close: () => socket.close() };
}

const stateOf = async (path: string) => (await call("GET", `${path}/partitions/0/dump?part=state`)).status;

test("is damaged until it is rebuilt, to whoever verifies, and is not dumped as if it were empty", async () => {
  const { path, append, lose, text } = await made("bereft", { retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...keys);
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  const verify = async () => (await call("POST", `${path}/partitions/0/verify`)).json;
  expect((await verify()).intact).toBe(true);
  await lose(0);
  const found = await verify();
  expect(found).toMatchObject({ intact: false, chunks: 0, damaged: [{ from: 0 }] });
  expect(found.damaged[0].to).toBeGreaterThan(9);
  expect(found.damaged[0].reason).toContain("database was lost");
  for (const query of ["partition=0", "", "partition=0&from=latest", "partition=0&wait=1"]) {
    const read = await call("GET", `${path}/records?${query}`);
    expect(read, query).toMatchObject({ status: 503, json: { code: "damaged", partition: 0, from: 0 } });
    expect(read.json.detail).not.toContain("logs/");
  }
  const refused = await call("GET", `${path}/partitions/0/dump?part=state`);
  expect(refused).toMatchObject({ status: 503, json: { code: "damaged", from: 0, to: found.damaged[0].to } });
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  expect((await verify()).intact).toBe(true);
  expect(await stateOf(path)).toBe(200);
  expect((await call("GET", `${path}/records?partition=0`)).json.records.length).toBeGreaterThan(9);
});

test("is named whoever comes first, a group too, which goes on once it is rebuilt", async () => {
  const { path, append, lose, text } = await made("bereft-group", { retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...keys);
  await call("PUT", `${path}/groups/g`, { start: "earliest" });
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await lose(0);
  // The catalog brings all partitions up to date.
  await call("PATCH", path, { deleteMarkerGraceMs: 1_000 });
  expect((await call("GET", `${path}/records`)).status).toBe(503);
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  const { records } = (await call("GET", `${path}/records`)).json;
  // One of each key.
  const { json } = await call("POST", `${path}/groups/g/receive`, { max: 100, waitSeconds: 20 });
  expect(json.deliveries.map(({ offset }: { offset: number }) => offset)).toEqual(
    records.slice(0, keys.length).map(({ offset }: { offset: number }) => offset),
  );
});

test("takes nothing until it is rebuilt, whatever door it comes by, and then goes on behind", async () => {
  const { path, append, lose, text } = await made("bereft-and-written", { retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...keys);
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await lose(0);
  const socket = await socketOf(`${path}/live`);
  socket.send({ type: "append", id: 0, records: [{ data: 1 }] });
  const refused = { code: "unavailable", partition: 0, from: 0, retryable: true };
  expect(await append("other")).toMatchObject({ status: 503, json: refused });
  await expect.poll(() => socket.heard.at(-1)).toMatchObject({ type: "error", id: 0, code: "unavailable" });
  expect((await call("GET", `${path}/partitions/0`)).json.tail).toBe(0);
  const isolated = await call("POST", `${path}/partitions/0/repair`, { mode: "isolate" });
  expect(isolated).toMatchObject({ status: 409, json: { code: "conflict" } });
  expect(isolated.json.detail).toContain("mode rebuild");
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  expect((await append("other")).json.verdicts[0].offset).toBeGreaterThan(2 ** 32);
  socket.send({ type: "append", id: 1, records: [{ data: 1 }] });
  await expect.poll(() => socket.heard.at(-1)?.type).toBe("verdicts");
  socket.close();
});

test("stays damaged where something was appended since, and is dumped as it is, until what is left is given up", async () => {
  const { path, append, loseUnnoticed, text } = await made("bereft-and-used");
  for (let n = 0; n < 4; n++) await append(...keys);
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await loseUnnoticed(0);
  await append("other");
  expect((await call("GET", `${path}/records`)).json.records).toHaveLength(1);
  const verify = async () => (await call("POST", `${path}/partitions/0/verify`)).json;
  const found = await verify();
  expect(found).toMatchObject({ intact: false, chunks: 1, damaged: [{ from: 0 }] });
  expect(found.damaged[0].reason).toContain("cannot be rebuilt");
  expect(await stateOf(path)).toBe(200);
  const { from, to } = found.damaged[0];
  const repair = (mode: string) => call("POST", `${path}/partitions/0/repair`, { mode });
  expect((await repair("rebuild")).status).toBe(409);
  expect(await repair("isolate")).toMatchObject({ status: 200, json: { lost: [{ from, to }] } });
  expect(await verify()).toMatchObject({ intact: true, damaged: [] });
  expect(await repair("isolate")).toMatchObject({ status: 200, json: { lost: [] } });
  // What it had is not left to whoever is to be forgotten.
  await until(async () => ((await text()).includes("k9") ? undefined : true));
  expect((await call("GET", `${path}/records`)).json.records).toHaveLength(1);
  expect((await append("more")).json.verdicts[0].offset).toBe(1);
});

test("of one that is new nothing is said", async () => {
  const { path, append } = await made("new");
  expect((await call("POST", `${path}/partitions/0/verify`)).json).toMatchObject({ intact: true, damaged: [] });
  await append("k");
  expect((await call("POST", `${path}/partitions/0/verify`)).json).toMatchObject({ intact: true, damaged: [] });
});

test.each([1, 2])("is damaged to whoever follows, of %i partitions", async (partitions) => {
  const { path, append, lose, text } = await made(`bereft-live-${partitions}`, { retentionRecords: 8, partitions });
  const mine: string[] = [];
  for (let n = 0; n < 4; n++) {
    const { verdicts } = (await append(...keys)).json as { verdicts: { partition: number }[] };
    mine.push(...keys.filter((_, at) => verdicts[at].partition === 0));
  }
  await until(async () => ((await text()).includes(mine[0]) ? true : undefined));
  const before = await socketOf(`${path}/live?partition=0`);
  before.send({ type: "subscribe", id: 1, from: "earliest", credits: 1_000 });
  await expect.poll(() => before.heard.some((one) => "upToDate" in one && one.upToDate)).toBe(true);
  await lose(0);
  // It says nothing, and is told all the same, as soon as somebody looks.
  expect((await call("GET", `${path}/records`)).json).toMatchObject({ code: "damaged" });
  await expect.poll(() => before.heard.at(-1)).toMatchObject({ type: "error", id: 1, code: "damaged", partition: 0 });
  for (const query of ["", "?partition=0"]) {
    const socket = await socketOf(`${path}/live${query}`);
    const froms = ["earliest", "latest", "-3", "2026-01-01T00:00:00Z", "snapshot", ...(query === "" ? [] : [0, 7])];
    for (const [at, from] of froms.entries()) {
      socket.send({ type: "subscribe", id: 2 * at, from, credits: 10 });
      socket.send({ type: "subscribe", id: 2 * at + 1, from, credits: 10, filter: { types: ["t"] } });
    }
    await expect.poll(() => socket.heard.length).toBe(1 + 2 * froms.length);
    for (const one of socket.heard.slice(1)) expect(one).toMatchObject({ type: "error", code: "damaged", from: 0 });
    socket.close();
    const events = await fetched(`${path}/records${query}`, { accept: "text/event-stream" });
    expect(await events.json()).toMatchObject({ status: 503, code: "damaged", partition: 0, from: 0 });
  }
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  before.send({ type: "subscribe", id: 9, from: "earliest", credits: 1_000 });
  await expect.poll(() => before.heard.some((one) => one.type === "records" && one.id === 9)).toBe(true);
  before.close();
});

test("lets go of a socket that asks for something before anybody has made the partition anew", async () => {
  const { path, append, lose } = await made("bereft-socket");
  await append(...keys);
  const socket = await socketOf(`${path}/live?partition=0`);
  await expect.poll(() => socket.heard.length).toBe(1);
  await lose(0);
  socket.send({ type: "subscribe", id: 1, from: "earliest", credits: 10 });
  await expect.poll(() => socket.closes).toEqual([4002]);
});

test("a group that is made on a lost partition begins where it says once that is rebuilt", async () => {
  const { path, append, lose, text } = await made("bereft-new-group", { retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...keys);
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await lose(0);
  expect((await call("GET", `${path}/records`)).status).toBe(503);
  expect((await call("PUT", `${path}/groups/g`, { start: "latest" })).status).toBe(201);
  expect(await call("POST", `${path}/groups/g/receive`, { max: 100 })).toMatchObject({
    status: 200,
    json: { deliveries: [] },
  });
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  await append("later");
  const { json } = await call("POST", `${path}/groups/g/receive`, { max: 100, waitSeconds: 20 });
  expect(json.deliveries.map(({ key }: { key: string }) => key)).toEqual(["later"]);
});
