/** What everybody in a round shares: the forwarder, the stream, and what has been seen to arrive. */
import type { Round } from "../frame/round.ts";
import { eventually, sleep } from "../frame/time.ts";
import { named } from "./contents.ts";
import { type Forwarder, words } from "./forwarder.ts";
import type { Line, Log } from "./log.ts";
import type { ForwardPlan, Signal } from "./plan.ts";
import type { Stream } from "./stream.ts";

/** What is there is appended in this time, once all is well. */
const arriveMs = 45_000;
const glanceMs = 60;
const beginMs = 10_000;

/** Given to the forwarder; undefined where each log has its own. */
export const keyOf = ({ options, input }: ForwardPlan): string | undefined =>
  options.key || input !== undefined ? "one key for all" : undefined;

export class Watch {
  recordBytes = 0;
  batchBytes = 0;
  /** The least that the stream took at a time, where it once took more. */
  limited: number | undefined;
  /** When the forwarder was ended, however. */
  readonly stops: number[] = [];
  #keptBefore = 0;
  /** It was told to end, which takes a moment. */
  stopping = false;
  /** Of `--once`. */
  #once: Promise<void> = Promise.resolve();

  constructor(
    readonly plan: ForwardPlan,
    readonly round: Round,
    readonly stream: Stream,
    readonly forwarder: Forwarder,
    readonly logs: readonly Log[],
  ) {}

  note(log: Log, words: () => string): void {
    this.round.history.note([`w${log.number}`], () => `w${log.number}: ${words()}`);
  }

  that(invariant: string, kept: boolean, say: () => string, log?: Log): void {
    this.round.checks.that(invariant, kept, say, log === undefined ? [] : [`w${log.number}`]);
  }

  async put(partitions: number, recordBytes: number, batchBytes: number): Promise<void> {
    const before = Math.min(this.recordBytes, this.batchBytes);
    const now = Math.min(recordBytes, batchBytes);
    // Before it is so: a record may be rejected before the answer is here.
    if (now < before) this.#limit(now);
    [this.recordBytes, this.batchBytes] = [recordBytes, batchBytes];
    await this.stream.put({ partitions, recordBytesMax: recordBytes, batchBytesMax: batchBytes });
    const what = `the stream has ${partitions} partitions, records of ${recordBytes} and batches of ${batchBytes} bytes`;
    this.round.history.note([], () => what);
  }

  #limit(bytes: number): void {
    this.limited = Math.min(bytes, this.limited ?? bytes);
    this.#keptBefore = this.forwarder.kept().length;
    for (const { learnt, lines } of this.logs) {
      const last = learnt.at(-1);
      if (last !== undefined) last[1] = Math.min(last[1], lines.length);
    }
  }

  /** What it has kept since the stream took less has taught it to cut lines as the guide says. */
  #learns(): void {
    if (this.limited === undefined || this.forwarder.kept().length === this.#keptBefore) return;
    for (const { learnt, lines } of this.logs) {
      if ((learnt.at(-1)?.[1] ?? 0) < Number.POSITIVE_INFINITY) learnt.push([lines.length, Number.POSITIVE_INFINITY]);
    }
  }

  async start(): Promise<void> {
    if (this.forwarder.isRunning) return;
    if (!this.plan.options.once) {
      this.forwarder.start();
      return;
    }
    await this.#once;
    this.#once = this.#runOnce();
    this.#once.catch(() => {});
  }

  /** It ends when everything that is there has been appended. */
  async #runOnce(): Promise<void> {
    const { forwarder, round } = this;
    const there = this.logs.map((log) => ({ log, before: log.isReadable, lines: [...log.lines].filter(isWhole) }));
    const at = round.now();
    const running = forwarder.start(["--once"]);
    await running.ended;
    if (this.stopping || round.stopped.aborted) return;
    const ended = await forwarder.end("with --once", 1_000);
    const stayed = there.filter(({ log, before }) => before && log.isReadable && !log.hidden && log.hiddenAt < at);
    const rejected = forwarder.sumsOf(ended)?.rejected ?? 0;
    const fails = rejected > 0 || there.some(({ log, before }) => !before && !log.isReadable);
    const codes = fails ? [1] : stayed.length === there.length ? [0] : [0, 1];
    this.that("exit", codes.includes(ended.code ?? -1), () => `--once ends with ${words(ended)}`);
    await this.stream.look();
    const wanted = stayed.flatMap(({ lines }) => lines.filter(({ doubtful }) => !doubtful));
    const missing = wanted.find((line) => !this.hasCome(line));
    const say = () => `--once is over, and line ${missing?.log}.${missing?.number} has not come`;
    this.that("lines-once", missing === undefined, say, missing && this.logs[missing.log]);
  }

  async stop(how: Signal, amid = false): Promise<void> {
    if (!this.forwarder.isRunning) return;
    if (amid)
      await eventually(() => this.forwarder.hasBegun || !this.forwarder.isRunning, this.round.patient(beginMs), 5);
    if (!this.forwarder.isRunning) return;
    this.stopping = true;
    this.stops.push(this.round.now());
    try {
      await this.forwarder.stop(how);
      await this.#once;
    } finally {
      this.stopping = false;
    }
  }

  /** A run of `--once` that is under way is over. */
  async idle(): Promise<void> {
    await this.#once;
  }

  /** It has not ended by itself. */
  stands(): void {
    if (this.plan.options.once) return;
    const { died } = this.forwarder;
    this.that("exit", died === undefined, () => died ?? "");
  }

  /** Somebody has seen it, or it was kept as rejected. */
  hasCome({ log, number }: Pick<Line, "log" | "number">): boolean {
    return this.stream.seen.get(log)?.has(number) === true || (this.limited !== undefined && this.#kept(log, number));
  }

  #kept(log: number, number: number): boolean {
    return this.forwarder.kept().some(({ bytes }) => {
      const name = named(bytes.toString("latin1"));
      return name?.log === log && name.number === number;
    });
  }

  /** Something of it has been read. */
  isKnown(log: Log): boolean {
    return log.lines.some((line) => this.hasCome(line));
  }

  /** Of the lines that are given, those that have not come after a while, in which the forwarder is at work. */
  async arrived(lines: readonly Line[], boundMs = arriveMs): Promise<readonly Line[]> {
    const end = performance.now() + this.round.patient(boundMs);
    let left = lines;
    for (;;) {
      await this.stream.glance();
      left = left.filter((line) => !this.hasCome(line));
      if (left.length === 0 || performance.now() > end || this.round.stopped.aborted) return left;
      this.stands();
      // Of one that comes and goes the next one has what came meanwhile.
      if (!this.forwarder.isRunning) await this.start();
      await sleep(glanceMs, this.round.stopped);
    }
  }

  /** All that was lost or may be is behind it: a line that comes now is appended, and everything before it was or never will be. */
  async settle(log: Log): Promise<void> {
    await log.busy;
    log.write({ kind: "json", size: 0 });
    const line = log.lines.at(-1) as Line;
    const left = await this.arrived([line]);
    if (this.round.stopped.aborted) return;
    const words = () => `line ${line.log}.${line.number} has not come; it says: ${this.forwarder.said.slice(-1000)}`;
    this.that("ends", left.length === 0, words, log);
    log.unsettled = false;
    this.#learns();
    this.note(log, () => `settled with line ${line.number}`);
  }
}

const isWhole = ({ whole }: Line) => whole;
