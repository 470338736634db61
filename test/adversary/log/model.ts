/** The stream as it must be: what was sent, and every place that was ever seen or promised. */
import type { Round } from "../frame/round.ts";
import type { Batch } from "./batch.ts";
import type { Filter } from "./plan.ts";
import { placeOf, type Read } from "./read.ts";
import { keyName, type Sent } from "./sent.ts";

export interface Stored extends Read {
  readonly sent: Sent;
}

/** It has everything of a partition below its offset. */
export interface Snapshot {
  readonly partition: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface Partition {
  head: number;
  tail: number;
  /** It was split, and gets no more. */
  sealed: boolean;
}

export class Model {
  readonly batches: Batch[] = [];
  readonly sent = new Map<number, Sent>();
  readonly batchOf = new Map<number, Batch>();
  readonly partitions = new Map<number, Partition>();
  /** Everything that was ever stored, what was trimmed since too. */
  readonly stored = new Map<string, Stored>();
  /** Everything that was stored as such; the newest are kept. */
  readonly snapshots: Snapshot[] = [];
  trimmed = false;
  /** Somebody trimmed it; retention does so by itself. */
  byHand = false;
  #next = 0;

  constructor(readonly round: Round) {}

  number(): number {
    return this.#next++;
  }

  add(batch: Batch): void {
    this.batches.push(batch);
    for (const sent of batch.records) {
      this.sent.set(sent.n, sent);
      if (!this.batchOf.has(sent.n)) this.batchOf.set(sent.n, batch);
    }
  }

  /** Partitions that take appends. */
  get open(): number[] {
    return this.numbers.filter((number) => !this.partitions.get(number)?.sealed);
  }

  get numbers(): number[] {
    return [...this.partitions.keys()].sort((a, b) => a - b);
  }

  head(partition: number): number {
    return this.partitions.get(partition)?.head ?? 0;
  }

  tail(partition: number): number {
    return this.partitions.get(partition)?.tail ?? 0;
  }

  /** Changes with everything that readers could notice. */
  get state(): string {
    return this.numbers.map((number) => `${number}:${this.head(number)}-${this.tail(number)}`).join(" ");
  }

  /** What can be read, in the merged order. */
  readable(partition: number | null, filter: Filter): Stored[] {
    return [...this.stored.values()]
      .filter((one) => partition === null || one.partition === partition)
      .filter((one) => one.offset >= this.head(one.partition) && matches(one, filter))
      .sort(merged);
  }

  place(partition: number, offset: number): Stored | undefined {
    return this.stored.get(placeOf({ partition, offset }));
  }
}

export const merged = (a: Read, b: Read) => a.at - b.at || a.partition - b.partition || a.offset - b.offset;

export function matches({ fields }: Pick<Read, "fields">, { key, tags, types, match }: Filter): boolean {
  if (key !== undefined && fields.key !== keyName(key)) return false;
  if (types !== undefined && !types.includes(fields.type ?? "")) return false;
  if (tags === undefined) return true;
  const has = (tag: string) => fields.tags?.includes(tag) === true;
  return match === "all" ? tags.every(has) : tags.some(has);
}

export function filterQuery({ key, tags, types, match }: Filter): [string, string][] {
  return [
    ...(key === undefined ? [] : ([["key", keyName(key)]] as [string, string][])),
    ...(types ?? []).map((type): [string, string] => ["type", type]),
    ...(tags ?? []).map((tag): [string, string] => ["tag", tag]),
    ...(match === undefined ? [] : ([["match", match]] as [string, string][])),
  ];
}

export const isFiltered = (filter: Filter) => Object.keys(filter).length > 0;

export const queryText = (pairs: readonly (readonly [string, string])[]) =>
  pairs.length === 0 ? "" : `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
