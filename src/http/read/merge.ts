/**
 * The merged order: by timestamp, then partition, then offset; the same on every run. A record is shown only when no
 * partition can still come up with an earlier one: a partition at its tail promises how its next record will be stamped,
 * and a record beyond that promise is held back until the promise is renewed.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import type { Entry, Source } from "./source.ts";

/** Pages that one partition is asked for while a filter finds nothing, before the answer goes out with a new cursor. */
const roundsMax = 16;
/** Renewals of promises for one page, and how far ahead of our clock a partition is asked to go. */
const renewalsMax = 3;
const aheadMsMax = 5_000;

export class Merge {
  /** Nothing was left to show. */
  upToDate = false;
  /** Records are there that cannot be shown yet: an earlier one may still come. */
  held = false;
  #rounds = 0;
  #renewals = 0;

  constructor(
    readonly sources: readonly Source[],
    readonly backward: boolean,
  ) {}

  /** Fetches where nothing is at hand. */
  async fetch(waitMs: number): Promise<Result<undefined>> {
    const empty = this.sources.filter((source) => source.entry === undefined && !source.ended);
    const promise = this.sources.length > 1 ? Date.now() + 1 : undefined;
    const results = await Promise.all(empty.map((source) => source.fetch(waitMs, promise)));
    return results.find((result) => !result.ok) ?? ok(undefined);
  }

  /** Shows records in order while `show` says true. The first fetch must have been done. */
  async run(show: (entry: Entry, partition: number) => boolean): Promise<Result<undefined>> {
    this.#rounds = 0;
    for (;;) {
      if (this.sources.some((source) => source.entry === undefined && !source.ended)) {
        if (this.#rounds++ >= roundsMax) return ok(undefined);
        const fetched = await this.fetch(0);
        if (!fetched.ok) return fetched;
        continue;
      }
      const best = this.#best();
      if (best === undefined) {
        this.upToDate = true;
        return ok(undefined);
      }
      const entry = best.entry!;
      const behind = this.backward
        ? []
        : this.sources.filter((source) => source !== best && mayPrecede(source, entry, best));
      if (behind.length > 0) {
        const renewed = await this.#renew(behind, entry.timestamp);
        if (!renewed.ok) return renewed;
        if (!renewed.value) {
          this.held = true;
          return ok(undefined);
        }
        continue;
      }
      this.#rounds = 0;
      if (!show(entry, best.partition)) return ok(undefined);
      best.advance();
    }
  }

  #best(): Source | undefined {
    let best: Source | undefined;
    for (const source of this.sources) {
      if (source.entry === undefined) continue;
      if (best === undefined || this.#before(source, best)) best = source;
    }
    return best;
  }

  #before(a: Source, b: Source): boolean {
    const time = a.entry!.timestamp - b.entry!.timestamp;
    const order = time === 0 ? a.partition - b.partition : time;
    return this.backward ? order > 0 : order < 0;
  }

  /** Asks the partitions that are behind to promise past a time. False where that is too much to ask for now. */
  async #renew(behind: readonly Source[], time: number): Promise<Result<boolean>> {
    if (this.#renewals++ >= renewalsMax || time > Date.now() + aheadMsMax) return ok(false);
    const results = await Promise.all(behind.map((source) => source.fetch(0, time + 1)));
    return results.find((result) => !result.ok) ?? ok(true);
  }
}

/** True where a partition that has nothing at hand may still write a record that comes before `entry`. */
function mayPrecede(source: Source, entry: Entry, of: Source): boolean {
  if (source.entry !== undefined) return false;
  return source.promise < entry.timestamp || (source.promise === entry.timestamp && source.partition < of.partition);
}
