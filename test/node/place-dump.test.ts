/** What a dump has of a group's place: every row that a delivery keeps is in it, or has a reason not to be. */
import { expect, test, vi } from "vitest";
import { placeDump } from "../../schemas/dump.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import { placePage, takePlace } from "../../src/delivery/dump.ts";
import { Store } from "../../src/delivery/store.ts";
import { deliveryPlaces, withoutText } from "../../src/log/forgetting.ts";
import type { Keeper } from "../../src/objects/keeper.ts";
import { inherit } from "../../src/objects/operating.ts";
import { Rig, specOf, value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

/** Rows of `meta`, of the only lists that there are. */
const rows = [...Object.values(deliveryPlaces).flat(), ...withoutText.delivery].flatMap((name) =>
  name.startsWith("meta:") ? [name.slice(5)] : [],
);

const left: Record<string, string> = {
  format: "of the database",
  spec: "the group's block has it",
  secret: "receipts are not restored",
  incident: "leases are not restored, and neither is which of them are of an incident",
  rate: "a bucket is full again",
  heirs: "they ask anew",
  forgotten: "nothing is on its way",
  attempts: "requests of another deployment",
  health: "the receiver is tried anew",
  restoring: "of a restore",
  restored: "of a restore",
};

const values: Record<string, string> = {
  paused: '{"reason":"r","at":1}',
  heritage: "holding",
  unheard: "[2,1]",
  forwarded: "7",
  lost: '[{"from":0,"to":2,"why":"trimmed"}]',
};

test.each(rows)("meta: %s is dumped and restored as it was, or has a reason not to be", (name) => {
  const rig = new Rig(nodeSql(), nodeSql());
  rig.append(["a"]);
  rig.ack(...rig.receive());
  rig.delivery.state.save();
  const store = new Store(rig.sql);
  const before = placePage(store).place;
  if (name in left) return expect(values).not.toHaveProperty(name);
  store.setMeta(name, values[name]);
  const { place } = placePage(store);
  expect(place).not.toEqual(before);
  const { done, acked, ...rest } = place!;
  const block = { group: "g", partition: 0, done: "", acked: "", ...rest };
  expect(placeDump.safeParse(block)).toMatchObject({ success: true, data: { [name]: rest[name as "floor"] } });
  const sql = nodeSql();
  value(takePlace(sql, "default", [{ place: place! }, { settled: { lanes: 0, letters: 0 } }]));
  expect(new Store(sql).meta(name)).toBe(values[name]);
});

test("a group that is restored in the middle of a seek gives nothing out before those that continue it have heard", async () => {
  const rig = new Rig(nodeSql(), nodeSql());
  rig.append(["a"]);
  rig.delivery.state.unheard.add([2, 1]);
  rig.delivery.state.save();
  const { place } = placePage(new Store(rig.sql));
  const sql = nodeSql();
  value(takePlace(sql, "default", [{ place: place! }, { settled: { lanes: 0, letters: 0 } }]));
  // As long as it is only restored it would not know what it was told.
  await expect(inherit(undefined, sql, true)).rejects.toThrow("not in use yet");
  const terms = { lanesMax: 10, now: rig.now, draw: () => [1, 2, 3, 4] as const, chance: () => 0 };
  const { state } = Delivery.create(sql, specOf(), 0, terms);
  expect(state.unheard.next).toBe(1);
  const told = vi.fn();
  await inherit({ inherit: told } as unknown as Keeper, sql, true);
  expect(told).toHaveBeenCalledWith(true);
  await inherit(undefined, nodeSql(), true);
});

test.each([["[0]"], ["[1,0]"], ["[]"], ["{}"], ['["1"]']])("refuses who is to hear that cannot be: %s", (unheard) => {
  const place = { group: "g", partition: 0, floor: 0, era: 0, done: "", paused: null, heritage: null, forwarded: 0 };
  expect(placeDump.safeParse(place).success).toBe(true);
  expect(placeDump.safeParse({ ...place, unheard: "[1]" }).success).toBe(true);
  expect(placeDump.safeParse({ ...place, unheard }).success).toBe(false);
});
