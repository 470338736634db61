import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { Rig } from "../cases/delivery.ts";
import { deliveryAgainstModel } from "../cases/delivery-model.ts";
import { nodeSql } from "./sqlite.ts";

const rig = (config: Partial<GroupConfig> = {}, start = 0) => new Rig(nodeSql(), nodeSql(), config, start);
const offsets = (got: readonly { offset: number }[]) => got.map(({ offset }) => offset);

describe("order by key", () => {
  test("goes on with other keys while one is in flight, and with the key when it is acked", () => {
    const r = rig();
    r.append(["a", "b", "a", undefined, "c", "b"]);
    const first = r.receive();
    expect(offsets(first)).toEqual([0, 1, 3, 4]);
    expect(r.receive()).toEqual([]);
    r.ack(first[0]);
    expect(offsets(r.receive())).toEqual([2]);
    r.ack(first[1]);
    expect(offsets(r.receive())).toEqual([5]);
  });

  test("a failed record is tried again after its pause, before the later ones of its key", () => {
    const r = rig({ backoff: [1_000, 5_000] });
    r.append(["a", "a", "b"]);
    const [a] = r.receive();
    r.nack([a]);
    r.append(["a"]);
    r.now += 999;
    expect(r.receive()).toEqual([]);
    r.now += 1;
    const [again] = r.receive();
    expect(again).toMatchObject({ offset: 0, attempt: 2 });
    r.nack([again]);
    r.now += 4_999;
    expect(r.receive()).toEqual([]);
    r.now += 1;
    r.ack(...r.receive());
    expect(offsets(r.receive())).toEqual([1]);
  });
  test("drains", () => {
    const r = rig({ backoff: [1_000], onFailure: "park", maxDeliveries: 2 });
    r.append(Array.from({ length: 5_000 }, (_, i) => `k${i % 50}`));
    const acked = r.drain(({ key }) => key === "k7");
    expect(acked.length).toBe(4_900);
    expect(r.status()).toMatchObject({ deadLetters: 1, lanes: { parked: 1 } });
    r.delivery.state.check();
    r.crash();
    expect(r.drain()).toEqual([]);
    r.admin.redrive("all", undefined, r.now);
    expect(r.drain().length).toBe(100);
    expect(r.status()).toMatchObject({ deadLetters: 0, lag: 0, head: 5_000, lanes: { parked: 0 } });
  });
});

test("a delivery keeps its promises, whatever happens in which order", () =>
  deliveryAgainstModel(() => nodeSql(), 3_000));
