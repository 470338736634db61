/** Requests to forget over the whole Worker: where a partition has lost its database, and where a stream has grown since. */
import { expect, test } from "vitest";
import { call } from "./call.ts";
import { made, until } from "./made.ts";

const word = "victim7f3a";
const ten = [word, ...Array.from({ length: 9 }, (_, n) => `k${n}`)];

test("a partition whose database was lost is to be rebuilt before anything is forgotten in it", async () => {
  const { path, append, erase, done, lose, text } = await made("lost");
  await append(...ten);
  await until(async () => ((await text()).includes(word) ? true : undefined));
  await lose(0);
  expect(await erase({ key: word, id: "e" })).toMatchObject({ status: 409, json: { code: "conflict" } });
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  expect(await erase({ key: word, id: "e" })).toMatchObject({ status: 202, json: { partitions: [{ partition: 0 }] } });
  expect(await done("e")).toMatchObject({ partitions: [{ records: 1, unread: [] }] });
  expect(await text()).not.toContain(word);
  expect((await call("GET", `${path}/records?key=${word}`)).json.records).toEqual([]);
});

test("where something was appended since, the receipt names what could not be searched", async () => {
  const { append, erase, done, loseUnnoticed, text } = await made("lost-and-used");
  await append(...ten);
  await until(async () => ((await text()).includes(word) ? true : undefined));
  await loseUnnoticed(0);
  await append(word);
  await erase({ key: word, id: "e" });
  expect(await done("e")).toMatchObject({ partitions: [{ records: 1, unread: [0] }] });
});

test("a request that was lost with one of the databases is not done for the others", async () => {
  const { path, append, erase, done, lose, text } = await made("lost-of-two", { partitions: 2, retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...ten);
  await until(async () => ((await text()).includes(word) ? true : undefined));
  await erase({ subject: "about", id: "e" });
  await done("e");
  await lose(1);
  expect(await call("GET", `${path}/erasures/e`)).toMatchObject({ status: 409 });
  expect(await erase({ subject: "about", id: "e" })).toMatchObject({ status: 409 });
  expect((await call("POST", `${path}/partitions/1/repair`, { mode: "rebuild" })).status).toBe(200);
  expect((await erase({ subject: "about", id: "e" })).status).toBe(202);
  expect((await done("e")).partitions).toHaveLength(2);
});

test("what one partition refuses none has taken", async () => {
  const { path, append, erase, done, lose, text } = await made("lost-one", { partitions: 2, retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...ten);
  await until(async () => ((await text()).includes(word) ? true : undefined));
  await lose(1);
  const before = (await call("GET", `${path}/records`)).json.records;
  const refused = await erase({ subject: "about", id: "e" });
  expect(refused).toMatchObject({ status: 409, json: { code: "conflict", clean: true } });
  expect(await call("GET", `${path}/erasures/e`)).toMatchObject({ status: 404, json: { code: "erasure-not-found" } });
  expect((await call("GET", `${path}/records`)).json.records).toEqual(before);
  expect((await call("POST", `${path}/partitions/1/repair`, { mode: "rebuild" })).status).toBe(200);
  expect((await erase({ subject: "about", id: "e" })).status).toBe(202);
  expect((await done("e")).partitions).toHaveLength(2);
});

test("an id is one request's, whichever partitions have it", async () => {
  const { path, append, erase, done } = await made("ids", { partitions: 2 });
  await append(...ten);
  const { records } = (await call("GET", `${path}/records`)).json;
  const keys = [0, 1].map((number) => records.find(({ partition }: { partition: number }) => partition === number).key);
  expect((await erase({ key: keys[0], id: "e" })).status).toBe(202);
  const other = await erase({ key: keys[1], id: "e" });
  expect(other).toMatchObject({ status: 409, json: { code: "conflict", clean: true } });
  expect(await done("e")).toMatchObject({ partitions: [{ partition: 0 }] });
  expect((await call("GET", `${path}/records?key=${keys[1]}`)).json.records).toHaveLength(1);
});

test("a request that is repeated after the stream has grown concerns nothing that came since", async () => {
  const { path, append, erase, done } = await made("grown");
  await append(...ten);
  await erase({ key: word, id: "e" });
  await done("e");
  expect((await call("PUT", path, { partitions: 2 })).status).toBe(200);
  expect((await append(word)).status).toBe(201);
  const again = await erase({ key: word, id: "e" });
  expect(again).toMatchObject({ status: 202, json: { done: true, partitions: [{ partition: 0, to: 10 }] } });
  expect(again.json.partitions).toHaveLength(1);
  expect((await call("GET", `${path}/records?key=${word}`)).json.records).toMatchObject([{ key: word, data: word }]);
  // Another request does concern it.
  await erase({ key: word, id: "other" });
  await done("other");
  expect((await call("GET", `${path}/records?key=${word}`)).json.records).toEqual([]);
});
