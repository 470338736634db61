/**
 * `expectedKeyOffset` is about what can still be read: whoever reads the last record of a key and appends behind it is let in,
 * whatever went since, and nobody is who has not seen that record.
 */
import { expect, test } from "vitest";
import { tombstone } from "../../src/log/forgetting.ts";
import { kinds } from "../../src/log/record.ts";
import type { Retention } from "../../src/log/spec.ts";
import type { Machine } from "../cases/archive.ts";
import { chance } from "../cases/chance.ts";
import { batch } from "../cases/log.ts";
import { machine, ofKey } from "./machine.ts";

const keys = ["a", "b", "c", "d"];

async function truncate(one: Machine, from: number, to?: number): Promise<void> {
  for (let rest: { next?: number; to?: number } = { next: from, ...(to === undefined ? {} : { to }) }; ; ) {
    const step = await one.history.workshop?.repair({ mode: "truncate", from: rest.next as number, to: rest.to });
    if (!step?.ok) throw new Error(JSON.stringify(step));
    if (step.value.next === undefined) return;
    rest = step.value;
  }
}

const answer = (one: Machine, key: string, expectedKeyOffset: number | "none") => {
  const [answer] = one.log.append([batch([ofKey(key)], { expectedKeyOffset })], one.now);
  return answer.ok ? "ok" : answer.refusal.code;
};

/** What a reader finds of a key, oldest first. */
async function readable(one: Machine, key: string): Promise<number[]> {
  const all = await one.read({ at: "earliest" });
  return all.flatMap(({ offset, record }) => (record.key === key ? [offset] : []));
}

/** Each key's condition, in turn: those that have not seen its last record are refused, and then the one that has is not. */
async function looked(one: Machine, told: string): Promise<void> {
  for (const key of keys) {
    const offsets = await readable(one, key);
    const [last, before] = [offsets.at(-1), offsets.at(-2)];
    if (last !== undefined) expect(answer(one, key, "none"), `${told}: ${key} at ${last}`).toBe("expected-key-offset");
    if (before !== undefined)
      expect(answer(one, key, before), `${told}: ${key} at ${last}`).toBe("expected-key-offset");
    expect(answer(one, key, last ?? "none"), `${told}: ${key} of ${offsets}`).toBe("ok");
  }
}

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  "whoever reads and then appends is let in, and nobody else, seed %i",
  async (seed) => {
    const dice = chance(seed);
    const kept: Partial<Retention> =
      dice(2) === 0 ? { compact: true, deleteMarkerGraceMs: 0 } : { retentionRecords: 16 };
    const one = machine(kept, { keyIndex: true, offsets: "assigned" });
    for (let n = 0; n < 12; n++) {
      one.now += 1_000;
      for (let batches = dice(6); batches >= 0; batches--) {
        one.append(...Array.from({ length: 1 + dice(3) }, () => ofKey(keys[dice(4)])));
        if (kept.compact && dice(4) === 0) one.append({ key: keys[dice(4)], kind: kinds.none, data: tombstone.data });
        if (dice(3) === 0) one.seal();
      }
      const { head, tail } = one.log.span;
      const from = head + dice(tail - head + 1);
      const what = ["trim", "truncate", "truncate a part", "erase", "work", "reopen"][dice(6)];
      if (what === "trim") one.log.trim(from, one.now);
      if (what === "truncate") await truncate(one, from);
      if (what === "truncate a part") await truncate(one, from, Math.min(tail, from + 1 + dice(5)));
      if (what === "erase") one.history.workshop?.erasures.request(`e${n}`, { key: keys[dice(4)] }, one.now);
      if (what === "reopen") one.reopen();
      await one.run();
      await looked(one, `${seed}.${n} ${what} ${from}`);
    }
    one.log.check();
  },
);

test("what lies in the archive alone is asked for by the offset that went", async () => {
  const one = machine({ archive: true, retentionRecords: 1 }, { keyIndex: true });
  one.append(ofKey("a"), ofKey("b"));
  one.seal();
  await one.run();
  one.append(ofKey("b"));
  one.seal();
  await one.run();
  one.log.change(one.now, () => {
    for (const segment of [...one.log.segments.hot]) one.log.segments.cool(segment);
  });
  one.append(ofKey("a"));
  expect(one.log.segments.isHot(0)).toBe(false);
  await truncate(one, 3);
  // The first record of the key cannot be looked at: the condition is that of before.
  expect(answer(one, "a", 0)).toBe("expected-key-offset");
  expect(answer(one, "c", "none")).toBe("ok");
  expect(answer(one, "a", 3)).toBe("ok");
});
