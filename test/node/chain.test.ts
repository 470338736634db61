/** Segments are known by the hash of the one before, however often, and whenever, that is rewritten. */
import { expect, test, vi } from "vitest";
import { chained } from "../cases/chain.ts";
import { machine, ofKey } from "./machine.ts";

// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

const hour = 3_600_000;

test("however often one is rewritten, the next one continues it", async () => {
  const one = machine({ archive: true });
  for (let segment = 0; segment < 3; segment++) {
    one.append(ofKey("k1"), ofKey("k2"), ofKey("k3"), ofKey("k4"));
    one.seal();
  }
  await one.run();
  for (const key of ["k1", "k2", "k3"]) {
    one.history.workshop?.erasures.request(key, { key }, one.now);
    for (let wait = 0; wait < 4; wait++) {
      one.now += hour;
      await one.run();
    }
    expect(one.history.workshop?.erasures.get(key)).toMatchObject({ state: "done", records: 3 });
    await chained(one, `after ${key}`);
    const named = [...one.log.segments.store.from(0)].map(({ prev }) => prev.some((byte) => byte !== 0));
    expect(named).toEqual([false, true, true]);
  }
});

test.each(["fails after", "crash after", "meanwhile"] as const)(
  "and where it is rewritten beside the upload of the next one: %s",
  async (kind) => {
    const one = machine({ archive: true });
    one.append(ofKey("k1"));
    one.seal();
    await one.run();
    one.append(ofKey("k2"));
    one.seal();
    const rewrite = () => {
      const { segments } = one.log;
      one.log.change(one.now, () => segments.renumber([...segments.store.from(0)][0]));
    };
    one.bucket.meanwhile = rewrite;
    await one.run({ at: 1, kind });
    for (let times = 0; times < 2; times++) {
      if (kind !== "meanwhile") rewrite();
      one.now += hour;
      await one.run();
      await chained(one, kind);
    }
    // Its object is the one that was made at first.
    expect([...one.log.segments.store.from(0)][1]).toMatchObject({ base: 1, n: 1, hot: 1 });
  },
);
