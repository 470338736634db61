/** Looks at all of a log: every partition twice, and in between reads of every kind, which must show what both have. */
import type { Answer, Json } from "../frame/http.ts";
import { eventually } from "../frame/time.ts";
import { deletedStay, judge, unharmed } from "./judge.ts";
import { type Kept, type Model, type Part, placeOf } from "./model.ts";
import type { Query, Step } from "./plan.ts";
import { held, readThrough, type Seen, type Shown, type Terms } from "./read.ts";
import type { ScriptRun } from "./script.ts";

/** What is not to be had for a moment is after this. */
const passingMs = 10_000;
/** So long it is looked at what a store that ails gives. */
const ailingMs = 20_000;
const limits = [7, 23, 100];

export async function look(run: ScriptRun, step: Extract<Step, { do: "look" }>): Promise<void> {
  const log = run.log(step.on);
  const gone = new Set([...log.all()].filter((record) => record.gone === "compacted"));
  const until = run.fault === undefined ? undefined : performance.now() + ailingMs;
  const before = await readAll(run, log, limits[run.records % limits.length] as number, until);
  if (run.fault === undefined) deletedStay(run, log, gone, before);
  const goneNow = new Set([...log.all()].filter((record) => record.gone === "compacted"));
  const answers: [Query, Terms, Seen][] = [];
  for (const query of step.queries) {
    const terms = { ...termsOf(run, log, query, before), ...(until !== undefined && { until }) };
    answers.push([query, terms, await readThrough(run, log, terms)]);
  }
  const after = await readAll(run, log, 1000, until);
  if (run.fault === undefined) deletedStay(run, log, goneNow, after);
  for (const [query, terms, seen] of answers) between(run, log, query, terms, seen, before, after);
  if (until === undefined || performance.now() < until) await lasting(run, log, before);
}

/** Every partition, from its head on. */
export async function readAll(run: ScriptRun, log: Model, limit: number, until?: number): Promise<Seen> {
  const all: Seen = { shown: [], damaged: [], lost: [], lasting: [], broken: false };
  const ailing = run.fault !== undefined;
  await partitions(run, log);
  for (const number of log.numbers) {
    const part = log.part(number);
    const terms = { partition: number, from: "earliest", limit, ailing, ...(until !== undefined && { until }) };
    const seen = await whole(run, log, part, terms);
    const rises = seen.shown.every(({ offset }, i) => i === 0 || offset > (seen.shown[i - 1] as Shown).offset);
    run.that("reads", rises, () => `partition ${number} was read as ${text(seen.shown)}`);
    const { head, tail, hotFrom } = (await run.steady("GET", `${log.path}/partitions/${number}`)).json;
    const { length } = part.records;
    run.that("offsets", tail === length, () => `the tail of partition ${number} is ${tail}, and ${length} is next`);
    judge(run, log, part, seen, head);
    part.hotFrom = hotFrom;
    // What went meanwhile was dropped, and is nothing that others must show.
    all.shown.push(...seen.shown.filter(({ offset }) => offset >= head));
    all.damaged.push(...seen.damaged);
    all.lasting.push(...seen.lasting);
    all.broken ||= seen.broken;
  }
  return all;
}

/** Reads all of a partition, which must be there; what is not once may be so for ever, or for a moment. */
async function whole(run: ScriptRun, log: Model, part: Part, terms: Terms): Promise<Seen> {
  const first = await readThrough(run, log, terms);
  if (unharmed(run, part, first)) {
    run.that("whole", true, () => "");
    return first;
  }
  run.note([], () => `partition ${part.number} has ${JSON.stringify(first.damaged)}, and the store is well`);
  let again = first;
  const passed = await eventually(
    async () => {
      again = await readThrough(run, log, terms);
      return unharmed(run, part, again);
    },
    run.round.patient(passingMs),
    100,
  );
  const words = (when: string) => () =>
    `partition ${part.number} of ${log.path} is damaged ${when}, and the store has what was put there: ${JSON.stringify(first.damaged)}`;
  run.that("whole", passed === true, words("and stays so"));
  run.that("whole-at-once", false, words("for a moment"));
  return again;
}

export async function partitions(run: ScriptRun, log: Model): Promise<void> {
  const { json } = await run.steady("GET", `${log.path}/partitions`);
  for (const { partition, sealed } of json.partitions as Json[]) log.part(partition).sealed = sealed;
}

