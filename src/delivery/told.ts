/** What a delivery tells of itself besides numbers. */

/** Why a delivery stands still. Times are ms since 1970. */
export interface Paused {
  readonly reason: string;
  readonly at: number;
  /** It has paused by itself, and the group is yet to be told. */
  readonly untold?: boolean;
}

/** Offsets `[from, to)` that the group never got: trimmed, or damaged, before it read them. */
export interface Lost {
  readonly from: number;
  readonly to: number;
  readonly why: "trimmed" | "damaged";
}
