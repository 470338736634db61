/**
 * How lanes are kept: what changes together is written together. The lanes that changed last stand in the row of the place,
 * which is written anyway; when they are many they go into a row of `lanes`, and when most of what those rows say is not so
 * any more, they are written anew. To be read in order: what a later entry says of a lane is what counts.
 *
 *     lanes 1  [a, b, c …]   lanes 2  [b, d …]   …   place  [c, -a]      (-a: the lane a is no more)
 */
import type { LaneRow, Store } from "./store.ts";

/** Characters that the place's row carries. */
const recentCharsMax = 16_384;
/** Characters of a row. */
const rowCharsMax = 262_144;
/** Entries beyond twice those of the lanes there are, before the rows are written anew. */
const slack = 256;

/** A lane as an entry: its fields in the order below. */
type Entry = [
  id: number,
  kind: LaneRow["kind"],
  key: string | null,
  start: number,
  state: LaneRow["state"],
  attempts: number,
  due: number,
  tries: string,
  redriven: number,
  voided: number,
  waiting: number,
  counted: number,
  time: number | null,
  exact: number,
  ahead: number,
];

const entryOf = (row: LaneRow): Entry => {
  const { id, kind, key, start, state, attempts, due, tries, redriven } = row;
  const { voided = 0, waiting = 0, counted = 0, time = null, exact = 0, ahead = 0 } = row;
  return [id, kind, key, start, state, attempts, due, tries, redriven, voided, waiting, counted, time, exact, ahead];
};

const rowOf = (entry: Entry): LaneRow => {
  const [id, kind, key, start, state, attempts, due, tries, redriven, voided, waiting, counted, time, exact, ahead] =
    entry;
  const more = { voided, waiting, counted, time, exact, ahead };
  return { id, kind, key, start, state, attempts, due, tries, redriven, ...more };
};

export class LaneLog {
  /** Texts of the entries since the last row, by lane. */
  readonly #recent = new Map<number, string>();
  #chars = 0;
  /** Rows are `[first, next)`. */
  #first = 0;
  #next = 0;
  #entries = 0;

  constructor(readonly store: Store) {}

  /** The lanes that there are. To be called once, first. */
  load(): LaneRow[] {
    const lanes = new Map<number, LaneRow>();
    const read = (entry: Entry | number) => {
      if (typeof entry === "number") lanes.delete(-entry);
      else lanes.set(entry[0], rowOf(entry));
    };
    const rows = this.store.parts("lanes");
    for (const { n, body } of rows) {
      const entries = JSON.parse(body) as (Entry | number)[];
      this.#entries += entries.length;
      entries.forEach(read);
      this.#next = n + 1;
    }
    this.#first = rows[0]?.n ?? 0;
    for (const entry of JSON.parse(this.store.place()?.recent ?? "[]") as (Entry | number)[]) {
      this.#note(typeof entry === "number" ? -entry : entry[0], JSON.stringify(entry));
      read(entry);
    }
    return [...lanes.values()].sort((a, b) => a.id - b.id);
  }

  /** What the place's row is to carry of the lanes. */
  get recent(): string {
    return this.#recent.size === 0 ? "[]" : `[${[...this.#recent.values()].join(",")}]`;
  }

  /**
   * Notes what changed, and writes rows where that is much; the place is to be written in the same transaction. `live`: all
   * lanes, of which there are `count`. `anew`: nothing is left of what was written of lanes before.
   */
  save(
    changed: Iterable<LaneRow>,
    gone: Iterable<number>,
    count: number,
    live: () => Iterable<LaneRow>,
    anew = false,
  ): void {
    for (const id of gone) this.#note(id, String(-id));
    for (const row of changed) this.#note(row.id, JSON.stringify(entryOf(row)));
    if (this.#chars <= recentCharsMax && !anew) return;
    this.flush();
    if (anew || this.#entries > 2 * count + slack) this.#rewrite(live());
  }

  /** Nothing is left for the place's row to carry. */
  flush(): void {
    this.#write(this.#recent.values());
    this.#recent.clear();
    this.#chars = 0;
  }

  #note(id: number, text: string): void {
    this.#chars += text.length - (this.#recent.get(id)?.length ?? 0);
    this.#recent.set(id, text);
  }

  #write(entries: Iterable<string>): void {
    let row: string[] = [];
    let chars = 0;
    const end = () => {
      if (row.length > 0) this.store.setPart("lanes", this.#next++, `[${row.join(",")}]`);
      this.#entries += row.length;
      row = [];
      chars = 0;
    };
    for (const entry of entries) {
      if (chars + entry.length > rowCharsMax) end();
      row.push(entry);
      chars += entry.length + 1;
    }
    end();
  }

  #rewrite(live: Iterable<LaneRow>): void {
    const [from, to] = [this.#first, this.#next];
    this.#entries = 0;
    this.#first = to;
    const texts = function* () {
      for (const row of live) yield JSON.stringify(entryOf(row));
    };
    this.#write(texts());
    this.store.dropParts("lanes", from, to);
  }
}
