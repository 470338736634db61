import { frameLimits } from "../../schemas/frame-limits.ts";
import { Batch } from "./batch.ts";
import { known, MillraceError } from "./error.ts";
import type { Http } from "./http.ts";
import { nothing } from "./json.ts";
import type { Closed, ProducerOptions, Settled } from "./producing.ts";
import { packable } from "./record.ts";
import { endless, onAbort, retrying, timerMaxMs } from "./retry.ts";
import { runsShape } from "./shapes.ts";
import type { NewRecord, Placed, Verdict } from "./types.ts";

/** Codes of a name, or a number, that another has: `fenced`, `sequence-gap` and `sequence-conflict`. */
const taken = /^fenced$|^sequence-[gc]/;

/** `clean`: what it is said of was not written for certain. */
const closed = (clean: boolean) => known("closed", "the producer was closed", { clean });

let lastEpoch = 0;
/** The time, in half microseconds, which are chance; higher than any before it here. */
export const newEpoch = (): number => {
  lastEpoch = Math.max(lastEpoch + 1, Math.floor((Date.now() + Math.random()) * 2_000));
  return lastEpoch;
};

type Run = Verdict & { readonly count: number };

/**
 * Sends many records, in order, each exactly once. Batches form by themselves while one is on its way; a batch that gets
 * no answer is sent again under the same number, and the service knows it.
 */
export class Producer {
  readonly id: string;
  readonly epoch: number;
  #sequence = 0;
  readonly #cut = new AbortController();
  #open = new Batch();
  readonly #full: Batch[] = [];
  readonly #waiting = { records: 0, bytes: 0 };
  #taken = 0;
  #sent = 0;
  #batchBytes: number;
  #sending: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failed: unknown;
  #closed = false;
  #room: (() => void)[] = [];
  /** The first failure that nobody was told of. */
  #unheard: MillraceError | undefined;

