/** One log: its writer with an open file, its generations, and what of its lines is to be in the stream. */
import { closeSync, mkdirSync, openSync, rmdirSync, statSync, symlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { lineBytes, unended } from "./contents.ts";
import type { LinePlan, LogPlan } from "./plan.ts";

/** Where a line may be cut into records: nowhere, anywhere, or at this byte. */
export type Cut = "never" | "anywhere" | number;

export interface Line {
  readonly log: number;
  readonly number: number;
  /** Of the file that it was written to. */
  readonly generation: number;
  /** Without its end. */
  bytes: Buffer;
  cut: Cut;
  /** It was written to a file that had been renamed. */
  late: boolean;
  /** Nobody promises that it is there. */
  doubtful: boolean;
  /** Its end has been written, or never will be. */
  whole: boolean;
  /** It never got an end: it is waited for until another file comes. */
  unended?: true;
}

/** What was written under the path from one rotation to the next. */
export interface Generation {
  readonly number: number;
  /** Where it is by now; undefined where it is gone. */
  path: string | undefined;
  /** Where its writer stands in it. */
  end: number;
  /** It has been renamed, and is written to. */
  busy: boolean;
  readonly lines: Line[];
}

const mark = Buffer.from([0xef, 0xbb, 0xbf]);

export class Log {
  readonly path: string;
  /** As the forwarder is told it. */
  readonly typed: string;
  readonly lines: Line[] = [];
  readonly generations: Generation[] = [];
  /** Lines to it that are still being written. */
  busy: Promise<void> = Promise.resolve();
  /** Those to files that have been renamed. */
  late: Promise<unknown> = Promise.resolve();
  /** Something may be lost: until everything that came since has been appended nothing else happens to it. */
  unsettled = false;
  /** When a loss that has to be told happened. */
  readonly losses: number[] = [];
  /** When it led to a file that nobody reads, which has to be told. */
  readonly turns: number[] = [];
  /** NULs that a truncation left, which have to be told once there is something behind them. */
  readonly nuls: { readonly count: number; readonly at: number; readonly generation: Generation }[] = [];
  /** Of these lines, by number, the forwarder knew what the stream takes: `[from, to)`. */
  readonly learnt: [from: number, to: number][] = [];
  /** Something may be lost, so that it may be said. */
  mayLose = false;
  /** Its name is another one now. */
  hidden = false;
  hiddenAt = Number.NEGATIVE_INFINITY;
  #file: number | undefined;
  #part: { line: Line; rest: Buffer } | undefined;

  constructor(
    readonly number: number,
    readonly plan: LogPlan,
    readonly folder: string,
    relative: boolean,
  ) {
    const place = plan.origin === "no-folder" ? join(folder, `d${number}`) : folder;
    this.path = join(place, `w${number}.log`);
    this.typed = relative ? this.path.slice(folder.length + 1) : this.path;
    if (plan.origin === "folder") mkdirSync(this.path);
    if (plan.origin === "link") this.lead();
  }

  /** How its name is written for the second time. */
  get again(): string {
    return join(dirname(this.path), "..", basename(dirname(this.path)), basename(this.path)).replace(
      /([^/]+)$/,
      "./$1",
    );
  }

  get current(): Generation {
    return this.generations.at(-1) ?? this.begin();
  }

  /** There is a file under its path. */
  get isThere(): boolean {
    return this.#file !== undefined || this.generations.at(-1)?.path !== undefined;
  }

  /** A new file, when a line comes. */
  begin(path = this.path): Generation {
    const generation = { number: this.generations.length, path, end: 0, busy: false, lines: [] };
    this.generations.push(generation);
    return generation;
  }

  /** The link leads to a file of a new name. */
  lead(): string {
    const target = `${this.path}-of-${this.generations.length}`;
    closeSync(openSync(target, "a"));
    if (this.generations.length === 0) symlinkSync(target, this.path);
    this.begin(target);
    return target;
  }

  /** Opens what is under the path, and makes it. */
  open(): number {
    if (this.#file !== undefined) return this.#file;
    const generation = this.current;
    mkdirSync(dirname(this.path), { recursive: true });
    if (this.plan.origin === "folder" && generation.number === 0 && generation.end === 0) this.#noFolder();
    this.#file = openSync(generation.path ?? this.path, this.plan.sparse ? "a+" : "a");
    if (this.plan.sparse) {
      // Appending would put it behind what is there.
      closeSync(this.#file);
      this.#file = openSync(generation.path ?? this.path, "r+");
    }
    if (this.plan.mark && generation.end === 0) this.#put(mark);
    return this.#file;
  }

  #noFolder(): void {
    try {
      rmdirSync(this.path);
    } catch {
      // It has gone before.
    }
  }

  /** Takes the file from its writer. What was begun in it may never be ended. */
  leave(): number | undefined {
    const file = this.#file;
    this.#file = undefined;
    this.#giveUp();
    return file;
  }

  #giveUp(): void {
    if (this.#part !== undefined) Object.assign(this.#part.line, { whole: true, unended: true });
    this.#part = undefined;
  }

  /** What its writer holds open goes with it. */
  end(): void {
    const file = this.leave();
    if (file !== undefined) closeSync(file);
  }

  write(plan: LinePlan, doubtful = false): void {
    this.open();
    this.complete();
    const bytes = lineBytes(this.number, this.lines.length, plan);
    this.#put(bytes);
    this.#note(this.current, unended(bytes), { cut: cutOf(plan), doubtful });
  }

  /** A share of a line, without its end. */
  begun(plan: LinePlan, share: number): void {
    this.open();
    this.complete();
    const bytes = unended(lineBytes(this.number, this.lines.length, plan));
    const name = bytes.indexOf(";") + 1;
    const at = name === 0 ? bytes.length : name + Math.ceil(share * (bytes.length - name));
    // Of a carriage return nobody knows whether it belongs to an end.
    if (at === 0 || bytes.at(at - 1) === 13 || bytes.at(-1) === 13) return;
    this.#put(bytes.subarray(0, at));
    const line = this.#note(this.current, bytes.subarray(0, at), { cut: cutOf(plan), whole: false });
    if (line !== undefined) this.#part = { line, rest: bytes.subarray(at) };
  }

  /** The rest of a line that was begun; whoever has taken it as it was has two. */
  complete(): void {
    const part = this.#part;
    if (part === undefined) return;
    this.#part = undefined;
    const { line, rest } = part;
    this.#put(Buffer.concat([rest, Buffer.from("\n")]));
    completed(line, rest);
  }

  /** A line begun before the file was rotated is ended after it, in the old one: a record more, or one. */
  completeLate(): void {
    const part = this.#part;
    if (part === undefined) return;
    this.#part = undefined;
    this.#put(Buffer.concat([part.rest, Buffer.from("\n")]));
    completed(part.line, part.rest);
    part.line.late = true;
  }

  get part(): Line | undefined {
    return this.#part?.line;
  }

  /** A line to a file that has been renamed. */
  writeLate(file: number, generation: Generation, plan: LinePlan): void {
    const bytes = lineBytes(this.number, this.lines.length, plan);
    this.#put(bytes, file, generation);
    this.#note(generation, unended(bytes), { cut: cutOf(plan), late: true });
  }

  /** The file has no bytes any more. Its writer goes on at the start, or where it was. */
  truncated(now: number): void {
    this.#giveUp();
    const count = this.current.end;
    const generation = this.begin();
    if (!this.plan.sparse || count === 0) return;
    generation.end = count;
    this.nuls.push({ count, at: now, generation });
  }

  #put(bytes: Buffer, file = this.#file as number, generation = this.current): void {
    writeSync(file, bytes, 0, bytes.length, this.plan.sparse ? generation.end : null);
    generation.end += bytes.length;
  }

  /** Empty lines are no lines. */
  #note(generation: Generation, bytes: Buffer, facts: Partial<Line>): Line | undefined {
    if (bytes.length === 0) return undefined;
    const number = this.lines.length;
    const rest = { late: false, doubtful: false, whole: true, cut: "never" as const, ...facts };
    const line = { log: this.number, number, generation: generation.number, bytes, ...rest };
    this.lines.push(line);
    generation.lines.push(line);
    return line;
  }

  /** Whether something is under the path that can be read. */
  get isReadable(): boolean {
    try {
      return statSync(this.path).isFile();
    } catch {
      return false;
    }
  }
}

function completed(line: Line, rest: Buffer): void {
  if (rest.length > 0 && line.cut === "never") line.cut = line.bytes.length;
  line.bytes = Buffer.concat([line.bytes, rest]);
  line.whole = true;
}

const cutOf = ({ kind }: LinePlan): Cut => (kind.startsWith("long") ? "anywhere" : "never");
