/** How a run has ended, and what it says that it has done. */
import type { Round } from "../frame/round.ts";
import type { Read } from "../log/read.ts";
import { countsIn, type Ended, same, shown } from "./importer.ts";
import type { Job } from "./job.ts";
import { expectedOf, type Source } from "./source.ts";

/** Tells whether the service has been away at any time from now on. */
export function deathsSince(round: Round): () => boolean {
  const { deaths, restarting } = round;
  return () => restarting || round.deaths !== deaths;
}

/** Whether it has done what there was to do, and says so, or what stands in its way. */
export function isEnd({ phase }: Job, { code, out, err }: Ended): boolean {
  const { until, source } = phase;
  if (until !== undefined) return code === 1 && until.says.test(err);
  const rejected = countsIn(out)?.own.rejected ?? 0;
  if (!source.offsets || rejected === 0) return code === 0;
  const lines = [...err.matchAll(/^line (\d+): rejected/gm)].map(([, line]) => Number(line));
  return code === 1 && lines.length >= Math.min(rejected, 20) && lines.every((one) => isRejected(source, one));
}

const isRejected = (source: Source, line: number) => expectedOf(source).rejected.includes(line);

/** Asserts that an end has the code that it is promised, and is told in words. */
export function judgeEnd(job: Job, ended: Ended, asked: readonly NodeJS.Signals[], serviceDied: boolean) {
  const { checks } = job.round;
  const { code, signal, out, err } = ended;
  const said = `${out}${err}`.slice(0, 1000);
  // Before it has begun anything, nothing is noted, and a signal ends it.
  const isAsked = asked.some((one) => signal === one || (one !== "SIGKILL" && code === 1));
  const isAway = serviceDied && (code === 1 || code === 3);
  const words = () => `it ended with ${code ?? signal}${asked.length === 0 ? "" : `, asked by ${asked}`}: ${said}`;
  const promise = code === 2 && job.broken ? "resumes" : "exit";
  checks.that(promise, isEnd(job, ended) || isAsked || isAway || job.refusing, words, job.subjects);
  checks.that("told", !/^\s+at .+:\d+:\d+\)?$/m.test(err), () => `a stack is shown: ${said}`, job.subjects);
}

/** Asserts what it has printed, where in all it has to be the job's total. */
export function counted(job: Job, ended: Ended, before: readonly Read[], now: readonly Read[]): void {
  const { total, plan } = job;
  const found = countsIn(ended.out);
  const said = `${shown(found?.own)}; in all: ${shown(found?.total)}`;
  const grown = now.length - before.length;
  const that = (kept: boolean, should: string) =>
    job.round.checks.that("counts", kept, () => `it said ${said}; ${should}`, job.subjects);
  if (plan.door === "pipe-name") {
    const all = total.imported + total.duplicates;
    that(found?.own.imported === grown, `${grown} came to the stream`);
    const taken = found === undefined ? -1 : found.own.imported + found.own.duplicates;
    // Of a batch that is known no more nobody can say which of its rows were refused.
    const forgotten = before.length === 0 ? 0 : total.rejected;
    that(taken >= all && taken <= all + forgotten, `there are ${all} rows`);
    that(found !== undefined && taken + found.own.rejected === all + total.rejected, "each row is counted once");
    return;
  }
  that(found !== undefined && same(found.total, total), `in all there should be ${shown(total)}`);
  // What an earlier run has appended, and this one learned of, is its own too.
  that(found !== undefined && found.own.imported >= grown, `${grown} came to the stream`);
  if (!job.broken && job.runs === 1) that(found !== undefined && same(found.own, total), "it is the first run");
}
