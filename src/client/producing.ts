import type { MillraceError } from "./error.ts";
import type { NewRecord, Placed } from "./types.ts";

/** How a producer gathers records, and who it is. */
export interface ProducerOptions {
  /**
   * Its name. One that starts anew under the same name takes over: what the old one still sends is refused. By default a
   * name that nobody else has.
   */
  id?: string;
  /**
   * Higher than that of whoever had the name before: two with the same one are taken for one, and what the second sends under a
   * number of the first is refused, or taken for the first one's. Default: the time, with chance behind the millisecond.
   */
  epoch?: number;
  /** All records go to this partition. Default: each where its key belongs. */
  partition?: number;
  /** A batch is sent when it has so many bytes, or so many records, or is so old. Defaults 1 MiB, 10 000, 1 ms. */
  batchBytes?: number;
  batchRecords?: number;
  lingerMs?: number;
  /** What waits, or is on its way; beyond it `push` makes the caller wait. Default 16 MiB, and any number of records. */
  bufferBytes?: number;
  bufferRecords?: number;
  /** Attempts at a batch before the producer gives up. Default 30: some minutes. */
  attempts?: number;
  /**
   * Told of each record what became of it, when its batch was answered, or given up. What it throws changes nothing for the
   * record, or for others: it is an unhandled rejection, as of a promise that nobody waits for.
   */
  onSettled?: (record: NewRecord, placed: Placed | undefined, error: MillraceError | undefined) => void;
  signal?: AbortSignal;
}

/** Told where a record lies, or why it does not. */
export type Settled = (error: MillraceError | undefined, placed: Placed | undefined) => void;

/** What a producer has come to. */
export interface Closed {
  /** Records that are durable. */
  readonly sent: number;
  /** Records that are not, or of which nobody knows. */
  readonly unsent: number;
}
