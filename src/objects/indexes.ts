/** Indexes of archived segments, kept in this isolate: a segment never changes, and a read needs its index first. */
import type { Result } from "../../schemas/errors.ts";
import type { Index } from "../archive/segment.ts";
import type { Blobs } from "../platform/blobs.ts";

type Loaded = Promise<Result<Index> | undefined>;

/** About 500 of large chunks, a few of small ones. */
const keptBytesMax = 16_777_216;
const entryBytes = 200;

interface Kept {
  readonly index: Loaded;
  bytes: number;
}

class Indexes {
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  /** The index of an object, loaded once for all who ask for it. One that is not there, or damaged, is not kept. */
  get(key: string, load: () => Loaded): Loaded {
    const known = this.#kept.get(key);
    if (known !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known.index;
    }
    const kept: Kept = { index: load(), bytes: 0 };
    this.#kept.set(key, kept);
    kept.index.then(
      (index) => this.#weigh(key, kept, index),
      () => this.#kept.delete(key),
    );
    return kept.index;
  }

  #weigh(key: string, kept: Kept, index: Awaited<Loaded>): void {
    if (this.#kept.get(key) !== kept) return;
    if (index?.ok !== true) {
      this.#kept.delete(key);
      return;
    }
    kept.bytes = index.value.chunks.reduce((sum, chunk) => sum + entryBytes + chunk.print.length, 0);
    this.#bytes += kept.bytes;
    for (const [old, { bytes }] of this.#kept) {
      if (this.#bytes <= keptBytesMax || old === key) break;
      this.#bytes -= bytes;
      this.#kept.delete(old);
    }
  }
}

const indexes = new WeakMap<Blobs, Indexes>();

export function indexesOf(blobs: Blobs): Indexes {
  const known = indexes.get(blobs) ?? new Indexes();
  indexes.set(blobs, known);
  return known;
}
