/**
 * `npm run bench`: the product on `workerd serve`, against baselines in the same run.
 *
 *     --quick      ends within 60 s; the numbers are rougher
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
/** Nothing may hang: a case that takes longer has failed. */
const [quickMsMax, fullMsMax] = [60_000, 300_000];

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
let watchdog: ReturnType<typeof setTimeout> | undefined;

/** Begins anew for each case. */
function watch(name: string): void {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => fail(`${name} takes too long`), args.quick ? quickMsMax : fullMsMax);
}

async function measureAll(settings: Settings): Promise<void> {
  const chosen = cases.filter(({ names }) => names.some(isWanted));
  if (chosen.length === 0) throw new Error(`no such case; there are ${cases.flatMap(({ names }) => names).join(", ")}`);
  const bench: Bench = { product: await startProduct(), baseline: await startBaseline(), settings };
  for (const { names, run } of chosen) {
    process.stderr.write(`${names[0]} …\n`);
    watch(names[0]);
    results.push(...(await run(bench)).filter(({ name }) => isWanted(name)));
  }
  clearTimeout(watchdog);
}

const settings = args.quick ? quick : full;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => fail(signal));

/** What was measured by then is shown all the same. */
async function fail(why: unknown): Promise<void> {
  show();
  console.error(why);
  await stopAll();
  process.exit(1);
}

function show(): void {
  if (results.length > 0) console.log(args.json ? asJson(results) : asTable(results));
}

try {
  await measureAll(settings);
  await stopAll();
  show();
} catch (error) {
  await fail(error);
}
