/** One partition as a merged read sees it: pages fetched as they are needed, and the next record of them. */
import type { Result } from "../../../schemas/errors.ts";
import { ok } from "../../../schemas/errors.ts";
import type { Filter } from "../../log/filter.ts";
import { eachItem } from "../../log/items.ts";
import type { Item } from "../../log/json.ts";
import type { Position } from "../../log/read.ts";
import type { Snapshot } from "../../log/snapshot-store.ts";
import type { PageAnswer, ReadCall } from "../../objects/answer.ts";

export interface Damaged {
  readonly chunk: number;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export type Entry = Item | { readonly damaged: Damaged; readonly offset: number; readonly timestamp: number };

export interface SourceTerms {
  readonly backward: boolean;
  readonly limit: number;
  readonly bytesMax: number;
  /** Read to the tail as it stood at first, and no further: a busy log would never end. */
  readonly toTail: boolean;
  readonly filter?: Filter;
}

export class Source {
  /** Where the read began, and where it goes on: an offset, or, backward, the offset before which it goes on. */
  start = 0;
  next = 0;
  head = 0;
  tail = 0;
  /** Nothing is left to fetch. */
  ended = false;
  /** No later record will be stamped below this. */
  promise = 0;
  /** The newest snapshot, as the first page said of it. */
  snapshot: Snapshot | null | undefined;
  entries: Entry[] = [];
  at = 0;
  #end = 0;
  #stop = Number.MAX_SAFE_INTEGER;
  #fetched = false;

  constructor(
    readonly partition: number,
    public from: Position,
    readonly terms: SourceTerms,
    readonly read: (call: ReadCall) => Promise<Result<PageAnswer>>,
  ) {}

  get entry(): Entry | undefined {
    return this.entries[this.at];
  }

  /** Steps over the entry that was shown. */
  advance(): void {
    const shown = this.entries[this.at++];
    this.next = this.terms.backward ? shown.offset : "damaged" in shown ? shown.damaged.to : shown.offset + 1;
    // Behind the last one, what the filter left out is passed over too.
    if (this.at === this.entries.length) this.next = this.#end;
  }

  /** Fetches the next page. */
  async fetch(waitMs: number, promise?: number): Promise<Result<undefined>> {
    const { backward, limit, bytesMax, filter } = this.terms;
    const page = await this.read({
      from: this.from,
      backward,
      limit,
      bytesMax,
      waitMs,
      ...(filter === undefined ? {} : { filter }),
      ...(promise === undefined ? {} : { promise }),
    });
    if (!page.ok) return page;
    const { from, to, head, tail, upToDate } = page.value;
    if (!this.#fetched) {
      this.start = backward ? to : from;
      this.snapshot = page.value.snapshot;
      if (this.terms.toTail && !backward) this.#stop = tail;
    }
    this.#fetched = true;
    this.head = head;
    this.tail = tail;
    this.ended = upToDate || to >= this.#stop;
    this.promise = page.value.sealed ? Number.MAX_SAFE_INTEGER : page.value.promise;
    this.entries = entriesOf({ ...page.value, to: Math.min(to, this.#stop) }, filter, backward);
    this.at = 0;
    this.#end = backward ? from : Math.min(to, this.#stop);
    this.next = this.entries.length === 0 ? this.#end : backward ? to : from;
    this.from = backward ? { at: "before", offset: from } : { at: "offset", offset: to };
    return ok(undefined);
  }
}

function entriesOf(page: PageAnswer, filter: Filter | undefined, backward: boolean): Entry[] {
  const entries: Entry[] = [];
  for (const piece of page.pieces) {
    if ("damaged" in piece) {
      entries.push({ damaged: piece.damaged, offset: piece.damaged.from, timestamp: 0 });
      continue;
    }
    const start = entries.length;
    eachItem(piece.body, { from: page.from, to: page.to, filter }, (item) => entries.push(item));
    if (backward) entries.push(...entries.splice(start).reverse());
  }
  return entries;
}
