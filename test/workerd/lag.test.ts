/** A group's lag where records are gone, over the whole Worker. */
import { expect, test } from "vitest";
import { call } from "./call.ts";
import { made, until } from "./made.ts";

const keys = Array.from({ length: 10 }, (_, n) => `k${n}`);

const lagOf = async (path: string) => {
  const { json } = await call("GET", `${path}/groups/g/status`);
  return [json.lag, json.partitions[0].lag, json.lagSeconds > 0];
};

test("counts nothing that was cut off", async () => {
  const { path, append } = await made("lag");
  const truncate = (range: object) => call("POST", `${path}/partitions/0/repair`, { mode: "truncate", ...range });
  await append(...keys);
  await call("PUT", `${path}/groups/g`, { start: "earliest" });
  expect(await lagOf(path)).toEqual([10, 10, true]);
  await truncate({ from: 4, to: 7 });
  expect(await lagOf(path)).toEqual([7, 7, true]);
  await truncate({ from: 0 });
  expect(await lagOf(path)).toEqual([0, 0, false]);
  await append("later");
  expect(await lagOf(path)).toEqual([1, 1, true]);
});

test("counts nothing that was lost with a database", async () => {
  const { path, append, lose, text } = await made("lost-lag", { retentionRecords: 8 });
  for (let n = 0; n < 4; n++) await append(...keys);
  await call("PUT", `${path}/groups/g`, { start: "earliest" });
  await until(async () => ((await text()).includes("k9") ? true : undefined));
  await lose(0);
  expect((await call("POST", `${path}/partitions/0/repair`, { mode: "rebuild" })).status).toBe(200);
  const { json } = await call("GET", `${path}/partitions/0`);
  expect(await lagOf(path)).toEqual([json.records, json.records, true]);
  await append("later");
  expect((await lagOf(path))[0]).toBe(json.records + 1);
});

test("counts nothing that was trimmed before it was read", async () => {
  const { path, append } = await made("trimmed-lag");
  await append(...keys);
  await call("PUT", `${path}/groups/g`, { start: "earliest" });
  await call("POST", `${path}/partitions/0/trim`, { beforeOffset: 6 });
  // Nobody has read yet that they are gone: the status alone finds what is left, and how old it is.
  expect(await lagOf(path)).toEqual([4, 4, true]);
  const { json } = await call("POST", `${path}/groups/g/receive`, { max: 10 });
  expect(json.deliveries).toHaveLength(4);
  expect((await call("GET", `${path}/groups/g/status`)).json.lag).toBe(4);
});
