/** Sends the batch that is written down, for as long as it takes: all of it is in the stream then, or told as rejected. */
import type { MillraceError, Stream, StreamConfig, StreamInfo } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import { concat, decodeText, isText } from "../../lib/bytes.ts";
import { eachRecord, openFrames } from "../../log/frame.ts";
import { decodeRecord, FrameWriter, type Rec } from "../../log/record.ts";
import { attemptOf, type Run } from "../numbered.ts";
import type { Report } from "./report.ts";
import type { State } from "./state.ts";

export const forever = { attempts: Number.POSITIVE_INFINITY, initialMs: 200, maxMs: 10_000 };

/** Where a record lies in a batch's frames. */
interface Bounds {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** What is sent at a time: a batch, or a part of one that was refused. */
interface Part {
  readonly bytes: Uint8Array;
  /** Its records, and their places in the batch. */
  readonly records: () => Bounds[];
  readonly from: number;
  readonly to: number | undefined;
  /**
   * The records up to this one may be in the stream under the number, sent together before the stream took less. A service
   * that knows a batch whatever it would take now refuses none as a whole of which anything is there: then it is never told of
   * a conflict. One of an older release does, and without this no forwarder could go on beside it.
   */
  readonly tried: number | undefined;
}

export class Sender {
  appended = 0;
  rejected = 0;
  /** Nothing that was sent under the number can have been taken without an answer. */
  #isUnused: boolean;

  constructor(
    readonly stream: Stream,
    readonly state: State,
    readonly report: Report,
    readonly signal: AbortSignal,
    /** A batch was refused, or a record of it for its size: the stream takes less than it did. */
    readonly onRefused: (config: StreamConfig) => void,
  ) {
    this.#isUnused = state.pending === undefined;
  }

  async send(): Promise<void> {
    for (let pending = this.state.pending; pending !== undefined; pending = this.state.pending) {
      const { batch, part: [from, to, tried] = [0, undefined, undefined] } = pending;
      const whole = () => boundsOf(batch);
      const records = () => whole().slice(from, to);
      const bytes = to === undefined ? batch : packed(records());
      await this.#sendPart({ bytes, records, from, to, tried }, () => whole().length);
    }
  }

  async #sendPart(part: Part, countOf: () => number): Promise<void> {
    let runs: readonly Run[];
    try {
      runs = await this.#attempts(part.bytes);
    } catch (error) {
      return this.#refused(part, countOf(), error as MillraceError);
    }
    this.#settle(part, runs);
    if (part.to === undefined) this.#goOn(part, 0, 0);
    else this.#goOn(part, part.to, countOf());
  }

  async #refused(part: Part, count: number, error: MillraceError): Promise<void> {
    const { from, to = count, tried } = part;
    if (error.code === "sequence-conflict" && tried !== undefined) {
      this.appended += tried - from;
      return this.#goOn(part, tried, count);
    }
    if (!refusesAsWhole(error)) throw error;
    const middle = (from + to) >> 1;
    if (to - from > 1) this.state.beginPart(this.#isUnused ? [from, middle] : [from, middle, tried ?? to]);
    else {
      this.#reject(part.records(), error.code, error.message);
      const isUnused = this.#isUnused;
      this.#goOn(part, to, count, !isUnused);
      // Nobody knows whether the number was used: another one would be a gap, or a conflict.
      if (!isUnused) this.state.renew(this.state.logId);
    }
    // When what was answered is done: whoever is told to end meanwhile does not send it again.
    this.onRefused((await this.#info()).config);
  }

  /** The records up to `end` are in the stream, or were rejected; `used`: under the number. */
  #goOn({ from, to }: Part, end: number, count: number, used = true): void {
    this.report.answered();
    this.#isUnused = true;
    if (to === undefined || end === count) this.state.done(used);
    // What was taken may be what is taken: the next one is twice as long.
    else this.state.donePart([end, Math.min(count, end + 2 * (end - from))], used);
  }

  async #attempts(bytes: Uint8Array): Promise<readonly Run[]> {
    for (;;) {
      const { id: producer, sequence } = this.state.producer;
      try {
        const attempt = await attemptOf(this.stream, bytes, { producer, sequence, signal: this.signal });
        return await retrying(attempt, forever, this.signal, (error) => {
          // A partition may have taken its share, or all of it was taken.
          if (!error.clean || error.status === 0) this.#isUnused = false;
          return this.#passes(error);
        });
      } catch (error) {
        if ((error as MillraceError).code !== "sequence-gap") throw error;
        await this.#rename();
      }
    }
  }

  /** What may pass by itself, or when somebody has seen to it: no line of ours is at fault. */
  #passes({ retryable, status, message }: MillraceError): boolean {
    const passes = retryable || status === 401 || status === 403 || status === 404;
    if (passes) this.report.waiting(message);
    return passes;
  }

  #info(): Promise<StreamInfo> {
    return retrying(
      () => this.stream.info(),
      forever,
      this.signal,
      (error) => this.#passes(error),
    );
  }

  /** The stream does not know the number before this one: it was made again, or has lost what came under it. */
  async #rename(): Promise<void> {
    const { logId } = await this.#info();
    const what = logId === this.state.logId ? "does not know the last batch, which may be lost" : "was made anew";
    this.report.warn(`the stream '${this.stream.name}' ${what}; what was forwarded before is not sent again`);
    this.state.renew(logId);
  }

  #settle({ records }: Part, runs: readonly Run[]): void {
    let all: Bounds[] | undefined;
    let at = 0;
    for (const run of runs) {
      if (run.verdict === "rejected") {
        all ??= records();
        this.#reject(all.slice(at, at + run.count), run.reason, run.detail);
      } else this.appended += run.count;
      at += run.count;
    }
  }

  #reject(records: readonly Bounds[], reason: string, detail: string): void {
    this.rejected += records.length;
    const lines = records.map(({ bytes, from, to }) => rejectedLine(decodeRecord(bytes, from, to), reason, detail));
    this.state.reject(lines);
    this.report.first(`rejected ${reason}`, `lines are rejected, and kept in rejected.ndjson: ${detail}`);
  }
}

/** Certainly nothing was written, and it is the batch that is at fault: one with fewer records may be taken. */
function refusesAsWhole(error: unknown): boolean {
  const { code, status } = error as Partial<MillraceError>;
  return status === 413 || code === "bad-frame";
}

function rejectedLine({ key, data }: Rec, reason: string, detail: string): string {
  const line = isText(data) ? { line: decodeText(data) } : { line_base64: Buffer.from(data).toString("base64") };
  return JSON.stringify({ reason, detail, ...(key === undefined ? {} : { key }), ...line });
}

function boundsOf(batch: Uint8Array): Bounds[] {
  const frames = openFrames(batch);
  if (!frames.ok) throw new Error(`the batch that was written down is damaged: ${frames.refusal.detail}`);
  const bounds: Bounds[] = [];
  for (const frame of frames.value) eachRecord(frame, (from, to) => bounds.push({ bytes: frame.bytes, from, to }));
  return bounds;
}

function packed(records: readonly Bounds[]): Uint8Array {
  const writer = new FrameWriter();
  for (const { bytes, from, to } of records) writer.copy(bytes, from, to);
  return concat(writer.finish(0));
}
