/**
 * Forgetting: every record of a key, or of a subject, becomes a tombstone at its offset. A request is a row until its last
 * object is gone from the bucket; then what was to be forgotten is forgotten here too, and a receipt stays.
 */

import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { hashText, mayContain, seeds } from "../log/fingerprint.ts";
import { segmentKey } from "../log/keys.ts";
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
  /** Records below this offset are concerned: the tail when it was requested. */
  readonly to: number;
  /** How far it has come. */
  readonly at: number;
  readonly records: number;
  readonly segments: number;
  /** Objects that held them, until they are deleted. */
  readonly objects: readonly string[];
  /** Chunks that could not be read, and so not be searched: their first offsets. */
  readonly unread: readonly number[];
  readonly requested: number;
  readonly finished?: number;
}

const prefix = "erasure:";
/** Segments that are passed over at a time because they hold no such key. */
const passedMax = 1_000;

export class Erasures {
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

  /** Takes a request. The same id again is the same request, and cannot be another one. */
  request(id: string, target: Target, now: number): Result<Erasure> {
    const known = this.get(id);
    const hash = hashOf(target);
    if (known !== undefined && (known.hash ?? hash) === hash) return ok(known);
    if (known !== undefined)
      return refuse("conflict", `the request '${id}' is for another key, or subject; give this one an id of its own`);
    const { head, tail } = this.log.span;
    const erasure: Erasure = {
      id,
      state: "rewriting",
      target,
      hash,
      to: tail,
      at: head,
      records: 0,
      segments: 0,
      objects: [],
      unread: [],
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

  /** The next segment that is to be searched; without one, all were, and groups are to forget what they took meanwhile. */
  due(now: number): { readonly erasure: Erasure; readonly segment?: Segment } | undefined {
    for (let erasure of this.list()) {
      if (erasure.state === "deleting") erasure = this.#deleted(erasure, now);
      if (erasure.state !== "rewriting") continue;
      const segment = this.#next(erasure);
      return segment === undefined ? { erasure } : { erasure, segment };
    }
    return undefined;
  }

  /** Everything was searched, and every group asked: what is left are the objects. */
  finish({ id }: Erasure, now: number): void {
    const current = this.get(id);
    if (current?.state !== "rewriting") return;
    const deleting: Erasure = { ...current, at: current.to, state: "deleting" };
    this.#save(deleting);
    this.#deleted(deleting, now);
  }

  fate({ target, to }: Erasure, record: Rec, offset: number): Fate {
    if (target === undefined || offset >= to) return "keep";
    const hit = "key" in target ? record.key === target.key : record.subject === target.subject;
    return hit ? "erase" : "keep";
  }

  /** The segment was searched; `unread`: chunks of it that could not be. */
  searched(erasure: Erasure, segment: Segment, rewriter: Rewriter, unread: readonly number[], now: number): void {
    const current = this.get(erasure.id);
    if (current === undefined) return;
    const { logId, partition } = this.log.spec;
    if (rewriter.changed && !this.log.replace([segment], rewriter.finish(), now)) return;
    const objects = rewriter.changed ? [segmentKey(logId, partition, segment)] : [];
    this.#save({
      ...current,
      at: segment.next,
      records: current.records + rewriter.erased,
      segments: current.segments + objects.length,
      objects: [...current.objects, ...objects],
      unread: [...current.unread, ...unread],
    });
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

  #mayHold({ n }: Segment, { target }: Erasure): boolean {
    if (target === undefined || !("key" in target)) return true;
    const print = this.#segments.store.print(n);
    return print === undefined || mayContain(print, hashText(target.key, seeds.key));
  }

  #deleted(erasure: Erasure, now: number): Erasure {
    const objects = erasure.objects.filter((key) => this.#segments.store.isGarbage(key));
    if (erasure.state === "deleting" && objects.length === erasure.objects.length && objects.length > 0) return erasure;
    const { target, ...receipt } = erasure;
    const next: Erasure =
      objects.length > 0 ? { ...erasure, objects } : { ...receipt, objects, state: "done", finished: now };
    this.#save(next);
    return next;
  }

  #save(erasure: Erasure): void {
    this.#segments.meta.setMeta(prefix + erasure.id, JSON.stringify(erasure));
  }
}

const hashOf = (target: Target): number => hashText(JSON.stringify(target), seeds.key);
