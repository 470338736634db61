/** Indexes of archived segments, kept in this isolate: a segment never changes, and a read needs its index first. */
import type { Result } from "../../schemas/errors.ts";
import type { Index } from "../archive/segment.ts";
import type { Blobs } from "../platform/blobs.ts";

type Loaded = Promise<Result<Index> | undefined>;

/** About 500 of large chunks, a few of small ones. */
const keptBytesMax = 16_777_216;
const entryBytes = 200;

interface Kept {
  readonly index: Result<Index>;
  readonly bytes: number;
}

class Indexes {
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  /**
   * The index of an object. One that is not there, or damaged, is not kept. Nobody waits for what another request loads: the
   * platform ends that with the request.
   */
  async get(key: string, load: () => Loaded): Loaded {
    const known = this.#kept.get(key);
    if (known !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known.index;
    }
    const index = await load();
    if (index?.ok) this.#keep(key, index);
    return index;
  }

  #keep(key: string, index: Result<Index> & { ok: true }): void {
    if (this.#kept.has(key)) return;
    const bytes = index.value.chunks.reduce((sum, chunk) => sum + entryBytes + chunk.print.length, 0);
    this.#kept.set(key, { index, bytes });
    this.#bytes += bytes;
    for (const [old, kept] of this.#kept) {
      if (this.#bytes <= keptBytesMax || old === key) break;
      this.#bytes -= kept.bytes;
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
