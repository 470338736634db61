/** Pages of a group's lanes and attempts, of objects of this version and of the one before, as there are beside each other in a deployment. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ok } from "../../schemas/errors.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import { firstMap } from "../../src/catalog/map.ts";
import { app } from "../../src/http/app.ts";
import { gone } from "../../src/objects/answer.ts";
import "./machine.ts";

beforeAll(() => {
  // As workerd has it, of as many bytes as come.
  const FixedLengthStream = class extends TransformStream {
    constructor(_length: number) {
      super();
    }
  };
  vi.stubGlobal("FixedLengthStream", FixedLengthStream);
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const laneOf = (lane: number, reason = "") => ({
  lane,
  key: `k${lane}`,
  offset: lane,
  state: "parked",
  attempts: 1,
  due: undefined,
  tries: [{ attempt: 1, at: 0, member: "m", reason }],
});
type Lane = ReturnType<typeof laneOf>;

const attemptOf = (at: number) => ({ at, deliveryId: `g.0.${at}`, records: 1, attempt: 1, durationMs: 1, answer: "" });

/** What a delivery says of its lanes and attempts; what it has is by number. */
interface Told {
  lanes(behind: number, limit: number): unknown;
  attempts(): unknown;
}

const ofNow = (lanes: readonly Lane[], attempts: readonly number[]): Told => ({
  lanes(behind, limit) {
    const left = lanes.filter(({ lane }) => lane > behind);
    return ok({ lanes: left.slice(0, limit), more: left.length > limit });
  },
  attempts: () => ok(attempts.map((number) => ({ number, ...attemptOf(number) }))),
});
/** It took no terms, answered all lanes in any order, and gave no numbers to attempts. */
const ofBefore = (lanes: readonly Lane[], attempts: readonly number[]): Told => ({
  lanes: () => ok([...lanes].reverse()),
  attempts: () => ok(attempts.map(attemptOf)),
});
const ofNone: Told = { lanes: () => gone, attempts: () => gone };

const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} } as unknown as ExecutionContext;

let streams = 0;

/** Pages of a list of partitions, each as a query asks for it. */
function group(partitions: readonly Told[]) {
  const stream = {
    name: "s",
    logId: "0".repeat(20),
    version: 1,
    config: { ...streamDefaults, partitions: partitions.length },
    map: firstMap(partitions.length),
    created: 0,
    updated: 0,
  };
  const one = { name: "g", id: "1".repeat(20), version: 1, config: {}, paused: false, partitions: partitions.length };
  const delivery = (name: string) => {
    const told = partitions[Number(name.split("/").at(-1))];
    return {
      admin: async (_: string, behind: number, limit: number) => told.lanes(behind, limit),
      attempts: async () => told.attempts(),
    };
  };
  const env = {
    MILLRACE_ROOT_TOKEN: "token",
    CATALOG: { getByName: () => ({ stream: async () => ok(stream), group: async () => ok({ ...one, created: 0 }) }) },
    DELIVERY: { getByName: delivery },
  };
  const path = `/v1/default/streams/pages-${streams++}/groups/g`;
  return async (list: "lanes" | "attempts", query = "limit=1000") => {
    const found: Record<string, unknown>[][] = [];
    for (let after = ""; ; ) {
      const headers = { authorization: "Bearer token" };
      const answer = await app.request(`${path}/${list}?${query}${after}`, { headers }, env, context);
      expect(answer.status).toBe(200);
      const page = (await answer.json()) as Record<string, never> & { after?: string };
      found.push(page[list]);
      if (page.after === undefined) return found;
      after = `&after=${page.after}`;
    }
  };
}

const lanes = (count: number, from = 1) => Array.from({ length: count }, (_, n) => laneOf(from + n));
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, n) => from + n);
const worlds = {
  "of this version": [ofNow(lanes(7), numbers(5, 3)), ofNow([], []), ofNone, ofNow(lanes(4, 9), numbers(8))],
  "of the one before": [ofBefore(lanes(7), numbers(5)), ofBefore([], []), ofNone, ofBefore(lanes(4, 9), numbers(8))],
  "of both": [ofBefore(lanes(7), numbers(5)), ofNow([], []), ofBefore(lanes(3), numbers(2)), ofNow(lanes(4), [40, 41])],
};

test.each(Object.entries(worlds))("a list of objects %s is whole, in pages of any size", async (_, partitions) => {
  const asked = group(partitions);
  for (const list of ["lanes", "attempts"] as const) {
    const [all, none] = await asked(list);
    expect(none).toBeUndefined();
    expect(all.length).toBeGreaterThan(8);
    const place = ({ partition, offset, at }: Record<string, unknown>) =>
      Number(partition) * 100 + Number(offset ?? Date.parse(String(at)));
    expect(all.map(place)).toEqual(all.map(place).toSorted((a, b) => a - b));
    for (const one of all) expect(one).not.toHaveProperty("number");
    for (let limit = 1; limit <= all.length + 1; limit++) {
      const pages = await asked(list, `limit=${limit}`);
      expect(pages.flat()).toEqual(all);
      expect(pages.map(({ length }) => length)).toEqual(
        Array.from({ length: Math.ceil(all.length / limit) }, (_, n) => Math.min(limit, all.length - n * limit)),
      );
    }
    for (const partition of partitions.keys())
      expect((await asked(list, `limit=2&partition=${partition}`)).flat()).toEqual(
        all.filter((one) => one.partition === partition),
      );
  }
});

test.each([
  ["this version", ofNow],
  ["the one before", ofBefore],
])("a page of an object of %s has a MiB about, and an item at least", async (_, version) => {
  const large = Array.from({ length: 40 }, (_, n) => laneOf(n + 1, "r".repeat(n === 3 ? 2_000_000 : 100_000)));
  const pages = await group([version(large.slice(0, 15), []), version(large.slice(15), [])])("lanes");
  expect(pages.flat().map(({ key }) => key)).toEqual(large.map(({ key }) => key));
  const bytes = pages.map((page) => JSON.stringify(page).length);
  for (const [n, page] of pages.entries()) {
    expect(bytes[n] - JSON.stringify(page.at(-1)).length).toBeLessThan(1_048_576);
    if (n < pages.length - 1) expect(bytes[n]).toBeGreaterThan(1_000_000);
  }
});
