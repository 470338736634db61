/** The end of a round: everything comes, the forwarder ends, and what it did and said is judged. */
import { Judge, nameOf } from "./judge.ts";
import type { Line, Log } from "./log.ts";
import { tellsAtRest, tellsLosses } from "./told.ts";
import { keyOf, type Watch } from "./watch.ts";

export async function conclude(watch: Watch): Promise<void> {
  const { forwarder, plan, round, stream, logs } = watch;
  await watch.start();
  const due = logs.flatMap((log) => log.lines.filter((line) => isDue(line, log)));
  const late = await watch.arrived(due);
  if (round.stopped.aborted) return;
  await watch.idle();
  watch.stands();
  await watch.stop("SIGTERM");
  const before = (await stream.all()).length;
  const { isDone } = forwarder;
  const parts = logs.flatMap((log) => log.part ?? []);
  const ended = await lastRun(watch);
  const shown = await stream.all();
  judge(watch, shown);
  const come = () => `${late.map(nameOf).join(", ")} came only when it was started again`;
  watch.that("ends", late.length === 0, come);
  const sums = forwarder.sumsOf(ended);
  const words = () => `it says ${ended.out.trim()}, and there are ${shown.length - before} records more`;
  const more = shown.length - before;
  watch.that("sums", isDone ? sums?.appended === more : (sums?.appended ?? -1) >= more, words);
  const all = forwarder.killed === 0 ? forwarder.appended === shown.length : forwarder.appended <= shown.length;
  watch.that("sums", all, () => `it says that it appended ${forwarder.appended} lines; there are ${shown.length}`);
  tellsLosses(watch);
  tellsAtRest(watch, ended, plan.options.once ? [] : parts);
  await again(watch, shown.length);
}

const isDue = ({ doubtful, whole, unended }: Line, { isReadable }: Log) =>
  whole && !doubtful && (isReadable || unended === undefined);

function judge(watch: Watch, shown: Awaited<ReturnType<Watch["stream"]["all"]>>): void {
  const { round, logs, plan, limited, forwarder } = watch;
  const judging = {
    round,
    logs,
    text: plan.options.text,
    key: keyOf(plan),
    limited,
    unheard: watch.stops.length + round.deaths > 0,
  };
  const kept = forwarder.kept();
  new Judge(judging).judge(shown, kept, true);
  const isTold = forwarder.rejected <= kept.length && (forwarder.killed > 0 || forwarder.rejected === kept.length);
  const words = () => `it says that ${forwarder.rejected} were rejected; ${kept.length} are kept`;
  watch.that("rejected", isTold, words);
}

/** What has no end is taken as it is, and so is everything else that is there. */
async function lastRun(watch: Watch) {
  const { forwarder } = watch;
  forwarder.start(["--once"]);
  const ended = await forwarder.end("with --once");
  const rejected = forwarder.sumsOf(ended)?.rejected ?? 0;
  const code = rejected > 0 || watch.logs.some((log) => !log.isReadable) ? 1 : 0;
  watch.that(
    "exit",
    ended.code === code,
    () => `--once ends with ${ended.code}, not ${code}: ${ended.err.slice(-600)}`,
  );
  return ended;
}

/** Whoever comes once more has nothing to do. */
async function again(watch: Watch, count: number): Promise<void> {
  const { forwarder, stream, logs } = watch;
  forwarder.start(["--once", "--quiet"]);
  const ended = await forwarder.end("with --once");
  const sums = forwarder.sumsOf(ended);
  const words = () => `nothing is new, and it says ${ended.out.trim()} ${ended.err.slice(-600)}`;
  watch.that("state", sums?.appended === 0 && sums.rejected === 0, words);
  const { length } = await stream.all();
  watch.that("state", length === count, () => `nothing is new, and there are ${length} records, not ${count}`);
  const isCalm = logs.every((log: Log) => log.isReadable && !log.plan.twice && log.losses.length === 0);
  watch.that("quiet", !isCalm || ended.err === "", () => `nothing is wrong, and with --quiet it says ${ended.err}`);
}
