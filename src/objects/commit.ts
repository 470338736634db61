/**
 * Group commit: appends that arrive together become one transaction, one row, one fsync. The platform does not do this:
 * it commits each request by itself.
 *
 * The first caller opens a gathering, and a timer of zero lets the event loop bring in what has arrived meanwhile. A
 * microtask would not: requests arrive by I/O. How many are to be expected is known from the commits before: callers that
 * were answered together come back together. A gathering that has as many goes ahead at once, because a turn of the loop
 * in which nothing arrives costs a millisecond of standing still; one that has fewer waits as long as it grows.
 */
import { type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Run } from "../log/sequence.ts";
import type { Batch } from "../log/spec.ts";

type Answers = readonly Result<readonly Run[]>[];

/** Turns of the event loop that a growing gathering waits at most. */
const turnsMax = 8;
/** How fast the expectation follows a crowd that has gone: a few commits, each a turn too long. */
const fading = 0.75;

export class GroupCommit {
  #pending: Batch[] = [];
  #bytes = 0;
  #answers: Promise<Answers> | undefined;
  #expected = 1;

  /** `commit` runs synchronously, and answers each batch. */
  constructor(readonly commit: (batches: readonly Batch[]) => Answers) {}

  async append(batch: Batch): Promise<Result<readonly Run[]>> {
    const bytes = batch.bytes.length;
    if (this.#bytes > 0 && this.#bytes + bytes > limits.pendingBytesMax) {
      return refuse("overloaded", "more is waiting to be written than the partition may hold; try again in a moment");
    }
    this.#bytes += bytes;
    const place = this.#pending.push(batch) - 1;
    this.#answers ??= this.#gather();
    return (await this.#answers)[place];
  }

  async #gather(): Promise<Answers> {
    for (let turn = 0, seen = 0; turn < turnsMax && seen < this.#pending.length; turn++) {
      seen = this.#pending.length;
      await scheduler.wait(0);
      if (this.#pending.length >= this.#expected) break;
    }
    this.#expected = Math.max(this.#pending.length, Math.floor(this.#expected * fading));
    const batches = this.#pending;
    this.#pending = [];
    this.#bytes = 0;
    this.#answers = undefined;
    return this.commit(batches);
  }
}
