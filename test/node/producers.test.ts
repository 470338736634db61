/** What a partition remembers of producers: its row, from before too, and what it is bounded by. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { producersDump } from "../../schemas/dump.ts";
import { limits } from "../../schemas/limits.ts";
import { packAnswers, unpackAnswers } from "../../src/log/answers.ts";
import { handOnProducers } from "../../src/log/inheritance.ts";
import { Log } from "../../src/log/log.ts";
import type { Answered, Run } from "../../src/log/sequence.ts";
import { batch, spec } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const position = fc.nat(Number.MAX_SAFE_INTEGER);
const sequence = fc.nat(Number.MAX_SAFE_INTEGER - 1);
/** Of a run; all runs of a batch have so many together as a batch may. */
const count = fc.nat(limits.batchRecordsMax);
const run: fc.Arbitrary<Run> = fc.oneof(
  fc.record({ verdict: fc.constant("appended" as const), offset: position, count }),
  fc.record(
    { verdict: fc.constant("duplicate" as const), offset: position, count, partition: fc.nat(9) },
    { requiredKeys: ["verdict", "offset", "count"] },
  ),
  fc.record({
    verdict: fc.constant("rejected" as const),
    reason: fc.constantFrom("a", "b"),
    detail: fc.string(),
    count,
  }),
);

function ofBatch(runs: Run[]): Run[] {
  let left: number = limits.batchRecordsMax;
  return runs.map((run) => {
    const count = Math.min(run.count, left);
    left -= count;
    return { ...run, count };
  });
}

const answered: fc.Arbitrary<Answered> = fc.oneof(
  fc
    .record(
      { sequence, sum: fc.nat(2 ** 32 - 1), runs: fc.array(run).map(ofBatch) },
      { requiredKeys: ["sequence", "runs"] },
    )
    .filter(
      // Without a sum, runs that all name a partition are from before owners were noted.
      ({ sum, runs }) => sum !== undefined || runs.length === 0 || runs.some((one) => !("partition" in one)),
    ),
  fc.record({ sequence, sum: fc.nat(2 ** 32 - 1), owner: fc.nat(9), runs: fc.constant([]) }),
);

test("answers come back from their row, and from a dump", () => {
  fc.assert(
    fc.property(fc.array(answered), (batches) => {
      const text = packAnswers(batches);
      expect(unpackAnswers(text)).toEqual(batches);
      expect(producersDump.safeParse([{ id: "p", epoch: 0, seen: 0, batches: text }]).success).toBe(true);
    }),
  );
});

const terms = (sequence: number, sum?: number) => ({
  producer: { id: "p", epoch: 0, sequence, contiguous: true, ...(sum === undefined ? {} : { sum }) },
});
const records = (count: number) => Array.from({ length: count }, () => ({ kind: 0 as const, data: new Uint8Array(0) }));

/** A log whose producer has a row as it was written before batches had sums, and owners. */
function logOfBefore(runs: readonly Run[]): Log {
  const sql = nodeSql();
  const log = Log.create(sql, spec, 1_000);
  log.append([batch(records(3))], 1_000);
  log.segments.meta.setProducer("p", 0, 1_000, JSON.stringify([{ sequence: 0, runs }]));
  return Log.open(sql, 1_000) as Log;
}

describe("a row of before", () => {
  const runs: Run[] = [{ verdict: "appended", offset: 0, count: 3 }];

  test("answers as it did, and knows another batch by its length at least", () => {
    const log = logOfBefore(runs);
    const [same, other] = log.append([batch(records(3), terms(0, 7)), batch(records(2), terms(0, 7))], 1_000);
    expect(same).toMatchObject({ ok: true, value: [{ verdict: "duplicate", offset: 0, count: 3 }] });
    expect(other).toMatchObject({ ok: false, refusal: { code: "sequence-conflict" } });
  });

  test("that a parent handed on says whom to ask: its runs are about more records than came here", () => {
    const log = logOfBefore(runs.map((one) => ({ partition: 4, ...one })));
    const [answer] = log.append([batch(records(2), terms(0, 7))], 1_000);
    expect(answer).toMatchObject({ ok: false, refusal: { code: "sequence-stale", facts: { answeredBy: 4 } } });
  });

  test("is handed on with its owner", () => {
    const rows = [{ id: "p", epoch: 0, seen: 0, batches: JSON.stringify([{ sequence: 0, runs }]) }];
    const [once] = handOnProducers(rows, 3);
    const [twice] = handOnProducers([once], 9);
    for (const row of [once, twice]) expect(unpackAnswers(row.batches)).toEqual([{ sequence: 0, owner: 3, runs: [] }]);
  });
});

