/**
 * Every way of reading × every kind of place × hot or archived × one partition or several: from the place on everything is
 * delivered, once and in order, and exactly what is missing is told.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCursor } from "../../src/log/cursor.ts";
import { long } from "../cases/long.ts";
import { type Archived, archived, until } from "./archived.ts";
import { Found, ways } from "./readers.ts";

let service: Archived;
beforeAll(async () => {
  service = await archived();
  for (const [name, make] of Object.entries(made)) streams.set(name, await make(name));
});
afterAll(() => service.end());

interface Stored {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: string;
  readonly key: string;
}

/** A stream, all that was ever appended to it in the merged order, and places in it from before anything was trimmed. */
interface Made {
  readonly stored: readonly Stored[];
  readonly heads: readonly number[];
  readonly tails: readonly number[];
  readonly cursors: Readonly<Record<string, string>>;
}
const streams = new Map<string, Made>();

const of = (name: string) => `/v1/default/streams/${name}`;
const put = (name: string, config: object) => service.call("PUT", of(name), { deduplicationWindowMs: 0, ...config });

async function append(name: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 6) {
    const records = Array.from({ length: 6 }, (_, index) => ({ key: `k${(at + index) % 12}`, data: at + index }));
    expect((await service.call("POST", `${of(name)}/records`, { records })).status).toBe(201);
  }
}

async function pages(name: string, query: string) {
  return (await service.call("GET", `${of(name)}/records?${query}`)).json;
}

/** Everything that a stream holds, and cursors at its beginning, in it, and at its end. */
async function lookedAt(name: string) {
  const all = await pages(name, "limit=10000");
  expect(all.upToDate).toBe(true);
  const start = (await pages(name, "limit=1")).cursor;
  const middle = (await pages(name, `limit=${Math.floor(all.records.length / 2)}`)).cursor;
  return { stored: all.records as Stored[], cursors: { start, middle, end: all.cursor as string } };
}

const facts = async (name: string, partition: number) =>
  (await service.call("GET", `${of(name)}/partitions/${partition}`)).json;

/** Trims partitions, in the order of the shares, and says where they begin and end then. */
async function trimmed(name: string, shares: readonly number[]): Promise<Pick<Made, "heads" | "tails">> {
  const [heads, tails]: number[][] = [[], []];
  for (const [partition, share] of shares.entries()) {
    const { tail } = await facts(name, partition);
    const beforeOffset = Math.floor(tail * share);
    await service.call("POST", `${of(name)}/partitions/${partition}/trim`, { beforeOffset });
    heads.push(beforeOffset);
    tails.push(tail);
  }
  return { heads, tails };
}

async function cooled(name: string, partitions: number): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    await until(`${name} is cold`, async () => {
      const { hotFrom, tail } = await facts(name, partition);
      return hotFrom > tail * 0.6 ? true : undefined;
    });
  }
}

const cold = { archive: true, retentionRecords: 12 };

const made: Record<string, (name: string) => Promise<Made>> = {
  async hot(name) {
    await put(name, {});
    await append(name, 60);
    return { ...(await lookedAt(name)), ...(await trimmed(name, [0.4])) };
  },
  async archived(name) {
    await put(name, cold);
    await append(name, 120);
    await cooled(name, 1);
    return { ...(await lookedAt(name)), ...(await trimmed(name, [0.3])) };
  },
  async "hot-several"(name) {
    await put(name, { partitions: 3 });
    await append(name, 90);
    return { ...(await lookedAt(name)), ...(await trimmed(name, [0.5, 0, 0.9])) };
  },
  async "archived-several"(name) {
    await put(name, { ...cold, partitions: 3 });
    await append(name, 240);
    await cooled(name, 3);
    return { ...(await lookedAt(name)), ...(await trimmed(name, [0, 0.3, 0.95])) };
  },
  async empty(name) {
    await put(name, {});
    await append(name, 12);
    return { ...(await lookedAt(name)), ...(await trimmed(name, [1])) };
  },
  // Its cursors are from before the partitions that continue it.
  async grown(name) {
    await put(name, {});
    await append(name, 24);
    const { cursors } = await lookedAt(name);
    await put(name, { partitions: 2 });
    await append(name, 48);
    const { stored } = await lookedAt(name);
    return { stored, cursors, ...(await trimmed(name, [0.5, 0.4, 0])) };
  },
};

