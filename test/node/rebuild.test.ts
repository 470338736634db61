/** A partition whose database is lost, out of its objects: what it knows, and what it leaves to be sent again. */
import { expect, test } from "vitest";
import type { Rec } from "../../src/log/record.ts";
import { Machine } from "../cases/archive.ts";
import { batch } from "../cases/log.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

/** The same log over an empty database, once its past has gone into the bucket. */
async function afterLoss(one: Machine): Promise<Machine> {
  await one.run();
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  return again;
}

const rebuild = (one: Machine) => one.history.workshop?.repair({ mode: "rebuild", from: 0 });

/** What a batch is answered with, in few words. */
function verdicts(one: Machine, ...records: Rec[]): string[] {
  const [answer] = one.log.append([batch(records)], one.now);
  if (!answer.ok) return [answer.refusal.code];
  return answer.value.map(({ verdict, ...run }) => `${verdict} ${"offset" in run ? run.offset : ""} × ${run.count}`);
}

test("what a producer with offsets of its own sends again is stored where no object has it", async () => {
  const one = machine({ archive: true }, { offsets: "producer" });
  const numbered = (...offsets: number[]) => offsets.map((offset) => ({ ...ofKey("a"), offset }));
  one.append(...numbered(3, 5));
  one.seal();
  const again = await afterLoss(one);
  one.append(...numbered(6, 8));
  expect(await rebuild(again)).toEqual({ ok: true, value: { lost: [] } });
  expect(again.log.span.tail).toBe(6);
  expect(verdicts(again, ...numbered(3, 5, 6, 8))).toEqual([
    "duplicate 3 × 1",
    "duplicate 5 × 1",
    "appended 6 × 1",
    "appended 8 × 1",
  ]);
  expect((await again.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual([3, 5, 6, 8]);
  expect(await rebuild(again)).toEqual({ ok: true, value: { lost: [] } });
});
