import type { Http } from "./http.ts";
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
  /** Told of records that are damaged. By default they are passed over. */
  onLost?: (lost: readonly Lost[]) => void;
}

/** An answer of the read route. */
export interface Page<Data> {
  readonly records: StoredRecord<Data>[];
  readonly cursor: string;
  readonly next: number | string | null;
  readonly upToDate: boolean;
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
    this.#progress = new Progress(options.direction === "backward" ? 1 : 0);
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
    const { direction = "forward", partition, filter, limit = Number.POSITIVE_INFINITY, signal } = this.options;
    const { pageSize = 1_000, from = direction === "forward" ? "earliest" : "latest" } = this.options;
    let next = from;
    for (let left = limit; left > 0; ) {
      const query = { from: next, limit: Math.min(left, pageSize), direction, partition, ...queryOf(filter) };
      const page = await this.http.json<Page<Data>>("GET", this.path, { query, ...(signal && { signal }) });
      left -= page.records.length;
      this.#progress.begin(page.cursor, page.records);
      next = page.cursor;
      tellLost(page, this.options.onLost);
      if (page.records.length > 0) yield page.records;
      if (page.upToDate || page.next === null) return;
    }
  }
}

/** Says which records a page should have had, and has not. */
export function tellLost({ damaged }: Page<unknown>, told: ReadOptions["onLost"]): void {
  if (damaged) told?.(damaged.map(({ partition, from, to, reason }) => ({ partition, from, to, why: reason })));
}

/** A filter as the query of a read. */
export const queryOf = ({ key, types, sources, tags, match }: Filter = {}) => ({
  key,
  type: types,
  source: sources,
  tag: tags,
  match: match ?? (Math.max(types?.length ?? 0, sources?.length ?? 0) > 1 ? "any" : undefined),
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
