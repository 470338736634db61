/** `forward`: lines of files, or of the standard input, into a stream: none lost, none twice. */
import { setTimeout as pause } from "node:timers/promises";
import type { Millrace, MillraceError, StreamConfig } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import { concat, decodeText } from "../../lib/bytes.ts";
import { FrameWriter, kinds, type Rec } from "../../log/record.ts";
import { linesOf } from "../lines.ts";
import { attemptOf } from "../numbered.ts";
import { counted, print, Usage } from "../output.ts";
import { type Position, State } from "./state.ts";
import { Tail } from "./tail.ts";

export interface ForwardArgs {
  stream: string;
  files: readonly string[];
  state: string;
  key?: string;
  text?: boolean;
  fromEnd?: boolean;
  once?: boolean;
  json?: boolean;
}

const [batchBytesMax, batchRecordsMax] = [1_048_576, 10_000];
const pollMs = 200;
/** How often it is said that the service does not answer. */
const sayMs = 60_000;
/** A key has 1 024 bytes, a character up to three. */
const keyCharsMax = 340;
/** What a record has besides its line. */
const recordOverhead = 2_048;

export async function forward(millrace: Millrace, args: ForwardArgs): Promise<void> {
  if (args.files.length === 0 && process.stdin.isTTY) throw new Usage("give files, or lines on the standard input");
  const patient = <T>(ask: () => Promise<T>) => retrying(ask, forever, stop.signal, ({ retryable }) => retryable);
  const info = await patient(() => millrace.stream(args.stream).info());
  const state = State.open(args.state, args.stream, info.logId);
  try {
    const forwarder = new Forwarder(millrace, args, state, info.config);
    await forwarder.run();
    const { appended, rejected } = forwarder;
    if (args.json) print(JSON.stringify({ appended, rejected }));
    else
      print(
        `${counted(appended, "line")} appended${rejected ? `, ${rejected} rejected: see ${args.state}/rejected.ndjson` : ""}`,
      );
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    state.close();
  }
}

const forever = { attempts: Number.POSITIVE_INFINITY, initialMs: 200, maxMs: 10_000 };
const stop = new AbortController();

class Forwarder {
  appended = 0;
  rejected = 0;
  readonly #tails: Tail[];
  /** Lines of the standard input that no batch has taken. */
  readonly #waiting: string[] = [];
  #inputEnded = true;
  #said = 0;

  constructor(
    readonly millrace: Millrace,
    readonly args: ForwardArgs,
    readonly state: State,
    readonly config: StreamConfig,
  ) {
    const { files, fromEnd = false } = args;
    this.#tails = files.map((path) => new Tail(path, state.positions[path], fromEnd));
    if (files.length === 0) void this.#readInput();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(new Error("stopped")));
  }

  async run(): Promise<void> {
    const pending = this.state.pending;
    if (pending !== undefined) {
      await this.#send(pending, []);
      for (const tail of this.#tails) tail.saved = this.state.positions[tail.path];
    }
    while (!stop.signal.aborted) {
      const { batch, lines } = this.#gather();
      if (batch !== undefined) {
        this.state.begin(batch, this.#positions());
        await this.#send(batch, lines);
      } else if (this.#finished()) return;
      else await pause(pollMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  }

  #finished(): boolean {
    return this.args.files.length === 0 ? this.#inputEnded && this.#waiting.length === 0 : Boolean(this.args.once);
  }

  /** Lines of all files in turn, until there is a batch or nothing new. */
  #gather(): { batch: Uint8Array | undefined; lines: Buffer[] } {
    const writer = new FrameWriter();
    const lines: Buffer[] = [];
    let bytes = 0;
    const limit = Math.min(batchBytesMax, (this.config.batchBytesMax ?? batchBytesMax) / 2);
    const add = (line: Buffer, key: string | undefined) => {
      for (const piece of this.#pieces(line)) {
        bytes += writer.add(this.#record(piece, key));
        lines.push(piece);
      }
    };
    const full = () => bytes >= limit || writer.count >= batchRecordsMax;
    for (let found = true; found && !full(); ) {
      found = false;
      for (const tail of this.#tails) {
        const read = full() ? [] : tail.read();
        for (const line of read) add(line, this.args.key ?? tail.path.slice(-keyCharsMax));
        if (read.length > 0) found = true;
      }
      let taken = 0;
      for (; taken < this.#waiting.length && !full(); taken++) add(Buffer.from(this.#waiting[taken]), this.args.key);
      this.#waiting.splice(0, taken);
    }
    return { batch: writer.count === 0 ? undefined : concat(writer.finish(0)), lines };
  }

  /** A line that is too long for a record becomes several. */
  #pieces(line: Buffer): Buffer[] {
    const limit =
      (this.config.recordBytesMax ?? 1_000_000) - Math.min(recordOverhead, (this.config.recordBytesMax ?? 0) / 2);
    if (line.length <= limit) return line.length === 0 ? [] : [line];
    const pieces: Buffer[] = [];
    for (let at = 0; at < line.length; at += limit) pieces.push(line.subarray(at, at + limit));
    return pieces;
  }

  #record(line: Buffer, key: string | undefined): Rec {
    return { kind: this.#kindOf(line), data: line, ...(key === undefined ? {} : { key }) };
  }

  #kindOf(line: Buffer): Rec["kind"] {
    try {
      const text = decodeText(line);
      if (this.args.text) return kinds.text;
      JSON.parse(text);
      return kinds.json;
    } catch (error) {
      // Not JSON; or not UTF-8 either, and kept as it is.
      return error instanceof SyntaxError ? kinds.text : kinds.binary;
    }
  }

  #positions(): Record<string, Position> {
    const positions: Record<string, Position> = { ...this.state.positions };
    for (const tail of this.#tails) if (tail.position !== undefined) positions[tail.path] = tail.position;
    return positions;
  }

  /** Sends the batch that is written down, for as long as it takes. */
  async #send(batch: Uint8Array, lines: readonly Buffer[]): Promise<void> {
    const { id: producer, sequence } = this.state.producer;
    const numbered = { producer, sequence, signal: stop.signal };
    const attempt = await attemptOf(this.millrace.stream(this.args.stream), batch, numbered);
    const runs = await retrying(attempt, forever, stop.signal, (error) => this.#mayRetry(error));
    this.#said = 0;
    let at = 0;
    for (const run of runs) {
      if (run.verdict === "rejected") {
        this.rejected += run.count;
        for (const line of lines.slice(at, at + run.count)) {
          this.state.reject(JSON.stringify({ reason: run.reason, line: line.toString() }));
        }
      } else this.appended += run.count;
      at += run.count;
    }
    this.state.done();
  }

  #mayRetry(error: MillraceError): boolean {
    if (error.retryable && Date.now() - this.#said > sayMs) {
      console.error(`millrace: ${error.message}; trying again until it answers`);
      this.#said = Date.now();
    }
    return error.retryable;
  }

  async #readInput(): Promise<void> {
    this.#inputEnded = false;
    try {
      for await (const line of linesOf(process.stdin)) {
        this.#waiting.push(line);
        // What cannot be sent is not read: the pipe makes its writer wait.
        while (this.#waiting.length >= batchRecordsMax && !stop.signal.aborted) await pause(5);
      }
    } finally {
      this.#inputEnded = true;
    }
  }
}