interface Place {
  readonly from: string | number;
  readonly partition?: number;
  /** Where it is in each partition, without regard to heads. Undefined where it lies in none: it is above every head. */
  readonly starts?: ReadonlyMap<number, number>;
  readonly wanted: (one: Stored) => boolean;
}

/** Kinds of places in a stream, with what lies behind each. */
function placesOf({ stored, heads, tails, cursors }: Made): Record<string, Place> {
  const places: Record<string, Place> = {};
  for (const [name, cursor] of Object.entries(cursors)) {
    const named = readCursor(cursor)?.offsets;
    const starts = new Map(heads.map((_, partition) => [partition, named?.get(partition) ?? 0]));
    places[`the cursor at its ${name}`] = {
      from: cursor,
      starts,
      wanted: ({ partition, offset }) => offset >= (starts.get(partition) as number),
    };
  }
  const [head] = heads;
  for (const [name, offset] of Object.entries({ first: 0, "last before the head": head - 1, head, tail: tails[0] })) {
    if (offset < 0) continue;
    places[`offset, ${name}`] = {
      from: offset,
      partition: 0,
      starts: new Map([[0, offset]]),
      wanted: (one) => one.partition === 0 && one.offset >= offset,
    };
  }
  places.earliest = { from: "earliest", wanted: () => true };
  places["a time of what was trimmed"] = { from: stored[0].timestamp, wanted: () => true };
  places.latest = { from: "latest", wanted: () => false };
  for (const count of [3, 10_000]) places[`-${count}`] = { from: `-${count}`, wanted: () => true };
  return places;
}

/** Each way from each kind of place is tried in each stream: with a key in every other, without one in those between. */
const keysOf = (...combination: number[]) =>
  long ? [undefined, "k3"] : [combination.reduce((sum, at) => sum + at) % 2 === 0 ? undefined : "k3"];

describe.each(Object.keys(made).map((name, at) => [name, at] as const))("%s", (name, streamAt) => {
  test.each(ways)("$name", async (wayOf) => {
    const { name: how, way, only, follows } = wayOf;
    const stream = streams.get(name) as Made;
    const several = stream.heads.length > 1;
    const looks = Object.entries(placesOf(stream)).flatMap(([kind, place], placeAt) => {
      const one = place.partition !== undefined || !several;
      if ((only === "one" && !one) || (only === "cursor" && !kind.includes("cursor"))) return [];
      return keysOf(streamAt, ways.indexOf(wayOf), placeAt).map(async (key) => {
        // Of a key only its partition, and those it was split from, are read.
        const lineage = new Set(
          stream.stored.filter((one) => key === undefined || one.key === key).map((one) => one.partition),
        );
        const inScope = (partition: number) =>
          place.partition === undefined ? key === undefined || lineage.has(partition) : place.partition === partition;
        const lost = [...(place.starts ?? [])]
          .filter(([partition, start]) => inScope(partition) && start < stream.heads[partition])
          .map(([partition, from]) => ({ partition, from, to: stream.heads[partition], why: "trimmed" }));
        const behind = stream.stored
          .filter(({ partition, offset }) => offset >= stream.heads[partition] && inScope(partition))
          .filter((one) => place.wanted(one) && (key === undefined || one.key === key));
        const count = /^-\d+$/.test(String(place.from)) ? Number(place.from) : 0;
        const wanted = behind.slice(count).map(({ partition, offset }) => `${partition}.${offset}`);
        const found = new Found();
        const enough = ({ places, lost: told }: Found) => places.length >= wanted.length && told.length >= lost.length;
        const task = { service, stream: name, from: place.from, partition: place.partition, key, enough };
        // A library that follows and gets nothing has nothing to stop at.
        if (wanted.length === 0 && how.includes("library's follow")) return;
        await way(task, found);
        const about = `${kind}${key === undefined ? "" : `, key ${key}`}`;
        const order = (places: readonly string[]) => (follows ? byPartition(places) : places);
        expect(order(found.places), about).toEqual(order(wanted));
        expect(byPlace(found.lost), about).toEqual(byPlace(lost));
      });
    });
    await Promise.all(looks);
  });
});

/** Followers have an order in each partition, and none between them. */
const byPartition = (places: readonly string[]) => Map.groupBy(places, (place) => Number(place.split(".")[0]));
const byPlace = <T extends { partition: number; from: number }>(ranges: readonly T[]) =>
  [...ranges].sort((a, b) => a.partition - b.partition || a.from - b.from);
