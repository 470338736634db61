/** Limits of flight over a restart: leases of before count, though their records were not read again yet. */
import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import { giveBack } from "../../src/delivery/giving-back.ts";
import { type Got, Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

/** A group of which a member has a hundred records, each in a lane of its own, and that was killed since. */
function restarted(config: Partial<GroupConfig> = {}): Rig {
  const r = new Rig(nodeSql(), nodeSql(), { order: "none", backoff: [0], maxInFlight: 100, ...config });
  r.append(Array.from({ length: 100 }, () => undefined));
  r.nack(r.receive(100, "old"));
  expect(r.receive(100, "old")).toHaveLength(config.memberMaxInFlight ?? 100);
  r.now += 6_000;
  r.delivery.state.saveLeases(r.now);
  r.append(Array.from({ length: 200 }, () => undefined));
  r.crash();
  r.delivery.state.known = 300;
  return r;
}

test("a group lends no more than it may, whatever of that was read again", () => {
  const r = restarted();
  for (let asked = 0; asked < 30; asked++) {
    expect(r.receive(100, "new", true)).toEqual([]);
    expect(r.status().inFlight).toBe(100);
  }
  const { room } = r.delivery;
  expect(room.left(undefined, r.now)).toBe(0);
  // They run out, and then others have their turn.
  expect(room.lookAt(r.now)).toBeLessThanOrEqual(r.now + 24_000);
  r.now += 24_001;
  expect(r.receive(100, "new", true)).toHaveLength(100);
  expect(r.status().inFlight).toBe(100);
});

test("a member is lent no more than it may", () => {
  const r = restarted({ memberMaxInFlight: 60 });
  expect(r.receive(100, "old", true)).toEqual([]);
  expect(r.receive(100, "new", true)).toHaveLength(40);
  expect(r.status().members).toEqual(
    expect.arrayContaining([
      { member: "old", inFlight: 60 },
      { member: "new", inFlight: 40 },
    ]),
  );
});

test("what holds a record of before makes room when it settles it, before the record is read again", () => {
  const r = new Rig(nodeSql(), nodeSql(), { maxInFlight: 3, order: "none", backoff: [0] });
  r.append([undefined, undefined, undefined]);
  r.nack(r.receive(3));
  const got = r.receive(3);
  r.now += 6_000;
  r.delivery.state.saveLeases(r.now);
  r.append([undefined, undefined, undefined]);
  r.crash();
  const { room } = r.delivery;
  expect(room.left("m", r.now)).toBe(0);
  r.ack(got[0]);
  r.nack([got[1]], 60_000);
  expect(room.left("m", r.now)).toBe(2);
  r.delivery.release([got[2].receipt], r.now);
  expect(room.left("m", r.now)).toBe(3);
});

describe("a member that gives a record back", () => {
  const given = (config: Partial<GroupConfig> = {}) => {
    const r = new Rig(nodeSql(), nodeSql(), { backoff: [0], onFailure: "skip", maxDeliveries: 1, ...config });
    r.append(["a", "a", "b"]);
    return r;
  };
  const release = (r: Rig, ...got: readonly Got[]) =>
    giveBack(
      r.delivery,
      got.map(({ receipt }) => receipt),
      r.now,
    );

  test("leaves it to the others at once, and no attempt is counted", () => {
    const r = given();
    const [first, other] = r.receive(10, "one");
    expect(release(r, first)).toEqual([{ ok: true, value: undefined }]);
    expect(r.status()).toMatchObject({ inFlight: 1, deadLetters: 0, redeliveries: 0 });
    expect(r.receive(10, "one")).toEqual([]);
    const [again] = r.receive(10, "two");
    expect(again).toMatchObject({ offset: first.offset, attempt: 1 });
    // Twice is as once: another has it now.
    expect(release(r, first)).toEqual([{ ok: true, value: undefined }]);
    r.ack(again, other);
    expect(r.receive(10, "two").map(({ offset, attempt }) => [offset, attempt])).toEqual([[1, 1]]);
  });

  test("alone gets it again after a rest, at which it is looked at", () => {
    for (const order of ["key", "partition", "none"] as const) {
      const r = given({ order, maxInFlight: 1 });
      let lent = 0;
      for (const until = r.now + 1_000; r.now < until; r.now += 10) {
        const got = r.receive();
        lent += got.length;
        release(r, ...got);
        expect(r.delivery.room.lookAt(r.now)).toBeLessThanOrEqual(r.now + limits.releaseRestMs);
      }
      expect(lent).toBe(1_000 / limits.releaseRestMs);
      r.now += limits.releaseRestMs;
      expect(r.drain().sort()).toEqual([0, 1, 2]);
    }
  });

  test("has given it back over a crash, which forgets no such thing", () => {
    const r = given();
    const [first] = r.receive(1);
    r.now += 6_000;
    r.delivery.state.saveLeases(r.now);
    r.crash();
    release(r, first);
    r.delivery.state.save();
    r.crash();
    expect(r.status()).toMatchObject({ inFlight: 0 });
    expect(r.receive()).toMatchObject([{ offset: 0, attempt: 1 }, { offset: 2 }]);
  });

  test("rests by what it had, and by nothing that it makes up or that is over", () => {
    const r = given();
    const [first, other] = r.receive(10, "one");
    const forged = `${first.receipt.slice(0, -1)}${first.receipt.endsWith("0") ? "1" : "0"}`;
    expect(giveBack(r.delivery, [forged], r.now)).toMatchObject([{ ok: false, refusal: { code: "invalid" } }]);
    r.ack(first);
    release(r, first);
    expect(r.receive(10, "one")).toMatchObject([{ offset: 1 }]);
    r.admin.seek(0, [], r.now);
    expect(release(r, other)).toEqual([{ ok: true, value: undefined }]);
  });
});

const changes: [string, (r: Rig) => void][] = [
  ["trimmed", (r) => r.log.trim(1, 0)],
  ["not wanted any more", (r) => r.configure({ filter: { key: "b" } })],
];

test.each(changes)("a lease whose record is %s takes no room, in any order", (_why, change) => {
  for (const order of ["key", "none", "partition"] as const)
    for (const failed of [false, true]) {
      const r = new Rig(nodeSql(), nodeSql(), { maxInFlight: 1, order, backoff: [0], ackTimeoutMs: 3_600_000 });
      r.append(["a"]);
      if (failed) r.nack(r.receive());
      expect(r.receive()).toHaveLength(1);
      r.now += 6_000;
      r.delivery.state.saveLeases(r.now);
      r.append(["b"]);
      r.crash();
      change(r);
      expect(r.receive().map(({ offset }) => offset)).toEqual([1]);
    }
});

test.each(["release", "giveBack", "a member that goes"])(
  "what has run out is not given back by %s, though nobody has noticed yet: it counts as failed",
  (how) => {
    const r = new Rig(nodeSql(), nodeSql(), { backoff: [0] });
    r.append(["a"]);
    const [{ receipt }] = r.receive(1, "m");
    r.now += 30_000;
    if (how === "release") r.delivery.release([receipt], r.now);
    else if (how === "giveBack") giveBack(r.delivery, [receipt], r.now);
    else r.delivery.members.release("m", r.now);
    expect(r.receive(1, "m")).toMatchObject([{ offset: 0, attempt: 2 }]);
  },
);
