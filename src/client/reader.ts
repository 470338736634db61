import type { MillraceError } from "./error.ts";
import type { Call, Http } from "./http.ts";
import { nothing } from "./json.ts";
import { endless } from "./retry.ts";
import { pageShape } from "./shapes.ts";
import type { Filter, From, Lost, StoredRecord } from "./types.ts";

/** What to read. */
export interface ReadOptions {
  /** Default `earliest`; backward, `latest`. */
  from?: From;
  partition?: number;
  filter?: Filter;
  /** Records at most. Default: all that there are. */
  limit?: number;
  direction?: "forward" | "backward";
  /** Records that are fetched at a time. Default 1 000. */
  pageSize?: number;
  signal?: AbortSignal;
  /** Told of records that were trimmed before they were read, or are damaged. By default they are passed over. */
  onLost?: (lost: readonly Lost[]) => void;
}

/** An answer of the read route. */
export interface Page<Data> {
  readonly records: StoredRecord<Data>[];
  readonly cursor: string;
  readonly next: number | string | null;
  readonly upToDate: boolean;
  /** The partition that was asked for was split, and is read. */
  readonly ended?: boolean;
  readonly damaged?: readonly { partition: number; from: number; to: number; reason: string }[];
}

/** Records up to the tail as it was, page by page: iterate over it. */
export class Reader<Data = unknown> implements AsyncIterable<StoredRecord<Data>> {
  readonly #progress: Progress;

  constructor(
    readonly http: Http,
    readonly path: string,
    readonly options: ReadOptions,
  ) {
    const { from, partition, filter, limit, direction, pageSize, signal, onLost, ...left } = options;
    nothing(left);
    this.#progress = new Progress(direction === "backward" ? 1 : 0);
  }

  /** Goes on after the record that was given last; give it to `from`. Undefined before the first page. */
  get cursor(): string | undefined {
    return this.#progress.cursor;
  }

  [Symbol.asyncIterator](): AsyncGenerator<StoredRecord<Data>, void, undefined> {
    return this.#progress.each(this.batches());
  }

  /** The same, as many at a time as were fetched together. */
  async *batches(): AsyncGenerator<StoredRecord<Data>[], void, undefined> {
    const { direction = "forward", partition, filter, limit = endless, signal } = this.options;
    const { pageSize = 1_000, from = direction === "forward" ? "earliest" : "latest" } = this.options;
    let next = from;
    for (let left = limit, wait: number | undefined; left > 0; ) {
      const query = { from: next, limit: Math.min(left, pageSize), direction, partition, wait, ...queryOf(filter) };
      const call = { query, signal };
      const page = await pageOf<Data>(this.http, this.path, call, this.options.onLost);
      left -= page.records.length;
      this.#progress.begin(page.cursor, page.records);
      wait = isStuck(page, next) ? stuckSeconds : undefined;
      next = page.cursor;
      if (page.records.length > 0) yield page.records;
      if (page.upToDate || page.next === null) return;
    }
  }
}

/** How long the service may hold an answer back when it had none, though there was something. */
const stuckSeconds = 1;

/** A page that leads nowhere: what is there cannot be shown yet. */
export const isStuck = ({ records, cursor, upToDate }: Page<unknown>, from: From | undefined): boolean =>
  records.length === 0 && cursor === from && !upToDate;

/** A page, or, from a place below the head, the first one behind it. Which records it should have had, and has not, is told. */
export async function pageOf<Data>(
  http: Http,
  path: string,
  call: Call,
  told: ReadOptions["onLost"],
): Promise<Page<Data>> {
  for (let from = call.query?.from; ; ) {
    try {
      const page = await http.json<Page<Data>>("GET", path, pageShape, { ...call, query: { ...call.query, from } });
      const { damaged } = page;
      if (damaged) told?.(damaged.map(({ partition, from, to, reason: why }) => ({ partition, from, to, why })));
      return page;
    } catch (error) {
      const { code, facts } = (error ?? {}) as MillraceError;
      if (code !== "trimmed" || typeof facts.cursor !== "string") throw error;
      told?.(facts.lost as Lost[]);
      from = facts.cursor;
    }
  }
}

/** A filter as the query of a read. What it has by a wrong name the service refuses: nobody wants all records for that. */
export const queryOf = ({ key, types, sources, tags, match, ...left }: Filter = {}) => ({
  ...left,
  key,
  type: types,
  source: sources,
  tag: tags,
  match: match ?? ((types?.[1] ?? sources?.[1]) === undefined ? undefined : "any"),
});

/** Records that came together, and how far they have been given out. */
export class Progress {
  #cursor: string | undefined;
  #records: readonly StoredRecord[] = [];
  #given = 0;

  /** `behind`: what is added to an offset for the place that a read goes on to it from. */
  constructor(readonly behind: 0 | 1 = 0) {}

  /** The cursor behind all of them. */
  begin(cursor: string, records: readonly StoredRecord[]): void {
    this.#cursor = cursor;
    this.#records = records;
    this.#given = 0;
  }

  /** The records of batches, one by one. */
  async *each<Data>(batches: AsyncIterable<StoredRecord<Data>[]>): AsyncGenerator<StoredRecord<Data>, void, undefined> {
    for await (const records of batches) {
      for (const record of records) {
        this.#given++;
        yield record;
      }
    }
  }

  /** Goes on after the record that was given last: in each partition at the first one that was not. */
  get cursor(): string | undefined {
    if (this.#given === 0 || this.#given >= this.#records.length) return this.#cursor;
    const places = new Map<string, number>();
    for (const { partition, offset } of this.#records.slice(this.#given)) {
      const name = partition.toString(36);
      if (!places.has(name)) places.set(name, offset + this.behind);
    }
    const placed = (part: string) => {
      const [name] = part.split(".");
      return places.has(name) ? `${name}.${places.get(name)?.toString(36)}` : part;
    };
    const [log, ...parts] = (this.#cursor as string).split("~");
    return [log, ...parts.map(placed)].join("~");
  }
}
