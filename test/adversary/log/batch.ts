/** A batch that was sent, perhaps several times, and what was said of it. */
import type { Door, Write } from "./plan.ts";
import type { Sent } from "./sent.ts";

export interface Place {
  readonly partition: number;
  readonly offset: number;
}

export interface Sequence {
  readonly producer: string;
  readonly epoch: number;
  readonly sequence: number;
}

export class Batch {
  /** Whole requests of it that were sent. */
  attempts = 0;
  /** Some of them were not answered, and may be carried out at any time. */
  unanswered = 0;
  sentAt = Number.POSITIVE_INFINITY;
  /** When it was answered last; what is not answered is not known to be over. */
  ackedAt: number | undefined;
  /** Certainly none of it was stored. */
  refused = false;
  /** Of each record, as it was answered first. */
  places: Place[] | undefined;
  /** Every place that any answer named for a record. */
  readonly named: Place[][];
  /** The batch before it on the same socket, which was sent to be stored first. */
  before: Batch | undefined;

  constructor(
    readonly number: number,
    readonly records: readonly Sent[],
    readonly door: Door,
    readonly write: Pick<Write, "atomic" | "gzip" | "mark" | "runs">,
    /** `partition=`. */
    readonly partition: number | undefined,
    readonly sequence: Sequence | undefined,
  ) {
    this.named = records.map(() => []);
  }

  /** Whether each of its records can be stored once only, however often it is sent. */
  get once(): boolean {
    return this.sequence !== undefined || this.records.every(({ fields }) => fields.id !== undefined);
  }

  toString(): string {
    const { sequence } = this;
    const whose = sequence ? ` (${sequence.producer}, epoch ${sequence.epoch}, sequence ${sequence.sequence})` : "";
    const first = this.records[0]?.n;
    return `batch ${this.number} of ${this.records.length} from n${first} on by ${this.door}${whose}`;
  }
}
