/** Rounds of the product and of its baseline in turn: what the machine does besides hits both. */
import { type Measured, median } from "./load.ts";

export interface Settings {
  readonly quick: boolean;
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmMs: number;
  readonly readBytes: number;
  readonly memoryBytes: number;
  readonly archiveBytes: number;
  readonly retentionBytes: number;
  readonly longPolls: number;
  /** Records that a group delivers in one round, and how often it does. */
  readonly groupRecords: number;
  readonly groupRounds: number;
  readonly webhooks: number;
  readonly followers: number;
  readonly followMs: number;
  readonly sdkRecords: number;
  readonly idleSubscriptions: number;
  readonly idleBeats: number;
}

export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** In the unit of the value. */
  readonly baseline: number | null;
  readonly ratio: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly baselineP99Ms?: number;
}

type Round = (ms: number) => Promise<Measured>;

/** `per` is how much of the unit one request is. The ratio is the median of the pairs' ratios. */
export async function compare(
  name: string,
  [unit, per]: [unit: string, per: number],
  [product, baseline]: [Round, Round],
  { rounds, roundMs, warmMs }: Pick<Settings, "rounds" | "roundMs" | "warmMs">,
): Promise<Result> {
  if (warmMs > 0) {
    await product(warmMs);
    await baseline(warmMs);
  }
  const ours: Measured[] = [];
  const theirs: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await product(roundMs));
    theirs.push(await baseline(roundMs));
  }
  const of = (side: Measured[], field: keyof Measured) => median(side.map((measured) => measured[field]));
  return {
    name,
    value: of(ours, "perSecond") * per,
    unit,
    baseline: of(theirs, "perSecond") * per,
    ratio: median(ours.map(({ perSecond }, round) => perSecond / theirs[round].perSecond)),
    p50Ms: of(ours, "p50Ms"),
    p99Ms: of(ours, "p99Ms"),
    baselineP99Ms: of(theirs, "p99Ms"),
  };
}

/** A figure without a baseline. */
export const figure = (name: string, value: number, unit: string): Result => ({
  name,
  value,
  unit,
  baseline: null,
  ratio: null,
  p50Ms: null,
  p99Ms: null,
});
