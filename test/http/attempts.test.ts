/** The list of the last requests of a push, over HTTP and on the command line. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { start } from "./cli.ts";
import { type Group, newGroup } from "./group.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service, token } from "./service.ts";

interface Attempt {
  readonly partition: number;
  readonly at: string;
  readonly deliveryId: string;
}

let millrace: Service;
let receiver: Receiver;
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
  receiver = await Receiver.open();
});
afterAll(async () => {
  await receiver.close();
  await millrace.end();
});

/** So many records, of each partition, are pushed. */
async function pushed(group: Group, counts: readonly number[]): Promise<void> {
  const before = receiver.calls.length;
  for (const [partition, count] of counts.entries()) {
    if (count === 0) continue;
    const records = Array.from({ length: count }, (_, n) => ({ data: n }));
    const { status } = await millrace.call("POST", `${group.stream}/records?partition=${partition}`, { records });
    expect(status).toBe(201);
  }
  const all = before + counts.reduce((sum, count) => sum + count, 0);
  await expect.poll(() => receiver.calls.length, { timeout: 20_000 }).toBe(all);
  await expect.poll(async () => (await group.status()).lag, { timeout: 20_000 }).toBe(0);
}

const pushing = (partitions: number) => newGroup(millrace, { push: { url: receiver.url } }, { partitions });

async function pages(group: Group, limit: number, query = ""): Promise<Attempt[][]> {
  const found: Attempt[][] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const { json } = await group.get(`/attempts?limit=${limit}${after && `&after=${after}`}${query}`);
    found.push(json.attempts);
    after = json.after;
  }
  return found;
}

describe("the list of a push's attempts", () => {
  test.each([[[60]], [[55, 0, 20, 51]]])("comes in pages, by partition, with the last 50 of %j", async (counts) => {
    const group = await pushing(counts.length);
    await pushed(group, counts);
    const [all, none] = await pages(group, 1_000);
    expect(none).toBeUndefined();
    const kept = counts.flatMap((count, partition) => Array.from({ length: Math.min(50, count) }, () => partition));
    expect(all.map(({ partition }) => partition)).toEqual(kept);
    expect(new Set(all.map(({ deliveryId }) => deliveryId)).size).toBe(all.length);
    for (const limit of [1, 7, 50, all.length, all.length - 1]) {
      const some = await pages(group, limit);
      expect(some.flat()).toEqual(all);
      // Nor is there a last one that is empty.
      expect(some.map(({ length }) => length)).toEqual(
        Array.from({ length: Math.ceil(all.length / limit) }, (_, n) => Math.min(limit, all.length - n * limit)),
      );
    }
    for (const partition of counts.keys())
      expect((await pages(group, 9, `&partition=${partition}`)).flat()).toEqual(
        all.filter((one) => one.partition === partition),
      );
  });

  test("goes on where it was, though there are new ones and the oldest have gone", async () => {
    const group = await pushing(1);
    await pushed(group, [50]);
    const first = (await group.get("/attempts?limit=20")).json;
    await pushed(group, [25]);
    const rest = (await pages(group, 20, "")).flat();
    const { json } = await group.get(`/attempts?limit=1000&after=${first.after}`);
    // Five that were not shown yet have gone, too.
    expect(json).toEqual({ attempts: rest });
    const shown = new Set(first.attempts.map(({ deliveryId }: Attempt) => deliveryId));
    expect(json.attempts.filter(({ deliveryId }: Attempt) => shown.has(deliveryId))).toEqual([]);
  });

  test("has a limit, and who asks for none has the first 100", async () => {
    const group = await pushing(3);
    await pushed(group, [40, 40, 40]);
    const { json } = await group.get("/attempts");
    expect(json).toMatchObject({ attempts: { length: 100 }, after: "2.19" });
    // What it is numbered by is no more than where to go on.
    expect(Object.keys(json.attempts[0]).sort()).toEqual(
      ["answer", "at", "attempt", "deliveryId", "durationMs", "partition", "records", "status"].sort(),
    );
    for (const query of ["limit=1", `limit=${limits.listMax}`, "after=0.0", "after=9.9", "partition=2"])
      expect((await group.get(`/attempts?${query}`)).status, query).toBe(200);
    const wrong = ["limit=0", `limit=${limits.listMax + 1}`, "limit=", "after=", "after=1", "after=0.0.0", "key=a"];
    for (const query of wrong) expect((await group.get(`/attempts?${query}`)).status, query).toBe(400);
    const none = await group.get("/attempts?partition=3");
    expect(none).toMatchObject({ status: 404, json: { code: "partition-not-found" } });
  });

  test("is shown whole by the command line, in the order of times over all partitions", async () => {
    const group = await pushing(3);
    for (let round = 0; round < 3; round++) await pushed(group, [15, 15, 15]);
    const names = [group.stream.split("/").at(-1) as string, group.name];
    const env = { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token };
    const { code, lines } = await start(["groups", "attempts", ...names, "--json"], env).ended;
    const shown: Attempt[] = lines.map((line) => JSON.parse(line));
    expect([code, shown.length]).toEqual([0, 135]);
    const times = shown.map(({ at }) => at);
    expect(times).toEqual(times.toSorted());
    expect(new Set(shown)).toEqual(new Set((await pages(group, 1_000)).flat()));
  });
});