  constructor(
    readonly http: Http,
    readonly path: string,
    readonly options: ProducerOptions = {},
  ) {
    const {
      id = crypto.randomUUID(),
      epoch = newEpoch(),
      batchBytes = 1_048_576,
      signal,
      partition,
      attempts,
      batchRecords,
      bufferRecords,
      bufferBytes,
      onSettled,
      lingerMs,
      ...left
    } = options;
    nothing(left);
    // A header carries it; the service takes so much.
    if (!/^[!-~]([ -~]{0,126}[!-~])?$/.test(id)) throw known("invalid", "id: must be 1-128 visible ASCII");
    this.id = id;
    this.epoch = epoch;
    this.#batchBytes = batchBytes;
    onAbort(signal, () => this.#cut.abort(signal?.reason));
  }

  /**
   * Takes a record, or throws at once. Undefined where there is room; otherwise a promise of room: await it, and memory stays bounded. A
   * failure goes to `settled`, or, without one, to the next `flush` or `close`.
   *
   * @example
   * const producer = millrace.stream("orders").producer();
   * for (let n = 0; n < 1_000_000; n++) {
   *   await producer.push({ key: `customer-${n % 100}`, data: { n } });
   * }
   * await producer.close();
   */
  push(record: NewRecord, settled?: Settled): Promise<void> | undefined {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closed) throw closed(true);
    const { batchRecords = 10_000, bufferRecords = endless, bufferBytes = 16_777_216, onSettled } = this.options;
    const batch = this.#open;
    const told: Settled | undefined = onSettled
      ? (error, placed) => {
          try {
            settled?.(error, placed);
          } finally {
            onSettled(record, placed, error);
          }
        }
      : settled;
    const bytes = batch.add(packable(record), told);
    this.#taken++;
    if (bytes > frameLimits.recordBytesMax) {
      this.#tell(told, known("record-too-large", `the record has ${bytes} bytes`));
      return undefined;
    }
    const waiting = this.#waiting;
    waiting.records++;
    waiting.bytes += bytes;
    if (batch.bytes >= this.#batchBytes || batch.settled.length >= batchRecords) this.#seal();
    else if (this.#sending === undefined) this.#timer ??= setTimeout(() => this.#seal(), this.options.lingerMs ?? 1);
    if (waiting.bytes < bufferBytes && waiting.records < bufferRecords) return undefined;
    return new Promise((resolve, reject) => {
      this.#room.push(() => (this.#failed === undefined ? resolve() : reject(this.#failed)));
    });
  }

  /**
   * Takes a record, and resolves when it is durable. Many of them at a time share a batch.
   *
   * @example
   * const producer = millrace.stream("orders").producer();
   * const { partition, offset } = await producer.append({ key: "a", data: { total: 12 } });
   * console.log(partition, offset);
   */
  append(record: NewRecord): Promise<Placed> {
    return new Promise((resolve, reject) => {
      this.push(record, (error, placed) => (placed === undefined ? reject(error) : resolve(placed)))?.catch(() => {});
    });
  }

  /**
   * Resolves when everything that was pushed is durable. Throws the first failure that no callback was told.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ id: "importer" });
   * await producer.push({ data: 1 });
   * await producer.flush();
   */
  async flush(): Promise<void> {
    this.#seal();
    while (this.#sending) {
      await this.#sending;
      this.#seal();
    }
    const error = this.#unheard;
    this.#unheard = undefined;
    if (error) throw error;
  }

  /**
   * Flushes, and takes no more. With `timeoutMs` it ends after that time whatever is left, and throws nothing: the answer says
   * what was not sent.
   *
   * @example
   * const producer = millrace.stream("orders").producer();
   * await producer.push({ data: 1 });
   * const { unsent } = await producer.close({ timeoutMs: 5_000 });
   * if (unsent > 0) console.error(`${unsent} records may be missing`);
   */
  async close({ timeoutMs, ...left }: { timeoutMs?: number } = {}): Promise<Closed> {
    nothing(left);
    this.#closed = true;
    if (timeoutMs === undefined) await this.flush();
    else {
      const timer = setTimeout(() => this.#cut.abort(closed(false)), Math.min(timeoutMs, timerMaxMs));
      await this.flush().catch(() => {});
      clearTimeout(timer);
    }
    return { sent: this.#sent, unsent: this.#taken - this.#sent };
  }

  /**
   * What waits, or is on its way.
   *
   * @example
   * const producer = millrace.stream("orders").producer();
   * producer.push({ data: 1 });
   * console.log(producer.pending.records, producer.pending.bytes);
   */
  get pending(): { readonly records: number; readonly bytes: number } {
    return { ...this.#waiting };
  }

  /** The open batch takes no more, and goes as soon as it may. */
  #seal(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#open.settled.length > 0) {
      this.#full.push(this.#open);
      this.#open = new Batch();
    }
    if (this.#full.length > 0) this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    // One after another: order, and a number that a retry can name again.
    for (let batch = this.#full.shift(); batch !== undefined; batch = this.#full.shift()) {
      try {
        const runs = await this.#deliver(batch.body, batch.settled.length);
        this.#sequence++;
        this.#answer(batch, runs);
      } catch (error) {
        if (error instanceof MillraceError && error.status === 413 && batch.settled.length > 1) {
          // Its number was not used. What comes has the measure of the halves.
          this.#full.unshift(...batch.halves());
          this.#batchBytes = Math.min(this.#batchBytes, batch.bytes / 2);
          continue;
        }
        this.#refuse(batch, error);
      }
      this.#leave(batch);
      const room = this.#room;
      this.#room = [];
      for (const free of room) free();
      // What gathered meanwhile is the next batch, however small.
      if (this.#full.length === 0) this.#seal();
    }
    this.#sending = undefined;
  }

  #deliver(body: Uint8Array, count: number): Promise<readonly Run[]> {
    const { partition, attempts = 30 } = this.options;
    const { signal } = this.#cut;
    const headers = {
      "content-type": "application/vnd.millrace.frames",
      "producer-id": this.id,
      "producer-epoch": String(this.epoch),
      "producer-seq": String(this.#sequence),
    };
    const call = { body, headers, query: { partition }, signal, records: count };
    const path = `${this.path}/records`;
    const attempt = async () => {
      const { runs } = await this.http.jsonOnce<{ runs: Run[] }>("POST", path, runsShape, call);
      // One of several partitions could not take its share yet: under the same number, the others know theirs.
      for (const run of runs) {
        const error = run.verdict === "rejected" ? known(run.reason, run.detail) : undefined;
        if (error?.retryable) throw error;
      }
      return runs;
    };
    return retrying(attempt, { ...this.http.options.retry, attempts }, signal, (error) => this.http.mayPass(error));
  }

  #answer(batch: Batch, runs: readonly Run[]): void {
    let at = 0;
    for (const run of runs) {
      for (let index = 0; index < run.count; index++) {
        const one = batch.settled[at++];
        if (run.verdict === "rejected") this.#tell(one, known(run.reason, run.detail));
        else {
          this.#sent++;
          const { verdict, partition, offset } = run;
          if (one !== undefined) this.#tell(one, undefined, { verdict, partition, offset: offset + index });
        }
      }
    }
  }

  /** A batch that was not taken; where nobody knows whether it was, or another has taken over, nothing may follow it. */
  #refuse(batch: Batch, error: unknown): void {
    const why = error instanceof MillraceError ? error : known("closed", String(error), { clean: false });
    let left: Batch[] = [];
    if (!why.clean || why.retryable || taken.test(why.code)) {
      this.#failed = error;
      this.#seal();
      left = this.#full.splice(0);
    }
    for (const one of batch.settled) this.#tell(one, why);
    // Those behind it were never sent.
    const behind = new MillraceError(why.code, why.message, 0, why.retryable, true, why.facts);
    for (const one of left) {
      this.#leave(one);
      for (const settled of one.settled) this.#tell(settled, behind);
    }
  }

  #leave({ settled, bytes }: Batch): void {
    this.#waiting.records -= settled.length;
    this.#waiting.bytes -= bytes;
  }

  /** What a callback throws is its own, and an unhandled rejection: others are called, and the batches go on. */
  #tell(settled: Settled | undefined, error: MillraceError | undefined, placed?: Placed): void {
    try {
      if (settled === undefined) this.#unheard ??= error;
      else settled(error, placed);
    } catch (thrown) {
      void Promise.reject(thrown);
    }
  }
}
