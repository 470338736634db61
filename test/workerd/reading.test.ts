/** Reading from inside the Worker: with an old map, and with a client that goes. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { ok } from "../../schemas/errors.ts";
import { lookup, type Route, remember } from "../../src/http/lookup.ts";
import { read } from "../../src/http/read/read.ts";
import { type Env, partitionObject } from "../../src/objects/stubs.ts";
import { call } from "./call.ts";

const bindings = env as unknown as Env;
let count = 0;
let name: string;
const path = () => `/v1/default/streams/${name}`;
beforeEach(async () => {
  name = `reading-${count++}`;
  await call("PUT", path(), {});
});

const append = (...keys: string[]) =>
  call("POST", `${path()}/records`, { records: keys.map((key) => ({ key, data: key })) });

/** A read by this Worker, whose calls to partitions are counted. */
function reading(query: string, signal?: AbortSignal, headers: Record<string, string> = {}) {
  const calls = { read: 0, order: 0 };
  const { PARTITION } = bindings;
  const counting = {
    getByName(...args: Parameters<typeof PARTITION.getByName>) {
      const stub = PARTITION.getByName(...args) as unknown as Record<string, (...args: unknown[]) => unknown>;
      return {
        read: (...args: unknown[]) => [calls.read++, stub.read(...args)][1],
        order: (...args: unknown[]) => [calls.order++, stub.order(...args)][1],
      };
    },
  };
  const request = new Request(`http://millrace${path()}/records?${query}`, { headers, ...(signal && { signal }) });
  const left: Promise<unknown>[] = [];
  const answer = read({
    request,
    env: { ...bindings, PARTITION: counting as never },
    namespace: "default",
    name,
    later: (work) => left.push(work),
  });
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answers.
  return { calls, left, answer: answer.then(async (response) => ({ response, json: (await response.json()) as any })) };
}

async function routeNow(): Promise<Route> {
  const route = await lookup(bindings, "default", name, true);
  if (!route.ok) throw new Error(route.refusal.detail);
  return route.value;
}

/** The stream grows, and this Worker has not heard of it. */
async function growUnheard(partitions: number): Promise<void> {
  const { stream } = await routeNow();
  await call("PUT", path(), { partitions });
  remember("default", name, ok(stream));
}

const waits = async (partition: number) => {
  const { stream } = await routeNow();
  const stub = partitionObject(bindings, stream.logId, partition, undefined);
  return runInDurableObject(stub, (object) => (object as unknown as { waits: { size: number } }).waits.size);
};

describe("a Worker whose map is old", () => {
  test("notices by a partition that says that it is sealed", async () => {
    await append("a", "b", "c");
    await growUnheard(2);
    await append("d", "e", "f");
    remember(
      "default",
      name,
      ok({ ...(await routeNow()).stream, map: [{ ...(await routeNow()).stream.map[0], sealed: false }] }),
    );
    const { json } = await reading("").answer;
    expect(json.records.map(({ key }: { key: string }) => key).sort()).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(json.upToDate).toBe(true);
  });

  test("waits for what comes to the new partitions, and asks each of them a few times", async () => {
    await append("a");
    await growUnheard(4);
    const { answer, calls } = reading("from=latest&wait=20");
    await expect.poll(() => waits(4)).toBe(1);
    // One that is not there yet is asked again when it has been made.
    expect(calls.read).toBeLessThanOrEqual(1 + 4 * 3);
    await append("late");
    expect((await answer).json.records).toMatchObject([{ key: "late" }]);
    expect(calls.read).toBeLessThanOrEqual(1 + 4 * 3 + 3);
    for (const partition of [1, 2, 3, 4]) expect(await waits(partition)).toBe(0);
  });

  test("finds a partition that it does not know, and the newest records of it", async () => {
    await append("a");
    await growUnheard(2);
    expect((await reading("partition=2").answer).response.status).toBe(200);
    await append("b", "c");
    const { stream } = await routeNow();
    remember("default", name, ok({ ...stream, map: [{ ...stream.map[0], sealed: false }] }));
    expect((await reading("from=-2").answer).json.records).toHaveLength(2);
  });
});

test.each([
  ["one partition", 1, "from=latest&wait=20", {}],
  ["several", 3, "from=latest&wait=20", {}],
  ["frames", 1, "from=latest&wait=20", { accept: "application/vnd.millrace.frames" }],
])("a client that goes leaves nothing waiting: %s", async (_, partitions, query, headers) => {
  await call("PUT", path(), { partitions });
  const gone = new AbortController();
  const { answer, left, calls } = reading(query, gone.signal, headers);
  answer.catch(() => {});
  const all = (await routeNow()).stream.map.filter(({ sealed }) => !sealed);
  for (const { partition } of all) await expect.poll(() => waits(partition)).toBe(1);
  gone.abort();
  for (const { partition } of all) await expect.poll(() => waits(partition)).toBe(0);
  expect([left.length, calls.order]).toEqual([all.length, all.length]);
  await Promise.all(left);
});
