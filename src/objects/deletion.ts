/**
 * The deletion of a partition. It runs once, whoever asks for it, and until it is over nothing may come in its place: what
 * does would be deleted with what was before. What an upload may yet bring into the bucket is deleted later, whatever has come in
 * its place by then.
 */
import { dropLate, lateIn, leaveLate } from "../archive/late-store.ts";
import type { Sql } from "../lib/sql.ts";
import type { Alarms } from "./alarms.ts";
import { isBuried, type Remains, remainsIn } from "./emptying.ts";
import type { History } from "./history.ts";

/** A bucket that does not delete is asked again so often. */
const retryMs = 60_000;

export class Deletion {
  #running: { readonly of: string; readonly all: Promise<boolean> } | undefined;

  constructor(
    readonly sql: Sql,
    readonly history: Pick<History, "drain" | "emptied" | "blobs" | "now">,
    readonly alarms: Pick<Alarms, "deleted" | "by">,
    /** Deletes the database. */
    readonly free: () => Promise<void>,
  ) {}

  /** Where there is no log: one that was deleted is yet to be freed. */
  get isDue(): boolean {
    return this.#running !== undefined || isBuried(this.sql);
  }

  /**
   * Frees a log. `close` takes it away from everybody, and says false where it is another's. Answers false where there may be
   * more; whoever asks for the same meanwhile has the same answer.
   */
  async run(logId: string, number: number, owner: string, close: () => boolean): Promise<boolean> {
    const of = `${logId} ${owner}`;
    while (this.#running !== undefined && this.#running.of !== of) await this.#running.all.catch(() => {});
    this.#running ??= { of, all: this.#run(logId, number, close) };
    return this.#running.all;
  }

  /** What came behind the deletion of a log goes, as long as there is no other; that one looks after it itself. */
  async late(): Promise<void> {
    const left = lateIn(this.sql, this.history.now());
    if (left === undefined || this.isDue) return;
    if (left.keys.length === 0) return this.alarms.by(left.next);
    const all = this.#late(left.keys);
    this.#running = { of: "late", all };
    await all;
  }

  async #late(keys: readonly string[]): Promise<boolean> {
    const soon = () => this.alarms.by(this.history.now() + retryMs);
    try {
      await this.history.blobs?.delete(keys);
      if (dropLate(this.sql, keys)) await this.#freed();
      else soon();
    } catch (error) {
      console.error("deletion:", (error as Error).message);
      soon();
    } finally {
      this.#running = undefined;
    }
    return true;
  }

  async #run(logId: string, number: number, close: () => boolean): Promise<boolean> {
    try {
      await this.history.drain();
      if (!close()) return true;
      const remains: Remains = remainsIn(this.sql, logId, number);
      if (!(await this.history.emptied(remains))) return false;
      const due = this.history.blobs === undefined ? undefined : leaveLate(this.sql, remains, this.history.now());
      if (due === undefined) await this.#freed();
      else this.alarms.by(due);
      return true;
    } finally {
      this.#running = undefined;
    }
  }

  async #freed(): Promise<void> {
    await this.free();
    this.alarms.deleted();
  }
}
