/** Pages of a stream, from the first to the last, and what was shown in them. */
import type { Answer, Json } from "../frame/http.ts";
import { type Kept, type Model, placeOf, type Range } from "./model.ts";
import type { ScriptRun } from "./script.ts";

export const erasedType = "millrace.erased";

/** A record as a reader gets it. */
export interface Shown {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: string;
  readonly erased: boolean;
}

export interface Told extends Range {
  readonly partition: number;
}

/** What came of reading from the first page to the last. */
export interface Seen {
  readonly shown: Shown[];
  readonly damaged: Told[];
  readonly lost: Told[];
  /** Pages that may be asked for again: they never change. */
  readonly lasting: { readonly path: string; readonly shown: readonly Shown[]; readonly damaged: boolean }[];
  /** The archive was not to be had. */
  broken: boolean;
}

export interface Terms {
  readonly partition?: number;
  readonly from: string;
  readonly key?: string;
  readonly backward?: boolean;
  readonly limit: number;
  readonly accept?: "json" | "ndjson";
  /** A 503 is an answer: the store ails. */
  readonly ailing?: boolean;
  /** It is not read on after that, by the clock of `performance`: what an ailing store does not answer is waited for at each page. */
  readonly until?: number;
}

const pagesMax = 5000;

function pathOf(log: Model, { partition, key, backward, limit }: Terms, from: string): string {
  const query = new URLSearchParams({
    from,
    limit: String(limit),
    ...(partition !== undefined && { partition: String(partition) }),
    ...(key !== undefined && { key }),
    ...(backward && { direction: "backward" }),
  });
  return `${log.path}/records?${query}`;
}

/** Reads to the end. Everything that is shown is held against the model. */
export async function readThrough(run: ScriptRun, log: Model, terms: Terms): Promise<Seen> {
  const seen: Seen = { shown: [], damaged: [], lost: [], lasting: [], broken: false };
  const headers = { accept: terms.accept === "ndjson" ? "application/x-ndjson" : "application/json" };
  let from = terms.from;
  for (let pages = 0; ; pages++) {
    if (performance.now() > (terms.until ?? Number.POSITIVE_INFINITY)) {
      seen.broken = true;
      return seen;
    }
    run.that("pages", pages < pagesMax, () => `${JSON.stringify(terms)} has no end`);
    const path = pathOf(log, terms, from);
    const answer = await run.answered("GET", path, { headers }, terms.ailing);
    if (answer.status === 503) {
      seen.broken = true;
      return seen;
    }
    if (answer.status === 410) {
      seen.lost.push(...toldLost(run, answer, path));
      if (terms.backward) return seen;
      from = answer.json.cursor;
      continue;
    }
    run.that("accepted", answer.status === 200, () => `GET ${path} was answered ${answer.status}: ${answer.body}`);
    const page = pageOf(answer, terms);
    const shown = page.records.map((record) => held(run, log, record, path));
    run.that("pages", shown.length <= terms.limit, () => `GET ${path} has ${shown.length} records`);
    seen.shown.push(...shown);
    seen.damaged.push(...page.damaged);
    if (String(answer.headers["cache-control"]).includes("immutable"))
      seen.lasting.push({ path, shown, damaged: page.damaged.length > 0 });
    if (terms.backward ? page.next === null : page.upToDate) return seen;
    const last = from;
    from = terms.backward ? String(page.next) : page.cursor;
    run.that("pages", from !== last, () => `GET ${path} leads to itself: ${answer.body.toString().slice(0, 500)}`);
  }
}

function toldLost(run: ScriptRun, answer: Answer, path: string): Told[] {
  const words = () => `GET ${path} was answered ${answer.body}`;
  return run.round.checks.found("pages", answer.json?.lost as Told[] | undefined, words);
}

interface Page {
  readonly records: Json[];
  readonly damaged: Told[];
  readonly cursor: string;
  readonly next: string | number | null;
  readonly upToDate: boolean;
}

function pageOf(answer: Answer, { accept, partition }: Terms): Page {
  const own = (ranges: Json[] = []): Told[] => ranges.map((range) => ({ partition, ...range }));
  if (accept !== "ndjson") {
    const { records, damaged, cursor, next, upToDate } = answer.json;
    return { records, damaged: own(damaged), cursor, next, upToDate };
  }
  const { headers } = answer;
  const lines = answer.body
    .toString()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    records: lines.filter((line) => line.damaged === undefined),
    damaged: own(lines.flatMap((line) => line.damaged ?? [])),
    cursor: headers["millrace-cursor"] as string,
    next: (headers["millrace-next"] as string | undefined) ?? null,
    upToDate: headers["millrace-up-to-date"] === "true",
  };
}

/** A record that was read, held against what was stored, and against what is gone. */
export function held(run: ScriptRun, log: Model, record: Json, reader: string): Shown {
  const shown = same(run, log, record, reader, "forgotten");
  const part = log.part(shown.partition);
  const { gone, key } = part.records[shown.offset] as Kept;
  const subjects = [placeOf(shown), ...(key === undefined ? [] : [key])];
  const words = () => `${reader} shows ${JSON.stringify(record).slice(0, 300)}, which is gone: ${gone ?? "trimmed"}`;
  run.that("came-back", gone === undefined && shown.offset >= part.head, words, subjects);
  return shown;
}

/** A record that was read, or delivered, held against what was stored; the model learns its timestamp. */
export function same(run: ScriptRun, log: Model, record: Json, reader: string, forgotten: string): Shown {
  const { partition, offset, timestamp, key, subject, type, data, ...rest } = record;
  const kept = log.parts.get(partition)?.records[offset];
  const subjects = [`${partition}.${offset}`, ...(kept?.key === undefined ? [] : [kept.key])];
  const words = () => `${reader} shows ${JSON.stringify(record).slice(0, 300)}, and ${JSON.stringify(kept)} was stored`;
  run.that("made-up", kept !== undefined, words, subjects);
  const known = kept as Kept;
  const erased = type === erasedType;
  const bare = [key, subject, data].every((one) => one === undefined) && Object.keys(rest).length === 0;
  if (erased) run.that("erased", bare && known.forgotten !== undefined, words, subjects);
  else {
    run.that(forgotten, known.forgotten !== "done", words, subjects);
    const fields = key === known.key && subject === known.subject && type === undefined;
    const text = data === undefined ? undefined : JSON.stringify(data);
    run.that("unchanged", fields && text === known.data, words, subjects);
  }
  run.that("unchanged", known.at === undefined || known.at === timestamp, words, subjects);
  known.at ??= timestamp;
  return { partition, offset, timestamp, erased };
}
