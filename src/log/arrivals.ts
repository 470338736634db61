/**
 * When records came, where their timestamps do not say: clients bring those. From time to time a commit notes its first offset
 * and its time: what came between two of them came no later than the second, nor than a step after the first. Beside them
 * stands when the open segment was begun.
 *
 *     noted      0 at 12:00 ──────── 40 at 12:05 ──────── 90 at 18:00 ────────▶ tail
 *     came by             12:05               12:10                18:05
 */
import type { Open } from "./open-segment.ts";
import type { Spec } from "./spec.ts";
import type { Store } from "./store.ts";

/** `stepMs`: what came up to so much later may have no mark of its own; the window may have been another one. */
type Mark = readonly [offset: number, time: number, stepMs: number];

interface Kept {
  readonly marks: readonly Mark[];
  readonly opened?: readonly [offset: number, time: number];
}

const name = "arrivals";
/** So many are kept of a window. */
const parts = 8;
const stepMsMin = 1_000;

export class Arrivals {
  #kept: Kept = { marks: [] };
  readonly #client: boolean;
  readonly #windowMs: number;
  readonly #stepMs: number;

  constructor(
    readonly store: Store,
    { timestamps, deduplicationWindowMs }: Spec,
  ) {
    this.#client = timestamps === "client";
    this.#windowMs = deduplicationWindowMs;
    this.#stepMs = Math.max(stepMsMin, Math.ceil(deduplicationWindowMs / parts));
    const text = this.#client ? store.meta(name) : undefined;
    if (text !== undefined) this.#kept = JSON.parse(text);
  }

  /** The time of a commit. It does not go back, whatever the clock does. `last`: the timestamp of the newest record. */
  time(now: number, last: number): number {
    if (!this.#client) return Math.max(now, last);
    const { marks, opened } = this.#kept;
    return Math.max(now, marks.at(-1)?.[1] ?? 0, opened?.[1] ?? 0);
  }

  /** Notes a commit, where it is time to. In its transaction, before its rows. */
  note(base: number, time: number, open: Open): void {
    if (!this.#client) return;
    const { marks, opened } = this.#kept;
    const newest = marks.at(-1);
    const isDue = newest === undefined || time >= newest[1] + this.#stepMs;
    const opens = open.first === undefined;
    if (!isDue && !opens) return;
    // Of those before the window the last one tells that what is below it is, too.
    const isOver = (at: number) => at + 1 < marks.length && marks[at + 1][1] <= time - this.#windowMs;
    const noted: Mark = [base, time, this.#stepMs];
    this.#kept = {
      marks: isDue ? [...marks.filter((_, at) => !isOver(at)), noted] : marks,
      ...(opens ? { opened: [base, time] } : opened && { opened }),
    };
    this.store.setMeta(name, JSON.stringify(this.#kept));
  }

  /** When everything below `next` had come, at the latest; `last` is the timestamp of the last record of it. */
  by({ next, last }: { readonly next: number; readonly last: number }): number {
    if (!this.#client) return last;
    const { marks } = this.#kept;
    const at = marks.findIndex(([offset]) => offset >= next);
    const behind = marks[at]?.[1] ?? Number.POSITIVE_INFINITY;
    const before = marks.at(at < 0 ? at : at - 1);
    // What came before anything was noted, by an older version or out of a dump, has its timestamps alone.
    return Math.min(behind, at === 0 || before === undefined ? last : before[1] + before[2]);
  }

  /** When the open segment got its first record; undefined while it has none. */
  opened(open: Open): number | undefined {
    if (!this.#client || open.first === undefined) return open.first;
    const { opened } = this.#kept;
    return opened !== undefined && opened[0] >= open.base ? opened[1] : open.first;
  }
}
