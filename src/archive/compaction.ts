/**
 * Compaction: of the records of one key only the latest stays. A pass learns the keys of what is new, and goes once over
 * the whole log, a few segments at a time; whatever a crash takes from memory is learnt again.
 *
 *     head ─────── clean ──────────── to ────────── tail
 *     rewritten     │ new: the keys   │ not yet
 *     against it ◀──┴─ are learnt ────┘
 *
 * A key's last record stays though it has no data, until its grace is over: readers must see that the key is gone.
 */
import type { Log } from "../log/log.ts";
import { kinds, type Rec } from "../log/record.ts";
import { retentionOf } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";
import { segmentBytes } from "../log/segments.ts";
import type { Fate, Rewriter } from "./rewrite.ts";

/** What is written down of a pass. */
interface State {
  /** What is below was compacted against all keys below. */
  readonly clean: number;
  /** A pass is under way: its keys are those below `to`, and it has come to `at`. */
  readonly to?: number;
  readonly at?: number;
  /** A segment could not be read: deletions stay, for what they delete may still be in it. */
  readonly skipped?: boolean;
}

/** A pass begins when there is half as much that is new as there is that is clean. */
const dirtyShare = 0.5;
/** Bytes of the keys that one pass has in memory, with what a map takes beside them. */
const keysBytesMax = 16_777_216;
const entryBytes = 64;
/** Segments that are put together. */
const inputsMax = 8;

export class Compaction {
  /** Last offset of each key of the part that is new, as far as it has been read: up to `#learnt`. */
  readonly #keys = new Map<string, number>();
  #keysBytes = 0;
  #learnt = 0;
  /** A segment is sealed whose ids may still come again: it can be looked at from then on, in ms since 1970. */
  heldUntil: number | undefined;
  /** Segments that are taken together; one, after a failure. */
  #together = inputsMax;

  constructor(
    readonly log: Log,
    /** What is rewritten can go into an archive. */
    readonly archives: () => boolean,
  ) {}

  get state(): State {
    const text = this.log.segments.meta.meta("compaction");
    return text === undefined ? { clean: 0 } : JSON.parse(text);
  }

  /** A pass is under way. */
  get begun(): boolean {
    return retentionOf(this.log.spec).compact && this.state.to !== undefined;
  }

  /** What is to be read next: a segment whose keys are to be learnt, or segments to be rewritten. */
  due(now: number): { readonly learn: Segment } | { readonly rewrite: readonly Segment[] } | undefined {
    if (!retentionOf(this.log.spec).compact) return undefined;
    const state = this.state;
    const to = state.to ?? this.#begin(state, now);
    if (to === undefined) return undefined;
    const { store } = this.log.segments;
    if (this.#learnt < to) {
      if (this.#learnt < state.clean) this.#forget(state.clean);
      const segment = store.from(this.#learnt).next().value;
      if (segment !== undefined && segment.next <= to) return { learn: segment };
      this.#learnt = to;
    }
    const inputs: Segment[] = [];
    let bytes = 0;
    for (const segment of store.from(Math.max(state.at ?? 0, this.log.span.head))) {
      if (segment.next > to || inputs.length >= this.#together) break;
      // What is rewritten is hot: without an archive to go back to, it would stay so.
      if (segment.hot === 0 && !this.archives()) {
        if (inputs.length > 0) break;
        this.#save({ ...this.state, at: segment.next, skipped: true });
        continue;
      }
      if (inputs.length > 0 && bytes + segment.bytes > segmentBytes) break;
      inputs.push(segment);
      bytes += segment.bytes;
    }
    if (inputs.length > 0) return { rewrite: inputs };
    this.#save({ clean: to });
    this.#forget(to);
    return undefined;
  }

  /** A record of the segment that is learnt. */
  learn(record: Rec, offset: number): void {
    if (record.key === undefined) return;
    if (!this.#keys.has(record.key)) this.#keysBytes += record.key.length * 2 + entryBytes;
    this.#keys.set(record.key, offset);
  }

  /** The segment is learnt. With more keys than fit, the pass goes so far and no further. */
  learnt(segment: Segment): void {
    this.#learnt = segment.next;
    const state = this.state;
    if (state.to !== undefined && segment.next < state.to && this.#keysBytes >= keysBytesMax) {
      this.#save({ ...state, to: segment.next });
    }
  }

  /** What becomes of each record of the segments that are rewritten now. */
  fates(now: number): (record: Rec, offset: number, timestamp: number) => Fate {
    const { deleteMarkerGraceMs } = retentionOf(this.log.spec);
    const { skipped = false } = this.state;
    return ({ key, kind }, offset, timestamp) => {
      if (key === undefined) return "keep";
      const last = this.#keys.get(key);
      if (last !== undefined && last > offset) return "drop";
      return !skipped && kind === kinds.none && timestamp < now - deleteMarkerGraceMs ? "drop" : "keep";
    };
  }

  /** One of the segments could not be read: each is taken by itself, and the one that it was is left as it is. */
  failed(inputs: readonly Segment[]): void {
    if (inputs.length === 1) this.#save({ ...this.state, at: inputs[0].next, skipped: true });
    this.#together = inputs.length === 1 ? inputsMax : 1;
  }

  /** The segments were read: what is left of them takes their place, if it is less, or if there are fewer then. */
  rewritten(inputs: readonly Segment[], rewriter: Rewriter, now: number): void {
    const last = inputs[inputs.length - 1];
    const worth = rewriter.changed || (inputs.length > 1 && rewriter.bytes < segmentBytes / 2);
    if (worth && !this.log.replace(inputs, rewriter.finish(), now)) return;
    this.#save({ ...this.state, at: last.next });
  }

  /** Where a pass ends that is worth it; undefined where none is. */
  #begin(state: State, now: number): number | undefined {
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
    this.#save({ clean: state.clean, to });
    return to;
  }

  #forget(from: number): void {
    this.#keys.clear();
    this.#keysBytes = 0;
    this.#learnt = from;
  }

  #save(state: State): void {
    this.log.segments.meta.setMeta("compaction", JSON.stringify(state));
  }
}
