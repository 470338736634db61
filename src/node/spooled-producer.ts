import { known } from "../client/error.ts";
import type { MillraceError, NewRecord, OfSpool, Placed } from "../client/index.ts";
import { nothing } from "../client/json.ts";
import type { Closed, ProducerOptions, Settled } from "../client/producing.ts";
import { packable } from "../client/record.ts";
import { sleep, timerMaxMs } from "../client/retry.ts";
import { openSpool } from "./open.ts";
import { Rejected, recordOf } from "./rejected.ts";
import { lost, type Run, Sender } from "./sending.ts";
import { Spool, type SpoolBatch, type SpoolBounds } from "./spool.ts";

/** What a producer with a spool takes of a producer's options. */
export type SpooledOptions = Pick<
  ProducerOptions,
  "id" | "partition" | "batchBytes" | "batchRecords" | "onSettled" | "signal"
>;

export interface SpoolOptions {
  /** What may lie there unsent; beyond it `push` rejects with `spool-full`. Default 1 GiB, and any number of records. */
  bytesMax?: number;
  recordsMax?: number;
  /** Told what holds sending up, once for each cause, and `undefined` when it goes on. */
  onTrouble?: (error: MillraceError | undefined) => void;
}

/** Until a disk that failed is tried again. */
const diskPauseMs = 1_000;

const closed = () => known("closed", "the producer was closed");

/**
 * A producer whose records lie in a folder until they are stored. What `push` has resolved for is sent, once and in order,
 * by this process or by the next one that opens the folder.
 */
export class SpooledProducer {
  readonly #spool: Spool;
  readonly #rejected: Rejected;
  readonly #cut = new AbortController();
  readonly #sender: Sender;
  #sending: Promise<void> | undefined;
  #sent = 0;
  #trouble: MillraceError | undefined;
  /** Sending will not go on by itself: somebody has to see to it, or nobody can. */
  #stuck: MillraceError | undefined;
  /** How often it was held up. */
  #holds = 0;
  #closing: Promise<void> | undefined;
  #isTimed = false;
  #unheard: MillraceError | undefined;
  #waiting: (() => void)[] = [];

