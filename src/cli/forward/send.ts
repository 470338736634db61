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
}

export class Sender {
  appended = 0;
  rejected = 0;

  constructor(
    readonly stream: Stream,
    readonly state: State,
    readonly report: Report,
    readonly signal: AbortSignal,
    /** A batch was refused, or a record of it for its size: the stream takes less than it did. */
    readonly onRefused: (config: StreamConfig) => void,
  ) {}

  async send(): Promise<void> {
    for (let pending = this.state.pending; pending !== undefined; pending = this.state.pending) {
      const { batch, part: [from, to] = [0, undefined] } = pending;
      const whole = () => boundsOf(batch);
      const records = () => whole().slice(from, to);
      const bytes = to === undefined ? batch : packed(records());
      await this.#sendPart({ bytes, records, from, to }, () => whole().length);
    }
  }

  async #sendPart(part: Part, countOf: () => number): Promise<void> {
    let learns = false;
    try {
      const runs = await this.#attempts(part.bytes);
      learns = runs.some((run) => run.verdict === "rejected" && run.reason === "record-too-large");
      this.#settle(part, runs);
    } catch (error) {
      if (!refusesAsWhole(error)) throw error;
      const { from, to = countOf() } = part;
      if (to - from > 1) {
        this.state.beginPart([from, (from + to) >> 1]);
        return this.#learn();
      }
      learns = true;
      const { code, message } = error as MillraceError;
      this.#reject(part.records(), code, message);
    }
    this.report.answered();
    const { from, to } = part;
    if (to === undefined || to === countOf()) this.state.done();
    // What was taken may be what is taken: the next one is twice as long.
    else this.state.donePart([to, Math.min(countOf(), to + 2 * (to - from))]);
    // When what was answered is done: whoever is told to end meanwhile does not send it again.
    if (learns) await this.#learn();
  }

  async #learn(): Promise<void> {
    this.onRefused((await this.#info()).config);
  }

  async #attempts(bytes: Uint8Array): Promise<readonly Run[]> {
    for (;;) {
      const { id: producer, sequence } = this.state.producer;
      try {
        const attempt = await attemptOf(this.stream, bytes, { producer, sequence, signal: this.signal });
        return await retrying(attempt, forever, this.signal, (error) => this.#passes(error));
      } catch (error) {
        if ((error as MillraceError).code !== "sequence-gap" || !(await this.#isAnew())) throw error;
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

  /** The stream was deleted and made again meanwhile. */
  async #isAnew(): Promise<boolean> {
    const { logId } = await this.#info();
    if (logId === this.state.logId) return false;
    this.report.warn(`the stream '${this.stream.name}' was made anew; what was forwarded before is not sent again`);
    this.state.renew(logId);
    return true;
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
