/** Compaction beside what is missing, what is cold, and what comes with offsets and times of its own. */
import { expect, test, vi } from "vitest";
import { segmentKey } from "../../src/log/keys.ts";
import type { Machine } from "../cases/archive.ts";
import { batch, spec } from "../cases/log.ts";
import { machine, ofKey } from "./machine.ts";

// What is missing is said there.
vi.spyOn(console, "error").mockReturnValue();

const recordsIn = ({ log }: Machine) => log.segments.store.sums().records;

test("leaves the neighbours of an object that is missing as they are", async () => {
  const archived = { archive: true, retentionRecords: 8 };
  const one = machine(archived);
  for (let n = 0; n < 40; n++) {
    one.now = 1_000 + n;
    one.append(ofKey(`k${n}`));
    if (n % 5 < 4) continue;
    one.seal();
    await one.run();
  }
  const third = [...one.log.segments.store.from(0)][2];
  expect(third.hot).toBe(0);
  await one.blobs.delete([segmentKey(spec.logId, spec.partition, third)]);
  one.retain({ ...archived, compact: true });
  one.now += 1_000;
  await one.run();
  expect(recordsIn(one)).toBe(40);
});

test("does not bring a cold log into a database from which it could not go back", async () => {
  const one = machine({ archive: true, retentionRecords: 8 });
  for (let n = 0; n < 100; n++) {
    one.now += 10;
    one.append(ofKey("same"), ofKey(`k${n}`, 10_000));
    one.seal();
    await one.run();
  }
  one.retain({ compact: true });
  one.now += 1_000;
  await one.run();
  one.log.hotBytesMax = 500_000;
  expect(one.log.append([batch([ofKey("another")])], one.now)[0].ok).toBe(true);
});

test("a producer's offset whose record is gone is still a duplicate", async () => {
  const one = machine({ compact: true }, { offsets: "producer" });
  one.now = 1_000;
  const append = (offset: number) => one.log.append([batch([{ ...ofKey("k"), offset }])], one.now)[0];
  for (let n = 1; n < 10; n++) append(n * 10);
  one.seal();
  one.now += 10_000;
  await one.run();
  expect(recordsIn(one)).toBe(1);
  expect(append(10)).toMatchObject({ value: [{ verdict: "duplicate" }] });
});

test("records of long ago do not each become a segment", async () => {
  const one = machine({ compact: true }, { timestamps: "client" });
  one.now = 10_000_000;
  for (let n = 0; n < 50; n++) {
    one.append({ ...ofKey(`k${n}`), timestamp: 1_000 + n });
    await one.run();
    one.now += 1;
  }
  expect(one.log.segments.store.sums().segments).toBeLessThan(10);
});
