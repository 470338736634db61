/** What a group's lag counts: records that are there, each once. */
import { expect, test } from "vitest";
import { FirstUnread } from "../../src/delivery/first-unread.ts";
import { Ranges } from "../../src/delivery/ranges.ts";
import { chance } from "../cases/chance.ts";
import { Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

test.each([false, true])("holes are none, whether they were finished before or not (acked again: %s)", (again) => {
  const r = new Rig(nodeSql(), nodeSql(), {});
  r.append(Array.from({ length: 10 }, (_, n) => `k${n}`));
  const got = r.receive(7);
  r.ack(...got.slice(4, 6));
  r.crash();
  const { state } = r.delivery;
  state.known = 10;
  if (again) r.ack(...got.slice(3, 4));
  expect(r.status().lag).toBe(again ? 7 : 8);
  state.missing.add(2, 8);
  // Left are 0, 1, 8 and 9.
  expect(r.status().lag).toBe(4);
  state.missing.add(8, 2 ** 40);
  expect(r.status().lag).toBe(2);
  state.missing.add(0, 2);
  expect(r.status()).toMatchObject({ lag: 0, oldestUnacked: undefined });
});

test("ranges are counted between two offsets", () => {
  const dice = chance(7);
  for (let round = 0; round < 200; round++) {
    const ranges = new Ranges();
    for (let n = dice(6); n > 0; n--) {
      const from = dice(40);
      ranges.add(from, from + 1 + dice(5));
    }
    const [from, to] = [dice(45), dice(50)];
    let count = 0;
    for (let offset = from; offset < to; offset++) if (ranges.has(offset)) count++;
    expect(ranges.countWithin(from, to)).toBe(count);
  }
});

test("the age of what is unread is looked for behind what is damaged, and not behind a page that has found nothing", () => {
  const { delivery } = new Rig(nodeSql(), nodeSql(), {});
  const { state } = delivery;
  const damaged = { damaged: { chunk: 0, from: 0, to: 5, reason: "its checksum" } };
  const first = new FirstUnread(state, { key: "nobody" });
  first.take({ pieces: [damaged], to: 5, upToDate: false });
  expect(first.from).toBe(5);
  first.trimmed(8);
  expect(first).toMatchObject({ from: 8, head: 8 });
  first.take({ pieces: [], to: 9_000, upToDate: false });
  expect(first.from).toBeUndefined();
});
