/**
 * When records came, where their timestamps do not say: clients bring those. From time to time, and with the first record of
 * a segment, a commit notes its first offset and its time: what came between two of them came no later than the second, nor
 * than a step after the first.
 *
 *     noted      0 at 12:00 ──────── 40 at 12:05 ──────── 90 at 18:00 ────────▶ tail
 *     came by             12:05               12:10                18:05
 */
import type { Open } from "./open-segment.ts";
import type { Spec } from "./spec.ts";
import type { Store } from "./store.ts";

type Mark = readonly [offset: number, time: number];

const name = "arrivals";
/** So many are kept of a window. */
const parts = 8;
const stepMsMin = 1_000;

export class Arrivals {
  #marks: readonly Mark[] = [];
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
    if (text !== undefined) this.#marks = JSON.parse(text);
  }

  /** The time of a commit. It does not go back, whatever the clock does. `last`: the timestamp of the newest record. */
  time(now: number, last: number): number {
    return Math.max(now, this.#client ? (this.#marks.at(-1)?.[1] ?? 0) : last);
  }

  /** Notes a commit, where it is time to. In its transaction, before its rows. */
  note(base: number, time: number, open: Open): void {
    if (!this.#client) return;
    const marks = this.#marks;
    const newest = marks.at(-1);
    if (open.first !== undefined && newest !== undefined && time < newest[1] + this.#stepMs) return;
    const opening = open.first === undefined ? undefined : this.#opening(open);
    // Of those before the window the last one tells that what is below it is, too.
    const isOver = (at: number) => at + 1 < marks.length && marks[at + 1][1] <= time - this.#windowMs;
    this.#marks = [...marks.filter((mark, at) => mark === opening || !isOver(at)), [base, time]];
    this.store.setMeta(name, JSON.stringify(this.#marks));
  }

  /** When everything below `next` had come, at the latest; `last` is the timestamp of the last record of it. */
  by({ next, last }: { readonly next: number; readonly last: number }): number {
    if (!this.#client) return last;
    const at = this.#marks.findIndex(([offset]) => offset >= next);
    const behind = this.#marks[at]?.[1] ?? Number.POSITIVE_INFINITY;
    const before = this.#marks.at(at < 0 ? at : at - 1)?.[1];
    // What came before anything was noted, by an older version or out of a dump, has its timestamps alone.
    return Math.min(behind, at === 0 || before === undefined ? last : before + this.#stepMs);
  }

  /** When the open segment got its first record; undefined while it has none. */
  opened(open: Open): number | undefined {
    if (!this.#client || open.first === undefined) return open.first;
    return this.#opening(open)?.[1] ?? open.first;
  }

  #opening({ base }: Open): Mark | undefined {
    return this.#marks.find(([offset]) => offset >= base);
  }
}
