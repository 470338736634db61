/** What a reader got, against what was stored and what was damaged since. */
import { alike, type Read } from "../log/read.ts";
import { lets, placed, type Reading, type Seen, type Told } from "./readers.ts";
import type { Range } from "./segment-form.ts";
import type { Truth } from "./stored.ts";
import type { Struck } from "./strike.ts";

export const within = ({ from, to }: Range, offset: number) => offset >= from && offset < to;
const anyOf = (ranges: readonly Range[], offset: number) => ranges.some((range) => within(range, offset));
const shown = (ranges: readonly Range[]) => ranges.map(({ from, to }) => `[${from}, ${to})`).join(" ") || "nothing";

/** What may be missing, partition by partition, and who is to be told of it. */
export interface Expected {
  /** What nobody gets, because a repair gave it up; nobody is told of it. */
  readonly holes: readonly Told[];
  readonly struck: readonly Struck[];
}

/** Asserts what holds of every reader. */
export function judge(reading: Reading, seen: Seen, expected: Expected): void {
  const { stream, reader, round } = reading;
  const words = `${reader.way} of ${reader.partition ?? "all"} from ${reading.from}${reading.filter.map(([, value]) => ` of ${value}`).join("")}`;
  const that = (name: string, kept: boolean, more: () => string) =>
    round.checks.that(name, kept, () => `${stream.name}, ${words}: ${more()}`, [stream.name]);
  stream.note(
    () =>
      `${words}: ${seen.records.length} records, told ${seen.told.map((one) => `${one.partition}: ${shown([one])}`).join(", ") || "nothing"}`,
  );
  that("ends", seen.ended, () => `it does not come to the end: ${seen.records.length} records so far`);
  for (const truth of stream.truths) {
    const mine = seen.records.filter(({ partition }) => partition === truth.partition);
    const told = seen.told.filter(({ partition }) => partition === truth.partition);
    if (reader.partition !== null && reader.partition !== truth.partition) {
      that("reads", mine.length === 0 && told.length === 0, () => `it is of partition ${truth.partition} too`);
      continue;
    }
    records(reading, truth, mine, that);
    tellings(truth, mine, told, expected, that);
    const holes = expected.holes.filter(({ partition }) => partition === truth.partition);
    missing(reading, truth, mine, [...told, ...holes], that);
    if (reader.way === "group") once(told, that);
  }
}

type That = (name: string, kept: boolean, words: () => string) => void;

function records(reading: Reading, truth: Truth, mine: readonly Read[], that: That): void {
  const { way } = reading.reader;
  let before: number | undefined;
  const met = new Set<number>();
  for (const record of mine) {
    const { offset } = record;
    const stored = truth.records.get(offset);
    that(
      "reads",
      stored !== undefined && alike(record, stored),
      () => `${written(record)}, and stored was ${stored && written(stored)}`,
    );
    that("once", !met.has(offset), () => `${offset} comes again`);
    met.add(offset);
    // Members work side by side.
    const ordered = way === "group" || before === undefined || (way === "backward" ? offset < before : offset > before);
    that("order", ordered, () => `${offset} comes after ${before}`);
    before = offset;
  }
}

function tellings(truth: Truth, mine: readonly Read[], told: readonly Told[], { struck }: Expected, that: That): void {
  const concerned = struck.filter(({ partition }) => partition === truth.partition).map(({ offsets }) => offsets);
  for (const range of told) {
    that("told", range.from < range.to, () => `it is told of ${shown([range])}`);
    for (const offset of truth.records.keys()) {
      if (!within(range, offset)) continue;
      that(
        "only",
        anyOf(concerned, offset),
        () => `${offset} is told as damaged with ${shown([range])}, and damaged are ${shown(concerned)}`,
      );
    }
    const both = mine.find(({ offset }) => within(range, offset));
    that("only", both === undefined, () => `${both?.offset} is shown, and told as damaged`);
  }
}

function missing(reading: Reading, truth: Truth, mine: readonly Read[], excused: readonly Range[], that: That): void {
  const start = startIn(reading, truth);
  const got = new Set(mine.map(({ offset }) => offset));
  for (const [offset, record] of truth.records) {
    if (offset < start || !lets(reading, record)) {
      that("reads", !got.has(offset), () => `${offset} is not what was asked for`);
      continue;
    }
    that(
      "told",
      got.has(offset) || anyOf(excused, offset),
      () => `${offset} is not there, and told is ${shown(excused)}`,
    );
  }
}

/** The first offset that is wanted. */
function startIn({ reader, from }: Reading, truth: Truth): number {
  const place = placed(reader, truth);
  if (place === undefined || from === "earliest" || from === "latest") return 0;
  if (reader.from.at === "offset") return place.offset;
  const first = [...truth.records.values()].find(({ at }) => at >= place.at);
  return first?.offset ?? truth.tail;
}

function once(told: readonly Told[], that: That): void {
  const sorted = [...told].sort((a, b) => a.from - b.from);
  for (const [i, range] of sorted.entries()) {
    const before = sorted[i - 1];
    that(
      "lost-once",
      before === undefined || before.to <= range.from,
      () => `${shown([range])} is lost, and was so with ${before && shown([before])}`,
    );
  }
}

const written = ({ offset, at, fields, json }: Read) =>
  `${offset} at ${at} ${JSON.stringify(fields)} ${json?.slice(0, 60)}`;
