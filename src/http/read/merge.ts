/**
 * The merged order: by timestamp, then partition, then offset; the same on every run. A record is shown only when no
 * partition can still come up with an earlier one: a partition at its tail promises how its next record will be stamped,
 * and a record beyond that promise is held back until the promise is renewed. Where clients stamp the records nobody can
 * promise anything: there nothing is held back, or a partition that rests would hide what the others have.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import type { Growth } from "./reading.ts";
import type { Entry, Source } from "./source.ts";

/** Pages that one partition is asked for while a filter finds nothing, before the answer goes out with a new cursor. */
const roundsMax = 16;
/** Renewals of promises for one page, and how far ahead of our clock a partition is asked to go. */
const renewalsMax = 3;
const aheadMsMax = 5_000;
/** It is not looked sooner than this whether what was held back may be shown. */
const heldMsMin = 50;

/** A stream that may grow while it is read. */
export interface Growing {
  /** The partition was split, and those that continue it are not among the sources. */
  isSplit(source: Source): boolean;
  /** Takes them in. */
  grow(): Promise<Result<Growth>>;
}

export class Merge {
  /** Nothing was left to show. */
  upToDate = false;
  /** Records are there that cannot be shown yet, because an earlier one may still come: for so many ms, at least. */
  heldMs: number | undefined;
  #rounds = 0;
  #renewals = 0;

  constructor(
    readonly sources: readonly Source[],
    readonly backward: boolean,
    /** The partitions stamp the records. */
    readonly promises = true,
    readonly stream?: Growing,
  ) {}

  /** Fetches where nothing is at hand. */
  async fetch(waitMs: number): Promise<Result<undefined>> {
    const empty = this.sources.filter((source) => source.entry === undefined && !source.ended);
    const promise = this.sources.length > 1 ? Date.now() + 1 : undefined;
    return worstOf(await Promise.all(empty.map((source) => source.fetch(waitMs, promise))));
  }

  /** Nothing is at hand, and nothing more was there. */
  get idle(): boolean {
    return this.sources.every((source) => source.ended && source.entry === undefined);
  }

  /** Shows records in order while `show` says true. The first fetch must have been done. */
  async run(show: (entry: Entry, partition: number) => boolean): Promise<Result<undefined>> {
    this.#rounds = 0;
    this.#renewals = 0;
    this.heldMs = undefined;
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
      const behind =
        this.backward || !this.promises
          ? []
          : this.sources.filter(
              (source) => source !== best && (mayPrecede(source, entry, best) || this.#isContinued(source)),
            );
      if (behind.length > 0) {
        const renewed = await this.#renew(behind, entry.timestamp);
        if (!renewed.ok) return renewed;
        if (!renewed.value) {
          this.heldMs = Math.max(heldMsMin, entry.timestamp - Date.now() - aheadMsMax);
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

  /** True where others may write records after its last one that nobody looks for yet. */
  #isContinued(source: Source): boolean {
    return source.entry === undefined && source.sealed && this.stream?.isSplit(source) === true;
  }

  /** Asks the partitions that are behind to promise past a time. False where that is too much to ask for now. */
  async #renew(behind: readonly Source[], time: number): Promise<Result<boolean>> {
    if (this.stream !== undefined && behind.some((source) => this.#isContinued(source))) {
      const grown = await this.stream.grow();
      return grown.ok ? ok(grown.value !== "behind") : grown;
    }
    if (this.#renewals++ >= renewalsMax || time > Date.now() + aheadMsMax) return ok(false);
    const renewed = worstOf(await Promise.all(behind.map((source) => source.fetch(0, time + 1))));
    return renewed.ok ? ok(true) : renewed;
  }
}

/** Why one of several failed, if one did. That places were trimmed is said of all of them at once: what else there is comes first. */
export function worstOf(results: readonly Result<undefined>[]): Result<undefined> {
  const refused = results.filter((result) => !result.ok);
  return refused.find(({ refusal }) => refusal.code !== "trimmed") ?? refused[0] ?? ok(undefined);
}

/** True where a partition that has nothing at hand may still write a record that comes before `entry`. */
function mayPrecede(source: Source, entry: Entry, of: Source): boolean {
  if (source.entry !== undefined) return false;
  return source.promise < entry.timestamp || (source.promise === entry.timestamp && source.partition < of.partition);
}
