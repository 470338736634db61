/** Whether anything stands between the files that have been read and the next one, and whether that may have changed. */
import { areSame, type Entry } from "./generations.ts";
import type { LateFiles } from "./late.ts";
import { type LogFile, settled } from "./log-file.ts";
import type { Packed, Search } from "./search.ts";

export class Between {
  /** The next file when this was asked last, and when it had been changed: others may have been in the same moment. */
  #next: LogFile | undefined;
  #changedAt = 0n;
  /** The generations of the log by then. */
  #generations: readonly Entry[] = [];

  constructor(
    readonly search: Search,
    readonly late: LateFiles,
    readonly isKnown: (id: string) => boolean,
  ) {}

  /** What stands before a file of which nothing was read, in order and open. */
  async files(next: LogFile, now: number): Promise<(LogFile | Packed)[]> {
    const { changedAt } = next;
    const before = this.late.newestFirst;
    if ((next === this.#next && changedAt === this.#changedAt) || before.length === 0) return [];
    this.#generations = this.search.generationsOf(before[0].name);
    const files = await this.search.between(before, next, this.isKnown);
    [this.#next, this.#changedAt] = [next, settled(changedAt, now)];
    return files;
  }

  /** A rotation has come since, or what is there was compressed. Then it is to be asked again. */
  hasChanged(): boolean {
    const [before] = this.late.newestFirst;
    if (before === undefined || areSame(this.#generations, this.search.generationsOf(before.name))) return false;
    this.#changedAt = 0n;
    return true;
  }
}
