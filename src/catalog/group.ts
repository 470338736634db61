import type { GroupConfig } from "../../schemas/group.ts";

/** Why a group stands still, and since when. */
export interface Pause {
  readonly reason: string;
  readonly at: number;
}

/** A group as it was read. */
export interface Match {
  readonly id: string;
  readonly version: number;
}

/** A group as callers route by it. Times are ms since 1970. */
export interface Group {
  readonly name: string;
  readonly id: string;
  readonly version: number;
  readonly config: GroupConfig;
  readonly paused: boolean;
  readonly because?: Pause;
  /** It was restored, and nobody has resumed it. */
  readonly restored?: true;
  /** Partitions that the stream had when the group came to be. */
  readonly partitions: number;
  readonly created: number;
  readonly updated: number;
}
