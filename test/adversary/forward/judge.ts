/** What is in the stream, against what was written: each line once, as it came, in the order of its file; or kept as rejected. */
import type { Round } from "../frame/round.ts";
import { formOf, named } from "./contents.ts";
import type { Rejected } from "./forwarder.ts";
import type { Line, Log } from "./log.ts";
import type { Shown } from "./stream.ts";

export interface Judging {
  readonly round: Round;
  readonly logs: readonly Log[];
  readonly text: boolean;
  readonly key: string | undefined;
  /** Longer lines were too long for the stream at some time; undefined where it always took the same. */
  readonly limited: number | undefined;
  /** Answers may have been lost: nobody knows what came of a line. */
  readonly unheard: boolean;
}

/** `[from, to)` of a line, with what a record has of it. */
interface Part {
  readonly from: number;
  readonly to: number;
}

/** What has come of a line. */
interface Fate {
  readonly parts: Part[];
  readonly kept: Part[];
}

export class Judge {
  readonly #fates = new Map<Line, Fate>();
  /** Lines of which something is missing behind what came. */
  readonly #open = new Map<string, Set<Line>>();
  /** Lines of which a part was kept. */
  #kept: readonly Line[] = [];

  constructor(readonly judging: Judging) {}

  /** `complete`: everything has come by now. */
  judge(shown: readonly Shown[], kept: readonly Rejected[], complete: boolean): void {
    this.#kept = kept.flatMap(({ bytes }) => this.#namedIn(bytes) ?? []);
    const newest = new Map<number, { readonly line: Line; readonly byGeneration: Map<number, number> }>();
    for (const record of shown) {
      const line = this.#take(record);
      this.#inOrder(newest, line);
    }
    for (const one of kept) this.#keep(one);
    if (!complete) return;
    for (const log of this.judging.logs) for (const line of log.lines) this.#whole(log, line);
  }

