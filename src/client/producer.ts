import { frameLimits } from "../../schemas/frame-limits.ts";
import { concat } from "../lib/bytes.ts";
import { FrameWriter } from "../log/record.ts";
import { known, MillraceError } from "./error.ts";
import type { Http } from "./http.ts";
import { packable } from "./record.ts";
import { retrying } from "./retry.ts";
import type { NewRecord, Placed, Verdict } from "./types.ts";

/** How a producer gathers records, and who it is. */
export interface ProducerOptions {
  /**
   * Its name. One that starts anew under the same name takes over: what the old one still sends is refused. By default a
   * name that nobody else has.
   */
  id?: string;
  /** Higher than that of whoever had the name before. Default: the time, in ms. */
  epoch?: number;
  /** All records go to this partition. Default: each where its key belongs. */
  partition?: number;
  /** A batch is sent when it has so many bytes, or so many records, or is so old. Defaults 1 MiB, 10 000, 1 ms. */
  batchBytes?: number;
  batchRecords?: number;
  lingerMs?: number;
  /** Bytes that wait, or are on their way; beyond it `push` makes the caller wait. Default 16 MiB. */
  bufferBytes?: number;
  /** Attempts at a batch before the producer gives up. Default 30: some minutes. */
  attempts?: number;
  signal?: AbortSignal;
}

/** Codes of a name, or a number, that another has. */
const taken = new Set(["fenced", "sequence-gap", "sequence-conflict"]);

/** Told where a record lies, or why it does not. */
export type Settled = (error: MillraceError | undefined, placed: Placed | undefined) => void;

type Run = Verdict & { readonly count: number };

class Batch {
  readonly writer = new FrameWriter();
  readonly settled: (Settled | undefined)[] = [];
  bytes = 0;
}

/**
 * Sends many records, in order, each exactly once. Batches form by themselves while one is on its way; a batch that gets
 * no answer is sent again under the same number, and the service knows it.
 */
export class Producer {
  readonly id: string;
  readonly epoch: number;
  #open = new Batch();
  readonly #full: Batch[] = [];
  #buffered = 0;
  #sequence = 0;
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
    this.id = options.id ?? crypto.randomUUID();
    this.epoch = options.epoch ?? Date.now();
  }

  /**
   * Takes a record. Undefined where there is room; otherwise a promise of room: await it, and memory stays bounded. A
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
    this.#check();
    const { batchBytes = 1_048_576, batchRecords = 10_000, bufferBytes = 16_777_216 } = this.options;
    const batch = this.#open;
    const before = batch.writer.count;
    const bytes = batch.writer.add(packable(record), frameLimits.recordBytesMax);
    if (batch.writer.count === before) {
      this.#fail(settled, known("record-too-large", `the record has ${bytes} bytes`));
      return undefined;
    }
    batch.settled.push(settled);
    batch.bytes += bytes;
    this.#buffered += bytes;
    if (batch.bytes >= batchBytes || batch.writer.count >= batchRecords) this.#seal();
    else if (this.#sending === undefined) this.#timer ??= setTimeout(() => this.#seal(), this.options.lingerMs ?? 1);
    if (this.#buffered < bufferBytes) return undefined;
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
    while (this.#sending !== undefined) {
      await this.#sending;
      this.#seal();
    }
    const error = this.#unheard;
    this.#unheard = undefined;
    if (error !== undefined) throw error;
  }

  /**
   * Flushes, and takes no more.
   *
   * @example
   * const producer = millrace.stream("orders").producer();
   * await producer.push({ data: 1 });
   * await producer.close();
   */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closed) throw new MillraceError("closed", "the producer was closed", 0, false, true);
  }

  /** The open batch takes no more, and goes as soon as it may. */
  #seal(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#open.writer.count > 0) {
      this.#full.push(this.#open);
      this.#open = new Batch();
    }
    if (this.#full.length > 0) this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    // One after another: order, and a number that a retry can name again.
    for (let batch = this.#full.shift(); batch !== undefined; batch = this.#full.shift()) {
      try {
        const runs = await this.#deliver(concat(batch.writer.finish(0)));
        this.#sequence++;
        this.#answer(batch, runs);
      } catch (error) {
        this.#refuse(batch, error);
      }
      this.#buffered -= batch.bytes;
      const room = this.#room;
      this.#room = [];
      for (const free of room) free();
      // What gathered meanwhile is the next batch, however small.
      if (this.#full.length === 0 && this.#open.writer.count > 0) {
        this.#full.push(this.#open);
        this.#open = new Batch();
      }
    }
    this.#sending = undefined;
  }

  #deliver(body: Uint8Array): Promise<readonly Run[]> {
    const { partition, signal, attempts = 30 } = this.options;
    const headers = {
      "content-type": "application/vnd.millrace.frames",
      "producer-id": this.id,
      "producer-epoch": String(this.epoch),
      "producer-seq": String(this.#sequence),
    };
    const call = { body, headers, query: { partition }, signal };
    const attempt = async () => {
      const { runs } = await this.http.jsonOnce<{ runs: Run[] }>("POST", `${this.path}/records`, call);
      // One of several partitions could not take its share yet: under the same number, the others know theirs.
      for (const run of runs) {
        const error = run.verdict === "rejected" ? known(run.reason, run.detail) : undefined;
        if (error?.retryable) throw error;
      }
      return runs;
    };
    return retrying(attempt, { ...this.http.options.retry, attempts }, signal, (error) => this.http.mayPass(error));
  }

  #answer({ settled }: Batch, runs: readonly Run[]): void {
    let at = 0;
    for (const run of runs) {
      for (let index = 0; index < run.count; index++) {
        const one = settled[at++];
        if (run.verdict === "rejected") this.#fail(one, known(run.reason, run.detail));
        else if (one !== undefined) {
          const { verdict, partition, offset } = run;
          one(undefined, { verdict, partition, offset: offset + index });
        }
      }
    }
  }

  /** A batch that was not taken; where nobody knows whether it was, or another has taken over, nothing may follow it. */
  #refuse(batch: Batch, error: unknown): void {
    const why = error instanceof MillraceError ? error : new MillraceError("closed", String(error), 0, false, false);
    const batches = [batch];
    if (!why.clean || why.retryable || taken.has(why.code)) {
      this.#failed = error;
      batches.push(...this.#full.splice(0), this.#open);
      this.#open = new Batch();
    }
    for (const { settled } of batches) for (const one of settled) this.#fail(one, why);
  }

  /** Tells of a failure. */
  #fail(settled: Settled | undefined, error: MillraceError): void {
    if (settled !== undefined) settled(error, undefined);
    else this.#unheard ??= error;
  }
}