function termsOf(run: ScriptRun, log: Model, query: Query, before: Seen): Terms {
  const { by, limit, accept, share } = query;
  const { numbers } = log;
  const partition = query.partition === null ? undefined : (numbers[query.partition % numbers.length] as number);
  const ailing = run.fault !== undefined;
  const usual = { limit, accept, ailing, ...(partition !== undefined && { partition }) };
  const shown = before.shown.filter((one) => partition === undefined || one.partition === partition);
  const chosen = run.share(shown, share);
  switch (by) {
    case "forward":
      return { ...usual, from: "earliest" };
    case "backward":
      return { ...usual, from: "latest", backward: true };
    case "newest":
      return { ...usual, from: `-${1 + Math.floor(share * 60)}` };
    case "time":
      return { ...usual, from: chosen?.timestamp ?? "2020-01-01T00:00:00Z" };
    case "key": {
      const keys = [...log.lastOfKeys().keys()];
      return { limit, accept, ailing, from: "earliest", key: run.share(keys, share) ?? "no-such-key" };
    }
  }
}

const text = (shown: readonly Shown[]) =>
  shown
    .map((one) => `${placeOf(one)}${one.erased ? "†" : ""}`)
    .join(" ")
    .slice(0, 2000);

const merged = (a: Shown, b: Shown) =>
  Date.parse(a.timestamp) - Date.parse(b.timestamp) || a.partition - b.partition || a.offset - b.offset;

/** What both readings of everything have was shown, and nothing that neither has. */
function between(run: ScriptRun, log: Model, query: Query, terms: Terms, seen: Seen, before: Seen, after: Seen): void {
  const fits = (one: Shown) => matches(log, terms, one);
  const first = before.shown.filter(fits);
  const second = after.shown.filter(fits);
  const words = () =>
    `${JSON.stringify(terms)}: ${text(seen.shown)}; before it there was ${text(first)}; after it ${text(second)}`;
  const ordered = seen.shown.every((one, i) => {
    const order = i === 0 ? 1 : merged(one, seen.shown[i - 1] as Shown);
    return i === 0 || (terms.backward ? order < 0 : order > 0);
  });
  run.that("reads", ordered, words);
  if (run.fault !== undefined || before.broken || after.broken || before.damaged.length > 0) return;
  const allowed = new Set(first.map(placeOf));
  const strange = seen.shown.filter((one) => !allowed.has(placeOf(one)));
  run.that("reads", strange.length === 0, () => `${text(strange)} were not there; ${words()}`);
  const shown = new Set(seen.shown.map(placeOf));
  const due = query.by === "newest" ? fromFirst(second, seen.shown) : second;
  const still = new Set(first.map((one) => `${placeOf(one)}${one.erased}`));
  const missing = due.filter((one) => still.has(`${placeOf(one)}${one.erased}`) && !shown.has(placeOf(one)));
  run.that("reads", missing.length === 0, () => `${text(missing)} are missing; ${words()}`);
  if (query.by === "newest") counted(run, terms, seen, first, second, words);
}

/** The newest so many, as there were then: no more than before, and no fewer than are left. */
function counted(
  run: ScriptRun,
  { from }: Terms,
  seen: Seen,
  first: readonly Shown[],
  second: readonly Shown[],
  words: () => string,
): void {
  const count = -Number(from);
  const enough = fromFirst(first, seen.shown).length >= Math.min(count, second.length);
  const most = fromFirst(second, seen.shown).length <= count && seen.shown.length <= count;
  run.that("reads", enough && most, () => `not the newest ${count}: ${words()}`);
}

/** From the first on that was shown. */
function fromFirst(there: readonly Shown[], [first]: readonly Shown[]): readonly Shown[] {
  return first === undefined ? there : there.filter((one) => merged(one, first) >= 0);
}

function matches(log: Model, { partition, key, from }: Terms, one: Shown): boolean {
  if (partition !== undefined && one.partition !== partition) return false;
  const record = log.part(one.partition).records[one.offset] as Kept;
  if (key !== undefined && (record.key !== key || one.erased)) return false;
  return !/^\d{4}-/.test(from) || Date.parse(one.timestamp) >= Date.parse(from);
}

/**
 * What was said to last is the same when it is asked for again, but for what was forgotten, or repaired since, and for where the
 * page ends.
 */
async function lasting(run: ScriptRun, log: Model, before: Seen): Promise<void> {
  for (const page of before.lasting.slice(0, 3)) {
    if (log.compacts) return;
    const again: Answer = await run.answered("GET", page.path, {}, run.fault !== undefined);
    if (again.status !== 200) continue;
    const shown = (again.json.records as Json[]).map((record) => held(run, log, record, `GET ${page.path} again`));
    const common = Math.min(shown.length, page.shown.length);
    const [one, other] = [shown, page.shown].map((list) => text(list.slice(0, common)).replaceAll("†", ""));
    const same = one === other && common > 0 === page.shown.length > 0;
    const words = () => `GET ${page.path} showed ${text(page.shown)}, for ever, and then ${text(shown)}`;
    run.that("immutable", same, words);
    run.that(
      "immutable",
      !page.damaged,
      () => `GET ${page.path} shows what is damaged, and says that it is so for ever`,
    );
  }
}
