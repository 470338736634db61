/** What part of its rate a group has on each partition. */
import type { GroupStore } from "./group-store.ts";
import { active } from "./map.ts";
import type { Stream } from "./stream.ts";

export class Shares {
  constructor(
    readonly store: GroupStore,
    /** The partitions of a log that exist. */
    readonly opened: (log: string) => number[],
  ) {}

  /** Even parts: those that were split count until the group is through with them. `id` is that of its deliveries. */
  of({ logId, map }: Stream, id: string): number {
    const through = new Set(this.store.through(id));
    const split = this.opened(logId).filter((number) => map[number]?.sealed && !through.has(number));
    return 1 / (active(map).length + split.length);
  }

  /** A group is through with a partition that was split, or, where it was moved back, is not any more. False where that was known. */
  note(id: string, partition: number, through: boolean): boolean {
    if (this.store.through(id).includes(partition) === through) return false;
    if (through) this.store.setThrough(id, partition);
    else this.store.dropThrough(id, partition);
    return true;
  }
}
