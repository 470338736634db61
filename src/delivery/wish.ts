import type { Filter } from "../log/filter.ts";
import type { Piece, Position } from "../log/read.ts";

/** A read that the delivery wants done. Without a lane it is the window's. */
export interface Wish {
  readonly lane?: number;
  readonly from: Extract<Position, { at: "offset" }>;
  readonly limit: number;
  readonly bytesMax: number;
  readonly filter?: Filter;
}

/** What a partition answered, or pushed: the records of `[from, to)`. */
export interface Read {
  readonly from: number;
  readonly to: number;
  readonly pieces: readonly Piece[];
  readonly tail: number;
  readonly sealed: boolean;
}
