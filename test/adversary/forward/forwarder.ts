/** The forwarder: a process that is started and ended, with what it said in all its lives. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Ran, type Running, start } from "../frame/cli.ts";
import type { Round } from "../frame/round.ts";
import { eventually } from "../frame/time.ts";
import type { Signal } from "./plan.ts";

/** Of a program in Node with a batch of 1 MiB and what it is made of. */
const memoryMax = 300 * 2 ** 20;
const memoryMs = 100;
/** Files have their times by a coarser clock. */
const clockMs = 10;
/** What has ended everything but itself ends in this time. */
const endMs = 40_000;

export type Ended = Ran & { readonly signal: NodeJS.Signals | null };

/** A line on the standard error. */
export interface Told {
  readonly text: string;
  /** When it was known. */
  readonly at: number;
  readonly life: number;
}

export interface Sums {
  readonly appended: number;
  readonly rejected: number;
}

export interface Rejected {
  readonly reason: unknown;
  readonly key: unknown;
  readonly bytes: Buffer;
}

export class Forwarder {
  readonly told: Told[] = [];
  /** What each life that ended in order said that it had done. */
  appended = 0;
  rejected = 0;
  /** Lives that were killed. */
  killed = 0;
  /** The last life ended in order: it left no batch on its way, which the next one would count when it is answered. */
  isDone = true;
  life = -1;
  #running: Running | undefined;
  /** The last life whose end was counted. */
  #counted: Running | undefined;
  #seen = "";
  #watch: NodeJS.Timeout | undefined;

  constructor(
    readonly round: Round,
    readonly folder: string,
    /** Without the words for a life of its own. */
    readonly args: readonly string[],
    readonly cwd: string,
  ) {}

  get state(): string {
    return join(this.folder, "state");
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  get current(): Running | undefined {
    return this.#running;
  }

  /** What it has said in this life. */
  get said(): string {
    return this.#running?.said.err ?? "";
  }

  /** It has the state, or says why not. */
  get hasBegun(): boolean {
    const lock = statSync(join(this.state, "lock"), { throwIfNoEntry: false });
    // One that was killed leaves its lock behind.
    return this.said !== "" || (lock !== undefined && lock.mtimeMs > this.#startedAt - clockMs);
  }

  #startedAt = 0;
  start(more: readonly string[] = [], input = false): Running {
    const { round } = this;
    const args = ["forward", ...this.args, "--state", this.state, ...more];
    const running = start(round.service, round.name, args, { cwd: this.cwd, input });
    this.life++;
    this.#startedAt = Date.now();
    this.#running = running;
    this.#seen = "";
    round.operations++;
    round.history.note([], () => `millrace ${args.join(" ")}`);
    running.child.stderr?.on("data", () => this.#listen(running));
    this.#watch = setInterval(() => this.#weigh(running), memoryMs);
    return running;
  }

  #listen({ said }: Running): void {
    const lines = said.err.slice(this.#seen.length).split("\n");
    for (const text of lines.slice(0, -1)) {
      this.told.push({ text, at: this.round.now(), life: this.life });
      this.round.history.note([], () => `  it says: ${text}`);
      this.#seen += `${text}\n`;
    }
  }

  #heaviest = 0;
  #weigh({ child }: Running): void {
    if (child.pid === undefined) return;
    this.#heaviest = Math.max(this.#heaviest, this.round.service.memoryOf(child.pid));
  }

  /** Whatever it does, it is told to end; undefined where there was nothing to end. */
  async stop(how: Signal): Promise<Ended | undefined> {
    const running = this.#running;
    if (running === undefined) return undefined;
    this.round.history.note([], () => `${how} to the forwarder`);
    const begun = this.hasBegun;
    if (how === "SIGKILL") this.killed++;
    running.child.kill(how);
    const ended = await this.end(`after a ${how}`);
    this.isDone = ended?.code === 0 || ended?.code === 1;
    if (how === "SIGKILL" || ended === undefined) return ended;
    // One that has not begun its work may not know how to end it yet.
    const early = ended.signal === how && !begun;
    // With --once it may just have ended by itself, for a file that is not there.
    const done = ended.code === 0 || (ended.code === 1 && running.child.spawnargs.includes("--once"));
    this.#that("exit", early || done, () => `after a ${how} it ends with ${words(ended)}`);
    return ended;
  }

  /** Waits for its end, which is near. */
  async end(why: string, boundMs = endMs): Promise<Ended> {
    const running = this.#running as Running;
    let ended: Ended | undefined;
    void running.ended.then((how) => {
      ended = how;
    });
    const over = await eventually(() => ended !== undefined, this.round.patient(boundMs), 5);
    if (over !== true) running.child.kill("SIGKILL");
    this.#that("ends", over === true, () => `${why} it does not end: ${running.said.err.slice(-1000)}`);
    const how = ended as unknown as Ended;
    clearInterval(this.#watch);
    this.#running = undefined;
    this.#listen(running);
    const heaviest = this.#heaviest;
    this.#that("memory", heaviest < memoryMax, () => `it held ${Math.round(heaviest / 2 ** 20)} MiB`);
    this.round.history.note(
      [],
      () => `the forwarder has ended (${Math.round(heaviest / 2 ** 20)} MiB) with ${words(how)}`,
    );
    // It may be waited for twice: by what kills it, and by what it ends for.
    if (this.#counted !== running) this.#add(how);
    this.#counted = running;
    return how;
  }

  /** Of a life that ended in order. One that was ended before it began has done nothing. */
  sumsOf({ out }: Pick<Ended, "out">): Sums | undefined {
    if (out.startsWith("{")) return JSON.parse(out) as Sums;
    const found = /^(\d+) lines? appended(?:, (\d+) rejected)?/.exec(out);
    return found === null ? undefined : { appended: Number(found[1]), rejected: Number(found[2] ?? 0) };
  }

  #add(how: Ended): void {
    const sums = this.sumsOf(how);
    this.appended += sums?.appended ?? 0;
    this.rejected += sums?.rejected ?? 0;
  }

  /** An end by itself, which nobody asked for. */
  get died(): string | undefined {
    const child = this.#running?.child;
    if (child === undefined || (child.exitCode === null && child.signalCode === null)) return undefined;
    return `it ended by itself with ${child.exitCode ?? child.signalCode}: ${this.said.slice(-1000)}`;
  }

  /** What it keeps of what the stream did not take. */
  kept(): Rejected[] {
    const path = join(this.state, "rejected.ndjson");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.slice(0, -1).map((line) => {
      const { reason, key, line: text, line_base64: base64 } = JSON.parse(line);
      return { reason, key, bytes: base64 === undefined ? Buffer.from(String(text)) : Buffer.from(base64, "base64") };
    });
  }

  /** Whatever happens, nothing of it is left. */
  close(): void {
    clearInterval(this.#watch);
    this.#running?.child.kill("SIGKILL");
    this.#running = undefined;
  }

  #that(invariant: string, kept: boolean, say: () => string): void {
    this.round.checks.that(invariant, kept, say);
  }
}

export const words = ({ code, signal, out, err }: Ended) =>
  `${code ?? signal}: ${out.trim()} ${err.slice(-600).trim()}`.trim();
