/** A reader that goes from page to page, and what it gets against what it must. */
import type { Answer, Json } from "../frame/http.ts";
import { filterQuery, isFiltered, queryText, type Stored } from "./model.ts";
import type { Query } from "./plan.ts";
import { alike, placeOf, type Read, readFrames, readLines, readPage } from "./read.ts";
import type { ScriptRun } from "./script.ts";
import { isNote, newestSnapshot, noted } from "./snapshots.ts";
import type { Target } from "./target.ts";
import { goesOn } from "./trimmed.ts";

const accepts = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  frames: "application/vnd.millrace.frames",
} as const;

export interface Page {
  readonly records: readonly Read[];
  readonly next: string | null;
  readonly prev: string | null | undefined;
  readonly cursor: string;
  readonly upToDate: boolean;
  readonly ended: boolean;
  readonly links: ReadonlyMap<string, string>;
}

const bookmarksMax = 12;

export class Walk {
  readonly got: Read[] = [];
  pages = 0;
  readonly words: string;

  constructor(
    readonly run: ScriptRun,
    readonly query: Query,
    readonly target: Target,
  ) {
    this.words = `${this.firstPath()} as ${query.accept} by ${query.by}`;
  }

  #path(from: string | undefined, backward = this.query.backward): string {
    const { query, target } = this;
    return `${this.run.stream}/records${queryText([
      ...(target.partition === null ? [] : [["partition", String(target.partition)] as const]),
      ...filterQuery(target.filter),
      ...(from === undefined ? [] : [["from", from] as const]),
      ["limit", String(query.limit)],
      ...(query.maxBytes === null ? [] : [["maxBytes", String(query.maxBytes)] as const]),
      ...(backward ? [["direction", "backward"] as const] : []),
      ...(query.wait && this.pages === 0 && target.gone.length > 0 ? [["wait", "1"] as const] : []),
    ])}`;
  }

  firstPath(): string {
    return this.#path(this.target.from);
  }

  /** From the first page to the last. */
  async whole(): Promise<void> {
    const { run, query, target } = this;
    let path = this.firstPath();
    if (target.past) return this.#past(await run.answered("GET", path));
    const most = target.all.length + 2 * run.model.stored.size + 20;
    for (;;) {
      const answer = await run.answered("GET", path, { headers: { accept: accepts[query.accept] } });
      if (answer.status === 410 && this.pages === 0 && target.gone.length > 0) {
        const cursor = goesOn(run, target, answer, this.words);
        this.pages++;
        path = this.#path(cursor);
        continue;
      }
      const page = this.#page(answer);
      this.pages++;
      run.round.checks.that("ends", this.pages <= most, () => `${this.words} has not ended after ${most} pages`);
      this.#keep(page);
      if (query.turnAfter !== null && this.pages > query.turnAfter && page.prev !== undefined) return this.#back(page);
      if (query.backward ? page.next === null : page.upToDate) break;
      path = this.#onward(page);
    }
    run.round.checks.that("trimmed", this.pages > 0, () => "");
    this.compare(this.got, target.records, this.words);
  }

  #past({ status, json, body }: Answer): void {
    const right = status === 416 && json?.code === "past-tail";
    this.run.round.checks.that(
      "past-tail",
      right,
      () => `${this.words} was answered ${status} ${body.toString().slice(0, 500)}`,
    );
  }

  #onward(page: Page): string {
    if (this.query.by === "link") return page.links.get("next") ?? this.#path(page.next ?? page.cursor);
    return this.#path(this.query.by === "cursor" ? page.cursor : (page.next as string));
  }

  #page(answer: Answer): Page {
    const { checks } = this.run.round;
    const words = () =>
      `${this.words}, page ${this.pages}, was answered ${answer.status} ${answer.body.toString().slice(0, 500)}`;
    checks.that("accepted", answer.status === 200, words);
    if (this.target.gone.length > 0 && !this.target.perhapsGone) checks.that("trimmed", this.pages > 0, words);
    const page = pageOf(answer, this.query, this.target.partition ?? 0);
    const { limit, maxBytes, accept } = this.query;
    const small = page.records.length <= limit || maxBytes === "all" || accept === "frames";
    const some = page.records.length > 0 || page.upToDate || isFiltered(this.target.filter) || this.query.backward;
    checks.that("page", small && some, words);
    if (this.query.by !== "next" && !page.upToDate)
      checks.found("page", page.cursor as string | undefined, () => `no cursor in ${accept}: ${words()}`);
    if (accept === "json") {
      this.#ends(page, words);
      this.#snapshots(answer, page);
    }
    this.got.push(...page.records);
    return page;
  }

  /** Where a page of one partition begins is known by its first record, if all are shown. */
  #snapshots(answer: Answer, { records }: Page): void {
    const { run, query, target } = this;
    const asked = query.from.at === "snapshot" && !query.backward && this.pages === 0;
    const [first] = records;
    if (target.partition !== null) {
      if (query.backward || isFiltered(target.filter) || (first === undefined && !asked)) return;
      noted(run, target.partition, answer, first?.offset ?? 0, asked);
      return;
    }
    if (!asked || run.model.partitions.size < 2 || target.filter.key !== undefined) return;
    const told = new Map((answer.json.snapshots as Json[]).map((one) => [one.partition as number, one]));
    const right = run.model.numbers.every((number) => isNote(told.get(number), newestSnapshot(run.model, number)));
    run.round.checks.that(
      "snapshot-told",
      right,
      () => `${this.words} began with ${JSON.stringify([...told.values()])}`,
    );
  }

  /** Towards older records there is nothing exactly where every head is reached. */
  #ends(page: Page, words: () => string): void {
    const { all, records, filter } = this.target;
    if (isFiltered(filter)) return;
    const { checks } = this.run.round;
    if (this.query.backward) {
      const left = records.length - this.got.length - page.records.length;
      checks.that("ends", (page.next === null) === (left === 0), () => `${left} are left; ${words()}`);
      return;
    }
    const before = all.length - records.length + this.got.length;
    checks.that("ends", (page.prev === null) === (before === 0), () => `${before} lie before it; ${words()}`);
  }

  #keep(page: Page): void {
    const { run, query, target } = this;
    const fromHead = query.from.at === "default" || query.from.at === "earliest";
    if (query.backward || !fromHead || query.accept !== "json" || page.upToDate) return;
    if (run.bookmarks.length >= bookmarksMax) run.bookmarks.shift();
    const numbers = target.partition === null ? run.model.numbers : [target.partition];
    const places = new Map(numbers.map((number) => [number, run.model.head(number)]));
    for (const { partition, offset } of this.got) places.set(partition, offset + 1);
    run.bookmarks.push({ cursor: page.cursor, partition: target.partition, filter: target.filter, places });
  }

  /** By `prev`, back over everything that lies before the page. */
  async #back(page: Page): Promise<void> {
    const { run, target, query } = this;
    const shown = this.got.length - page.records.length;
    const ahead = new Set(target.records.slice(shown).map(placeOf));
    const before = target.all.filter((one) => !ahead.has(placeOf(one))).reverse();
    const words = `${this.words}, and back from page ${this.pages}`;
    const got: Read[] = [];
    let at: Page = { ...page, next: page.prev ?? null, links: new Map([["next", page.links.get("prev") ?? ""]]) };
    for (let pages = 0; at.next !== null; pages++) {
      run.round.checks.that(
        "ends",
        pages <= target.all.length + 2 * run.model.stored.size + 20,
        () => `${words} does not end`,
      );
      const linked = query.by === "link" ? at.links.get("next") : undefined;
      const answer = await run.answered("GET", linked || this.#path(at.next, true));
      const refused = () => `${words} was answered ${answer.status} ${answer.body.toString().slice(0, 500)}`;
      run.round.checks.that("accepted", answer.status === 200, refused);
      at = pageOf(answer, { ...query, accept: "json" }, target.partition ?? 0);
      got.push(...at.records);
    }
    this.compare(got, before, words);
  }

  /** The same places in the same order, and the same in them. */
  compare(got: readonly Read[], wanted: readonly Stored[], words: string): void {
    const { checks } = this.run.round;
    const first = wanted.findIndex((one, i) => got[i] === undefined || placeOf(got[i]) !== placeOf(one));
    const right = first < 0 && got.length === wanted.length;
    const at = first < 0 ? wanted.length : first;
    const list = (of: readonly Read[]) =>
      of
        .slice(Math.max(0, at - 2), at + 4)
        .map(placeOf)
        .join(" ");
    const seen = () => `${words}: at ${at} of ${wanted.length} came … ${list(got)} …, and … ${list(wanted)} … was due`;
    checks.that(
      "reads",
      right,
      seen,
      wanted.slice(at, at + 2).map(({ sent }) => `n${sent.n}`),
    );
    for (const [i, one] of wanted.entries()) {
      const read = got[i] as Read;
      checks.that(
        "same",
        alike(read, one),
        () => `${words}: ${placeOf(one)} is ${JSON.stringify(read).slice(0, 400)}`,
        [`n${one.sent.n}`],
      );
    }
  }
}

