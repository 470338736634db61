/** Partitions, and deliveries, whose storage is to be freed. Synchronous. */
import type { Job, Store } from "./store.ts";

const retryMs = (attempts: number) => Math.min(60_000, 500 * 2 ** attempts);
const purgesAtOnce = 64;

export class Purges {
  constructor(readonly store: Store) {}

  due(now: number): Job[] {
    return this.store.purges(now, purgesAtOnce);
  }

  /** Those that came to be at a time, or later, and were not tried yet. */
  untried(since: number): Job[] {
    return this.store.purgesSince(since, purgesAtOnce);
  }

  settle(job: Job, freed: boolean, now: number): void {
    if (freed) this.store.dropPurge(job);
    else this.store.retryPurge(job, now + retryMs(job.attempts));
  }

  /** One came to be behind its deletion. */
  stray(id: string, partition: number, now: number): void {
    this.store.setPurge(id, partition, now);
  }
}
