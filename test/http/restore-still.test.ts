/** What was restored acts on nobody until it is resumed: no push, no member, no dead letter that is sent on, no event told anew. */
import { scheduler } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readBlocks, writeBlock } from "../../src/archive/dump.ts";
import { concat } from "../../src/lib/bytes.ts";
import { type Archived, archived, until } from "./archived.ts";
import { newGroup, newStream } from "./group.ts";
import { Receiver } from "./receiver.ts";
import { token } from "./service.ts";

let millrace: Archived;
let receiver: Receiver;
let status = 500;
beforeAll(async () => {
  millrace = await archived({ privateNetwork: true });
  receiver = await Receiver.open((response) => response.writeHead(status).end());
});
afterAll(async () => {
  await receiver.close();
  await millrace.end();
});

const type = { "content-type": "application/vnd.millrace.dump" };
const bytesOf = async (path: string): Promise<Uint8Array> => {
  const answer = await fetch(millrace.url + path, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status, path).toBe(200);
  return new Uint8Array(await answer.arrayBuffer());
};
const blocksOf = (bytes: Uint8Array) => {
  const read = readBlocks(bytes);
  return read.ok ? read.value : expect.unreachable("a dump is readable");
};
const jsonIn = (payload: Uint8Array) => JSON.parse(new TextDecoder().decode(payload));
const textOf = (value: object) => new TextEncoder().encode(JSON.stringify(value));
let count = 0;

/** A copy of a stream of one partition, finished by `query`. */
async function copied(stream: string, query = ""): Promise<string> {
  const copy = `/v1/default/streams/still-${count++}`;
  const send = async (path: string, bytes: Uint8Array) => {
    const answer = await millrace.call("POST", copy + path, bytes as Uint8Array<ArrayBuffer>, type);
    expect(answer.status, answer.text).toBeLessThan(300);
  };
  const [first, ...groups] = blocksOf(await bytesOf(`${stream}/dump`));
  await send(`/restore?newId=true&dump=${"a".repeat(64)}`, writeBlock("stream", first.payload));
  for (const { payload } of groups) {
    const { group } = jsonIn(payload);
    await send(`/groups/${group}/restore?newId=true`, writeBlock("group", payload));
    const place = await bytesOf(`${stream}/groups/${group}/dump?partition=0`);
    const found = blocksOf(place);
    const lanes = found.flatMap(({ name, payload }) => (name === "lanes" ? jsonIn(payload) : [])).length;
    const letters = found.filter(({ name }) => name === "letter").length;
    await send(`/groups/${group}/restore?partition=0`, place);
    await send(
      `/groups/${group}/restore?partition=0`,
      writeBlock("settled", textOf({ group, partition: 0, lanes, letters })),
    );
  }
  const { tail } = (await millrace.call("GET", `${stream}/partitions/0`)).json;
  const pages: Uint8Array[] = [];
  for (let from = 0; from < tail; ) {
    const page = await bytesOf(`${stream}/partitions/0/dump?from=${from}`);
    for (const { payload } of blocksOf(page))
      from = Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(8, true));
    pages.push(page);
  }
  const chunks = concat(pages);
  const all = blocksOf(chunks).map(({ payload }) =>
    new DataView(payload.buffer, payload.byteOffset).getUint32(32, true),
  );
  await send("/partitions/0/restore", await bytesOf(`${stream}/partitions/0/dump?part=state`));
  await send("/partitions/0/restore", chunks);
  const records = all.reduce((sum, one) => sum + one, 0);
  await send("/partitions/0/restore", writeBlock("close", textOf({ partition: 0, chunks: all.length, records })));
  expect((await millrace.call("POST", `${copy}/restore/finish${query}`)).status).toBe(200);
  return copy;
}

/** Everything of a group's dump but its id. */
async function dumpOf(stream: string): Promise<unknown[]> {
  const [, ...groups] = blocksOf(await bytesOf(`${stream}/dump`));
  const places = [];
  for (const { payload } of groups) {
    const { id: _, ...group } = jsonIn(payload);
    const place = blocksOf(await bytesOf(`${stream}/groups/${group.group}/dump?partition=0`));
    places.push(group, ...place.map(({ name, payload }) => [name, Buffer.from(payload).toString("latin1")]));
  }
  return places;
}

