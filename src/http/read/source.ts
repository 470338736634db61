/** One partition as a merged read sees it: pages fetched as they are needed, and the next record of them. */
import type { Refusal, Result } from "../../../schemas/errors.ts";
import { ok } from "../../../schemas/errors.ts";
import type { Filter } from "../../log/filter.ts";
import { checksumsOf } from "../../log/frame.ts";
import { eachItem } from "../../log/items.ts";
import type { Item } from "../../log/json.ts";
import { missed, type Piece, type Position, type Range } from "../../log/read.ts";
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

/** What is asked of a partition. */
export interface Asked {
  read(call: ReadCall): Promise<Result<PageAnswer>>;
  /** Ends a wait: its answer is not wanted any more. */
  end(wait: string): void;
}

/** A place that is below the head by now. */
export interface Trimmed {
  readonly lost: Range;
  readonly head: number;
  readonly tail: number;
  readonly snapshot: Snapshot | null;
}

export class Source {
  /** Where the read began, and where it goes on: an offset, or, backward, the offset before which it goes on. */
  start: number;
  next: number;
  head = 0;
  tail = 0;
  /** Nothing is left to fetch. */
  ended = false;
  /** The partition takes no more records. */
  sealed = false;
  /** No later record will be stamped below this. */
  promise = 0;
  /** The newest snapshot, as the first page said of it. */
  snapshot: Snapshot | null | undefined;
  /** Why it cannot go on, where that is so. */
  trimmed: Trimmed | undefined;
  /** It is read up to this offset, or to the tail as it stood at first. */
  bound: number | undefined;
  entries: Entry[] = [];
  at = 0;
  #end = 0;
  #bytes = 0;
  #stop = Number.MAX_SAFE_INTEGER;
  #fetched = false;
  /** Counts what was asked: an answer that comes when another question was asked is not taken. */
  #asked = 0;
  /** Checksums of what was fetched, and the offsets at which it begins. */
  readonly #checksums: (readonly [offset: number, checksum: number])[] = [];

  /** `floats`: the place was not named by an offset, so that it is the head where the head has overtaken it. */
  constructor(
    readonly partition: number,
    public from: Position,
    readonly terms: SourceTerms,
    readonly asks: Asked,
    readonly floats = false,
  ) {
    const named = "offset" in from ? from.offset : 0;
    this.start = this.next = from.at === "offset" && terms.backward ? named + 1 : named;
  }

  get entry(): Entry | undefined {
    return this.entries[this.at];
  }

  /** Bytes of the page that is at hand. */
  get bytes(): number {
    return this.at < this.entries.length ? this.#bytes : 0;
  }

  /** Steps over the entry that was shown. */
  advance(): void {
    const shown = this.entries[this.at++];
    this.next = this.terms.backward ? shown.offset : "damaged" in shown ? shown.damaged.to : shown.offset + 1;
    // Behind the last one, what the filter left out is passed over too.
    if (this.at === this.entries.length) this.next = this.#end;
  }

  /** Fetches the next page; waits for it under a name. */
  async fetch(waitMs: number, promise?: number, wait?: string): Promise<Result<undefined>> {
    const { backward, limit, bytesMax, filter } = this.terms;
    const asked = ++this.#asked;
    const page = await this.asks.read({
      from: this.from,
      backward,
      limit,
      bytesMax,
      waitMs,
      ...(filter === undefined ? {} : { filter }),
      ...(promise === undefined ? {} : { promise }),
      ...(wait === undefined ? {} : { wait }),
    });
    if (asked !== this.#asked) return ok(undefined);
    if (page.ok) this.#take(page.value);
    else if (page.refusal.code !== "trimmed") return page;
    else {
      const trimmed = this.refused(page.refusal);
      if (!this.floats || this.#fetched) return page;
      this.from = { at: "offset", offset: trimmed.head };
      this.trimmed = undefined;
      return this.fetch(waitMs, promise, wait);
    }
    return ok(undefined);
  }

  /** Leaves an answer that has not come. */
  forsake(): void {
    this.#asked++;
  }

  /** Takes a refusal: the place is below the head. */
  refused({ facts = {} }: Refusal): Trimmed {
    const head = Number(facts.head);
    const lost = missed(this.from, head, this.terms.backward) ?? { from: this.next, to: this.next };
    const snapshot = (facts.snapshot as Snapshot | null | undefined) ?? null;
    this.trimmed = { lost, head, tail: Number(facts.tail), snapshot };
    return this.trimmed;
  }

  /** Goes on at the head; answers what it missed. */
  skip({ lost, head }: Trimmed): Range {
    this.trimmed = undefined;
    this.from = { at: "offset", offset: head };
    this.next = head;
    return { from: lost.from, to: Math.min(lost.to, this.#stop) };
  }

  /** Checksums of what was shown: another text for whatever is another page. */
  get checksum(): string {
    let sum = 0;
    for (const [offset, checksum] of this.#checksums) if (offset < this.next) sum = (Math.imul(sum, 31) + checksum) | 0;
    return (sum >>> 0).toString(36);
  }

  #take(page: PageAnswer): void {
    const { backward, toTail, filter } = this.terms;
    const { from, head, tail, upToDate, sealed } = page;
    const ends = !backward && (toTail || this.bound !== undefined);
    if (!this.#fetched && ends) this.#stop = Math.min(this.bound ?? tail, tail);
    const to = Math.max(from, Math.min(page.to, this.#stop));
    if (!this.#fetched) {
      this.start = backward ? to : from;
      this.snapshot = page.snapshot;
    }
    this.#fetched = true;
    this.head = head;
    this.tail = tail;
    this.sealed = sealed;
    this.ended = upToDate || to >= this.#stop;
    // What comes beyond the bound is not waited for.
    const silent = sealed || (this.bound !== undefined && this.ended);
    this.promise = silent ? Number.MAX_SAFE_INTEGER : page.promise;
    this.entries = this.#entriesOf({ ...page, to }, filter);
    this.#bytes = bytesOf(page.pieces);
    this.at = 0;
    this.#end = backward ? from : to;
    this.next = this.entries.length === 0 ? this.#end : backward ? to : from;
    this.from = backward ? { at: "before", offset: from } : { at: "offset", offset: to };
  }

  #entriesOf(page: PageAnswer, filter: Filter | undefined): Entry[] {
    const { backward, toTail } = this.terms;
    const entries: Entry[] = [];
    for (const piece of page.pieces) {
      if ("damaged" in piece) {
        if (piece.damaged.from >= page.to) continue;
        // No record has its time: it is shown when it is come to.
        const timestamp = backward ? Number.MAX_SAFE_INTEGER : 0;
        entries.push({ damaged: piece.damaged, offset: piece.damaged.from, timestamp });
        continue;
      }
      const start = entries.length;
      eachItem(piece.body, { from: page.from, to: page.to, filter }, (item) => entries.push(item));
      if (backward) entries.push(...entries.splice(start).reverse());
      // Of a read without an end nothing is kept.
      else if (!toTail && start < entries.length) {
        this.#checksums.push([entries[start].offset, checksumsOf(piece.body)]);
      }
    }
    return entries;
  }
}

const bytesOf = (pieces: readonly Piece[]) =>
  pieces.reduce((sum, piece) => sum + ("damaged" in piece ? 0 : piece.body.length), 0);
