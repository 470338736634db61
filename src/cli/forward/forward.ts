/** `forward`: lines of files, or of the standard input, into a stream: none lost, none twice. */
import { setTimeout as pause } from "node:timers/promises";
import { limits as serviceLimits } from "../../../schemas/limits.ts";
import type { Millrace, StreamConfig, StreamInfo } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import { textBytes } from "../../lib/bytes.ts";
import { counted, exits, print, Usage } from "../output.ts";
import { around, Batch, type Limits, limitsOf, pieceBytesMax } from "./batch.ts";
import { isGeneration } from "./generations.ts";
import { canonical, idAt } from "./identity.ts";
import { Input } from "./input.ts";
import * as messages from "./messages.ts";
import { refusePacked } from "./named.ts";
import { Report, type Sums } from "./report.ts";
import { Search } from "./search.ts";
import { forever, Sender } from "./send.ts";
import { type Positions, State } from "./state.ts";
import { Tail } from "./tail.ts";

export interface ForwardArgs {
  stream: string;
  files: readonly string[];
  state: string;
  key?: string;
  text?: boolean;
  fromEnd?: boolean;
  once?: boolean;
  quiet?: boolean;
  json?: boolean;
}

const [pollMs, inputMs] = [200, 20];
/** While there is nothing to be sent, the state is written down no more often. */
const settleMs = 1_000;
/** Pieces of a file that are taken before another has its turn. */
const turnPieces = 2_000;
/** A key has 1 024 bytes, a character up to three. */
const keyCharsMax = 340;

/** Lines that become records of one key. */
interface Source {
  readonly key: string | undefined;
  /** Bytes of such a record beside the line. */
  readonly others: number;
  readonly lines: Tail | Input;
}

export async function forward(millrace: Millrace, args: ForwardArgs): Promise<void> {
  if (args.files.length === 0 && process.stdin.isTTY) throw new Usage("give files, or lines on the standard input");
  if (args.key !== undefined && textBytes(args.key) > serviceLimits.keyBytesMax) {
    throw new Usage(`--key has ${textBytes(args.key)} bytes; at most ${serviceLimits.keyBytesMax} are allowed`);
  }
  for (const file of args.files) refusePacked(file);
  const stopped = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stopped.abort(new Error("stopped")));
  }
  const report = new Report(args.quiet ?? false);
  const stream = millrace.stream(args.stream);
  const info = await patiently(() => stream.info(), report, stopped.signal);
  if (info === undefined) return;
  if (info.config.offsets === "producer") {
    throw new Usage(`the stream '${args.stream}' takes its offsets from its producer, and lines have none`);
  }
  const state = State.open(args.state, info);
  if (state.isOfAnother) report.warn(messages.anotherLog(args.stream, args.state));
  const forwarder = new Forwarder(millrace, args, state, info, report, stopped.signal);
  try {
    await forwarder.run();
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    state.close();
  }
  forwarder.sayEnd();
}

