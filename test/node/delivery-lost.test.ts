/** What the group never got: it is told, over crashes and dumps too, until a member has been told. */
import { expect, test } from "vitest";
import { Delivery } from "../../src/delivery/delivery.ts";
import { placePage, takePlace } from "../../src/delivery/dump.ts";
import { Losses } from "../../src/delivery/losses.ts";
import { Store } from "../../src/delivery/store.ts";
import { Rig, specOf, value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

const rig = () => new Rig(nodeSql(), nodeSql());

/** The first record has failed, so many of the others are finished, and a lane is all that is left below `to`. */
function trimmedOfLane(keys: (string | undefined)[], finished: number | undefined, to: number) {
  const r = rig();
  r.append(keys);
  r.nack(r.receive(1), 1_000);
  r.ack(...r.receive(finished));
  r.crash();
  r.log.trim(to, 0);
  r.now += 1_000;
  r.fill();
  return { r, lost: [{ from: 0, to, why: "trimmed" }] };
}

/** A group that has lost something, in each of the ways in which it can, and what. */
const ways: [string, () => { r: Rig; lost: object[] }][] = [
  [
    "what was trimmed before it was read",
    () => {
      const r = rig();
      r.append(["a", "b", "c"]);
      r.log.trim(2, 0);
      r.fill();
      return { r, lost: [{ from: 0, to: 2, why: "trimmed" }] };
    },
  ],
  ["what was trimmed of a lane", () => trimmedOfLane(["a", "a", "b"], 1, 2)],
  ["what was trimmed of a record without a key", () => trimmedOfLane([undefined, "b", "c"], undefined, 1)],
  [
    "what is damaged",
    () => {
      const r = rig();
      const damaged = { chunk: 1, from: 0, to: 2, reason: "its checksum" };
      r.delivery.reader.take({}, { from: 0, to: 2, pieces: [{ damaged }], tail: 2, sealed: false }, r.now);
      r.delivery.state.save();
      return { r, lost: [{ from: 0, to: 2, why: "damaged" }] };
    },
  ],
];

test.each(ways)("%s is told over crashes, until it was told", (_what, lose) => {
  const { r, lost } = lose();
  expect(r.status().lost).toEqual(lost);
  r.crash();
  expect(r.status().lost).toEqual(lost);
  // The member had gone.
  r.delivery.state.lost.putBack(r.delivery.state.lost.take());
  r.delivery.state.save();
  r.crash();
  expect(r.delivery.state.lost.take()).toEqual(lost);
  r.delivery.state.save();
  r.crash();
  expect(r.status().lost).toEqual([]);
});

test.each(ways)("%s is in a dump, and told by the group that is restored", (_what, lose) => {
  const { r, lost } = lose();
  const { place, lanes, letters } = placePage(new Store(r.sql));
  const sql = nodeSql();
  const parts = [{ place: place! }, { lanes }, ...letters.map((letter) => ({ letter }))];
  const settled = { lanes: lanes.length, letters: letters.length };
  expect(value(takePlace(sql, "default", [...parts, { settled }]))).toMatchObject({ complete: true });
  const terms = { lanesMax: 10, now: r.now, draw: () => [1, 2, 3, 4] as const, chance: () => 0 };
  const restored = Delivery.create(sql, specOf(), 0, terms);
  expect(restored.state.lost.all).toEqual(lost);
  expect(placePage(new Store(sql)).place).toEqual(place);
});

test("damage that is met again after a restart is told once", () => {
  const r = rig();
  r.append(["a", "b", "c", "d"]);
  const [page, damaged] = [
    r.log.read({ from: { at: "offset", offset: 0 }, limit: 10, bytesMax: 1e6 }),
    { from: 1, to: 3 },
  ];
  const pieces = [...value(page).pieces, { damaged: { chunk: 1, reason: "its checksum", ...damaged } }];
  // The first record is yet to be finished, so that reading begins there.
  const read = () => r.delivery.reader.take({}, { from: 0, to: 1, pieces, tail: 4, sealed: false }, r.now);
  read();
  r.delivery.state.cursor = 3;
  expect(r.delivery.state.lost.take()).toEqual([{ ...damaged, why: "damaged" }]);
  r.delivery.state.save();
  r.crash();
  expect(r.delivery.state.cursor).toBe(0);
  read();
  expect(r.status().lost).toEqual([]);
});

test("ranges that nobody is told of are kept in bounds, and none of them is left out", () => {
  const store = new Store(nodeSql());
  const losses = new Losses(store);
  for (let n = 0; n < 2_500; n++) losses.add({ from: n * 10, to: n * 10 + 1, why: "damaged" });
  losses.add({ from: 0, to: 1, why: "damaged" });
  losses.save();
  const kept = new Losses(store).all;
  expect(kept).toHaveLength(1_000);
  expect(kept.at(-1)).toEqual({ from: 9_990, to: 24_991, why: "damaged" });
});