  #that(invariant: string, kept: boolean, words: () => string, log?: number): void {
    this.judging.round.checks.that(invariant, kept, words, log === undefined ? [] : [`w${log}`]);
  }

  #fate(line: Line): Fate {
    const fate = this.#fates.get(line) ?? { parts: [], kept: [] };
    this.#fates.set(line, fate);
    return fate;
  }

  #take(record: Shown): Line {
    const { key, bytes } = record;
    const line = this.#lineOf(bytes, key);
    const what = () => `a record of ${short(bytes)} with the key ${key}`;
    if (line === undefined) {
      this.#that("lines-unchanged", false, () => `${what()} is no line that was written`);
      throw new Error("a violation that is tolerated leaves nothing to judge");
    }
    const log = this.judging.logs[line.log] as Log;
    const wanted = this.judging.key ?? log.typed;
    this.#that("keys", key === wanted, () => `${what()} is of ${log.typed}`, log.number);
    const part = this.#partOf(line, record);
    const fate = this.#fate(line);
    const where = () => `line ${nameOf(line)} (${line.bytes.length} bytes, ${short(line.bytes)})`;
    this.#that("lines-unchanged", part !== undefined, () => `${where()} came as ${what()}`, log.number);
    if (part !== undefined) {
      const isNew = fate.parts.every(({ from, to }) => to <= part.from || from >= part.to);
      this.#that("lines-once", isNew, () => `${where()} came twice, as ${what()}`, log.number);
      const after = fate.parts.at(-1)?.to ?? 0;
      this.#that("lines-order", part.from >= after, () => `${where()} came in another order: ${what()}`, log.number);
      fate.parts.push(part);
      this.#remember(key, line, part.to);
    }
    return line;
  }

  #remember(key: string | undefined, line: Line, to: number): void {
    const open = this.#open.get(key ?? "") ?? new Set();
    this.#open.set(key ?? "", open);
    if (to < line.bytes.length) open.add(line);
    else open.delete(line);
  }

  /** By the name in it; what is left of a line may be too short for one. */
  #lineOf(bytes: Buffer, key: string | undefined): Line | undefined {
    if (named(bytes.toString("latin1")) !== undefined) return this.#namedIn(bytes);
    // What came before it may have been kept.
    const open = [...(this.#open.get(key ?? "") ?? []), ...this.#kept];
    return open.find((line) => line.bytes.subarray(-bytes.length).equals(bytes));
  }

  #namedIn(bytes: Buffer): Line | undefined {
    const name = named(bytes.toString("latin1"));
    return name && this.judging.logs[name.log]?.lines[name.number];
  }

  #partOf(line: Line, { bytes, form, quoted }: Shown): Part | undefined {
    const whole = { from: 0, to: line.bytes.length };
    const own = formOf(line.bytes, this.judging.text);
    if (own === "json" && trimmed(line.bytes) === (quoted ?? (form === "json" ? trimmed(bytes) : undefined)))
      return whole;
    if (bytes.equals(line.bytes)) return own === form ? whole : undefined;
    const cuts = typeof line.cut === "number" ? [line.cut] : [];
    const at = line.cut === "never" ? -1 : place(line.bytes, bytes, this.#fate(line).parts.at(-1)?.to ?? 0);
    if (at < 0) return undefined;
    const part = { from: at, to: at + bytes.length };
    const isCut = [part.from, part.to].every((end) => end === 0 || end === line.bytes.length || cuts.includes(end));
    // What a file ended with for a time is a line as it was; what came behind it may be too.
    if (line.cut !== "anywhere")
      return isCut && [formOf(bytes, this.judging.text), "text"].includes(form) ? part : undefined;
    return form === (formOf(bytes, true) as Shown["form"]) || form === formOf(bytes, this.judging.text)
      ? part
      : undefined;
  }

  /** Lines of a file in order; those that were written before a rotation before those of later files. */
  #inOrder(newest: Map<number, { readonly line: Line; readonly byGeneration: Map<number, number> }>, line: Line): void {
    const { line: last, byGeneration } = newest.get(line.log) ?? { line, byGeneration: new Map<number, number>() };
    const before = byGeneration.get(line.generation) ?? -1;
    const words = () => `line ${nameOf(line)} came behind line ${line.log}.${before} of the same file`;
    this.#that("lines-order", line.number >= before, words, line.log);
    const isLater = line.late || line.generation >= last.generation;
    const behind = () =>
      `line ${nameOf(line)} came behind line ${nameOf(last)} of a later file, and was written before it`;
    this.#that("lines-order", isLater, behind, line.log);
    byGeneration.set(line.generation, line.number);
    newest.set(line.log, { line: line.generation > last.generation ? line : last, byGeneration });
  }

  #keep({ reason, key, bytes }: Rejected): void {
    const isNamed = named(bytes.toString("latin1")) !== undefined;
    const line = isNamed ? this.#namedIn(bytes) : this.#shortly(bytes);
    const at = line === undefined ? -1 : place(line.bytes, bytes, 0);
    const what = () => `${short(bytes)} was rejected for ${reason}`;
    this.#that("rejected", line !== undefined && at >= 0, () => `${what()}, and is no line`);
    if (line === undefined || at < 0) return;
    const log = this.judging.logs[line.log] as Log;
    const { limited, key: given } = this.judging;
    const told = typeof reason === "string" && reason !== "" && key === (given ?? log.typed);
    this.#that("rejected", told, () => `${what()}, with the key ${key}`, log.number);
    const why = limited !== undefined && bytes.length + String(key).length + 64 > limited;
    this.#that("rejected", why, () => `${what()}, though the stream takes records of ${limited} bytes`, log.number);
    const isLearnt = log.learnt.some(([from, to]) => line.number >= from && line.number < to);
    const cut = () => `${what()}, though it was known by then what the stream takes`;
    this.#that("rejected", !isLearnt, cut, log.number);
    const part = { from: at, to: at + bytes.length };
    const { parts, kept } = this.#fate(line);
    const isGone = this.judging.unheard || parts.every(({ from, to }) => to <= part.from || from >= part.to);
    this.#that("rejected", isGone, () => `${what()}, and is in the stream`, log.number);
    kept.push(part);
  }

  #shortly(bytes: Buffer): Line | undefined {
    const lines = this.judging.logs.flatMap((log) => log.lines).filter(({ cut }) => cut === "anywhere");
    return lines.find((line) => line.bytes.subarray(-bytes.length).equals(bytes));
  }

  /** All of it has come, or was kept. */
  #whole(log: Log, line: Line): void {
    const { parts, kept } = this.#fate(line);
    let to = 0;
    for (const part of [...parts, ...kept].sort((a, b) => a.from - b.from))
      if (part.from <= to) to = Math.max(to, part.to);
    const is = to === line.bytes.length || line.doubtful;
    const words = () =>
      `of line ${nameOf(line)} (${line.bytes.length} bytes, file ${line.generation} of ${log.typed}) ${to} bytes came${
        line.late ? "; it was written late" : ""
      }`;
    this.#that("lines-once", is, words, log.number);
  }

  /** Lines of a log that have not come, though they were written. */
  missing(log: Log): Line[] {
    return log.lines.filter((line) => {
      const { parts, kept } = this.#fate(line);
      return parts.length + kept.length === 0;
    });
  }
}

/** The first place from `from` on, or, where it is none, anywhere. */
function place(bytes: Buffer, part: Buffer, from: number): number {
  const at = bytes.indexOf(part, from);
  return at >= 0 ? at : bytes.indexOf(part);
}

const trimmed = (bytes: Buffer) => bytes.toString().trim();

export const nameOf = ({ log, number }: Line): string => `${log}.${number}`;

function short(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString("latin1"));
  return text.length > 120 ? `${text.slice(0, 80)}…${text.slice(-20)}` : text;
}
