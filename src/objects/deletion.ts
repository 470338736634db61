/**
 * The deletion of a partition. It runs once, whoever asks for it, and until it is over nothing may come in its place: what
 * does would be deleted with what was before.
 */
import type { Sql } from "../lib/sql.ts";
import type { Alarms } from "./alarms.ts";
import { isBuried, remainsIn } from "./emptying.ts";
import type { History } from "./history.ts";

export class Deletion {
  #running: { readonly of: string; readonly all: Promise<boolean> } | undefined;

  constructor(
    readonly sql: Sql,
    readonly history: Pick<History, "drain" | "emptied">,
    readonly alarms: Pick<Alarms, "deleted">,
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

  async #run(logId: string, number: number, close: () => boolean): Promise<boolean> {
    try {
      await this.history.drain();
      if (!close()) return true;
      const all = await this.history.emptied(remainsIn(this.sql, logId, number));
      if (!all) return false;
      await this.free();
      this.alarms.deleted();
      return true;
    } finally {
      this.#running = undefined;
    }
  }
}
