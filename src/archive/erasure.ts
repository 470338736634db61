/**
 * Forgetting: every record of a key, or of a subject, becomes a tombstone at its offset. A request is a row until its last
 * object is gone from the bucket; then what was to be forgotten is forgotten here too, and a receipt stays.
 *
 *     rewriting   chunks and keys, segment by segment; then the groups      deleting   objects      done   the request
 *
 * A crash between two of them repeats the one that it came into: each is the same twice.
 */

import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { hashText, mayContain, seeds } from "../log/fingerprint.ts";
import { isOf, objectPrefixes, type PartitionStep } from "../log/forgetting.ts";
import { identityHash, identityOf } from "../log/identity.ts";
import { type Ids, IdsBuilder } from "../log/inheritance.ts";
import { baseText } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import type { Rec } from "../log/record.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Segments } from "../log/segments.ts";
import type { Fate, Rewriter } from "./rewrite.ts";

/** A request, and what has become of it; the receipt, once it is done. Times are ms since 1970. */
export interface Erasure {
  readonly id: string;
  readonly state: "rewriting" | "deleting" | "done";
  /** Absent once it is done. */
  readonly target?: Target;
  /** What stays of the target: too little to tell what it was, and enough to tell another one. */
  readonly hash?: number;
  /** Every partition of the stream that it went to. Absent in those of before, and in those that came with a dump. */
  readonly asked?: readonly number[];
  /** Records below this offset are concerned: the tail when it was requested. */
  readonly to: number;
  /** How far it has come. */
  readonly at: number;
  readonly records: number;
  readonly segments: number;
  /**
   * Objects that may hold them, until they are deleted: what had been left to be deleted when everything was searched,
   * whoever left it.
   */
  readonly objects: readonly string[];
  /** Where they were as many as a row has room for: the last one, behind which there may be others. */
  readonly more?: string;
  /** Chunks that could not be read, and so not be searched: their first offsets. */
  readonly unread: readonly number[];
  readonly requested: number;
  readonly finished?: number;
}

const prefix = "erasure:";
/** Segments that are passed over at a time because they hold no such key. */
const passedMax = 1_000;
/** Objects that are waited for at a time. */
const objectsMax = 1_000;

/** What is to be done next for a request; `chunks` are searched a segment at a time. */
export type Due = { readonly erasure: Erasure } & (
  | { readonly step: Extract<PartitionStep, "chunks">; readonly segment: Segment }
  | { readonly step: Extract<PartitionStep, "groups"> }
);

export class Erasures {
  /** Last offsets of keys among the records that were found since a segment was done with. */
  readonly #found = new Map<string, number>();
  /** Of the records that were found since then: who they were, where they lie, and when they came. */
  #ids: { readonly hash: [number, number]; readonly offset: number; readonly time: number }[] = [];

  constructor(readonly log: Log) {}

