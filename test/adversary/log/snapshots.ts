/** Steps that store snapshots, and what everybody is to say of them. */
import type { Answer, Json } from "../frame/http.ts";
import type { Model, Snapshot } from "./model.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { readTruth } from "./truth.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** So many a partition keeps. */
const kept = 2;

/** One offset, one body: whichever attempt is complete later is the same. */
const bodyOf = (partition: number, offset: number) =>
  `everything below ${partition}.${offset}; `.repeat(1 + (offset % 50));

/** The newest that one can go on from; what the head has overtaken is none. */
export function newestSnapshot(model: Model, partition: number): Snapshot | undefined {
  const [newest] = listed(model, partition);
  return newest !== undefined && newest.offset >= model.head(partition) ? newest : undefined;
}

/** Of those at one offset one is there. */
const listed = (model: Model, partition: number): Snapshot[] =>
  [...new Map(model.snapshots.filter((one) => one.partition === partition).map((one) => [one.offset, one])).values()]
    .sort((a, b) => b.offset - a.offset)
    .slice(0, kept);

/** Whether it is told as it is; null and nothing are no snapshot. */
export const isNote = (told: Json, wanted: Snapshot | undefined): boolean =>
  wanted === undefined
    ? told === null || told === undefined
    : told?.partition === wanted.partition && told.offset === wanted.offset && told.bytes === wanted.bytes;

export async function snapshot(run: ScriptRun, { where, share }: Of<"snapshot">): Promise<void> {
  await readTruth(run);
  const { model } = run;
  const partition = run.share(model.numbers, where) as number;
  const head = model.head(partition);
  const offset = head + Math.floor(share * (model.tail(partition) - head + 1));
  const before = listed(model, partition);
  const late = before.length === kept && before.every((one) => one.offset > offset);
  const body = bodyOf(partition, offset);
  const one = { partition, offset, bytes: body.length };
  // Followers may be told of it before its answer is.
  if (!late) model.snapshots.push(one);
  const path = `${run.stream}/snapshots/${offset}?partition=${partition}`;
  const answer = await run.answered("PUT", path, { body, headers: { "content-type": "text/plain" } });
  run.note([], () => `a snapshot of ${partition}.${offset} was answered ${answer.status}`);
  const passed = run.script.terms.retention !== undefined && answer.status === 410;
  if (passed) model.snapshots.splice(model.snapshots.lastIndexOf(one), late ? 0 : 1);
  const words = () =>
    `a snapshot of ${partition}.${offset}, beside ${offsets(before)}, was answered ${answer.status}: ${answer.body}`;
  const right = late ? answer.status === 409 && answer.json?.code === "conflict" : answer.status === 201;
  run.round.checks.that("snapshots", passed || right, words);
  await readTruth(run);
  await shown(run, partition);
}

const offsets = (list: readonly { offset: number }[]) => `[${list.map(({ offset }) => offset)}]`;

/** The list, and the newest with its body, by the way to it that the list names. */
async function shown(run: ScriptRun, partition: number): Promise<void> {
  const { checks } = run.round;
  const wanted = listed(run.model, partition);
  const { json } = await run.steady("GET", `${run.stream}/snapshots?partition=${partition}`);
  const list = json.snapshots as Json[];
  const same = list.length === wanted.length && list.every((one, i) => isNote(one, wanted[i]));
  checks.that(
    "snapshots",
    same,
    () => `partition ${partition} has snapshots ${offsets(wanted)}, and lists ${offsets(list)}`,
  );
  for (const { offset, href } of list) {
    const { body } = await run.steady("GET", href);
    checks.that(
      "snapshots",
      body.toString() === bodyOf(partition, offset),
      () => `${href} is ${body.toString().slice(0, 200)}`,
    );
  }
  const latest = await run.answered("GET", `${run.stream}/snapshots/latest?partition=${partition}`);
  const newest = newestSnapshot(run.model, partition);
  const words = () =>
    `the latest of partition ${partition} is ${JSON.stringify(newest)}, and ${latest.status} ${latest.body.toString().slice(0, 200)} came`;
  const right =
    newest === undefined ? latest.status === 404 : latest.body.toString() === bodyOf(partition, newest.offset);
  // Retention may have overtaken it meanwhile.
  checks.that("snapshots", right || run.script.terms.retention !== undefined, words);
}

/** What a page of one partition says: of the newest, where it begins before that; `from=snapshot` always which it is. */
export function noted(run: ScriptRun, partition: number, answer: Answer, place: number, asked: boolean): void {
  const newest = newestSnapshot(run.model, partition);
  const wanted = asked || (newest !== undefined && place < newest.offset) ? newest : undefined;
  const { snapshot } = answer.json;
  const header = answer.headers["millrace-snapshot"];
  const inHeader = header === undefined ? undefined : JSON.parse(header as string);
  const same = JSON.stringify(inHeader ?? null) === JSON.stringify(snapshot ?? null);
  const words = () =>
    `a page of partition ${partition} from ${place} on was to say ${JSON.stringify(wanted)}, and said ${JSON.stringify(snapshot)}, ${header} in its header`;
  run.round.checks.that("snapshot-told", isNote(snapshot, wanted) && same && !(asked && snapshot === undefined), words);
}