  constructor(
    readonly stream: OfSpool,
    folder: string,
    bounds: SpoolBounds,
    readonly onTrouble: SpoolOptions["onTrouble"],
    readonly options: SpooledOptions,
  ) {
    const { id, partition, batchBytes, signal } = options;
    const { namespace = "default" } = stream.http.options;
    const opened = openSpool(folder, { namespace, stream: stream.name, partition }, id);
    this.#spool = new Spool(opened, bounds, () => this.#start());
    this.#rejected = new Rejected(folder);
    this.#sender = new Sender(stream, this.#spool, { partition, batchBytes }, this.#cut.signal, {
      settled: (...answer) => this.#settle(...answer),
      held: (error) => this.#hold(error),
      anew: (error) => this.#call(() => onTrouble?.(error)),
    });
    const stop = () => void this.close({ timeoutMs: 0 });
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    this.#start();
  }

  get id(): string {
    return this.#spool.place.id;
  }

  get epoch(): number {
    return this.#spool.place.epoch;
  }

  /**
   * Takes a record, and resolves when it is on the disk: from then on it will be sent. Rejects, and never throws, with
   * `spool-full` where there is no room. Many of them at a time share a write.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * await producer.push({ key: "customer-7", data: { total: 12 } });
   */
  async push(record: NewRecord, settled?: Settled): Promise<void> {
    if (this.#closing !== undefined) throw closed();
    if (this.#stuck !== undefined && lost.has(this.#stuck.code)) throw this.#stuck;
    return this.#spool.keep(packable(record), settled);
  }

  /**
   * Takes a record, and resolves when it is stored in the stream. Where this process ends before, the next one sends it.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * const { partition, offset } = await producer.append({ key: "a", data: { total: 12 } });
   * console.log(partition, offset);
   */
  append(record: NewRecord): Promise<Placed> {
    return new Promise((resolve, reject) => {
      this.push(record, (error, placed) => (placed === undefined ? reject(error) : resolve(placed))).catch(reject);
    });
  }

  /**
   * Resolves when everything that was pushed is stored. Throws what holds sending up where that does not pass by itself, and
   * the first rejection that no callback was told: such records are in `rejected.ndjson`.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * await producer.push({ data: 1 });
   * await producer.flush();
   */
  async flush(): Promise<void> {
    await this.#spool.written();
    const until = this.#spool.kept;
    // What held it up before may be over. The attempt that is on its way may be of before, too: the one behind it tells.
    const heard = this.#holds + 1;
    while (this.#spool.done < until) {
      const stuck = this.#stuck;
      const isFinal = this.#cut.signal.aborted || this.#holds > heard || lost.has(stuck?.code ?? "");
      if (stuck !== undefined && isFinal) throw stuck;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const error = this.#unheard;
    this.#unheard = undefined;
    if (error !== undefined) throw error;
  }

  /**
   * Flushes, takes no more, and leaves the folder to others. With `timeoutMs` it ends after that time whatever is left, and
   * throws nothing: the answer says how many records stay in the spool.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * const { unsent } = await producer.close({ timeoutMs: 5_000 });
   * if (unsent > 0) console.error(`${unsent} records go when this starts again`);
   */
  async close({ timeoutMs, ...left }: { timeoutMs?: number } = {}): Promise<Closed> {
    nothing(left);
    if (timeoutMs !== undefined && (typeof timeoutMs !== "number" || Number.isNaN(timeoutMs)))
      throw new TypeError("timeoutMs: must be a number");
    this.#closing ??= this.#close();
    // However often it is closed, it ends in the shortest of the times that were given, and throws nothing where one was.
    this.#isTimed ||= timeoutMs !== undefined;
    const isTimed = this.#isTimed;
    const cut = () => this.#cutOff();
    const timer = timeoutMs === undefined ? undefined : setTimeout(cut, Math.min(timeoutMs, timerMaxMs));
    try {
      await this.#closing;
    } catch (error) {
      if (!isTimed) throw error;
    } finally {
      clearTimeout(timer);
    }
    return { sent: this.#sent, unsent: this.pending.records };
  }

  /**
   * What lies in the folder, or is on its way there, and is not known to be stored.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * console.log(producer.pending.records, producer.pending.bytes);
   */
  get pending(): { readonly records: number; readonly bytes: number } {
    return this.#spool.pending;
  }

  /**
   * What holds sending up now, if anything does.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders") });
   * if (producer.trouble) console.error(producer.trouble.message);
   */
  get trouble(): MillraceError | undefined {
    return this.#trouble;
  }

  #cutOff(): void {
    this.#stuck ??= closed();
    this.#cut.abort(this.#stuck);
    this.#wake();
  }

  async #close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.#cutOff();
      await this.#sending;
      await this.#spool.close();
      const stays = known("closed", "the record stays in the spool, and is sent by who opens it next", {
        clean: false,
      });
      for (const settled of this.#spool.untold()) this.#call(() => settled(stays, undefined));
    }
  }

  #start(): void {
    if (this.#spool.done < this.#spool.kept) this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    const { batchRecords = 10_000 } = this.options;
    const { signal } = this.#cut;
    while (this.#spool.done < this.#spool.kept && !signal.aborted) {
      try {
        if (await this.#sender.send(batchRecords)) this.#hold(undefined);
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = error as MillraceError;
        this.#hold(lost.has(code) ? (error as MillraceError) : known("spool-failed", `the spool fails: ${message}`));
        if (lost.has(code)) return;
        await sleep(diskPauseMs, signal).catch(() => {});
      }
    }
    this.#sending = undefined;
  }

  /** The batch is answered: what was rejected is on the disk before it is forgotten. */
  async #settle(batch: SpoolBatch, runs: readonly Run[], isNumbered: boolean): Promise<void> {
    const each = runs.flatMap((run) => Array.from({ length: run.count }, (_, index) => verdictOf(run, index)));
    this.#rejected.keep(each.flatMap((one, index) => (one instanceof Error ? [[batch.records[index], one]] : [])));
    const told = this.#spool.finish(batch, isNumbered);
    for (const [index, one] of each.entries()) {
      const [placed, error] = one instanceof Error ? [undefined, one] : [one, undefined];
      if (placed !== undefined) this.#sent++;
      this.#tell(batch.records[index], told[index], placed, error);
    }
  }

  #tell(record: Uint8Array, settled: Settled | undefined, placed?: Placed, error?: MillraceError): void {
    const { onSettled } = this.options;
    if (settled === undefined && onSettled === undefined) this.#unheard ??= error;
    if (onSettled !== undefined) this.#call(() => onSettled(recordOf(record), placed, error));
    if (settled !== undefined) this.#call(() => settled(error, placed));
  }

  /** What a callback throws is its own: the others are called, and sending goes on. */
  #call(callback: () => void): void {
    try {
      callback();
    } catch (thrown) {
      void Promise.reject(thrown);
    }
  }

  /** What holds sending up, or that nothing does. */
  #hold(error: MillraceError | undefined): void {
    const isNew = error?.code !== this.#trouble?.code || error?.status !== this.#trouble?.status;
    this.#trouble = error;
    this.#holds++;
    if (!this.#cut.signal.aborted) this.#stuck = error?.retryable === false ? error : undefined;
    this.#wake();
    if (isNew) this.#call(() => this.onTrouble?.(error));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function verdictOf(run: Run, index: number): Placed | MillraceError {
  if (run.verdict === "rejected") return known(run.reason, run.detail);
  const { verdict, partition, offset } = run;
  return { verdict, partition, offset: offset + index };
}
