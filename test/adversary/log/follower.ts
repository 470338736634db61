/** Who follows the stream, over kills and growth: what it got, and what it still must get. */
import { Later, sleep } from "../frame/time.ts";
import { filterQuery, matches, type Snapshot, type Stored } from "./model.ts";
import type { Follow } from "./plan.ts";
import { alike, numberIn, placeOf, type Read } from "./read.ts";
import { blame, type ScriptRun } from "./script.ts";
import type { Range } from "./target.ts";
import type { Lost } from "./trimmed.ts";

export interface Start {
  readonly partition: number | null;
  /** As it is first asked for. */
  readonly from: string;
  /** What was there and is not to come. */
  readonly skipped: ReadonlySet<string>;
  /** What was there and may or may not come: it was trimmed before the reader began. */
  readonly floor: ReadonlyMap<number, number>;
  /** What it begins with. */
  readonly snapshots: readonly Snapshot[];
  /** What was trimmed, from its place on; under a filter, which moves places, none. */
  readonly gone: readonly Range[];
}

export abstract class Follower {
  /** Where it goes on; before the first word of the service, nowhere. */
  cursor: string | undefined;
  readonly ready = new Later();
  over: Promise<void> = Promise.resolve();
  /** What came while it began, and may have been before its place or behind it. */
  readonly doubtful = new Set<string>();
  readonly #got = new Map<string, Read>();
  /** It lost its connection before it was told of a place, and nothing says where it was: nothing is due to it any more. */
  protected placeless = false;
  readonly #last = new Map<number, number>();
  readonly #lost: Range[] = [];
  readonly #snapshots: Snapshot[] = [];
  readonly #partitionOfKey = new Map<string, number>();
  /** How far it was when its cursor was: what came after that comes again where that is gone on from. */
  #atCursor: { readonly last: ReadonlyMap<number, number>; readonly partitionOfKey: ReadonlyMap<string, number> } = {
    last: new Map(),
    partitionOfKey: new Map(),
  };
  readonly #leave = new AbortController();
  #connection = new AbortController();

  constructor(
    readonly run: ScriptRun,
    readonly plan: Follow,
    readonly start: Start,
  ) {}

  /** One connection, until it ends. True: there is nothing more to come. */
  protected abstract connect(signal: AbortSignal): Promise<boolean>;

  begin(): void {
    this.over = this.#keepOn().catch((error) => {
      this.ready.resolve();
      this.run.failed(blame(error, this.run.number));
    });
  }

  async #keepOn(): Promise<void> {
    const { round } = this.run;
    const { signal } = this.#leave;
    while (!signal.aborted && !round.stopped.aborted) {
      this.#connection = new AbortController();
      if (await this.connect(AbortSignal.any([signal, this.#connection.signal]))) return;
      await sleep(50, signal);
    }
  }

  /** The connection is lost; it goes on with another one from where it was. */
  shake(): void {
    this.#connection.abort();
  }

  leave(): void {
    this.#leave.abort();
  }

  get left(): boolean {
    return this.#leave.signal.aborted || this.run.round.stopped.aborted;
  }

  get name(): string {
    return `${this.plan.name} (${this.plan.kind} from ${this.start.from} of ${this.start.partition ?? "all"})`;
  }

  protected get query(): [string, string][] {
    const { partition } = this.start;
    return [
      ...(partition === null ? [] : ([["partition", String(partition)]] as [string, string][])),
      ...filterQuery(this.plan.filter),
    ];
  }

  /** The place from which the next connection goes on; it is behind everything that has come. */
  protected goOnAt(cursor: string): void {
    this.cursor = cursor;
    this.#atCursor = { last: new Map(this.#last), partitionOfKey: new Map(this.#partitionOfKey) };
  }

  /** A new connection goes on from the cursor, though more may have come since there was one. */
  protected rewind(): void {
    this.placeless ||= this.cursor === undefined && this.start.from === "latest" && this.#got.size > 0;
    if (this.placeless) this.leave();
    const { last, partitionOfKey } = this.#atCursor;
    for (const [to, from] of [
      [this.#last, last],
      [this.#partitionOfKey, partitionOfKey],
    ] as [Map<unknown, number>, ReadonlyMap<unknown, number>][]) {
      to.clear();
      for (const [name, value] of from) to.set(name, value);
    }
  }

  /** A record that came: once, in order, and only what the filter lets through. */
  protected take(read: Read): void {
    const { checks } = this.run.round;
    const { partition, offset } = read;
    const about = [`n${numberIn(read)}`];
    const last = this.#last.get(partition) ?? -1;
    this.run.note(about, () => `${this.name} got ${placeOf(read)}`);
    checks.that(
      "follow-once",
      offset > last,
      () => `${this.name} got ${placeOf(read)} after ${partition}.${last}`,
      about,
    );
    checks.that(
      "follow-filter",
      matches(read, this.plan.filter),
      () => `${this.name} got ${placeOf(read)}, which its filter does not let through`,
      about,
    );
    checks.that(
      "follow-start",
      !this.start.skipped.has(placeOf(read)),
      () => `${this.name} got ${placeOf(read)}, which is before its place`,
      about,
    );
    const within = this.#lost.some(
      (range) => range.partition === partition && offset >= range.from && offset < range.to,
    );
    checks.that("follow-lost", !within, () => `${this.name} got ${placeOf(read)}, which it was told is lost`, about);
    this.#last.set(partition, offset);
    this.#got.set(placeOf(read), read);
    const { key } = read.fields;
    if (key === undefined) return;
    const before = this.#partitionOfKey.get(key) ?? 0;
    // A child's number is higher than its parent's.
    checks.that(
      "follow-order",
      partition >= before,
      () => `${this.name} got ${placeOf(read)} after one of its key in partition ${before}`,
      about,
    );
    this.#partitionOfKey.set(key, partition);
  }

  /** One that was stored, of a partition that it follows. */
  protected takeSnapshot(told: Snapshot): void {
    const { partition, offset, bytes } = told;
    const stored = this.run.model.snapshots.some(
      (one) => one.partition === partition && one.offset === offset && one.bytes === bytes,
    );
    const followed = this.start.partition === null || this.start.partition === partition;
    const words = () => `${this.name} was told of the snapshot ${JSON.stringify(told)}`;
    this.run.round.checks.that("snapshot-told", stored && followed, words);
    this.#snapshots.push(told);
  }

  /** What it was told it will never get. */
  protected takeLost(ranges: readonly Lost[]): void {
    const { checks } = this.run.round;
    for (const range of ranges) {
      this.run.note([], () => `${this.name} lost ${JSON.stringify(range)}`);
      const behind = range.from > (this.#last.get(range.partition) ?? -1) && range.from < range.to;
      checks.that(
        "follow-lost",
        behind && range.why === "trimmed",
        () => `${this.name} lost ${JSON.stringify(range)}, and had ${this.#last.get(range.partition)}`,
      );
      this.#lost.push(range);
    }
  }

  /** What is there, is due, and did not come. */
  missing(): Stored[] {
    const { partition, skipped, floor } = this.start;
    if (this.placeless) return [];
    return [...this.run.model.stored.values()].filter((one) => {
      const place = placeOf(one);
      if ((partition !== null && one.partition !== partition) || !matches(one, this.plan.filter)) return false;
      if (skipped.has(place) || this.doubtful.has(place) || this.#got.has(place)) return false;
      if (one.offset < (floor.get(one.partition) ?? 0)) return false;
      return !this.#isLost(one);
    });
  }

  #isLost({ partition, offset }: Stored): boolean {
    return this.#lost.some((range) => range.partition === partition && offset >= range.from && offset < range.to);
  }

  /** At the end: nothing is missing, nothing was lost that is there, and what came is what is stored. */
  check(): void {
    const { checks } = this.run.round;
    const { model } = this.run;
    const missing = this.missing();
    const words = () =>
      `${this.name} has not got ${missing.slice(0, 8).map(placeOf).join(" ")}${missing.length > 8 ? " …" : ""}; its cursor is ${this.cursor}`;
    checks.that(
      "follow-all",
      missing.length === 0,
      words,
      missing.slice(0, 3).map(({ sent }) => `n${sent.n}`),
    );
    for (const { partition, from, to } of this.placeless ? [] : this.start.gone) {
      const told = this.#lost.some((range) => range.partition === partition && range.from === from && range.to >= to);
      const all = () =>
        `${this.name} began at ${partition}.${from}, and was told that ${JSON.stringify(this.#lost)} is lost`;
      checks.that("follow-gone", told, all);
    }
    for (const { partition, offset } of this.plan.kind === "poll" ? [] : this.start.snapshots) {
      const told = this.#snapshots.some((one) => one.partition === partition && one.offset === offset);
      checks.that("snapshot-told", told, () => `${this.name} was not told of the snapshot ${partition}.${offset}`);
    }
    for (const { partition, to } of this.#lost) {
      checks.that(
        "follow-lost",
        to <= model.head(partition),
        () => `${this.name} lost ${partition} up to ${to}, and its head is ${model.head(partition)}`,
      );
    }
    for (const [place, read] of this.#got) {
      const one = model.stored.get(place);
      // What came and went between two looks nobody else has seen.
      if (one === undefined && read.offset < model.head(read.partition)) continue;
      checks.that(
        "same",
        one !== undefined && alike(read, one),
        () => `${this.name} got ${JSON.stringify(read).slice(0, 300)}, where ${one ? `n${one.sent.n}` : "nothing"} is`,
        [`n${numberIn(read)}`],
      );
    }
  }
}
