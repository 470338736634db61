/** Packed records into a stream, in order and each once, with an account of what became of each line. */
import { setTimeout as pause } from "node:timers/promises";
import { known } from "../client/error.ts";
import { MillraceError, type Stream } from "../client/index.ts";
import { retrying } from "../client/retry.ts";
import { runsShape } from "../client/shapes.ts";
import { concat } from "../lib/bytes.ts";
import { FrameWriter, type Rec, recordBytes } from "../log/record.ts";
import { type Tails, tally } from "./import/counts.ts";
import type { Run } from "./numbered.ts";

const batchBytesMax = 1_048_576;
const batchRecordsMax = 10_000;
/** What comes so close together goes together. */
const lingerMs = 1;
/** Some minutes: as long as a service may be away without anybody having to come back to this. */
const attemptsMax = 30;

/** What became of lines; each call is about one or more that follow each other. */
export interface Told {
  settled(verdict: "appended" | "duplicate", count: number): void;
  rejected(lines: readonly number[], detail: string): void;
}

/** Where it stopped: lines of which nobody knows, and the first that was certainly not appended. */
export interface Stop {
  readonly error: unknown;
  readonly unknown: readonly number[];
  readonly from: number | undefined;
}

class Batch {
  readonly writer = new FrameWriter();
  readonly lines: number[] = [];
  bytes = 0;

  hasRoom(bytes: number, bytesMax: number): boolean {
    if (this.lines.length === 0) return true;
    return this.bytes + bytes <= bytesMax && this.lines.length < batchRecordsMax;
  }
}

/** Two batches are in memory at most: one on its way, and one that gathers meanwhile. */
export class Sender {
  /** Where it stopped, if it did. */
  stop: Stop | undefined;
  /** Whether anything may have been appended. */
  sent = false;
  readonly #producer = crypto.randomUUID();
  readonly #bytesMax: number;
  /** What is behind them is ours. */
  #tails: Tails = {};
  #sequence = 0;
  #open = new Batch();
  #running: Promise<void> | undefined;
  #room = () => {};

  constructor(
    readonly stream: Stream,
    readonly config: { readonly batchBytesMax: number; readonly partition?: number | undefined },
    readonly told: Told,
    readonly attempts = attemptsMax,
  ) {
    // A batch that is one record has room for that record, whatever the stream's limits.
    this.#bytesMax = Math.min(batchBytesMax, Math.floor(config.batchBytesMax / 2));
  }

  /** Takes a record when there is room. False where it takes no more, because it stopped. */
  async push(record: Rec, line: number): Promise<boolean> {
    const bytes = recordBytes(record);
    while (this.stop === undefined && !this.#open.hasRoom(bytes, this.#bytesMax)) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
    if (this.stop !== undefined) return false;
    this.#open.writer.add(record);
    this.#open.lines.push(line);
    this.#open.bytes += bytes;
    this.#running ??= this.#run();
    return true;
  }

  /** Resolves when everything that was taken is settled, or it has stopped. */
  async end(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await pause(lingerMs);
    // What gathered while one was on its way is the next one, however small.
    while (this.#open.lines.length > 0 && this.stop === undefined) {
      const batch = this.#open;
      this.#open = new Batch();
      this.#room();
      await this.#send(batch);
    }
    this.#running = undefined;
    this.#room();
  }

  async #send(batch: Batch): Promise<void> {
    let certain = true;
    try {
      const runs = await this.#deliver(concat(batch.writer.finish(0)), batch.lines.length, (clean) => {
        certain &&= clean;
      });
      this.sent = true;
      this.#sequence++;
      this.#settle(batch.lines, runs, certain);
    } catch (error) {
      if (!certain) this.sent = true;
      if (certain && error instanceof MillraceError && isVerdict(error))
        return this.told.rejected(batch.lines, error.message);
      const [first] = certain ? batch.lines : this.#open.lines;
      this.stop = { error, unknown: certain ? [] : batch.lines, from: first };
    }
  }

  /** Sends it until it is answered. `failed` is told of each attempt that was not, and whether certainly nothing was written. */
  #deliver(body: Uint8Array, records: number, failed: (clean: boolean) => void): Promise<readonly Run[]> {
    const { http, path } = this.stream;
    const { partition } = this.config;
    const headers = {
      "content-type": "application/vnd.millrace.frames",
      "producer-id": this.#producer,
      "producer-epoch": "0",
      "producer-seq": String(this.#sequence),
    };
    const attempt = async () => {
      const { runs } = await http.jsonOnce<{ runs: Run[] }>("POST", `${path}/records`, runsShape, {
        body,
        headers,
        query: { partition },
        records,
      });
      // One of several partitions could not take its share yet: under the same number, the others know theirs.
      const refused = runs.flatMap((run) => (run.verdict === "rejected" ? known(run.reason, run.detail) : []));
      const late = refused.find(({ retryable }) => retryable);
      if (late === undefined) return runs;
      failed(refused.length === runs.length);
      throw late;
    };
    return retrying(attempt, { ...http.options.retry, attempts: this.attempts }, undefined, (error) => {
      failed(error.clean);
      return http.mayPass(error);
    });
  }

  /** Where an attempt before was not answered, what it has appended is told as duplicates. */
  #settle(lines: readonly number[], runs: readonly Run[], certain: boolean): void {
    let at = 0;
    for (const run of runs) {
      const { counts, tails } = tally([run], this.#tails);
      this.#tails = tails;
      if (run.verdict === "rejected") this.told.rejected(lines.slice(at, at + run.count), run.detail);
      else if (certain) this.told.settled(run.verdict, run.count);
      else {
        this.told.settled("appended", counts.imported);
        this.told.settled("duplicate", counts.duplicates);
      }
      at += run.count;
    }
  }
}

/** Refusals of a whole batch that are not about its records: those behind it would get them too. */
const ofAll = new Set(["fenced", "sequence-gap", "sequence-conflict", "sequence-stale"]);
const isVerdict = ({ code, status, retryable }: MillraceError) =>
  !retryable && status >= 400 && ![401, 403, 404].includes(status) && !ofAll.has(code);
