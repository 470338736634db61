/** What the group says of itself, against what the model knows. */
import type { Json } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import { lookAtLetters } from "./letters.ts";
import type { ScriptRun } from "./script.ts";
import { holds, mayHold, type Span, type Tracked } from "./tracked.ts";

/** A group that has just woken may need a moment to know where it stands; one that works, next to none. */
const settleMs = { woken: 8000, working: 1000 };

export async function look(run: ScriptRun): Promise<void> {
  await lookAtLetters(run);
  const { diedAt } = run.model;
  const woken = diedAt !== undefined && run.now() - diedAt < settleMs.woken;
  const end = run.now() + (woken ? settleMs.woken : settleMs.working);
  for (;;) {
    const from = run.now();
    const answer = await run.try("GET", `${run.group}/status`);
    if (answer === undefined || answer.status !== 200) return;
    // Amid a kill it is not said which leases were forgotten.
    if (run.round.deaths > run.deaths) return;
    const wrong = differences(run, answer.json, from, run.now());
    if (wrong.length === 0 || run.now() > end) return tell(run, answer.json, wrong);
    await sleep(100);
  }
}

interface Difference {
  readonly invariant: "lag" | "status";
  readonly words: string;
}

function tell(run: ScriptRun, status: Json, wrong: readonly Difference[]): void {
  const { lag, inFlight, deadLetters, paused } = status;
  run.note([], () => `status: lag ${lag}, in flight ${inFlight}, letters ${deadLetters}, paused ${paused}`);
  for (const invariant of ["lag", "status"] as const) {
    const words = wrong.filter((one) => one.invariant === invariant).map((one) => one.words);
    // A sum is about all of them.
    const about = words.length === 0 ? [] : [...run.model.records.keys()];
    run.round.checks.that(invariant, words.length === 0, () => words.join("; "), about);
  }
}

const outside = (value: number, [low, high]: Span) => value < low || value > high;
const spoken = ([low, high]: Span) => (low === high ? `${low}` : `${low} to ${high}`);

function differences(run: ScriptRun, status: Json, from: number, to: number): Difference[] {
  const found: Difference[] = [];
  const compare = (invariant: Difference["invariant"], name: string, value: number, span: Span) => {
    if (outside(value, span)) found.push({ invariant, words: `${name} is ${value}, and should be ${spoken(span)}` });
  };
  compare("lag", "lag", status.lag, lagOf(run, from, to));
  const age = oldestAge(run, from, to);
  if (status.lagSeconds < age - 1) {
    found.push({
      invariant: "lag",
      words: `lagSeconds is ${status.lagSeconds}; the oldest unfinished is ${age} s old`,
    });
  }
  compare("status", "inFlight", status.inFlight, inFlightOf(run, from, to));
  compare("status", "deadLetters", status.deadLetters, lettersOf(run, to));
  const { pausedAt } = run.model;
  if (status.paused !== (pausedAt !== undefined)) {
    found.push({ invariant: "status", words: `paused is ${status.paused} and was set to ${pausedAt !== undefined}` });
  }
  return found;
}

function certainlyUnfinished(run: ScriptRun, record: Tracked, now: number): boolean {
  if (record.state === "dead") return record.blocks;
  return record.state === "open" && !record.perhapsDone && !run.model.mayBeDead(record, now);
}

function lagOf(run: ScriptRun, _from: number, to: number): Span {
  const { model } = run;
  let low = 0;
  let high = 0;
  for (const record of model.records.values()) {
    if (record.twice) low--;
    // What a filter leaves out counts until it is read.
    if (!record.matches) high++;
    else if (certainlyUnfinished(run, record, to)) {
      low++;
      high++;
    } else if (record.state === "open" || (record.state === "dead" && !settledLetter(run, record))) high++;
    else if (record.astray) high++;
  }
  return [low, high];
}

/** A letter that nothing waits for. In the order `none` the guide does not say whether anything does. */
function settledLetter(run: ScriptRun, record: Tracked): boolean {
  const { order, onFailure } = run.model.config;
  return !record.blocks && !(order === "none" && onFailure === "park");
}

function inFlightOf(run: ScriptRun, from: number, to: number): Span {
  const records = [...run.model.records.values()];
  const open = run.polls.size > 0 || [...run.members.values()].some(({ credits }) => credits > 0);
  const low = records.filter(({ lease, state }) => state === "open" && holds(lease, to)).length;
  if (open) return [run.model.config.order === "partition" ? 0 : low, Number.POSITIVE_INFINITY];
  const high = records.filter(({ lease, state }) => state === "open" && mayStillHold(lease, from)).length;
  return [run.model.config.order === "partition" ? 0 : low, high];
}

/** What ran out a moment ago may not be noticed yet. */
const mayStillHold = (lease: Tracked["lease"], from: number) =>
  mayHold(lease, from - 1000) || lease?.end === "left" || (lease?.doubtful === true && lease.end !== "acked");

function lettersOf(run: ScriptRun, now: number): Span {
  let low = 0;
  let high = 0;
  for (const record of run.model.records.values()) {
    const certain = record.state === "dead" || (record.redriven && record.state === "open" && !record.perhapsDone);
    if (certain) low++;
    if (certain || record.redriven || run.model.mayBeDead(record, now)) high++;
  }
  return [low, high];
}

/** Of what was delivered and is not finished: in seconds, since it was appended. */
function oldestAge(run: ScriptRun, from: number, to: number): number {
  let oldest = from;
  for (const record of run.model.matching) {
    if (record.leases.length === 0 || !certainlyUnfinished(run, record, to)) continue;
    oldest = Math.min(oldest, record.appendedAt);
  }
  return (from - oldest) / 1000;
}
