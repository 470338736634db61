/** What is verified may be rewritten meanwhile, and nothing is damaged by that. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Proxied, proxied, until } from "./archived.ts";

let behind: Proxied;
let proxy: Proxied["proxy"];
let millrace: Proxied["millrace"];
beforeAll(async () => {
  behind = await proxied();
  ({ proxy, millrace } = behind);
});
afterAll(() => behind.end());

const stream = "/v1/default/streams/s";
const append = (data: string) => millrace.call("POST", `${stream}/records`, { records: [{ key: "k", data }] });

const archivedAre = (count: number) =>
  until(`${count} segments, each with an object`, async () => {
    const { segments, archived } = (await millrace.call("GET", `${stream}/partitions/0`)).json;
    return segments === count && archived.segments === count ? true : undefined;
  });

test("segments that are put together, and one that is archived behind them, while an object is read", async () => {
  // Each record is a segment.
  const config = { archive: true, retentionRecords: 8, deduplicationWindowMs: 0 };
  expect((await millrace.call("PUT", stream, config)).status).toBe(201);
  // The last one is so large that what comes next is not worth another pass.
  for (const data of ["one", "two", "x".repeat(1_000)]) await append(data);
  await archivedAre(3);
  let times = 0;
  const held = async () => {
    if (times++ > 0) return;
    await millrace.call("PUT", stream, { compact: true });
    await archivedAre(1);
    await append("next");
    await archivedAre(2);
  };
  proxy.always({ held }, (request) => /^GET .*0000000000000002-/.test(request));
  const { json } = await millrace.call("POST", `${stream}/partitions/0/verify`);
  expect(times).toBe(1);
  expect(json).toMatchObject({ intact: true, damaged: [] });
});