function linksOf(header: string | string[] | undefined): Map<string, string> {
  const found = new Map<string, string>();
  const all = Array.isArray(header) ? header.join(", ") : (header ?? "");
  for (const [, url, rel] of all.matchAll(/<([^>]*)>;\s*rel="([^"]*)"/g)) found.set(rel as string, url as string);
  return found;
}

function pageOf(answer: Answer, { accept, maxBytes }: Pick<Query, "accept" | "maxBytes">, partition: number): Page {
  const { headers, json, body } = answer;
  const links = linksOf(headers.link);
  if (accept === "json") {
    const { next, prev, cursor, upToDate, ended } = json;
    const step = (value: Json) => (value === null || value === undefined ? null : String(value));
    return {
      records: readPage(body.toString()),
      next: step(next),
      prev: step(prev),
      cursor,
      upToDate,
      ended: ended === true,
      links,
    };
  }
  const from = Number(headers["millrace-from"] ?? 0);
  const all = accept === "ndjson" ? readLines(body.toString()) : readFrames(body, partition);
  return {
    records: accept === "ndjson" ? all : all.filter(({ offset }) => offset >= from),
    next: (headers["millrace-next"] as string | undefined) ?? null,
    prev: undefined,
    cursor: headers["millrace-cursor"] as string,
    // An answer of everything begins before it knows where it will end.
    upToDate: maxBytes === "all" || headers["millrace-up-to-date"] === "true",
    ended: headers["millrace-ended"] === "true",
    links,
  };
}
