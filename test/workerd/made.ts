/** An archived stream of the whole Worker, whose partitions may lose their databases. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { archive, catalog, type Env } from "../../src/objects/stubs.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { textOf } from "../cases/archive.ts";
import { call } from "./call.ts";

const bindings = env as unknown as Env;
export const bucket = archive(bindings) as Blobs;

export async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 20_000; ; ) {
    const found = await ask();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error("waited in vain");
    await scheduler.wait(20);
  }
}

export async function made(name: string, config: object = {}) {
  const path = `/v1/default/streams/${name}`;
  await call("PUT", path, { archive: true, retentionRecords: 80, deduplicationWindowMs: 0, ...config });
  const stream = await catalog(bindings, "default").stream(name);
  if (!stream.ok) throw new Error(stream.refusal.detail);
  const { logId } = stream.value;
  const append = (...keys: string[]) =>
    call("POST", `${path}/records`, { records: keys.map((key) => ({ key, data: key })) });
  const erase = (body: object) => call("POST", `${path}/erasures`, body);
  const done = (id: string) =>
    until(async () => {
      const { status, json } = await call("GET", `${path}/erasures/${id}`);
      expect(status).toBe(200);
      return json.done ? json : undefined;
    });
  const change = async (partition: number, work: (storage: DurableObjectStorage) => unknown) => {
    const stub = bindings.PARTITION.getByName(`${logId}/${partition}`);
    await runInDurableObject(stub, async (_object, { storage }) => void (await work(storage)));
    await evictDurableObject(stub);
  };
  /** The partition's database is lost. */
  const lose = (partition: number) => change(partition, (storage) => storage.deleteAll());
  /** The same, and the bucket could not be asked when it was made anew. */
  const loseUnnoticed = async (partition: number) => {
    await lose(partition);
    await call("GET", `${path}/records?partition=${partition}`);
    await change(partition, ({ sql }) => sql.exec("DELETE FROM meta WHERE name = 'bereft'"));
  };
  const text = () => textOf(bucket, `logs/${logId}/`);
  return { path, append, erase, done, lose, loseUnnoticed, text };
}
