/**
 * What the model knows of a record in a group. Times are of this process: what the service did between two of them it did at
 * some moment between, so that a lease has a span in which it began, and one in which it runs out.
 */

/** A count that is known, or known to lie between. */
export type Span = readonly [low: number, high: number];

export type LeaseEnd =
  | "acked"
  | "nacked"
  | "passed"
  | "left"
  | "withdrawn"
  | "sought"
  | "dead"
  | "redriven"
  | "deleted";

export interface Lease {
  readonly record: Tracked;
  /** Undefined: an answer that was lost may have held it. */
  readonly receipt: string | undefined;
  readonly member: string;
  readonly attempt: number;
  readonly from: number;
  readonly to: number;
  runsOut: Span;
  end?: LeaseEnd;
  /** When it was known to have ended: by a nack, its own or that of a record before it, or with its socket. */
  endedAt?: number;
  /** The service was killed since, and may have forgotten it. */
  forgotten?: boolean;
  /** A nack was sent whose answer was lost, or it came amid something that voids leases. */
  doubtful?: boolean;
  /** Of a lease that may never have been: the failures that were counted at least. */
  floor?: number;
  /** Sent by a socket, which does not answer, at this time. */
  ackedBySocket?: number;
}

export class Tracked {
  state: "open" | "done" | "dead" | "past" = "open";
  /** An ack was sent whose answer was lost, or is on its way. */
  perhapsDone = false;
  /** When what came behind it told that it is finished, though no ack was answered. */
  guessedDoneAt: number | undefined;
  /** Dead, and its letter was redriven, skipped or left behind: it stands in no order any more. */
  loose = false;
  /** Dead, and what comes behind it waits. */
  blocks = false;
  /** Behind the place of a seek, and whether it had become a letter before is not known. */
  perhapsDead = false;
  /** Its letter was redriven, and is not finished. */
  redriven = false;
  /** It was redriven when a seek left it behind; whether it comes is not said. */
  astray = false;
  /**
   * Finished, and after a kill acked again by a receipt of which the group cannot say whether the lane of its key, which goes
   * ahead in an incident, had come to it: until the others catch up it may count twice as finished.
   */
  twice = false;
  /** The last one, until something ends it for certain. */
  lease: Lease | undefined;
  /** Every lease that it ever had, newest last. */
  readonly leases: Lease[] = [];
  /** Counted failures in this life, and in those before it was redriven. */
  failures: Span = [0, 0];
  earlier: Span = [0, 0];
  deaths = 0;
  notBefore = 0;
  /** Until then it may wait, though it is not known that it does. */
  delayedTo = 0;
  readonly original: string;

  constructor(
    readonly partition: number,
    readonly offset: number,
    readonly key: string | undefined,
    /** The data as JSON text, as the next delivery must have them. */
    public value: string,
    readonly appendedAt: number,
    readonly matches: boolean,
  ) {
    this.original = value;
  }

  get place(): string {
    return `${this.partition}.${this.offset}`;
  }

  toString(): string {
    return `${this.place}${this.key === undefined ? "" : ` (${this.key})`}`;
  }

  /** It begins anew, as if it had never been delivered. */
  reset(): void {
    this.state = "open";
    this.perhapsDone = false;
    this.guessedDoneAt = undefined;
    this.loose = false;
    this.blocks = false;
    this.redriven = false;
    this.astray = false;
    this.perhapsDead = false;
    this.twice = false;
    this.lease = undefined;
    this.failures = [0, 0];
    this.earlier = [0, 0];
    this.notBefore = 0;
    this.delayedTo = 0;
    this.value = this.original;
  }
}

/** Whether somebody certainly has it: then nobody else may. */
export function holds(lease: Lease | undefined, now: number): boolean {
  if (lease === undefined || lease.end !== undefined) return false;
  return now < lease.runsOut[0] && !lease.forgotten && !lease.doubtful && lease.receipt !== undefined;
}

/** Whether somebody may have it. */
export function mayHold(lease: Lease | undefined, now: number): boolean {
  if (lease === undefined || now >= lease.runsOut[1]) return false;
  return lease.end === undefined || (lease.end === "withdrawn" && lease.doubtful === true);
}

/** How many failures have been counted when this lease is over, as far as one can know. */
export function countAfter(lease: Lease): Span {
  const { attempt } = lease;
  if (lease.forgotten || lease.doubtful || lease.receipt === undefined) return [lease.floor ?? attempt - 1, attempt];
  if (lease.end === "withdrawn") return [attempt - 1, attempt - 1];
  return [attempt, attempt];
}

/** Failures that the next delivery can have behind it. */
export function failuresNow(record: Tracked): Span {
  return record.lease === undefined ? record.failures : countAfter(record.lease);
}

export const plus = (a: Span, b: Span): Span => [a[0] + b[0], a[1] + b[1]];