test("groups of a copy stand still, with a reason, until they are resumed", async () => {
  status = 500;
  const push = await newGroup(millrace, { backoff: [100_000], push: { url: receiver.url } });
  const pull = await newGroup(millrace, {}, push.stream);
  const stopped = await newGroup(millrace, {}, push.stream);
  await stopped.post("pause", { reason: "lunch" });
  await push.append("a1");
  await expect.poll(async () => (await push.lanes()).length, { timeout: 15_000 }).toBe(1);
  const copy = await copied(push.stream);
  const other = copy.split("/").pop();
  status = 204;
  const before = receiver.calls.length;
  await millrace.call("POST", `${copy}/records`, { records: [{ key: "b", data: "b2" }] });
  const of = (group: { name: string }, rest = "") => `${copy}/groups/${group.name}${rest}`;
  for (const group of [push, pull]) {
    const reason = expect.stringContaining("restored");
    expect((await millrace.call("GET", of(group))).json).toMatchObject({ paused: true, pausedBecause: { reason } });
    expect((await millrace.call("GET", of(group, "/status"))).json).toMatchObject({
      paused: true,
      pausedBecause: { reason },
    });
  }
  expect((await millrace.call("GET", of(stopped))).json.pausedBecause.reason).toBe("lunch");
  expect((await millrace.call("POST", of(pull, "/receive"), { waitSeconds: 1 })).json.deliveries).toEqual([]);
  expect(
    (await millrace.call("GET", `${copy}/groups`)).json.groups.map(({ paused }: { paused: boolean }) => paused),
  ).toEqual([true, true, true]);
  // It is not of what it was.
  const clean = await copied(push.stream);
  expect(await dumpOf(clean)).toEqual(await dumpOf(push.stream));
  expect(receiver.calls.length).toBe(before);
  // An update leaves it still.
  await millrace.call("PUT", of(push), { maxInFlight: 7, backoff: [10] });
  await millrace.call("POST", `${copy}/records`, { records: [{ key: "c", data: "c3" }] });
  expect((await millrace.call("POST", of(pull, "/receive"), { waitSeconds: 1 })).json.deliveries).toEqual([]);
  expect(receiver.calls.length).toBe(before);
  for (const group of [push, pull]) {
    const answer = await millrace.call("POST", of(group, "/resume"), {});
    expect(answer.json.paused, answer.text).toBe(false);
    expect((await millrace.call("GET", of(group, "/status"))).json.paused).toBe(false);
  }
  const got = (await millrace.call("POST", of(pull, "/receive"), { waitSeconds: 20 })).json.deliveries;
  expect(got.length).toBeGreaterThan(0);
  await expect
    .poll(
      () =>
        receiver.calls
          .slice(before)
          .map(({ headers }) => headers["ce-partitionkey"])
          .sort(),
      { timeout: 15_000 },
    )
    .toEqual(["b", "c"]);
  expect(
    receiver.calls.slice(before).every(({ headers }) => headers["ce-source"] === `/v1/default/streams/${other}`),
  ).toBe(true);
});

test("with resume they go on at once, as they were, and again is as once", async () => {
  status = 204;
  const push = await newGroup(millrace, { push: { url: receiver.url } });
  const stopped = await newGroup(millrace, {}, push.stream);
  await stopped.post("pause", { reason: "lunch" });
  await push.append("a1");
  await expect.poll(async () => (await push.status()).lag, { timeout: 15_000 }).toBe(0);
  for (const query of ["?resume=true", ""]) {
    const copy = await copied(push.stream, query);
    const finish = await millrace.call("POST", `${copy}/restore/finish?resume=true`);
    expect(finish.status).toBe(200);
    const { groups } = (await millrace.call("GET", `${copy}/groups`)).json;
    expect(groups).toMatchObject([{ paused: false }, { paused: true, pausedBecause: { reason: "lunch" } }]);
    const before = receiver.calls.length;
    await millrace.call("POST", `${copy}/records`, { records: [{ key: "d", data: "d4" }] });
    await expect.poll(() => receiver.calls.length, { timeout: 15_000 }).toBe(before + 1);
    expect((await millrace.call("GET", `${copy}/groups/${stopped.name}/status`)).json.paused).toBe(true);
  }
  expect((await millrace.call("POST", `${push.stream}/restore/finish?resume=perhaps`)).json).toMatchObject({
    code: "invalid",
  });
});

test("retention waits for the groups of a copy from its first moment on", { timeout: 60_000 }, async () => {
  const config = { keepForGroups: true, retentionRecords: 8, deduplicationWindowMs: 0 };
  const stream = await newStream(millrace, config);
  const group = `${stream}/groups/waits`;
  await millrace.call("PUT", group, { start: "earliest" });
  for (let n = 0; n < 30; n++) await millrace.call("POST", `${stream}/records`, { records: [{ data: n }] });
  await until("the group follows", async () =>
    (await millrace.call("GET", `${group}/status`)).json.lag === 30 ? true : undefined,
  );
  const copy = await copied(stream);
  for (let n = 0; n < 3; n++) await millrace.call("POST", `${copy}/records`, { records: [{ data: n }] });
  await scheduler.wait(2_000);
  expect((await millrace.call("GET", `${copy}/partitions/0`)).json).toMatchObject({ head: 0, tail: 33 });
  await millrace.call("POST", `${copy}/groups/waits/resume`);
  const { deliveries } = (await millrace.call("POST", `${copy}/groups/waits/receive`, { max: 100, waitSeconds: 5 }))
    .json;
  expect(deliveries.length).toBe(33);
});

test("segments that came with a dump are told of by nobody; those that come after it are", async () => {
  const events = await newStream(millrace);
  const config = {
    archive: true,
    retentionRecords: 8,
    deduplicationWindowMs: 0,
    segmentEvents: events.split("/").pop(),
  };
  const stream = await newStream(millrace, config);
  const fill = async (path: string) => {
    for (let n = 0; n < 40; n++) await millrace.call("POST", `${path}/records`, { records: [{ data: n }] });
  };
  const told = async () => {
    const { records } = (await millrace.call("GET", `${events}/records?limit=10000`)).json;
    return records.map(({ type, data }: { type: string; data: { stream: string; base: number; next: number } }) => ({
      type,
      ...data,
    }));
  };
  const archivedOf = async (path: string) =>
    (await millrace.call("GET", `${path}/partitions/0`)).json.archived.segments;
  await fill(stream);
  await until("segments are archived, and told", async () => ((await told()).length > 3 ? true : undefined));
  const copy = await copied(stream);
  const name = copy.split("/").pop();
  await until("the copy is archived", async () => ((await archivedOf(copy)) > 3 ? true : undefined));
  await fill(copy);
  const mine = async () =>
    (await told()).filter(
      (one: { stream: string; type: string }) => one.stream === name && one.type.endsWith("archived"),
    );
  await until("what came after is told", async () => ((await mine()).length > 0 ? true : undefined));
  for (const { next } of await mine()) expect(next).toBeGreaterThan(40);
});
