/** A group that reads beside everything else: what it gets, what it is told is lost, and its letters. */
import type { Json } from "../frame/http.ts";
import { Lost } from "../frame/http.ts";
import { eventually } from "../frame/time.ts";
import { forgottenIn } from "./forgetting.ts";
import { mayBeCompacted } from "./judge.ts";
import { readAll } from "./look.ts";
import { inRanges, type Kept, type Model, placeOf } from "./model.ts";
import type { Step } from "./plan.ts";
import { same } from "./read.ts";
import type { ScriptRun } from "./script.ts";

const drainMs = 60_000;
const letterPage = 100;

export async function receive(run: ScriptRun, step: Extract<Step, { do: "receive" }>): Promise<void> {
  await take(run, run.log(step.on), step.max, step.nack);
}

/** One receive, and what came of it settled. How many came, or undefined where nobody knows. */
async function take(run: ScriptRun, log: Model, max: number, nack: boolean): Promise<number | undefined> {
  const { round } = run;
  const headers = { "content-type": "application/json" };
  try {
    const body = JSON.stringify({ max, waitSeconds: 0 });
    const answer = await round.call("POST", `${log.path}/groups/g/receive`, { headers, body });
    if (answer.status === 503) {
      log.groupUnsure = true;
      return undefined;
    }
    run.that("accepted", answer.status === 200, () => `a receive was answered ${answer.status}: ${answer.body}`);
    for (const lost of (answer.json.lost ?? []) as Json[]) lostIsGone(run, log, lost);
    const deliveries = answer.json.deliveries as Json[];
    for (const { receipt: _, attempt: __, deliveryId: ___, ...record } of deliveries) {
      // It may have been read before it was compacted, or trimmed.
      same(run, log, record, `a delivery of ${log.path}`, "forgotten-delivered");
      log.delivered.add(record as Kept);
      run.note([`${record.partition}.${record.offset}`], () => `delivered ${record.partition}.${record.offset}`);
    }
    if (deliveries.length === 0) return 0;
    const receipts = deliveries.map(({ receipt }) => receipt);
    const path = `${log.path}/groups/g/${nack ? "nack" : "ack"}`;
    const settled = await round.call("POST", path, { headers, body: JSON.stringify({ receipts }) });
    if (settled.status !== 200 || settled.json.refused?.length > 0) log.groupUnsure = true;
    for (const one of deliveries) log.finished.add(one);
    return deliveries.length;
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    log.groupUnsure = true;
    return undefined;
  }
}

function lostIsGone(run: ScriptRun, log: Model, lost: Json): void {
  const { partition, from, to } = lost;
  const part = log.part(partition);
  log.groupLost.push({ partition, from, to });
  for (const record of part.records.slice(from, to)) {
    const { offset } = record;
    const gone = offset < Math.max(part.head, part.trimmed) || record.gone !== undefined;
    // Retention may have taken it since it was looked at.
    const perhaps = log.damagedOnce || inRanges(part.holes, offset) || retains(log);
    const words = () => `the group was told that ${JSON.stringify(lost)} is lost, and ${placeOf(record)} is there`;
    run.that("group-lost", gone || perhaps, words, [placeOf(record)]);
  }
}

const retains = (log: Model) =>
  log.epochs.some(
    ({ settings }) =>
      settings.archiveAgeMs != null ||
      settings.keepForGroups ||
      (!settings.archive &&
        [settings.retentionAgeMs, settings.retentionBytes, settings.retentionRecords].some((bound) => bound != null)),
  );

/**
 * Receives until there is nothing left. Everything that was there before was delivered once at least, but for what compaction took
 * meanwhile, as a reading of afterwards shows.
 */
export async function drained(run: ScriptRun, log: Model): Promise<void> {
  const all = await readAll(run, log, 1000);
  const done = await eventually(
    async () => {
      if ((await take(run, log, 100, false)) !== 0) return false;
      const status = await run.steady("GET", `${log.path}/groups/g/status`);
      return status.json.lag === 0;
    },
    run.round.patient(drainMs),
    100,
  );
  const status = await run.steady("GET", `${log.path}/groups/g/status`);
  run.that("drained", done === true, () => `the group does not get to the end: ${status.body}`);
  const letters = new Set(await readLetters(run, log));
  const left = new Set((await readAll(run, log, 1000)).shown.map(placeOf));
  for (const { partition, offset } of all.shown) {
    const record = log.part(partition).records[offset] as Kept;
    const taken = !left.has(placeOf(record)) && mayBeCompacted(log, record);
    const lost = log.groupLost.some((one) => one.partition === partition && offset >= one.from && offset < one.to);
    const got = log.delivered.has(record) || letters.has(placeOf(record)) || lost || taken;
    // What is forgotten may be let go of, or go out as the tombstone that it is.
    run.that("drained", got || record.forgotten !== undefined, () => `${JSON.stringify(record)} was never delivered`, [
      placeOf(record),
    ]);
  }
}

/** The places of the letters, none of which shows what is forgotten. */
export async function readLetters(run: ScriptRun, log: Model): Promise<string[]> {
  const places: string[] = [];
  for (let after: string | undefined; ; ) {
    const query = `limit=${letterPage}${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}`;
    const answer = await run.steady("GET", `${log.path}/groups/g/dead-letters?${query}`);
    forgottenIn(run, log, answer.body, "forgotten-letters", "a page of dead letters");
    const letters = answer.json.letters as Json[];
    places.push(...letters.map(({ partition, offset }) => placeOf({ partition, offset })));
    after = answer.json.after;
    if (after === undefined || after === null || letters.length === 0) return places;
  }
}

export async function redrive(run: ScriptRun, { on }: Extract<Step, { do: "redrive" }>): Promise<void> {
  const log = run.log(on);
  await readLetters(run, log);
  await run.steady("POST", `${log.path}/groups/g/dead-letters/redrive`, { all: true });
}
