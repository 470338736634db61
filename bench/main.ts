/**
 * `npm run bench`: the product on `workerd serve`, against baselines in the same run.
 *
 *     --quick      ends within 90 s; the numbers are rougher
 *     --json       for machines
 *     --only a,b   the cases of these names, or whose names begin with them
 */
import { parseArgs } from "node:util";
import { appendCases } from "./cases/append.ts";
import { archiveCase, retentionCase } from "./cases/archive.ts";
import { attachedCases } from "./cases/attached.ts";
import type { Bench, Case } from "./cases/case.ts";
import { groupCases } from "./cases/groups.ts";
import { liveCases } from "./cases/live.ts";
import { longPollCase } from "./cases/longpoll.ts";
import { memoryCase } from "./cases/memory.ts";
import { readCases } from "./cases/read.ts";
import type { Result, Settings } from "./compare.ts";
import { asJson, asTable } from "./report.ts";
import { startBaseline, startProduct, stopAll } from "./service.ts";

const cases: readonly Case[] = [
  ...appendCases,
  ...readCases,
  longPollCase,
  ...groupCases,
  ...attachedCases,
  ...liveCases,
  memoryCase,
  archiveCase,
  retentionCase,
];

const full: Settings = {
  quick: false,
  rounds: 3,
  roundMs: 2_000,
  warmMs: 1_000,
  readBytes: 256_000_000,
  memoryBytes: 1_000_000_000,
  archiveBytes: 256_000_000,
  retentionBytes: 5_000_000_000,
  longPolls: 500,
  groupRecords: 600_000,
  groupRounds: 3,
  webhooks: 300,
  followers: 1_000,
  followMs: 10_000,
  sdkRecords: 500_000,
  idleSubscriptions: 10_000,
  idleBeats: 120,
};
const quick: Settings = {
  quick: true,
  rounds: 3,
  roundMs: 250,
  warmMs: 150,
  readBytes: 24_000_000,
  memoryBytes: 64_000_000,
  archiveBytes: 32_000_000,
  retentionBytes: 256_000_000,
  longPolls: 50,
  groupRecords: 60_000,
  groupRounds: 2,
  webhooks: 50,
  followers: 100,
  followMs: 1_000,
  sdkRecords: 60_000,
  idleSubscriptions: 500,
  idleBeats: 20,
};
/**
 * Nothing may hang: a case that fails, or takes longer, costs itself alone. What there is no time for at the end is left out,
 * and a moment is left to stop.
 */
const quickBounds = { caseMs: 20_000, runMs: 85_000 };
const fullBounds = { caseMs: 300_000, runMs: 3_600_000 };

const usage = `npm run bench -- [--quick] [--json] [--only a,b]

The cases are ${cases.flatMap(({ names }) => names).join(", ")}.`;
const args = understand();

function understand(): { quick?: boolean; json?: boolean; only?: string } {
  try {
    const options = { quick: { type: "boolean" }, json: { type: "boolean" }, only: { type: "string" } } as const;
    const { values } = parseArgs({ options: { ...options, help: { type: "boolean", short: "h" } } });
    if (!values.help) return values;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}
const wanted = args.only?.split(",").map((name) => name.trim());
const isWanted = (name: string) => wanted?.some((want) => name === want || name.startsWith(`${want}.`)) ?? true;

const results: Result[] = [];
/** What was not measured, and why. */
const missed: string[] = [];

async function measureAll(settings: Settings): Promise<void> {
  const chosen = cases.filter(({ names }) => names.some(isWanted));
  if (chosen.length === 0) throw new Error(`no such case; there are ${cases.flatMap(({ names }) => names).join(", ")}`);
  const { caseMs, runMs } = settings.quick ? quickBounds : fullBounds;
  const end = performance.now() + runMs;
  let bench: Bench | undefined;
  for (const { names, run } of chosen) {
    const [name = ""] = names;
    const left = end - performance.now();
    if (left <= 0) {
      missed.push(`${names.join(", ")}: no time was left`);
      continue;
    }
    process.stderr.write(`${name} …\n`);
    try {
      // Starting takes as long as the machine is busy, and is no case's own time.
      bench ??= await within(startBoth(settings), left);
      const measured = await within(run(bench), Math.min(caseMs, Math.max(0, end - performance.now())));
      results.push(...measured.filter(({ name }) => isWanted(name)));
    } catch (error) {
      missed.push(`${names.join(", ")}: ${(error as Error).message}`);
      // Whatever it left under way ends with the services; the next case has new ones.
      await stopAll();
      bench = undefined;
    }
  }
}

async function startBoth(settings: Settings): Promise<Bench> {
  return { product: await startProduct(), baseline: await startBaseline(), settings };
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${Math.round(ms / 1_000)} s`)), ms);
  });
  // One that is given up fails when its services are gone, and nobody waits for that.
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const settings = args.quick ? quick : full;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end(signal));

/** What was measured by then is shown, whatever came in between. */
async function end(why?: unknown): Promise<void> {
  await stopAll();
  if (results.length > 0) console.log(args.json ? asJson(results) : asTable(results));
  for (const one of missed) console.error(`not measured: ${one}`);
  if (why !== undefined) console.error(why instanceof Error ? why.message : why);
  process.exit(why === undefined && missed.length === 0 ? 0 : 1);
}

await measureAll(settings).then(() => end(), end);
