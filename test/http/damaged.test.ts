/** Every way of reading, over a segment whose object is gone: everything else is delivered, and exactly what is missing is told. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Archived, archived, until } from "./archived.ts";
import { Found, ways } from "./readers.ts";

let service: Archived;
beforeAll(async () => {
  service = await archived();
  for (const partitions of [1, 3]) broken.set(partitions, await make(partitions));
});
afterAll(() => service.end());

interface Broken {
  readonly stream: string;
  /** In the merged order. */
  readonly places: readonly string[];
  readonly missing: { readonly partition: number; readonly from: number; readonly to: number };
}
const broken = new Map<number, Broken>();

/** A stream of which an object in the midst of the last partition is gone. */
async function make(partitions: number): Promise<Broken> {
  const stream = `broken-${partitions}`;
  const path = `/v1/default/streams/${stream}`;
  await service.call("PUT", path, { partitions, archive: true, retentionRecords: 12, deduplicationWindowMs: 0 });
  for (let n = 0; n < 60; n += 6) {
    for (let partition = 0; partition < partitions; partition++) {
      const records = Array.from({ length: 6 }, (_, index) => ({ data: n + index }));
      await service.call("POST", `${path}/records?partition=${partition}`, { records });
    }
  }
  const all = (await service.call("GET", `${path}/records?limit=10000`)).json.records;
  const partition = partitions - 1;
  await until(`${stream} is cold`, async () => {
    const { hotFrom } = (await service.call("GET", `${path}/partitions/${partition}`)).json;
    return hotFrom > 30 ? true : undefined;
  });
  const { logId } = (await service.call("GET", path)).json;
  const { blobs } = await service.bucket.list(`logs/${logId}/${partition}/`);
  await service.bucket.delete([blobs[2].key]);
  const { json } = await service.call("POST", `${path}/partitions/${partition}/verify`);
  const [{ from, to }] = json.damaged;
  expect(to - from).toBeGreaterThan(1);
  const places = all.map((one: { partition: number; offset: number }) => `${one.partition}.${one.offset}`);
  return { stream, places, missing: { partition, from, to } };
}

describe.each([1, 3])("of %i partitions", (partitions) => {
  test.each(ways.filter(({ only }) => only !== "cursor"))("$name", async ({ way, only, follows }) => {
    const { stream, places, missing } = broken.get(partitions) as Broken;
    const whole = { from: "earliest" as string | number, partition: undefined as number | undefined, start: 0 };
    // From the midst of what is missing, too.
    const inside = { from: missing.from + 1, partition: missing.partition, start: missing.from + 1 };
    for (const { from, partition, start } of only === "one" ? [inside] : [whole, inside]) {
      const isMissing = (offset: number) => offset >= missing.from && offset < missing.to;
      const wanted = places.filter((place) => {
        const [number, offset] = place.split(".").map(Number);
        if (partition !== undefined && number !== partition) return false;
        return offset >= start && !(number === missing.partition && isMissing(offset));
      });
      const found = new Found();
      const enough = (found: Found) => found.places.length >= wanted.length && found.lost.length > 0;
      await way({ service, stream, from, partition, key: undefined, enough }, found);
      const order = (some: readonly string[]) => (follows ? Map.groupBy(some, (place) => place.split(".")[0]) : some);
      expect(order(found.places)).toEqual(order(wanted));
      const range = { ...missing, from: Math.max(missing.from, start), why: expect.any(String) };
      expect(found.lost).toEqual([range]);
    }
  });
});
