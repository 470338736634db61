/** A log as it must be: everything that was stored, and what may have become of it. */
import type { Settings } from "./plan.ts";

/** A range of offsets, `[from, to)`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Kept {
  readonly n: number;
  readonly partition: number;
  readonly offset: number;
  readonly key?: string;
  readonly subject?: string;
  /** As JSON; a marker has none. */
  readonly data?: string;
  /** It was sent no earlier, in ms since 1970: nor is its timestamp earlier. */
  readonly sentAt: number;
  /** Its timestamp, once it was seen. */
  at?: string;
  /** It was seen to be missing: it never comes back. */
  gone?: "compacted" | "hole";
  /** A request to forget it was made, or is done. */
  forgotten?: "asked" | "done";
}

export interface Part {
  readonly number: number;
  readonly parent?: number;
  sealed: boolean;
  readonly records: Kept[];
  /** As it was seen last. */
  head: number;
  hotFrom: number;
  /** By hand, up to here. */
  trimmed: number;
  /** Repairs made these, and objects that are damaged. */
  readonly holes: Range[];
  readonly damaged: Range[];
  /** The newest snapshot, and the newest that may be there. */
  snapshot: number;
  snapshotPerhaps: number;
  /** When it was held against the model last, in ms since 1970. */
  looked: number;
}

/** Settings, from when they may have counted until when they surely counted no more, in ms since 1970. */
export interface Epoch {
  readonly settings: Settings;
  until: number;
}

export interface Erasure {
  readonly id: string;
  readonly key?: string;
  readonly subject?: string;
  /** By partition: records below are concerned. */
  readonly to: Map<number, number>;
  /** The store was well, and nothing was on its way to it, when it was asked for. */
  readonly prompt: boolean;
  /** Of a copy: it was under way when that was made, or done just before. */
  readonly inherited?: boolean;
  done: boolean;
}

type Place = Pick<Kept, "partition" | "offset">;

/** Offsets, by partition. */
class Places {
  readonly #of = new Map<number, Set<number>>();

  has({ partition, offset }: Place): boolean {
    return this.#of.get(partition)?.has(offset) === true;
  }

  add({ partition, offset }: Place): void {
    this.#of.set(partition, (this.#of.get(partition) ?? new Set()).add(offset));
  }

  addAll(others: Places): void {
    for (const [partition, offsets] of others.#of) for (const offset of offsets) this.add({ partition, offset });
  }
}

export class Model {
  readonly parts = new Map<number, Part>();
  readonly epochs: Epoch[] = [];
  readonly erasures: Erasure[] = [];
  /** What the group was given, and what of that it has finished. */
  readonly delivered = new Places();
  readonly finished = new Places();
  readonly groupLost: (Range & { readonly partition: number })[] = [];
  /** Something in the archive was harmed, once at least. */
  damagedOnce = false;
  /** A receive was not answered: what it took is finished when its lease is over. */
  groupUnsure = false;
  sequence = 0;

  constructor(
    readonly path: string,
    readonly logId: string,
    settings: Settings,
    /** It was restored from a dump. */
    readonly copied = false,
  ) {
    this.epochs.push({ settings, until: Number.POSITIVE_INFINITY });
  }

  get settings(): Settings {
    return (this.epochs.at(-1) as Epoch).settings;
  }

  get numbers(): number[] {
    return [...this.parts.keys()].sort((a, b) => a - b);
  }

  part(number: number): Part {
    const known = this.parts.get(number);
    if (known !== undefined) return known;
    const empty = { head: 0, hotFrom: 0, trimmed: 0, snapshot: 0, snapshotPerhaps: 0, looked: 0, sealed: false };
    const part: Part = { number, records: [], holes: [], damaged: [], ...empty };
    this.parts.set(number, part);
    return part;
  }

  *all(): Generator<Kept> {
    for (const number of this.numbers) yield* this.part(number).records;
  }

  /** It was compacted, or may have been, at some time. */
  get compacts(): boolean {
    return this.epochs.some(({ settings }) => settings.compact);
  }

  /** The last record of each key, over all partitions: they are numbered as they were sent. */
  lastOfKeys(): Map<string, Kept> {
    const last = new Map<string, Kept>();
    for (const record of this.all()) {
      if (record.key === undefined) continue;
      const known = last.get(record.key);
      if (known === undefined || known.n < record.n) last.set(record.key, record);
    }
    return last;
  }

  /** The same log under another name. */
  copy(path: string, logId: string): Model {
    const copy = new Model(path, logId, this.settings, true);
    copy.epochs.splice(0, 0, ...this.epochs.slice(0, -1));
    for (const part of this.parts.values()) {
      const records = part.records.map((record) => ({ ...record }));
      // Snapshots are not in a dump.
      copy.parts.set(part.number, {
        ...part,
        records,
        holes: [...part.holes],
        damaged: [],
        snapshot: 0,
        snapshotPerhaps: 0,
      });
    }
    copy.sequence = this.sequence;
    copy.groupUnsure = this.groupUnsure;
    copy.damagedOnce = this.damagedOnce;
    copy.groupLost.push(...this.groupLost);
    copy.delivered.addAll(this.delivered);
    copy.finished.addAll(this.finished);
    // Those that are not done go on in the copy; of the others there is no receipt.
    for (const erasure of this.erasures) {
      if (!erasure.done) copy.erasures.push({ ...erasure, to: new Map(erasure.to), prompt: false, inherited: true });
    }
    return copy;
  }
}

export const inRanges = (ranges: readonly Range[], offset: number): boolean =>
  ranges.some(({ from, to }) => offset >= from && offset < to);

export const placeOf = ({ partition, offset }: Place) => `${partition}.${offset}`;

/** What is in its data and nowhere else: forgotten, it must be nowhere. */
export const secretOf = (script: string, n: number) => `secret-${script}-${n}-x`;
