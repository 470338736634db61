/**
 * What the children of a split partition take over, so that a retry is answered as before: the producers' memory, the ids
 * of the deduplication window, and the time before which no record may be stamped; and the fence, so that who is kept out
 * stays out.
 */
import { packAnswers, unpackAnswers } from "./answers.ts";
import { Duplicates } from "./duplicates.ts";
import type { Answered } from "./sequence.ts";
import type { InheritedRow, ProducerRow, Store } from "./store.ts";

/** Ids whose records lie in one partition: two hashes, an offset and a timestamp each. */
export interface Ids {
  readonly origin: number;
  readonly hashes: Uint32Array;
  readonly offsets: Float64Array;
  readonly times: Float64Array;
}

export interface Inheritance {
  readonly last: number;
  readonly fence?: string;
  readonly producers: readonly ProducerRow[];
  readonly ids: readonly Ids[];
}

/** 24 bytes an id: a row stays below the limit of one. */
const idsPerRow = 40_000;

/**
 * Producers as the children of `partition` remember them: they know the numbers, and whom to ask for the answers, which are
 * about more records than any of them would have been sent.
 */
export function handOnProducers(rows: readonly ProducerRow[], partition: number): ProducerRow[] {
  const handed = (batch: Answered): Answered => ({ ...batch, owner: batch.owner ?? partition, runs: [] });
  return rows.map((row) => ({ ...row, batches: packAnswers(unpackAnswers(row.batches).map(handed)) }));
}

/** Ids in columns, for the way and for the rows. */
export class IdsBuilder {
  readonly #hashes: number[] = [];
  readonly #offsets: number[] = [];
  readonly #times: number[] = [];

  constructor(readonly origin: number) {}

  add([first, second]: [number, number], offset: number, time: number): void {
    this.#hashes.push(first, second);
    this.#offsets.push(offset);
    this.#times.push(time);
  }

  finish(): Ids {
    return {
      origin: this.origin,
      hashes: Uint32Array.from(this.#hashes),
      offsets: Float64Array.from(this.#offsets),
      times: Float64Array.from(this.#times),
    };
  }
}

/** The rows that keep ids; see docs/STORAGE.md. */
export function rowsOf({ origin, hashes, offsets, times }: Ids): Omit<InheritedRow, "part">[] {
  const rows: Omit<InheritedRow, "part">[] = [];
  for (let at = 0; at < offsets.length; at += idsPerRow) {
    const count = Math.min(idsPerRow, offsets.length - at);
    const body = new Uint8Array(count * 24);
    const view = new DataView(body.buffer);
    for (let i = 0; i < count; i++) {
      view.setUint32(i * 24, hashes[(at + i) * 2], true);
      view.setUint32(i * 24 + 4, hashes[(at + i) * 2 + 1], true);
      view.setFloat64(i * 24 + 8, offsets[at + i], true);
      view.setFloat64(i * 24 + 16, times[at + i], true);
    }
    rows.push({ origin, last: times[at + count - 1], body });
  }
  return rows;
}

/**
 * Ids that another partition holds, or whose records were forgotten here, found by hash alone: there is no record to confirm
 * them.
 */
export class Inherited {
  readonly #index: Duplicates;
  readonly #ids: { hash: [number, number]; origin: number; offset: number; time: number }[] = [];

  constructor(
    rows: readonly InheritedRow[],
    readonly windowMs: number,
  ) {
    this.#index = new Duplicates(Number.MAX_SAFE_INTEGER, 0);
    for (const row of rows) this.#learn(row);
  }

  /** Keeps the ids of records that are forgotten: a retry must not bring them back. In a transaction. */
  keep(ids: Ids, store: Pick<Store, "addInherited">): void {
    for (const row of rowsOf(ids)) {
      store.addInherited(row);
      this.#learn(row);
    }
  }

  #learn({ origin, body }: Pick<InheritedRow, "origin" | "body">): void {
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    for (let at = 0; at < body.length; at += 24) {
      const hash: [number, number] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
      const time = view.getFloat64(at + 16, true);
      this.#index.add(hash, this.#ids.length, time);
      this.#ids.push({ hash, origin, offset: view.getFloat64(at + 8, true), time });
    }
  }

  find(hash: [number, number], now: number): { partition: number; offset: number } | undefined {
    const seen = this.#index.find(hash);
    if (seen === undefined) return undefined;
    // In this index, what is found is a place in the list.
    const { origin: partition, offset, time } = this.#ids[seen.offset];
    return time < now - this.windowMs ? undefined : { partition, offset };
  }

  /** Those that are still within the window, for the next generation. */
  handOn(now: number): Ids[] {
    const builders = new Map<number, IdsBuilder>();
    for (const { hash, origin, offset, time } of this.#ids) {
      if (time < now - this.windowMs) continue;
      if (!builders.has(origin)) builders.set(origin, new IdsBuilder(origin));
      builders.get(origin)!.add(hash, offset, time);
    }
    return [...builders.values()].map((builder) => builder.finish());
  }
}
