/** Uploads of a log's segments, one at a time: what becomes of them, and what may yet come of attempts that were given up. */
import type { Log } from "../log/log.ts";
import { uploading, uploadOver } from "../log/notice.ts";
import { retentionOf } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";

export class Uploads {
  #cutOff = false;

  constructor(readonly log: Log) {}

  begin({ n }: Segment, now: number): void {
    this.#cutOff = false;
    uploading(this.log.segments, n, retentionOf(this.log.spec).parquet !== null, now);
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
