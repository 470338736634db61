/**
 * What the log says of records that a delivery knows by their offsets alone, as after a restart: whether they are to be
 * forgotten, or were, so that what was said of them goes too.
 */
import type { Target } from "../../schemas/erasure.ts";
import { isOf, isTombstone } from "../log/forgetting.ts";
import { decodeRecord } from "../log/record.ts";
import type { Lane } from "./item.ts";
import { itemsOf } from "./page.ts";
import { Ranges } from "./ranges.ts";
import type { State } from "./state.ts";
import type { Read } from "./wish.ts";

export type Span = readonly [from: number, to: number];

/** Of more records than these it is not asked what they are. */
const spanMax = 10_000;

export class Sought {
  readonly #looked = new Ranges();
  readonly #hits = new Set<number>();
  readonly #others = new Set<number>();

  constructor(
    readonly target: Target,
    readonly to: number,
  ) {}

  /** Takes a page of the log: the records of `[from, to)`, of which some may not be there any more. */
  take({ from, to, pieces }: Pick<Read, "from" | "to" | "pieces">): void {
    for (const { offset, bytes, from: start, to: end } of itemsOf(pieces, from, to, undefined, false).items) {
      const record = decodeRecord(bytes, start, end);
      (isOf(this.target, record) || isTombstone(record) ? this.#hits : this.#others).add(offset);
    }
    this.#looked.add(from, to);
  }

  /** Whether a record is one of them; undefined where the log has none there, or has not been asked. */
  is(offset: number): boolean | undefined {
    return this.#hits.has(offset) || (this.#others.has(offset) ? false : undefined);
  }

  /** Whether some of these may be. */
  mayHave([from, to]: Span): boolean {
    if (from >= this.to) return false;
    for (let offset = from; offset < Math.min(to, this.to, from + spanMax); offset++) {
      if (this.is(offset) !== false) return true;
    }
    return to - from > spanMax;
  }

  /** Where reading goes on for what is yet to be known, up to where; undefined where all is. */
  wanted(state: State, spans: Iterable<Span>): Span | undefined {
    const lanes = [...state.lanes.byId.values()].flatMap((lane): Span[] => {
      if (!lane.exact || lane.redriven || lane.state === "parked" || this.#isKeys(lane)) return [];
      return state.live(lane.from) === undefined ? [[lane.from, lane.from + 1]] : [];
    });
    const offsets = [...state.leases.tried.unread(), ...state.leases.restored.keys()];
    const all = [...lanes, ...offsets.map((offset): Span => [offset, offset + 1]), ...spans];
    for (const [from, to] of all.sort(([a], [b]) => a - b)) {
      if (to - from > spanMax) continue;
      const next = this.#looked.gapFrom(from);
      if (next < Math.min(to, this.to)) return [next, Math.min(to, this.to)];
    }
    return undefined;
  }

  /** Of the lane of a key it is known by the key. */
  #isKeys({ kind }: Lane): boolean {
    return kind === "key" && "key" in this.target;
  }
}

/**
 * What is left of a lane's key in the log, from the window's place on, as far as it was read: of what the lane has finished
 * where the window has yet to come, too, it is the one that knows.
 */
export class Survivors {
  found = false;
  /** Where reading goes on. */
  from: number;

  constructor(
    readonly lane: Lane,
    readonly sought: Sought,
    { cursor }: State,
  ) {
    this.from = Math.min(cursor, lane.read);
  }

  get filter(): { readonly key: string } {
    return { key: this.lane.key as string };
  }

  /** Takes a page of the key's records. */
  take({ from, to, pieces }: Pick<Read, "from" | "to" | "pieces">): void {
    const { target, to: below } = this.sought;
    this.found ||= itemsOf(pieces, from, to, this.filter, false).items.some(
      ({ offset, bytes, from, to }) => offset >= below || !isOf(target, decodeRecord(bytes, from, to)),
    );
    this.from = to;
  }
}