describe("a producer's row", () => {
  /** As many runs as records: every other one was there. */
  const mixed = (count: number, first: number) =>
    Array.from({ length: count }, (_, index) => ({
      ...records(1)[0],
      id: index % 2 === 0 ? "there" : `${first + index}`,
    }));

  test("has room for a batch of any length, and for five where they fit", () => {
    const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 1e6 }, 1_000);
    log.append([batch([{ ...records(1)[0], id: "there" }])], 1_000);
    const most = limits.batchRecordsMax;
    const sizes = [10, most / 2, most / 2, most];
    const batches = sizes.map((count, sequence) => batch(mixed(count, sequence * most), terms(sequence, sequence)));
    const again = (sequence: number) => {
      const [answer] = log.append([{ ...batches[sequence] }], 1_000);
      return answer.ok ? answer.value.length : answer.refusal.code;
    };
    for (const one of batches.slice(0, 3)) expect(log.append([structuredClone(one)], 1_000)[0].ok).toBe(true);
    // Two that fill the row are both remembered; the one before them is not.
    expect([0, 1, 2].map(again)).toEqual(["sequence-stale", most / 2, most / 2]);
    expect(log.append([structuredClone(batches[3])], 1_000)[0].ok).toBe(true);
    expect([1, 2, 3].map(again)).toEqual(["sequence-stale", "sequence-stale", most]);
    expect(log.segments.meta.producer("p")?.batches.length).toBeLessThan(2_000_000);
  });

  test("holds what was rejected, as it was", () => {
    const log = Log.create(nodeSql(), { ...spec, offsets: "producer" }, 1_000);
    const at = (...offsets: number[]) => offsets.map((offset) => ({ ...records(1)[0], offset }));
    const sent = at(5, 3, 4, 9, 8, 2, 20);
    const [first] = log.append([batch(sent, terms(0, 1))], 1_000);
    log.append([batch(at(30))], 2_000);
    const [again] = log.append([batch(sent, terms(0, 1))], 3_000);
    if (!first.ok || !again.ok) throw new Error("refused");
    expect(first.value.map(({ verdict, count }) => [verdict, count])).toEqual([
      ["appended", 1],
      ["rejected", 2],
      ["appended", 1],
      ["rejected", 2],
      ["appended", 1],
    ]);
    expect(again.value).toEqual(
      first.value.map((one) => ({ ...one, verdict: one.verdict === "appended" ? "duplicate" : one.verdict })),
    );
    // Below the tail, and only then, does a record come too late; within a batch it is out of order.
    const [late] = log.append([batch(at(7), terms(1, 2))], 4_000);
    expect(late).toMatchObject({
      ok: true,
      value: [{ verdict: "rejected", detail: expect.stringContaining("tail 31") }],
    });
  });
});

test("where there are as many producers as can be, idle ones make room, and what is being written is kept", () => {
  const sql = nodeSql();
  const log = Log.create(sql, spec, 1_000);
  const by = (id: string, sequence: number) => ({ producer: { id, epoch: 0, sequence, contiguous: true } });
  sql.transaction(() => {
    for (let n = 0; n < limits.producersMax; n++) log.segments.meta.setProducer(`p${n}`, 0, n % 2, "[]");
  });
  const now = limits.producerIdleMs + 1;
  const full = Log.open(sql, now) as Log;
  const one = records(1);
  const answers = full.append([batch(one, by("p0", 0)), batch(one, by("new", 0)), batch(one, by("p1", 0))], now);
  expect(answers.map(({ ok }) => ok)).toEqual([true, true, true]);
  // Those of 1 ms are not idle for longer yet.
  expect(full.segments.meta.countProducers()).toBe(limits.producersMax / 2 + 2);
  const again = (Log.open(sql, now) as Log).append([batch(one, by("p0", 0)), batch(one, by("new", 0))], now);
  expect(again).toMatchObject([
    { value: [{ verdict: "duplicate", offset: 0 }] },
    { value: [{ verdict: "duplicate", offset: 1 }] },
  ]);
});
