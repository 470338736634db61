/** Dead letters and lanes: what is listed is what the model has, and what is done to them. */
import type { Json } from "../frame/http.ts";
import { eventually } from "../frame/time.ts";
import type { Choice, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { quiet } from "./sockets.ts";
import { failuresNow, plus, type Span, type Tracked } from "./tracked.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const within = (value: number, [low, high]: Span) => value >= low && value <= high;
/** Of a letter's attempts so many are kept. */
const triesKept = 10;

/** Its letter was redriven, and is certainly not dealt with. */
const onItsWay = ({ state, redriven, perhapsDone }: Tracked) => state === "open" && redriven && !perhapsDone;

/** Every letter, page by page; undefined where a kill came between. */
async function listed(run: ScriptRun): Promise<Json[] | undefined> {
  const letters: Json[] = [];
  for (let after: string | undefined; ; ) {
    const path = `${run.group}/dead-letters?limit=1000${after === undefined ? "" : `&after=${after}`}`;
    const answer = await run.try("GET", path);
    if (answer === undefined || answer.status === 503) return undefined;
    run.round.checks.that("accepted", answer.status === 200, () => `${path} was answered ${answer.status}`);
    letters.push(...answer.json.letters);
    after = answer.json.after;
    if (after === undefined) return letters;
  }
}

/** Compares the letters with the model, which learns of deaths that it could only guess. */
export async function lookAtLetters(run: ScriptRun): Promise<void> {
  const letters = await listed(run);
  if (letters === undefined) return;
  const now = run.now();
  const places = new Set<string>();
  for (const letter of letters) {
    places.add(letter.letter);
    isRight(run, letter, now);
  }
  for (const record of run.model.records.values()) {
    const missing = (record.state === "dead" || onItsWay(record)) && !places.has(record.place);
    run.round.checks.that(
      "letters",
      !missing,
      () => `${record} is ${record.state === "dead" ? "a dead letter" : "redriven"}, and not among the letters`,
      run.model.subjects(record),
    );
  }
  if (letters.length !== run.lettersSeen) run.note([], () => `there are ${letters.length} letters`);
  run.lettersSeen = letters.length;
}

function isRight(run: ScriptRun, letter: Json, now: number): void {
  const { model } = run;
  const { checks } = run.round;
  const unknown = () => `there is a letter ${letter.letter}, and no such record`;
  const record = checks.found("letters", model.records.get(letter.letter), unknown);
  const about = model.subjects(record);
  // Behind a seek a letter that was on its way stays, as the one or the other.
  const may = letter.state === "dead" ? model.mayBeDead(record, now) : record.redriven || record.loose;
  checks.that(
    "letters",
    may,
    () => `${record} is listed as ${letter.state}, and is ${model.describe(record, now)}`,
    about,
  );
  if (letter.state === "dead" && record.state !== "dead") {
    run.note(about, () => `${record} became a dead letter with ${letter.attempts} attempts`);
    die(run, record, letter);
  }
  const counted = plus(record.earlier, failuresNow(record));
  checks.that(
    "tries",
    letter.state !== "dead" || within(letter.attempts, counted),
    () => `the letter of ${record} tells ${letter.attempts} attempts; ${counted.join(" to ")} were counted`,
    about,
  );
  const tries: Span = [Math.min(triesKept, counted[0]), counted[1]];
  checks.that(
    "tries",
    letter.state !== "dead" || within(letter.tries.length, tries),
    () =>
      `the letter of ${record} has ${letter.attempts} attempts, and tells of ${letter.tries.length}: ${JSON.stringify(letter.tries)}`,
    about,
  );
}

/** A lease ended in a letter while nobody looked. */
function die(run: ScriptRun, record: Tracked, letter: Json): void {
  const possible = plus(record.earlier, run.model.failuresPossible(record, run.now()));
  const { earlier } = record;
  const known = earlier[0] === earlier[1] && within(letter.attempts, possible);
  const behind = record.state === "past";
  run.model.die(record, known ? letter.attempts - earlier[0] : undefined);
  if (!behind) return;
  record.blocks = false;
  record.loose = true;
}

function chosen(run: ScriptRun, records: readonly Tracked[], choice: Choice): Tracked[] {
  return choice.all ? [...records] : run.some(records, choice.from, choice.count);
}

/** Letters of records that are dead for certain, as they are now. */
async function dead(run: ScriptRun): Promise<Tracked[]> {
  await quiet(run);
  await lookAtLetters(run);
  return [...run.model.records.values()].filter(({ state, astray }) => state === "dead" && !astray);
}

/** Names the letters. All of them at once only where it is certain which there are. */
function named(run: ScriptRun, records: readonly Tracked[], choice: Choice): Json {
  const { model } = run;
  const certain = [...model.records.values()].every(
    (record) =>
      !record.redriven && !record.astray && (record.state === "dead" || !model.mayBeDead(record, run.now() + 1000)),
  );
  if (choice.all && certain) return { all: true };
  const letters = records.map(({ place }) => place);
  return { letters: choice.twice ? letters.flatMap((letter) => [letter, letter]) : letters };
}

export async function redrive(run: ScriptRun, step: Of<"redrive">): Promise<void> {
  if (step.edit) return redriveEdited(run, step);
  const records = chosen(run, await dead(run), step.choice).slice(0, 400);
  if (records.length === 0) return;
  const answer = await run.certainly("POST", `${run.group}/dead-letters/redrive`, named(run, records, step.choice));
  for (const record of records) {
    run.note(
      run.model.subjects(record),
      () => `${record} was redriven${step.choice.twice ? ", twice in the call" : ""}`,
    );
    run.model.revive(record, undefined);
  }
  run.round.checks.that(
    "letters",
    answer.redriven === records.length,
    () => `of ${records.length} letters ${answer.redriven} were redriven`,
    records.flatMap((record) => run.model.subjects(record)),
  );
}

/** One letter with other data, be it dead or on its way again: the new data are what must come. */
async function redriveEdited(run: ScriptRun, { choice }: Of<"redrive">): Promise<void> {
  await dead(run);
  const letters = [...run.model.records.values()].filter((record) => record.state === "dead" || onItsWay(record));
  const [record] = run.some(letters, choice.from, 1);
  if (record === undefined) return;
  const data = { ...JSON.parse(record.original), edited: run.appended++ };
  await run.certainly("POST", `${run.group}/dead-letters/redrive`, { letter: record.place, data });
  run.note(run.model.subjects(record), () => `${record} was redriven with ${JSON.stringify(data)}`);
  if (record.lease !== undefined && record.lease.end === undefined) record.lease.doubtful = true;
  const { earlier, state } = record;
  run.model.revive(record, JSON.stringify(data));
  // Whether a life that was cut short counts is not said.
  if (state === "open") record.earlier = [earlier[0], record.earlier[1]];
}

export async function discard(run: ScriptRun, step: Of<"discard">): Promise<void> {
  const records = chosen(run, await dead(run), step.choice).slice(0, 400);
  if (records.length === 0) return;
  const answer = await run.certainly("POST", `${run.group}/dead-letters/discard`, named(run, records, step.choice));
  for (const record of records) {
    run.note(
      run.model.subjects(record),
      () => `${record} was discarded${step.choice.twice ? ", twice in the call" : ""}`,
    );
    record.state = "done";
    record.redriven = false;
    record.blocks = false;
  }
  run.round.checks.that(
    "letters",
    answer.discarded === records.length,
    () => `of ${records.length} letters ${answer.discarded} were discarded`,
    records.flatMap((record) => run.model.subjects(record)),
  );
}

/** One of the lanes that wait: tried now, or left to the letters. */
export async function lane(run: ScriptRun, step: Of<"lane">): Promise<void> {
  await quiet(run);
  await lookAtLetters(run);
  const { lanes } = await run.certainly("GET", `${run.group}/lanes?limit=1000`);
  const waiting = (lanes as Json[]).filter(({ state }) => state === "parked" || state === "retry");
  const [one] = run.some(waiting, step.share, 1);
  const record = one && run.model.records.get(`${one.partition}.${one.offset}`);
  if (record === undefined || (record.state !== "dead" && record.state !== "open")) return;
  if (record.state === "open" && run.model.mayBeDead(record, run.now() + 1000)) return;
  const about = run.model.subjects(record);
  const known = run.model.describe(record, run.now());
  let refused = "no answer";
  const answer = await eventually(async () => {
    const tried = await run.try("POST", `${run.group}/lanes/${step.order}`, { lane: one.lane });
    refused = `${tried?.status} ${tried?.body}`;
    return tried?.status !== 503 && tried;
  }, 10_000);
  const status = answer === undefined ? `again and again ${refused}` : answer.status;
  run.note(about, () => `lanes/${step.order} of ${one.lane} (${record}, ${known}): ${status}`);
  run.round.checks.that("lanes", status === 200, () => `lanes/${step.order} of ${record}, ${known}: ${status}`, about);
  if (step.order === "skip") skipped(run, record);
  else if (record.state === "dead") run.model.revive(record, undefined);
  else record.notBefore = record.delayedTo = 0;
}

function skipped(run: ScriptRun, record: Tracked): void {
  if (record.state === "open") {
    const [low, high] = run.model.failuresPossible(record, run.now());
    const begun = record.lease !== undefined && record.lease.end === undefined;
    run.model.die(record);
    // Whether being skipped is an attempt is not said, nor whether one that had begun is.
    record.failures = [begun ? low - 1 : low, high + 1];
  }
  record.blocks = false;
  record.loose = true;
}
