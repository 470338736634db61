/** Sends what lies in a spool, batch by batch, for as long as it takes. */
import { known, network } from "../client/error.ts";
import type { MillraceError, OfSpool, ProducerOptions, Verdict } from "../client/index.ts";
import { newEpoch } from "../client/producer.ts";
import { retrying } from "../client/retry.ts";
import { runsShape } from "../client/shapes.ts";
import type { Spool, SpoolBatch } from "./spool.ts";

/** Equal verdicts of records that follow each other. */
export type Run = Verdict & { readonly count: number };

/** Nothing can be sent under this name any more. */
export const lost = new Set<string>(["fenced", "sequence-conflict", "sequence-stale", "sequence-gap", "spool-damaged"]);
/** A service forgets producers that are idle for a week where it has too many; a day of that is for clocks. */
const rememberedMs = 6 * 86_400_000;

/** Who is told. */
export interface Told {
  /** `isNumbered`: its number was used; it was not where the batch was refused as a whole. */
  settled(batch: SpoolBatch, runs: readonly Run[], isNumbered: boolean): Promise<void>;
  /** It will be tried again. */
  held(error: MillraceError): void;
  /** The stream knows nothing of what was sent before, and gets what comes. */
  anew(error: MillraceError): void;
}

/** A release before took ms for an epoch, which any other producer's is above. */
const millisecondsMax = 1e14;

export class Sender {
  #batchBytes: number;
  /** Who has a lower epoch has started before. */
  readonly #started = newEpoch();

  constructor(
    readonly stream: OfSpool,
    readonly spool: Spool,
    readonly options: Pick<ProducerOptions, "partition" | "batchBytes">,
    readonly signal: AbortSignal,
    readonly told: Told,
  ) {
    this.#batchBytes = options.batchBytes ?? 1_048_576;
  }

  /** Until it is stored, or refused for good, or the producer is cut off; false where a part of it is next. */
  async send(batchRecords: number): Promise<boolean> {
    const { partition } = this.options;
    const batch = await this.spool.next(this.#batchBytes, batchRecords);
    const isElsewhere = () => this.spool.place.partition !== partition;
    // What was on its way to a partition that was sealed may have been stored there.
    if (batch.since === undefined && isElsewhere()) await this.spool.turn(partition);
    const { retry } = this.stream.http.options;
    let [since, isUnknown] = [batch.since ?? Date.now(), batch.since !== undefined];
    const may = (error: MillraceError) => {
      isUnknown ||= !error.clean;
      if (refusesAsWhole(error) || lost.has(error.code)) return false;
      if (error.code === "sealed" && isElsewhere()) return false;
      this.told.held(error);
      return true;
    };
    for (;;) {
      try {
        const attempts = Number.POSITIVE_INFINITY;
        const runs = await retrying(() => this.#attempt(batch), { ...retry, attempts }, this.signal, may);
        await this.told.settled(batch, runs, true);
        return true;
      } catch (error) {
        const why = error as MillraceError;
        if (why.code === "sequence-gap" && !(isUnknown && Date.now() - since > rememberedMs)) {
          // A stream that was made anew, or is in an earlier state: what is on its way is not there.
          const anew = known(why.code, `the stream '${this.stream.name}' was made anew, or restored: ${why.message}`);
          this.told.anew(anew);
          await this.spool.renew();
          [since, isUnknown] = [Date.now(), false];
        } else if (why.code === "fenced" && !(isUnknown && this.#isNamed())) {
          // Whoever fenced it may have started before the folder was opened. Otherwise the next one that opens it has started later.
          if (Number(why.facts.epoch) < this.#started) await this.spool.renew(this.#started);
          else {
            await this.spool.takeBack();
            throw error;
          }
        } else if (why.code === "sealed" && isElsewhere()) await this.spool.turn(partition);
        else if (!refusesAsWhole(why)) throw error;
        else if (batch.records.length > 1) {
          this.#batchBytes = Math.min(this.#batchBytes, batch.body.length / 2);
          await this.spool.halve(batch);
          return false;
        } else {
          const rejected = { verdict: "rejected", reason: why.code, detail: why.message, count: 1 } as const;
          await this.told.settled(batch, [rejected], false);
          return true;
        }
      }
    }
  }

  /** Its epoch was not below that of all others from the first: a batch under it may have been taken. */
  #isNamed(): boolean {
    const { epoch, sequence } = this.spool.place;
    return sequence > 0 || epoch > millisecondsMax;
  }

  async #attempt({ body, records }: SpoolBatch): Promise<readonly Run[]> {
    const { http, path } = this.stream;
    const { id, epoch, sequence } = this.spool.place;
    const headers = {
      "content-type": "application/vnd.millrace.frames",
      "producer-id": id,
      "producer-epoch": String(epoch),
      "producer-seq": String(sequence),
    };
    const { signal } = this;
    const call = { body, headers, query: { partition: this.spool.place.partition }, signal, records: records.length };
    try {
      const { runs } = await http.jsonOnce<{ runs: Run[] }>("POST", `${path}/records`, runsShape, call);
      for (const run of runs) {
        const error = run.verdict === "rejected" ? known(run.reason, run.detail) : undefined;
        if (error?.retryable) throw error;
      }
      return runs;
    } catch (error) {
      signal.throwIfAborted();
      if ((error as MillraceError).code === "sealed") await this.spool.seal();
      // Whoever gives tokens is away, too.
      throw error instanceof Error && "clean" in error ? error : network(error, true);
    }
  }
}

/** Certainly nothing was written, and it is the batch that is at fault: one with fewer records may be taken. */
const refusesAsWhole = ({ code, status }: MillraceError) => status === 413 || code === "bad-frame";
