/**
 * Where the newest records begin that a filter lets through, over several partitions: from their tails down, in the merged
 * order of a read (timestamp, then partition, then offset), until so many are counted.
 *
 *     partition 0   ──────●────────●──●▏            the newest 4, ●, begin at these places: what is
 *     partition 1   ───────────●──────────────▏     behind ▏ was appended later, and is not counted
 *
 * A page of a partition is wanted where nothing of it is at hand and it may still have the next one.
 */
import type { Filter } from "./filter.ts";
import { eachItem } from "./items.ts";
import type { Page, Position } from "./read.ts";

/** Records of one partition that have been found, and where the older ones are. */
interface Line {
  readonly partition: number;
  /** Newest first; those before `at` have been counted. */
  found: { readonly offset: number; readonly timestamp: number }[];
  at: number;
  /** Where older ones are read. */
  older: Position;
  ended: boolean;
  /** The offset of the oldest record that was counted, or the tail. */
  place: number | undefined;
}

/** A page that is wanted, read backward. */
export interface Wanted {
  readonly partition: number;
  readonly from: Position;
  /** Records that are left to be counted. */
  readonly limit: number;
}

export class Newest {
  readonly #lines: readonly Line[];
  #left: number;
  #oldest: Line | undefined;

  constructor(
    partitions: readonly number[],
    readonly count: number,
    readonly filter: Filter | undefined,
  ) {
    const line = { at: 0, older: { at: "latest" }, ended: false, place: undefined } as const;
    this.#lines = partitions.map((partition) => ({ ...line, partition, found: [] }));
    this.#left = count;
  }

  /** What must be read before it can be said where the records begin; at first a page of each partition. None: it is known. */
  wanted(): Wanted[] {
    for (; this.#left > 0; this.#left--) {
      const wanting = this.#lines.filter(({ found, at, ended }) => at === found.length && !ended);
      if (wanting.length > 0) {
        return wanting.map(({ partition, older }) => ({ partition, from: older, limit: this.#left }));
      }
      const newest = this.#next();
      if (newest === undefined) break;
      newest.place = newest.found[newest.at++].offset;
      this.#oldest = newest;
    }
    return [];
  }

  /** Takes a page that was wanted. */
  take(partition: number, { from, to, pieces, upToDate }: Page): void {
    const line = this.#of(partition);
    line.place ??= to;
    line.older = { at: "before", offset: from };
    line.ended = upToDate;
    line.at = 0;
    line.found = [];
    for (const piece of pieces) {
      if (!("body" in piece)) continue;
      const start = line.found.length;
      eachItem(piece.body, { from, to, filter: this.filter }, ({ offset, timestamp }) => {
        line.found.push({ offset, timestamp });
      });
      line.found.push(...line.found.splice(start).reverse());
    }
  }

  /** Nothing older is left of a partition: it was trimmed meanwhile. */
  end(partition: number): void {
    this.#of(partition).ended = true;
  }

  /**
   * The place in each partition: an offset, or, for a backward read, which begins with the oldest of the records, the offset
   * before which it goes on.
   */
  places(backward: boolean): Map<number, number> {
    const after = (line: Line) => (backward && line === this.#oldest ? 1 : 0);
    return new Map(this.#lines.map((line) => [line.partition, (line.place ?? 0) + after(line)]));
  }

  #of(partition: number): Line {
    return this.#lines.find((line) => line.partition === partition) as Line;
  }

  /** The line with the newest record that is at hand. */
  #next(): Line | undefined {
    let best: Line | undefined;
    for (const line of this.#lines) {
      if (line.at === line.found.length) continue;
      if (best === undefined || isNewer(line, best)) best = line;
    }
    return best;
  }
}

function isNewer(a: Line, b: Line): boolean {
  const time = a.found[a.at].timestamp - b.found[b.at].timestamp;
  return time > 0 || (time === 0 && a.partition > b.partition);
}
