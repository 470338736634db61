/** What a partition remembers of idempotent producers, and how it is written down. */
import { limits } from "../../schemas/limits.ts";
import type { ProducerState, ProducerTerms, Run } from "./sequence.ts";
import type { Store } from "./store.ts";

/** Characters of one producer's row: far below the row's limit. */
const rowCharsMax = 900_000;

/** Producers kept in memory. The others are read from their row when they come back. */
const cachedMax = 4_096;

export class Producers {
  readonly #cache = new Map<string, ProducerState>();
  readonly #changed = new Set<string>();
  #count: number;

  constructor(readonly store: Store) {
    this.#count = store.countProducers();
  }

  get(id: string): ProducerState | undefined {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const row = this.store.producer(id);
    if (row === undefined) return undefined;
    const state: ProducerState = { epoch: row.epoch, batches: JSON.parse(row.batches) };
    this.#remember(id, state);
    return state;
  }

  /** True where a new producer would be one too many, even after idle ones have made room. */
  full(id: string, now: number): boolean {
    if (this.#count < limits.producersMax || this.get(id) !== undefined) return false;
    this.store.dropProducersIdleSince(now - limits.producerIdleMs);
    this.#count = this.store.countProducers();
    this.#cache.clear();
    return this.#count >= limits.producersMax;
  }

  /** Remembers the answer to a batch; `save` writes it down. */
  answer(terms: ProducerTerms, runs: readonly Run[]): void {
    const before = this.get(terms.id);
    if (before === undefined) this.#count++;
    const earlier = before?.epoch === terms.epoch ? before.batches : [];
    const batches = [...earlier, { sequence: terms.sequence, runs }].slice(-limits.producerBatchesKept);
    this.#remember(terms.id, { epoch: terms.epoch, batches });
    this.#changed.add(terms.id);
  }

  /** Writes a row for each producer that `answer` has changed. */
  save(now: number): void {
    for (const id of this.#changed) {
      const state = this.#cache.get(id)!;
      let kept = state.batches;
      let text = JSON.stringify(kept);
      while (text.length > rowCharsMax && kept.length > 1) {
        kept = kept.slice(1);
        text = JSON.stringify(kept);
      }
      this.store.setProducer(id, state.epoch, now, text);
    }
    this.#changed.clear();
  }

  #remember(id: string, state: ProducerState): void {
    if (this.#cache.size >= cachedMax && !this.#cache.has(id)) {
      // The oldest entry that needs no saving makes room.
      for (const old of this.#cache.keys()) {
        if (this.#changed.has(old)) continue;
        this.#cache.delete(old);
        break;
      }
    }
    this.#cache.delete(id);
    this.#cache.set(id, state);
  }
}
