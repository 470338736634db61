/** What is asked of a partition's records, and answered. */
import type { Result } from "../../schemas/errors.ts";
import type { Page, ReadTerms } from "../log/read.ts";
import type { Snapshot } from "../log/snapshot-store.ts";

/** The caller's idea of the stream is not the partition's: its version, or 0 where the partition does not exist. */
export interface Moved {
  readonly ok: false;
  readonly moved: number;
}

export type Answer<T> = Result<T> | Moved;

/** There is nothing here, or not any more. */
export const gone: Moved = { ok: false, moved: 0 };

export interface ReadCall extends ReadTerms {
  /** The delivery that reads, so that it is told of what comes after. */
  readonly follower?: string;
  readonly waitMs: number;
  /** Names the wait, so that it can be ended. */
  readonly wait?: string;
  /** Ask that later records be stamped no earlier than this, in ms; see `Log.promise`. */
  readonly promise?: number;
}

export interface PageAnswer extends Page {
  readonly head: number;
  readonly tail: number;
  readonly sealed: boolean;
  /** No later record of the partition will have a timestamp below this. */
  readonly promise: number;
  /** The newest snapshot, where the read began before it or asked for it; null where it asked for one and there is none. */
  readonly snapshot?: Snapshot | null;
}
