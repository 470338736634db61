/**
 * Compaction: of the records of one key only the latest stays. A pass learns the keys of what is new, and goes once over
 * the whole log, a few segments at a time; whatever a crash takes from memory is learnt again.
 *
 *     head ─────── clean ──────────── to ────────── tail
 *     rewritten     │ new: the keys   │ not yet
 *     against it ◀──┴─ are learnt ────┘
 *
 * A key's last record stays though it has no data: readers must see that the key is gone. When it may go, and what becomes
 * of a segment that cannot be read, or not be rewritten, is in `compaction-state`.
 */
import type { Log } from "../log/log.ts";
import { kinds, type Rec } from "../log/record.ts";
import { retentionOf } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";
import { segmentBytes } from "../log/segments.ts";
import {
  advanced,
  begun,
  ended,
  graceOver,
  leftOut,
  owes,
  type Pass,
  probed,
  readState,
  type State,
  shortened,
} from "./compaction-state.ts";
import type { Fate, Rewriter } from "./rewrite.ts";

/** A pass begins when there is half as much that is new as there is that is clean. */
const dirtyShare = 0.5;
/** Bytes of the keys that one pass has in memory, with what a map takes beside them. */
const keysBytesMax = 16_777_216;
const entryBytes = 64;
/** Segments that are put together. */
const inputsMax = 8;

const metaName = "compaction";

/** What is to be read next: a segment whose keys are to be learnt, or segments to be rewritten. */
export type Due = { readonly learn: Segment } | { readonly rewrite: readonly Segment[] };

export class Compaction {
  /** Last offset of each key in `[#from, #learnt)`. */
  readonly #keys = new Map<string, number>();
  #keysBytes = 0;
  #from = -1;
  #learnt = -1;
  /** The segment that is read is only to show that it can be. */
  #probing = false;
  /** A segment is sealed whose ids may still come again: it can be looked at from then on, in ms since 1970. */
  heldUntil: number | undefined;
  /** Segments that are taken together; one, after a failure. */
  #together = inputsMax;

  constructor(
    readonly log: Log,
    /** What is rewritten can go into an archive. */
    readonly archives: () => boolean,
    readonly bytesMax = keysBytesMax,
  ) {}

