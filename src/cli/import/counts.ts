/** What became of rows. */
import type { Run } from "../numbered.ts";

export interface Counts {
  imported: number;
  duplicates: number;
  rejected: number;
  /** Bad rows. */
  skipped: number;
  /** Rows that were not meant to become records. */
  ignored: number;
}

export const none: Counts = { imported: 0, duplicates: 0, rejected: 0, skipped: 0, ignored: 0 };

/** By partition, the offset from which on nothing was there that is not this import's. One that is not named is new. */
export type Tails = Readonly<Record<number, number>>;

/** The verdict on records that were answered long ago: that they are there, and nobody knows where. */
export const there = (count: number): Run => ({ verdict: "duplicate", partition: 0, offset: -count, count });

/**
 * Counts the answer to a batch, and tells the tails behind it. One that was sent before, here or by a process that died, is
 * answered as if all its records were duplicates. Those that it has appended lie behind all that was there before it.
 */
export function tally(runs: readonly Run[], tails: Tails): { counts: Counts; tails: Tails } {
  const counts = { ...none };
  const next: Record<number, number> = { ...tails };
  for (const run of runs) {
    if (run.verdict === "rejected") {
      counts.rejected += run.count;
      continue;
    }
    const { partition, offset, count } = run;
    const tail = next[partition] ?? 0;
    const own = run.verdict === "appended" ? count : Math.max(0, Math.min(count, offset + count - tail));
    counts.imported += own;
    counts.duplicates += count - own;
    next[partition] = Math.max(tail, offset + count);
  }
  return { counts, tails: next };
}

export const plus = (one: Counts, other: Counts): Counts => each((name) => one[name] + other[name]);
export const minus = (one: Counts, other: Counts): Counts => each((name) => one[name] - other[name]);

const each = (of: (name: keyof Counts) => number): Counts => ({
  imported: of("imported"),
  duplicates: of("duplicates"),
  rejected: of("rejected"),
  skipped: of("skipped"),
  ignored: of("ignored"),
});
