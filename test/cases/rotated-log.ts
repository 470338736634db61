/**
 * A log on a disk in memory, its writer and its rotator, step by step: what another program does between two calls of a
 * reader to the file system. No generation is deleted that a reader may not have read.
 */
import { gzipSync } from "node:zlib";
import type { Disk } from "./disk.ts";

export interface RotationPlan {
  /**
   * `late`: the writer goes on for a while in what was renamed; `link`: it has both names for a while; `packcopy`: it is
   * compressed into another file, and truncated.
   */
  readonly method: "rename" | "copytruncate" | "late" | "link" | "packcopy";
  /** Generations are counted down to the newest, counted up, or named by the day. */
  readonly names: "numbers" | "up" | "days";
  /** Those from this one on are compressed; `none` are with 0. */
  readonly packedFrom: 0 | 1 | 2;
  readonly rotationsMax: number;
  /** Between two steps, at most. */
  readonly pauseMs: number;
  /** Bytes of a line, at most. */
  readonly lineBytesMax: number;
  /** Now and then a line is written in two halves. */
  readonly halves: boolean;
  /** Generations are deleted that were read, and two after them. */
  readonly deletes: boolean;
}

const name = "a.log";
const minuteMs = 60_000;
const numberOf = (generation: string) => Number(generation.split(".")[2]);
/** Of a generation, on average. */
const linesMax = 30;

export class RotatedLog {
  /** Of each line that was written, in order, which generation it stands in. */
  readonly generations: number[] = [];
  rotations = 0;
  /** Lines that a reader does not ask for again, from the first one on. */
  done = 0;
  readonly steps: string[] = [];
  #generation = 0;
  /** Where the writer writes: another name where it was renamed. */
  #writesTo: string | undefined = name;
  /** The first part of a line was written. */
  #half: string | undefined;
  #rotation: Iterator<string, void> | undefined;
  #days = 0;
  #isCopying = false;

  constructor(
    readonly disk: Disk,
    readonly plan: RotationPlan,
    readonly next: (below: number) => number,
  ) {
    disk.append(name, Buffer.from("0:\n"));
    this.generations.push(0);
    this.#write(next(5));
  }

