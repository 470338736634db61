import type { Store } from "./store.ts";

/** Those that are to be told of appends: deliveries, and where each began. */
export class FollowerList {
  constructor(readonly store: Store) {}

  ids(): readonly string[] {
    return this.store.followers().map(({ id }) => id);
  }

  /** Notes a follower, and answers the offset that it begins at: the same one however often it asks. */
  add(id: string, start: number): number {
    const known = this.store.followers().find((follower) => follower.id === id);
    if (known === undefined) this.store.addFollower(id, start);
    return known?.start ?? start;
  }

  drop(id: string): void {
    this.store.dropFollower(id);
  }
}