/** Undefined where it was stopped before there was an answer. */
async function patiently<T>(ask: () => Promise<T>, report: Report, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await retrying(ask, forever, signal, ({ retryable, message }) => {
      if (retryable) report.waiting(message);
      return retryable;
    });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

class Forwarder {
  readonly #sender: Sender;
  #limits: Limits;
  readonly #sources: Source[] = [];
  readonly #tails: Tail[] = [];
  readonly #sums: Sums = { lines: 0, bytes: 0 };
  #lookedAt = 0;
  #settledAt = 0;

  constructor(
    readonly millrace: Millrace,
    readonly args: ForwardArgs,
    readonly state: State,
    info: StreamInfo,
    readonly report: Report,
    readonly signal: AbortSignal,
  ) {
    this.#limits = limitsOf(info.config);
    const stream = millrace.stream(args.stream);
    this.#sender = new Sender(stream, state, report, signal, (config) => this.#learn(config));
  }

  async run(): Promise<void> {
    if (this.args.files.length === 0) this.#openInput();
    else this.#openFiles();
    // What was on its way when the last forwarder ended.
    await this.#send();
    while (!this.signal.aborted) {
      await this.#look();
      const batch = this.#gather();
      if (batch !== undefined) {
        this.state.begin(batch, this.#positions());
        await this.#send();
      } else if (this.#isDone()) break;
      else await this.#rest();
      this.report.progress(this.#sums, () => this.#tails.reduce((sum, { behind }) => sum + behind, 0));
    }
    // Nothing is on its way: what became of the files since the last batch is not to be found out again.
    this.state.settle(this.#positions());
  }

  /** However long the service is away, files that come and go meanwhile are seen and held. */
  async #send(): Promise<void> {
    let looking: Promise<void> | undefined;
    const timer = setInterval(() => {
      looking ??= this.#look().finally(() => {
        looking = undefined;
      });
    }, pollMs);
    try {
      await this.#sender.send();
    } finally {
      clearInterval(timer);
      await looking;
      // What is read next is looked at just before.
      this.#lookedAt = 0;
    }
  }

  #keyOf(path: string): string {
    return this.args.key ?? path.slice(-keyCharsMax);
  }

  #openInput(): void {
    const { key } = this.args;
    const pieceBytes = pieceBytesMax(this.#limits, key);
    this.report.note("reads the standard input");
    this.#sources.push({ key, others: around(key), lines: new Input(pieceBytes, this.signal) });
  }

  #openFiles(): void {
    const { fromEnd = false, once = false } = this.args;
    const named = new Set<string>();
    for (const typed of this.args.files) {
      const path = canonical(typed);
      if (named.has(path)) this.report.warn(messages.named(typed, path));
      if (named.has(path)) continue;
      named.add(path);
      const key = this.#keyOf(typed);
      const search = new Search(this.args.state, this.report, pieceBytesMax(this.#limits, key));
      const isOthers = (id: string) => [...named].some((other) => other !== path && idAt(other) === id);
      const options = { path, saved: this.state.take(path), fromEnd, once };
      const tail = new Tail(options, search, this.report, isOthers);
      this.#tails.push(tail);
      this.#sources.push({ key, others: around(key), lines: tail });
    }
    for (const path of named) {
      const log = [...named].find((other) => isGeneration(other, path));
      if (log !== undefined) this.report.warn(messages.generation(path, log));
    }
  }

  async #look(): Promise<void> {
    const now = Date.now();
    if (now - this.#lookedAt < pollMs && !this.args.once) return;
    this.#lookedAt = now;
    for (const tail of this.#tails) await tail.look(now);
  }

  /** Lines of all sources in turn, until there is a batch or nothing new. */
  #gather(): Uint8Array | undefined {
    const batch = new Batch(this.#limits, this.args.text ?? false);
    for (let before = -1; before < batch.count && !batch.isFull; ) {
      before = batch.count;
      for (const source of this.#sources) this.#turn(source, batch);
    }
    // Each comes first in its turn: one that has much to say leaves the others room.
    this.#sources.push(...this.#sources.splice(0, 1));
    return batch.finish();
  }

  #turn({ key, others, lines }: Source, batch: Batch): void {
    for (let taken = 0; taken < turnPieces; taken++) {
      const piece = lines.next(batch.room(others));
      if (piece === undefined) break;
      batch.add(piece, key);
      this.#sums.lines++;
      this.#sums.bytes += piece.bytes.length;
    }
  }

  #positions(): Positions {
    const positions: Record<string, Positions[string]> = { ...this.state.positions };
    for (const tail of this.#tails) if (tail.positions.length > 0) positions[tail.path] = tail.positions;
    return positions;
  }

  #isDone(): boolean {
    if (this.#tails.length === 0) return this.#sources.every(({ lines }) => lines.isDone);
    return Boolean(this.args.once) && this.#tails.every(({ isDone }) => isDone);
  }

  /** There is nothing to be done for a moment. */
  async #rest(): Promise<void> {
    if (Date.now() - this.#settledAt > settleMs) {
      this.#settledAt = Date.now();
      this.state.settle(this.#positions());
    }
    const ms = this.args.once ? 5 : this.#tails.length === 0 ? inputMs : pollMs;
    await pause(ms, undefined, { signal: this.signal }).catch(() => {});
  }

  /** The stream may have been changed since. */
  #learn(config: StreamConfig): void {
    const limits = limitsOf(config);
    try {
      for (const { key, lines } of this.#sources) lines.limit(pieceBytesMax(limits, key));
      this.#limits = limits;
    } catch {
      // It takes no line at all with such a key; all of them are rejected, which is said.
    }
  }

  /** The sums. Throws where a file that was to be read once could not be. */
  sayEnd(): void {
    const { appended, rejected } = this.#sender;
    const sums = `${counted(appended, "line")} appended`;
    const kept = rejected > 0 ? `, ${rejected} rejected: see ${this.args.state}/rejected.ndjson` : "";
    print(this.args.json ? JSON.stringify({ appended, rejected }) : `${sums}${kept}`);
    if (rejected > 0 && !this.signal.aborted) process.exitCode = exits.refused;
    const unread = this.#tails.filter(({ problem }) => problem !== undefined);
    if (!this.args.once || unread.length === 0 || this.signal.aborted) return;
    throw new Error(`${unread.length} of ${counted(this.#tails.length, "file")} could not be read`);
  }
}