  get #segments(): Segments {
    return this.log.segments;
  }

  get(id: string): Erasure | undefined {
    const text = this.#segments.meta.meta(prefix + id);
    return text === undefined ? undefined : JSON.parse(text);
  }

  list(): Erasure[] {
    return this.#segments.meta.metaLike(prefix).map(({ value }) => JSON.parse(value));
  }

  /** The request of an id, where there is one; refuses where it is for another target. */
  known(id: string, target: Target): Result<Erasure | undefined> {
    const known = this.get(id);
    const hash = hashOf(target);
    if (known === undefined || (known.hash ?? hash) === hash) return ok(known);
    return refuse("conflict", `the request '${id}' is for another key, or subject; give this one an id of its own`);
  }

  /**
   * Takes a request. The same id again is the same request, and cannot be another one. `asked`: the partitions that it goes to;
   * `unread`: first offsets of what is known to be out of reach.
   */
  request(
    id: string,
    target: Target,
    now: number,
    { asked, unread = [] }: Partial<Pick<Erasure, "asked" | "unread">> = {},
  ): Result<Erasure> {
    const known = this.known(id, target);
    if (!known.ok || known.value !== undefined) return known as Result<Erasure>;
    const hash = hashOf(target);
    const { head, tail } = this.log.span;
    const erasure: Erasure = {
      id,
      state: "rewriting",
      target,
      hash,
      ...(asked === undefined ? {} : { asked }),
      to: tail,
      at: head,
      records: 0,
      segments: 0,
      objects: [],
      unread,
      requested: now,
    };
    this.log.change(now, () => {
      // Only what is sealed is rewritten.
      this.#segments.cut(tail, now);
      if ("key" in target) this.#segments.meta.dropLastOfKey(target.key);
      this.#save(erasure);
    });
    return ok(erasure);
  }

  /** There is something to do that no object is waited for with. */
  get begun(): boolean {
    return this.list().some((one) => one.state === "rewriting" || (one.state === "deleting" && !this.#waits(one)));
  }

  /** The next segment that is to be searched; where all were, groups are to forget what they took meanwhile. */
  due(now: number): Due | undefined {
    for (let erasure of this.list()) {
      if (erasure.state === "deleting") erasure = this.#deleted(erasure, now);
      if (erasure.state !== "rewriting") continue;
      const segment = this.#next(erasure) ?? this.#opened(erasure, now);
      return segment === undefined ? { erasure, step: "groups" } : { erasure, step: "chunks", segment };
    }
    return undefined;
  }

  /**
   * Everything was searched, and every group asked: what is left are the objects. `unread`: segments whose objects are in the bucket
   * and could not be searched, by their first offsets.
   */
  finish({ id, at }: Erasure, now: number, unread: readonly number[] = []): void {
    const current = this.get(id);
    // A repair has set it back meanwhile: what it mended is to be searched.
    if (current?.state !== "rewriting" || current.at < at) return;
    const all = [...new Set([...current.unread, ...unread])];
    const next = { ...current, at: current.to, unread: all, ...this.#objects(current) };
    const deleting: Erasure = { ...next, state: "deleting" };
    this.#save(deleting);
    this.#deleted(deleting, now);
  }

  fate({ target, to }: Erasure, record: Rec, offset: number, timestamp: number): Fate {
    if (target === undefined || offset >= to || !isOf(target, record)) return "keep";
    if (record.id !== undefined) {
      const time = this.log.arrivals.by({ next: offset + 1, last: timestamp });
      this.#ids.push({ hash: identityHash(identityOf(record)), offset, time });
    }
    if (record.key !== undefined && this.log.spec.keyIndex) this.#found.set(record.key, offset);
    return "erase";
  }

  /** The segment was searched; `unread`: chunks of it that could not be. */
  searched(erasure: Erasure, segment: Segment, rewriter: Rewriter, unread: readonly number[], now: number): void {
    const current = this.get(erasure.id);
    if (current === undefined) return;
    // First: in what has been rewritten nobody finds them again.
    this.#dropKeys();
    const ids = this.#takeIds(now);
    if (rewriter.changed && !this.log.replace([segment], rewriter.finish(), now, ids)) return;
    this.#save({
      ...current,
      // A repair may have set it back meanwhile.
      at: current.at < erasure.at ? current.at : segment.next,
      records: current.records + rewriter.erased,
      segments: current.segments + (rewriter.changed ? 1 : 0),
      unread: [...current.unread, ...unread],
    });
  }

  /**
   * A segment was repaired: what could not be searched in it is searched now, by those requests that still know for what. A
   * receipt does not.
   */
  repaired({ base, next }: Pick<Segment, "base" | "next">): void {
    for (const { more: _, ...erasure } of this.list()) {
      const unread = erasure.unread.filter((offset) => offset < base || offset >= next);
      if (erasure.target === undefined || unread.length === erasure.unread.length) continue;
      this.#save({ ...erasure, state: "rewriting", at: Math.min(erasure.at, base), objects: [], unread });
    }
  }

  /** The key index names keys by their last records: those of which that one goes. */
  #dropKeys(): void {
    const { meta } = this.#segments;
    for (const [key, offset] of this.#found) if (meta.lastOfKey(key) === offset) meta.dropLastOfKey(key);
    this.#found.clear();
  }

  /** The ids of which a retry may still come. */
  #takeIds(now: number): Ids {
    const { deduplicationWindowMs, partition } = this.log.spec;
    const ids = new IdsBuilder(partition);
    for (const { hash, offset, time } of this.#ids) {
      if (time >= now - deduplicationWindowMs) ids.add(hash, offset, time);
    }
    this.#ids = [];
    return ids.finish();
  }

  /** Segments that surely hold no such key are passed over. */
  #next(erasure: Erasure): Segment | undefined {
    let { at } = erasure;
    let passed = 0;
    for (const segment of this.#segments.store.from(this.#segments.store.before(at)?.base ?? at)) {
      if (segment.base >= erasure.to) break;
      if (segment.next <= at) continue;
      if (passed >= passedMax || this.#mayHold(segment, erasure)) {
        this.#save({ ...erasure, at });
        return segment;
      }
      at = segment.next;
      passed++;
    }
    return undefined;
  }

  /** Only what is sealed is rewritten; a log that was restored has in its open segment what was sealed where it was dumped. */
  #opened(erasure: Erasure, now: number): Segment | undefined {
    const { open } = this.#segments;
    if (open.base >= erasure.to || open.first === undefined) return undefined;
    this.log.change(now, () => this.#segments.cut(this.log.span.tail, now));
    return this.#next(erasure);
  }

  #mayHold({ n, broken }: Segment, { target }: Erasure): boolean {
    if (broken || target === undefined || !("key" in target)) return true;
    const print = this.#segments.store.print(n);
    return print === undefined || mayContain(print, hashText(target.key, seeds.key));
  }

  #deleted(erasure: Erasure, now: number): Erasure {
    const left = erasure.objects.filter((key) => this.#segments.store.isGarbage(key));
    if (left.length > 0 && left.length === erasure.objects.length) return erasure;
    const { target, more, ...receipt } = { ...erasure, objects: left };
    const next: Erasure =
      left.length > 0
        ? { ...erasure, objects: left }
        : more === undefined
          ? { ...receipt, state: "done", finished: now }
          : { ...receipt, target, ...this.#objects(erasure, more) };
    this.#save(next);
    return more !== undefined && left.length === 0 ? this.#deleted(next, now) : next;
  }

  #waits({ objects }: Erasure): boolean {
    return objects.some((key) => this.#segments.store.isGarbage(key));
  }

  /**
   * What is left to be deleted, behind a key: whatever lay below the offset may hold them, whether it was rewritten for
   * this, or before, or dropped.
   */
  #objects({ to }: Erasure, after = ""): Pick<Erasure, "objects" | "more"> {
    const { store } = this.#segments;
    const found = objectPrefixes(this.log.spec).flatMap((prefix) =>
      store.garbageIn(prefix, prefix + baseText(to), after, objectsMax),
    );
    const objects = found.sort().slice(0, objectsMax);
    return objects.length < objectsMax ? { objects } : { objects, more: objects[objectsMax - 1] };
  }

  #save(erasure: Erasure): void {
    this.#segments.meta.setMeta(prefix + erasure.id, JSON.stringify(erasure));
  }
}

const hashOf = (target: Target): number => hashText(JSON.stringify(target), seeds.key);
