/** `millrace streams erase`: how a request stands, and what it says where something could not be searched. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Archived, archived, until } from "./archived.ts";
import { runCli } from "./cli.ts";
import { token } from "./service.ts";

let service: Archived;
beforeAll(async () => {
  service = await archived();
  await service.call("PUT", stream, { archive: true, retentionRecords: 80, deduplicationWindowMs: 0 });
  for (let at = 0; at < 200; at += 10) {
    const records = Array.from({ length: 10 }, (_, index) => ({ key: `k${index % 5}`, data: "x".repeat(100) }));
    expect((await service.call("POST", `${stream}/records`, { records })).status).toBe(201);
  }
  await until("some of it is in the archive only", async () =>
    (await service.call("GET", `${stream}/partitions/0`)).json.hotFrom >= 90 ? true : undefined,
  );
});
afterAll(() => service.end());

const stream = "/v1/default/streams/tended";
const erase = (...args: string[]) =>
  runCli(["streams", "erase", "tended", ...args], { MILLRACE_URL: service.url, MILLRACE_TOKEN: token });

test("an id alone shows how that request stands, and begins none", async () => {
  expect(await erase("--key", "k1", "--id", "gdpr-1", "--wait", "--yes")).toMatchObject({ code: 0, err: "" });
  const stands = await erase("--id", "gdpr-1");
  expect(stands).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^partition 0: forgot 40 .*\nreceipt gdpr-1\n$/),
  });
  expect(JSON.parse((await erase("--id", "gdpr-1", "--json")).out)).toMatchObject({ id: "gdpr-1", done: true });
  expect(await erase("--id", "gdpr-2")).toMatchObject({ code: 1, out: "" });
  expect(await erase()).toMatchObject({ code: 2, err: expect.stringContaining("--id alone") });
  expect(await erase("--key", "a", "--subject", "b")).toMatchObject({ code: 2, out: "" });
});

test("it ends with 1 where something is damaged, and was not searched", async () => {
  const { logId } = (await service.call("GET", stream)).json;
  const { blobs } = await service.bucket.list(`logs/${logId}/`);
  await service.bucket.delete([blobs[2].key]);
  const ended = await erase("--key", "k2", "--id", "gdpr-3", "--wait", "--yes");
  expect(ended).toMatchObject({ code: 1, err: "" });
  expect(ended.out).toMatch(/damaged, and not searched: .*\nnot everything was searched; .*\nreceipt gdpr-3\n$/);
  expect(await erase("--id", "gdpr-3", "--json")).toMatchObject({ code: 1 });
});
