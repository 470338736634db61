/** Whose turn it is: everybody has one, however often somebody looks. */
import { expect, test } from "vitest";
import { Rig } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

test.each([0, 1, 2, 3])(
  "a key with a long line, others, and what has failed share the turns, with %i looks between",
  (looks) => {
    const rig = new Rig(nodeSql(), nodeSql(), { backoff: [0] });
    const failed = Array.from({ length: 30 }, (_, n) => `failed-${n}`);
    rig.append(["worn"]);
    for (let times = 0; times < 2; times++) rig.nack(rig.receive());
    rig.append(failed);
    rig.nack(rig.receive(31));
    rig.append([...Array.from({ length: 400 }, () => "long"), ...Array.from({ length: 400 }, (_, n) => `other-${n}`)]);
    const turns = { worn: 0, failed: 0, long: 0, other: 0 };
    for (let turn = 0; turn < 60; turn++) {
      for (let look = 0; look < looks; look++) rig.delivery.room.ready(rig.now, undefined, "fresh");
      const got = rig.receive(1);
      turns[got[0].key?.split("-")[0] as keyof typeof turns]++;
      if (got[0].key === "worn") rig.nack(got);
      else rig.ack(...got);
    }
    expect(turns.worn).toBeGreaterThanOrEqual(5);
    expect(turns.failed).toBeGreaterThanOrEqual(15);
    expect(turns.long).toBeGreaterThanOrEqual(15);
    expect(turns.other).toBeGreaterThanOrEqual(15);
  },
);