  get #state(): State {
    return readState(this.log.segments.meta.meta(metaName));
  }

  /** A pass is under way. */
  get begun(): boolean {
    return retentionOf(this.log.spec).compact && this.#state.pass !== undefined;
  }

  due(now: number): Due | undefined {
    if (!retentionOf(this.log.spec).compact) return undefined;
    const state = this.#state;
    const pass = state.pass ?? this.#begin(state, now);
    if (pass === undefined) return undefined;
    return this.#probe(pass) ?? this.#toLearn() ?? this.#toRewrite(now);
  }

  /** A record of the segment that is learnt. */
  learn(record: Rec, offset: number): void {
    if (record.key === undefined || this.#probing) return;
    if (!this.#keys.has(record.key)) this.#keysBytes += record.key.length * 2 + entryBytes;
    this.#keys.set(record.key, offset);
  }

  /** The segment is learnt: all of it, or what of it could be read. With more keys than fit, the pass goes so far and no further. */
  learnt(segment: Segment, whole: boolean): void {
    const state = this.#state;
    if (this.#probing) {
      this.#save(probed(state, whole));
      return;
    }
    this.#learnt = segment.next;
    const full = segment.next < (state.pass?.to ?? 0) && this.#keysBytes >= this.bytesMax;
    const next = full ? shortened(state, segment.next) : state;
    if (full || !whole) this.#save(whole ? next : leftOut(next, segment.base));
  }

  /** What becomes of each record of the segments that are rewritten now. */
  fates(now: number): (record: Rec, offset: number, timestamp: number) => Fate {
    const over = this.#deletedBelow(now);
    return ({ key, kind }, offset) => {
      if (key === undefined) return "keep";
      const last = this.#keys.get(key);
      if (last !== undefined && last > offset) return "drop";
      return kind === kinds.none && offset < over ? "drop" : "keep";
    };
  }

  /** One of the segments could not be read: each is taken by itself, and the one that it was is left as it is. */
  failed(inputs: readonly Segment[]): void {
    const [{ base, next }] = inputs;
    if (inputs.length === 1) this.#save(advanced(this.#state, next, base));
    this.#together = inputs.length === 1 ? inputsMax : 1;
  }

  /** The segments were read: what is left of them takes their place, if it is less, or if there are fewer then. */
  rewritten(inputs: readonly Segment[], rewriter: Rewriter, now: number): void {
    if (this.#from !== this.#state.pass?.from) return;
    const last = inputs[inputs.length - 1];
    const worth = rewriter.changed || (inputs.length > 1 && rewriter.bytes < segmentBytes / 2);
    if (worth && !this.log.replace(inputs, rewriter.finish(), now)) return;
    this.#save(advanced(this.#state, last.next));
  }

  /** Records that were learnt may be there no more, or are to be forgotten: it is learnt again what there is. */
  relearn(): void {
    this.#forget(-1);
  }

  /** Deletions below this offset have nothing left to delete, and whoever read that has had the time to learn it. */
  #deletedBelow(now: number): number {
    const { segments, span, spec } = this.log;
    // Older values may be in the partition that this one continues, and nobody takes them out of there.
    if (spec.continues) return 0;
    // Whoever begins with a snapshot has what is in it, and must learn what came of it since.
    const oldest = segments.snapshots.list().findLast(({ offset }) => offset >= span.head);
    return Math.min(
      graceOver(this.#state, retentionOf(spec).deleteMarkerGraceMs, now),
      oldest?.offset ?? Number.POSITIVE_INFINITY,
    );
  }

  /** The pass needs to go back to what was left out before only if that is there now. */
  #probe({ probe }: Pass): Due | undefined {
    this.#probing = probe !== undefined;
    if (probe === undefined) return undefined;
    const segment = this.#holding(probe);
    if (segment !== undefined && this.#rewritable(segment)) return { learn: segment };
    this.#save(probed(this.#state, segment === undefined));
    this.#probing = false;
    return undefined;
  }

  #toLearn(): Due | undefined {
    const { from, to } = this.#state.pass as Pass;
    if (this.#from !== from || this.#learnt < from) this.#forget(from);
    if (this.#learnt >= to) return undefined;
    const segment = this.#holding(this.#learnt);
    if (segment !== undefined && segment.next <= to) return { learn: segment };
    this.#learnt = to;
    return undefined;
  }

  /** Segments to be rewritten; without any the pass is over. */
  #toRewrite(now: number): Due | undefined {
    const before = this.#state;
    let state = before;
    const { at, to } = state.pass as Pass;
    const inputs: Segment[] = [];
    let bytes = 0;
    const from = Math.max(at, this.log.span.head);
    for (const segment of this.log.segments.store.from(this.#holding(from)?.base ?? from)) {
      if (segment.next > to || inputs.length >= this.#together) break;
      if (!this.#rewritable(segment)) {
        if (inputs.length > 0) break;
        state = advanced(state, segment.next, segment.base);
        continue;
      }
      if (inputs.length > 0 && bytes + segment.bytes > segmentBytes) break;
      inputs.push(segment);
      bytes += segment.bytes;
    }
    if (inputs.length > 0) {
      if (state !== before) this.#save(state);
      return { rewrite: inputs };
    }
    this.#save(ended(state, retentionOf(this.log.spec).deleteMarkerGraceMs, now));
    this.#forget(-1);
    // One that was cut short, or went back, leaves something to do.
    return this.due(now);
  }

  /** What is rewritten is hot: without an archive to go back to, it would stay so. */
  #rewritable(segment: Segment): boolean {
    return segment.hot === 1 || this.archives();
  }

  /** The segment in which an offset lies, or else the next one: they are merged across what was once an end. */
  #holding(offset: number): Segment | undefined {
    const { store } = this.log.segments;
    const before = store.before(offset);
    return before !== undefined && before.next > offset ? before : store.from(offset).next().value;
  }

  /** A pass that is worth it, if there is one. */
  #begin(state: State, now: number): Pass | undefined {
    const { deduplicationWindowMs } = this.log.spec;
    this.heldUntil = undefined;
    if ((this.log.segments.newest?.next ?? 0) <= state.clean) return undefined;
    let clean = 0;
    let dirty = 0;
    let to: number | undefined;
    for (const segment of this.log.segments.store.from(0)) {
      // An id that may come again must be found.
      if (segment.last >= now - deduplicationWindowMs) {
        this.heldUntil = segment.last + deduplicationWindowMs + 1;
        break;
      }
      if (segment.next <= state.clean) clean += segment.bytes;
      else {
        dirty += segment.bytes;
        to = segment.next;
      }
    }
    if (to === undefined || dirty < clean * dirtyShare) return undefined;
    const next = begun(state, to, owes(state) && state.newFirst !== true);
    this.#save(next);
    return next.pass;
  }

  #forget(from: number): void {
    this.#keys.clear();
    this.#keysBytes = 0;
    this.#from = from;
    this.#learnt = from;
  }

  #save(state: State): void {
    this.log.segments.meta.setMeta(metaName, JSON.stringify(state));
  }
}
