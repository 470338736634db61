/** Uploads of a log's segments, one at a time: what becomes of them, and what may yet come of attempts that were given up. */
import type { Log } from "../log/log.ts";
import { uploading, uploadOver } from "../log/notice.ts";
import { retentionOf } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";

const none = new Uint8Array(0);

export class Uploads {
  #cutOff = false;

  constructor(readonly log: Log) {}

  /**
   * Answers the segment as its object is to have it. By which hash it knows the one before it is noted first: whatever that one is
   * rewritten to keeps the hash then, also while the bucket is asked, and before it is asked again.
   */
  begin(segment: Segment, now: number): Segment {
    this.#cutOff = false;
    const { segments, spec } = this.log;
    const begun = { ...segment, prev: this.#before(segment) };
    this.log.change(now, () => {
      uploading(segments, segment.n, retentionOf(spec).parquet !== null, now);
      if (begun.prev.length > 0) segments.put(begun);
    });
    return begun;
  }

  /** Empty where there is none, or a row that is not what was written would say it. */
  #before({ base, prev }: Segment): Uint8Array {
    if (prev.length > 0) return prev;
    const before = this.log.segments.store.before(base - 1);
    return before?.next === base && !before.broken ? before.sha : none;
  }

  /** An attempt of the one that is under way was given up without an answer: it may yet be done. */
  readonly cutOff = (): void => {
    this.#cutOff = true;
  };

  /** It is over. Answers the segment as it is now; undefined where it went meanwhile. Within `change`. */
  over({ base, n }: Segment, now: number): Segment | undefined {
    uploadOver(this.log.segments, n, this.#cutOff, now);
    const current = this.log.segments.store.at(base);
    return current?.n === n ? current : undefined;
  }
}
