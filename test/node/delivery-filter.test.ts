/** A group's filter, wherever a record comes from: the window, lanes of its key, lanes of one record, an incident. */
import { describe, expect, test } from "vitest";
import { clientMessage } from "../../schemas/frames.ts";
import { type GroupConfig, groupConfig } from "../../schemas/group.ts";
import { filterOf } from "../../src/http/read/terms.ts";
import { Rig } from "../cases/delivery.ts";
import { check } from "../cases/delivery-check.ts";
import { nodeSql } from "./sqlite.ts";

const rig = (config: Partial<GroupConfig>) => new Rig(nodeSql(), nodeSql(), config);
const restarts = [false, true];

test.each(restarts)("an incident lets no key through that the filter leaves out (restart: %s)", (restarts) => {
  const r = rig({ filter: { key: "a" }, only: ["b", "a"] });
  r.append(["b", "a", "b"]);
  if (restarts) r.crash();
  expect(r.drain()).toEqual([1]);
  r.append(["b", "a"]);
  expect(r.drain()).toEqual([4]);
  check(r.delivery.state);
  r.configure({ only: null });
  expect(r.drain()).toEqual([]);
  expect(r.status()).toMatchObject({ lag: 0, head: 5, lanes: { others: 0, retrying: 0 } });
});

test.each(restarts)("a key that the filter wants again goes on in the incident (restart: %s)", (restarts) => {
  const r = rig({ filter: { key: "a" }, only: ["b"] });
  r.append(["b", "a", "b"]);
  expect(r.drain()).toEqual([]);
  if (restarts) r.crash();
  r.configure({ filter: null });
  expect(r.drain()).toEqual([0, 2]);
  r.configure({ only: null });
  expect(r.drain()).toEqual([1]);
  expect(r.status()).toMatchObject({ lag: 0, head: 3 });
});

test.each(restarts)(
  "what a lane goes ahead with in an incident ends where the filter changes (restart: %s)",
  (restarts) => {
    const r = rig({ only: ["a"] });
    r.append(["a", "b", "a"]);
    expect(r.drain()).toEqual([0, 2]);
    r.configure({ filter: { key: "b" } });
    r.append(["a", "b"]);
    if (restarts) r.crash();
    expect(r.drain()).toEqual([]);
    r.configure({ only: null });
    expect(r.drain()).toEqual([1, 4]);
    check(r.delivery.state);
    expect(r.status()).toMatchObject({ lag: 0, head: 5, lanes: { others: 0 } });
  },
);

test.each(["key", "none", "partition"] as const)(
  "a lane reads nothing more that a new filter leaves out, in order of %s",
  (order) => {
    for (const restarts of [false, true]) {
      const r = rig({ order, backoff: [1_000], maxInFlight: 1 });
      r.append(["a", "b"]);
      r.nack(r.receive(1));
      r.append(["a", "b"]);
      r.configure({ filter: { key: "b" } });
      if (restarts) r.crash();
      r.append(["a", "b"]);
      const got = r.drain();
      // What was at hand had been chosen before.
      const read = order === "key" ? [0, 1, 3, 5] : [0, 1, 2, 3, 5];
      expect(got.sort()).toEqual(restarts ? [1, 3, 5] : got.includes(2) ? read : read.filter((one) => one !== 2));
      check(r.delivery.state);
      expect(r.status()).toMatchObject({ lag: 0, head: 6, lanes: { retrying: 0, others: 0 } });
    }
  },
);

test("a letter that is redriven is wanted, whatever the filter says since", () => {
  for (const order of ["key", "none", "partition"] as const) {
    const r = rig({ order, onFailure: "park", maxDeliveries: 1 });
    r.append(["a", "a", "b"]);
    r.nack(r.receive(1));
    r.configure({ filter: { key: "b" } });
    r.crash();
    r.admin.redrive("all", undefined, r.now);
    expect(r.drain().sort()).toEqual([0, 2]);
    expect(r.status()).toMatchObject({ lag: 0, deadLetters: 0, head: 3 });
  }
});

test("a record that failed, and was trimmed before it was read again, holds up no partition in order", () => {
  const r = rig({ order: "partition", backoff: [0] });
  r.append(["a", "b"]);
  r.nack(r.receive(1));
  r.crash();
  r.log.trim(1, 0);
  expect(r.drain()).toEqual([1]);
  expect(r.status()).toMatchObject({ lag: 0, head: 2, lanes: { retrying: 0 } });
});

describe.each([
  ["a group", (filter: unknown) => groupConfig.safeParse({ filter })],
  ["a subscription", (filter: unknown) => clientMessage.safeParse({ type: "subscribe", id: 0, credits: 1, filter })],
  ["a read", (filter: unknown) => ({ success: filterOf(filter as Parameters<typeof filterOf>[0]).ok })],
] as const)("%s", (what, take) => {
  test.each([{ match: "any" }, { match: "all" }, {}])("takes no filter that names nothing: %j", (filter) => {
    // A read without a filter is one of everything.
    const isNone = what === "a read" && Object.keys(filter).length === 0;
    expect(take(filter).success).toBe(isNone);
    expect(take({ ...filter, key: "a" }).success).toBe(true);
  });
});
