/** What the forwarder has to say on the standard error, and what it must not. */
import { basename } from "node:path";
import type { Ended, Told } from "./forwarder.ts";
import type { Line, Log } from "./log.ts";
import type { Watch } from "./watch.ts";

const ofLog = (log: Log) => (text: string) => text.includes(basename(log.path));
const isLoss = (text: string) => /\b(lost|missing)\b/.test(text);

/** What may be lost is said, with its file and the byte; and nothing else. */
export function tellsLosses(watch: Watch): void {
  const { logs, forwarder } = watch;
  for (const log of logs) {
    const told = forwarder.told.filter(({ text }) => ofLog(log)(text));
    for (const at of log.losses) {
      const isTold = told.some((one) => one.at >= at && isLoss(one.text) && /\bbyte \d+/.test(one.text));
      watch.that("told", isTold, () => `that lines of ${log.typed} may be lost was not said; ${words(told)}`, log);
    }
    for (const at of log.turns) {
      const isTold = told.some((one) => one.at >= at && /\bnot read\b/.test(one.text));
      watch.that(
        "told",
        isTold,
        () => `a file that ${log.typed} led to is not read, and not told; ${words(told)}`,
        log,
      );
    }
    const alarm = log.mayLose ? undefined : told.find(({ text }) => isLoss(text));
    watch.that("alarm", alarm === undefined, () => `nothing of ${log.typed} can be lost; it says: ${alarm?.text}`, log);
    for (const nuls of log.nuls) tellsNuls(watch, log, nuls, told);
  }
}

/** Who died between reading and telling told nobody. */
function tellsNuls(watch: Watch, log: Log, { count, at, generation }: Log["nuls"][number], told: Told[]): void {
  const [first] = generation.lines;
  if (first === undefined || first.doubtful || log.losses.length > 0 || watch.stops.some((stop) => stop > at)) return;
  const isTold = told.some(({ text }) => text.includes(String(count)) && /\bNUL/.test(text));
  watch.that(
    "told",
    isTold,
    () => `${count} NUL bytes of ${log.typed} were passed over, and not told; ${words(told)}`,
    log,
  );
}

/** Of a run with `--once`: each file, and the lines that it took though they have no end. */
export function tellsAtRest(watch: Watch, { err }: Ended, parts: readonly Line[]): void {
  const lines = err.split("\n");
  for (const log of watch.logs) {
    const own = lines.filter(ofLog(log));
    const isFollowed = own.some((text) => /\b(byte \d+|start|end)\b/.test(text));
    const isTold = watch.plan.options.quiet || !log.isReadable || isFollowed;
    watch.that("follows", isTold, () => `from where ${log.typed} is followed is not said: ${err}`, log);
    const problems = own.filter((text) => /\b(not there|a folder)\b/.test(text));
    const isSaid = log.isReadable || problems.length === 1;
    watch.that("told", isSaid, () => `${log.typed} is not there, which is to be said once; it says: ${err}`, log);
    const part = parts.find((line) => line.log === log.number);
    if (part === undefined || part.bytes.length === 0) continue;
    const isPart = own.some((text) => /\bno end\b/.test(text));
    watch.that("told", isPart, () => `line ${part.log}.${part.number} was taken without its end; it says: ${err}`, log);
  }
}

const words = (told: readonly Told[]) => `it said of it: ${told.map(({ text }) => text).join("\n")}`.slice(-3000);
