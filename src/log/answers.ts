/**
 * The answers to a producer's last batches as a row has them. Runs are short lists of numbers, because a batch of which
 * every other record is a duplicate has as many as it has records:
 *
 *     [0, offset, count]                appended
 *     [1, offset, count(, partition)]   duplicate, of a record of a partition that was split into this one
 *     [2, reason, count]                rejected; `reason` is the place in `reasons`: [[code, detail], …]
 *
 * Rows of before have the runs as objects, and no sum.
 */
import type { Answered, Run } from "./sequence.ts";

type Packed = readonly [0 | 1, number, number, number?] | readonly [2, number, number];

interface Row {
  readonly sequence: number;
  readonly sum?: number;
  readonly owner?: number;
  readonly reasons?: readonly (readonly [string, string])[];
  readonly runs: readonly (Packed | Run)[];
}

export function packAnswers(batches: readonly Answered[]): string {
  return JSON.stringify(batches.map(packOne));
}

function packOne({ sequence, sum, owner, runs }: Answered): Row {
  const reasons: [string, string][] = [];
  const packed = runs.map((run): Packed => {
    if (run.verdict !== "rejected") {
      const kind = run.verdict === "appended" ? 0 : 1;
      return run.partition === undefined ? [kind, run.offset, run.count] : [kind, run.offset, run.count, run.partition];
    }
    const known = reasons.findIndex(([reason, detail]) => reason === run.reason && detail === run.detail);
    return [2, known < 0 ? reasons.push([run.reason, run.detail]) - 1 : known, run.count];
  });
  return {
    sequence,
    ...(sum === undefined ? {} : { sum }),
    ...(owner === undefined ? {} : { owner }),
    ...(reasons.length === 0 ? {} : { reasons }),
    runs: packed,
  };
}

export function unpackAnswers(text: string): Answered[] {
  return (JSON.parse(text) as Row[]).map(({ reasons = [], runs, ...batch }) => {
    const unpacked = runs.map((run) => ("verdict" in run ? run : unpackRun(run, reasons)));
    const owner = batch.owner ?? formerOwner(batch.sum, unpacked);
    return owner === undefined ? { ...batch, runs: unpacked } : { ...batch, owner, runs: [] };
  });
}

function unpackRun([kind, at, count, partition]: Packed, reasons: readonly (readonly [string, string])[]): Run {
  if (kind === 2) return { verdict: "rejected", reason: reasons[at][0], detail: reasons[at][1], count };
  const verdict = kind === 0 ? "appended" : "duplicate";
  return partition === undefined ? { verdict, offset: at, count } : { verdict, offset: at, count, partition };
}

/** Before owners were noted, every run that was handed on named the partition that had given it. */
function formerOwner(sum: number | undefined, runs: readonly Run[]): number | undefined {
  if (sum !== undefined || runs.length === 0) return undefined;
  const [first] = runs;
  const owner = first.verdict === "rejected" ? undefined : first.partition;
  return runs.every((run) => run.verdict !== "rejected" && run.partition === owner) ? owner : undefined;
}