  /** One step of whoever writes or rotates. */
  step(): void {
    const { disk, next, plan } = this;
    // Late lines are looked for during some minutes only.
    const isLate = this.#writesTo !== undefined && this.#writesTo !== name;
    disk.nowMs +=
      next(2) === 0 ? 0 : (next(1_001) / 1_000) * Math.min(plan.pauseMs, isLate ? minuteMs / 20 : plan.pauseMs);
    const isTalkative = this.generations.length < linesMax * (1 + this.rotations);
    if (next(3) === 0 && this.#writesTo !== undefined && isTalkative) this.#write(1 + next(6));
    else if (this.#rotation !== undefined) this.#go();
    else if (this.rotations < plan.rotationsMax && next(4) === 0) {
      this.rotations++;
      this.#rotation = this.#rotate();
      this.#go();
    }
  }

  /** A copy takes no longer than it has to. */
  endCopy(): void {
    while (this.#isCopying) this.#go();
  }

  /** What was begun is ended. */
  end(): void {
    while (this.#rotation !== undefined) this.#go();
    if (this.#half !== undefined) this.#write(1);
  }

  #go(): void {
    const { value, done } = this.#rotation!.next();
    if (done) this.#rotation = undefined;
    else this.steps.push(`${Math.round(this.disk.nowMs % 1e9)} ${value}`);
  }

  #write(count: number): void {
    const to = this.#writesTo!;
    for (let left = count; left > 0; left--) {
      const number = this.generations.length;
      const line = `${number}:${"x".repeat(this.next(3) === 0 ? 0 : this.next(this.plan.lineBytesMax))}\n`;
      const rest = this.#half ?? line;
      this.#half = undefined;
      const cut = this.plan.halves && rest === line && this.next(5) === 0 ? 1 + this.next(line.length - 1) : undefined;
      this.disk.append(to, Buffer.from(rest.slice(0, cut)));
      if (cut !== undefined) {
        this.#half = line.slice(cut);
        return;
      }
      this.generations.push(this.#generation);
    }
    this.steps.push(`${Math.round(this.disk.nowMs % 1e9)} ${to} up to ${this.generations.length}`);
  }

  #endHalf(): void {
    if (this.#half !== undefined) this.#write(1);
  }

  *#rotate(): Generator<string, void> {
    const { disk, plan } = this;
    if (plan.deletes) yield* this.#delete();
    const first = this.#nameOf(this.#days++);
    if (plan.names === "numbers") yield* this.#shift();
    // A line is in one file as a whole.
    if (plan.method === "copytruncate") {
      yield* this.#copy(first);
    } else if (plan.method === "packcopy") {
      yield* this.#copyPacked(`${first}.gz`);
    } else if (plan.method === "link") {
      yield* this.#link(first);
    } else {
      this.#endHalf();
      disk.rename(name, first);
      this.#writesTo = plan.method === "late" ? first : undefined;
      yield `renamed to ${first}`;
      disk.append(name, Buffer.alloc(0));
      yield "made anew";
      for (let left = plan.method === "late" ? this.next(4) : 0; left > 0; left--) yield "its writer is late";
      this.#endHalf();
      this.#writesTo = name;
      this.#generation++;
    }
    const toPack = plan.packedFrom === 0 ? undefined : this.#plain(plan.packedFrom);
    if (toPack !== undefined) yield* this.#pack(toPack);
  }

  /** By their numbers, or days. */
  get #older(): string[] {
    const names = this.disk.names.filter((one) => one !== name);
    return this.plan.names === "days" ? names : names.toSorted((a, b) => numberOf(a) - numberOf(b));
  }

  *#delete(): Generator<string, void> {
    const names = this.#older;
    const oldest = this.plan.names === "numbers" ? names.at(-1) : names[0];
    if (oldest === undefined) return;
    const begunSince = this.generations.indexOf(this.#generation - names.length + 2);
    if (begunSince < 0 || begunSince >= this.done) return;
    this.disk.unlink(oldest);
    yield `${oldest} deleted`;
  }

  *#shift(): Generator<string, void> {
    for (let number = 30; number > 0; number--) {
      for (const end of ["", ".gz"]) {
        if (!this.disk.has(`${name}.${number}${end}`)) continue;
        this.disk.rename(`${name}.${number}${end}`, `${name}.${number + 1}${end}`);
        yield `${name}.${number}${end} renamed to ${name}.${number + 1}${end}`;
      }
    }
  }

  *#copy(to: string): Generator<string, void> {
    const { disk } = this;
    this.#isCopying = true;
    disk.append(to, Buffer.alloc(0));
    yield `${to} made`;
    const half = disk.data(name).subarray(0, this.next(disk.data(name).length + 1));
    disk.append(to, half);
    yield `half copied to ${to}`;
    this.#endHalf();
    disk.append(to, disk.data(name).subarray(half.length));
    // What is written now nobody has.
    this.#writesTo = undefined;
    yield `copied to ${to}`;
    disk.truncate(name);
    this.#writesTo = name;
    this.#generation++;
    this.#isCopying = false;
    yield "truncated";
  }

  *#copyPacked(to: string): Generator<string, void> {
    const { disk } = this;
    this.#isCopying = true;
    this.#endHalf();
    this.#writesTo = undefined;
    const packed = gzipSync(disk.data(name));
    const half = this.next(packed.length);
    disk.append(to, Buffer.from(packed.subarray(0, half)));
    yield `${to} half made`;
    disk.append(to, Buffer.from(packed.subarray(half)));
    yield `${to} made`;
    disk.truncate(name);
    this.#writesTo = name;
    this.#generation++;
    this.#isCopying = false;
    yield "truncated";
  }

  *#link(to: string): Generator<string, void> {
    const { disk } = this;
    disk.link(name, to);
    yield `linked to ${to}`;
    this.#endHalf();
    disk.unlink(name);
    this.#writesTo = undefined;
    yield `${name} deleted`;
    disk.append(name, Buffer.alloc(0));
    this.#writesTo = name;
    this.#generation++;
    yield "made anew";
  }

  #nameOf(rotation: number): string {
    const { names } = this.plan;
    if (names === "days") return `${name}-${20_261_101 + rotation}`;
    return `${name}.${names === "up" ? rotation + 1 : 1}`;
  }

  /** The newest generation that is to be compressed. */
  #plain(from: number): string | undefined {
    if (this.plan.names === "numbers") return this.disk.has(`${name}.${from}`) ? `${name}.${from}` : undefined;
    const one = this.#older.at(-from);
    return one?.endsWith(".gz") ? undefined : one;
  }

  *#pack(from: string): Generator<string, void> {
    const { disk } = this;
    const packed = gzipSync(disk.data(from));
    const to = `${from}.gz`;
    const half = this.next(packed.length);
    disk.append(to, Buffer.from(packed.subarray(0, half)));
    yield `${to} half made`;
    disk.append(to, Buffer.from(packed.subarray(half)));
    yield `${to} made`;
    disk.copyTime(from, to, this.next(2) === 0);
    yield `${to} has its time`;
    disk.unlink(from);
    yield `${from} deleted`;
  }
}
