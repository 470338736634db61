/** What a partition remembers of idempotent producers, and how it is written down. */
import { limits } from "../../schemas/limits.ts";
import { packAnswers, unpackAnswers } from "./answers.ts";
import type { Answered, ProducerState, ProducerTerms, Run } from "./sequence.ts";
import type { Store } from "./store.ts";

/** Producers kept in memory. The others are read from their row when they come back. */
const cachedMax = 4_096;
/** Their runs: most batches have one, but one may have as many as records. */
const cachedRunsMax = 262_144;

export class Producers {
  readonly #cache = new Map<string, ProducerState>();
  readonly #changed = new Set<string>();
  #runs = 0;
  #count: number;

  constructor(readonly store: Store) {
    this.#count = store.countProducers();
  }

  get(id: string): ProducerState | undefined {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const row = this.store.producer(id);
    if (row === undefined) return undefined;
    const state: ProducerState = { epoch: row.epoch, batches: unpackAnswers(row.batches) };
    this.#remember(id, state);
    return state;
  }

  /** True where a new producer would be one too many, even after idle ones have made room. */
  full(id: string, now: number): boolean {
    if (this.#count < limits.producersMax || this.get(id) !== undefined) return false;
    this.store.dropProducersIdleSince(now - limits.producerIdleMs);
    this.#count = this.store.countProducers();
    // What this commit has yet to write down stays.
    for (const old of this.#cache.keys()) if (!this.#changed.has(old)) this.#forget(old);
    return this.#count >= limits.producersMax;
  }

  /** Remembers the answer to a batch; `save` writes it down. */
  answer(terms: ProducerTerms, runs: readonly Run[]): void {
    const before = this.get(terms.id);
    if (before === undefined) this.#count++;
    const earlier = before?.epoch === terms.epoch ? before.batches : [];
    const answered: Answered = { sequence: terms.sequence, sum: terms.sum, runs };
    this.#remember(terms.id, { epoch: terms.epoch, batches: kept([...earlier, answered]) });
    this.#changed.add(terms.id);
  }

  /** Writes a row for each producer that `answer` has changed. */
  save(now: number): void {
    for (const id of this.#changed) {
      const { epoch, batches } = this.#cache.get(id)!;
      this.store.setProducer(id, epoch, now, packAnswers(batches));
    }
    this.#changed.clear();
  }

  #remember(id: string, state: ProducerState): void {
    this.#forget(id);
    // The oldest entries that need no saving make room.
    for (const old of this.#cache.keys()) {
      if (this.#cache.size < cachedMax && this.#runs <= cachedRunsMax) break;
      if (!this.#changed.has(old)) this.#forget(old);
    }
    this.#cache.set(id, state);
    this.#runs += runsOf(state);
  }

  #forget(id: string): void {
    const state = this.#cache.get(id);
    if (state === undefined) return;
    this.#cache.delete(id);
    this.#runs -= runsOf(state);
  }
}

const runsOf = ({ batches }: ProducerState) => batches.reduce((sum, { runs }) => sum + runs.length, 0);

/** The last batches that a row has room for. The newest is always one: it has no more runs than it has records. */
function kept(batches: readonly Answered[]): readonly Answered[] {
  let first = batches.length - 1;
  let runs = batches[first].runs.length;
  const fits = () => batches.length - first < limits.producerBatchesKept && first > 0;
  while (fits() && runs + batches[first - 1].runs.length <= limits.producerRunsMax)
    runs += batches[--first].runs.length;
  return batches.slice(first);
}
