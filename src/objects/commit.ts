/**
 * Group commit: appends that arrive together become one transaction, one row, one fsync. The platform does not do this:
 * it commits each request by itself.
 *
 * The first caller opens a gathering, and the timer of zero lets the event loop bring in what has already arrived. A
 * microtask would not: requests arrive by I/O. While a gathering still grows it goes on for a few more turns, because the
 * callers of one burst reach the object over several turns of the loop.
 */
import { type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Run } from "../log/sequence.ts";
import type { Batch } from "../log/spec.ts";

type Answers = readonly Result<readonly Run[]>[];

/** Turns of the event loop that a growing gathering waits at most. */
const turnsMax = 8;

export class GroupCommit {
  #pending: Batch[] = [];
  #bytes = 0;
  #answers: Promise<Answers> | undefined;

  /** `commit` runs synchronously, and answers each batch. */
  constructor(readonly commit: (batches: readonly Batch[]) => Answers) {}

  async append(batch: Batch): Promise<Result<readonly Run[]>> {
    const bytes = batch.frames.reduce((sum, frame) => sum + frame.bytes.length, 0);
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
    }
    const batches = this.#pending;
    this.#pending = [];
    this.#bytes = 0;
    this.#answers = undefined;
    return this.commit(batches);
  }
}
