/**
 * Group commit: appends that arrive together become one transaction, one row, one fsync. The platform does not do this: it
 * commits each request by itself.
 *
 * The question is when a gathering is complete. Callers that were answered together come back together, so that a
 * gathering goes ahead as soon as it has as many as the last one had:
 *
 *     commit of 64 ──▶ 64 answers ──▶ 64 callers come back over some milliseconds ──▶ the 64th completes the gathering
 *
 * One with fewer waits while it grows, a tick at a time; a tick is a timer of zero, about a millisecond in which the event
 * loop brings in what has arrived (a microtask would bring in nothing: requests arrive by I/O). Groups of callers that
 * alternate would never find together by this, so that every now and then a gathering waits for a tick in which nobody
 * comes. A caller on its own waits for nothing.
 *
 * An ask may itself still grow, until it is committed: appends that are pipelined on a socket. While they come in crowds,
 * the commit waits for them.
 */
import { type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";

/** Ticks that a gathering waits at most, however it grows. */
const ticksMax = 12;
/** Commits between those that wait to see whether more would come. */
const probeEvery = 16;
/** What an ask must have grown by within a tick for another tick to be worth it. */
const crowd = 16;

export class GroupCommit<Ask, Answer> {
  #pending: Ask[] = [];
  #bytes = 0;
  #answers: Promise<readonly Result<Answer>[]> | undefined;
  #expected = 1;
  #commits = 0;
  #complete: (() => void) | undefined;

  /**
   * `commit` runs synchronously, and answers each ask; `bytesOf` an ask bounds what waits; `sizeOf` one that may still grow
   * says how far it has. `settled` resolves when what was written before is durable: the turn that a lone caller leaves to
   * others.
   */
  constructor(
    readonly commit: (asks: readonly Ask[]) => readonly Result<Answer>[],
    readonly settled: () => Promise<void>,
    readonly bytesOf: (ask: Ask) => number,
    readonly sizeOf: (ask: Ask) => number = () => 0,
  ) {}

  async add(ask: Ask): Promise<Result<Answer>> {
    const bytes = this.bytesOf(ask);
    if (this.#bytes > 0 && this.#bytes + bytes > limits.pendingBytesMax) {
      return refuse("overloaded", "more is waiting to be written than the partition may hold; try again in a moment");
    }
    this.#bytes += bytes;
    const place = this.#pending.push(ask) - 1;
    if (this.#pending.length >= this.#expected) this.#complete?.();
    this.#answers ??= this.#gather();
    return (await this.#answers)[place];
  }

  async #gather(): Promise<readonly Result<Answer>[]> {
    const probe = ++this.#commits % probeEvery === 0;
    if (this.#expected <= 1 && !probe) await this.settled();
    else await this.#grow(probe);
    await this.#fill();
    const asks = this.#pending;
    this.#pending = [];
    this.#bytes = 0;
    this.#answers = undefined;
    this.#complete = undefined;
    const missing = this.#expected - asks.length;
    // A crowd that has gone is forgotten by quarters: one that was only late is not.
    this.#expected = missing > 0 ? this.#expected - Math.ceil(missing / 4) : asks.length;
    return this.commit(asks);
  }

  /** Waits while what is in the gathering grows by crowds. */
  async #fill(): Promise<void> {
    for (let tick = 0, seen = 0; tick < ticksMax; tick++) {
      let size = 0;
      for (const ask of this.#pending) size += this.sizeOf(ask);
      if (size - seen < crowd) return;
      seen = size;
      await scheduler.wait(0);
    }
  }

  /** Waits while the gathering grows, and, unless it is a probe, until it is as large as expected. */
  async #grow(probe: boolean): Promise<void> {
    const complete = new Promise<void>((resolve) => {
      if (!probe) this.#complete = resolve;
    });
    for (let tick = 0, seen = 0; tick < ticksMax && seen < this.#pending.length; tick++) {
      if (!probe && this.#pending.length >= this.#expected) return;
      seen = this.#pending.length;
      await Promise.race([scheduler.wait(0), complete]);
    }
  }
}
