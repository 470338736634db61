/** A partition whose database was lost, though the bucket has what was in it: whoever looks is told. */
import { expect, test } from "vitest";
import { call } from "./call.ts";
import { made, until } from "./made.ts";

const keys = Array.from({ length: 10 }, (_, n) => `k${n}`);

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

test("stays damaged where something was appended since, and is dumped as it is", async () => {
  const { path, append, lose, text } = await made("bereft-and-used");
  for (let n = 0; n < 4; n++) await append(...keys);
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await lose(0);
  await append("other");
  expect((await call("GET", `${path}/records`)).json.records).toHaveLength(1);
  const { json } = await call("POST", `${path}/partitions/0/verify`);
  expect(json).toMatchObject({ intact: false, chunks: 1, damaged: [{ from: 0 }] });
  expect(json.damaged[0].reason).toContain("cannot be rebuilt");
  expect(await stateOf(path)).toBe(200);
});

test("of one that is new nothing is said", async () => {
  const { path, append } = await made("new");
  expect((await call("POST", `${path}/partitions/0/verify`)).json).toMatchObject({ intact: true, damaged: [] });
  await append("k");
  expect((await call("POST", `${path}/partitions/0/verify`)).json).toMatchObject({ intact: true, damaged: [] });
});
