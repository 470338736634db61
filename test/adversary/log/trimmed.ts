/** The refusal of who is below the head: what is missing, and how to go on. */
import type { Answer, Json } from "../frame/http.ts";
import type { ScriptRun } from "./script.ts";
import { isNote, newestSnapshot } from "./snapshots.ts";
import type { Range, Target } from "./target.ts";

/** A range that a reader is told of. */
export interface Lost extends Range {
  readonly why: string;
}

/** Holds the refusal against the model; the cursor that goes on. */
export function goesOn(run: ScriptRun, target: Target, answer: Answer, reader: string): string {
  const { checks } = run.round;
  const json = answer.json as Json;
  const words = () => `${reader} lost ${text(target.gone)}, and was answered ${answer.body.toString().slice(0, 500)}`;
  const lost = json.lost as Lost[];
  const told = new Map(lost.map((range) => [range.partition, range]));
  const due = target.gone.map(({ partition }) => partition);
  const known = told.size === lost.length && lost.every((one) => due.includes(one.partition) && one.why === "trimmed");
  const exact = target.gone.every((range) => isTold(run, target, range, told.get(range.partition)));
  checks.that(target.backward ? "trimmed-backward" : "trimmed", json.code === "trimmed" && known && exact, words);
  facts(run, target, json, words);
  return checks.found("trimmed", json.cursor as string | undefined, words);
}

function isTold(
  run: ScriptRun,
  { backward, perhapsGone }: Target,
  { partition, from, to }: Range,
  told?: Range,
): boolean {
  if (told === undefined) return perhapsGone;
  if (!perhapsGone) return told.from === from && told.to === to;
  return backward
    ? told.from === 0 && told.to >= to && told.to <= run.model.head(partition)
    : told.from >= from && told.to === to;
}

/** Of one partition, where it begins and ends; and the snapshots that one could begin with. */
function facts(run: ScriptRun, { partition, filter }: Target, json: Json, words: () => string): void {
  const { model } = run;
  const { checks } = run.round;
  if (partition !== null) {
    const ends = json.head === model.head(partition) && json.tail === model.tail(partition);
    checks.that("trimmed-facts", ends, words);
    const snapshot = newestSnapshot(model, partition);
    checks.that("trimmed-facts", json.snapshot !== undefined && isNote(json.snapshot, snapshot), words);
    return;
  }
  // A key lies in the partitions of its line alone, which may be one.
  const several = model.partitions.size > 1 && filter.key === undefined;
  if (!several) return;
  const told = new Map((json.snapshots as Json[]).map((one) => [one.partition as number, one]));
  const due = (json.lost as Lost[]).map((range) => range.partition);
  const right = [...told.keys(), ...due].every((number) => isNote(told.get(number), newestSnapshot(model, number)));
  checks.that("trimmed-facts", right, words);
}

const text = (ranges: readonly Range[]) =>
  ranges.map(({ partition, from, to }) => `${partition}.${from}-${to}`).join(" ");
