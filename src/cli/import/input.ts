/** What an import reads: content from its start, or from where an import ended, which must be the same one then. */
import { createHash } from "node:crypto";
import { realpathSync, type Stats, statSync } from "node:fs";
import { markBytes } from "../../lib/bytes.ts";
import { Usage } from "../output.ts";
import type { Place } from "./row.ts";
import { chunkBytes, Source } from "./source.ts";
import { strayLine } from "./utf8.ts";

/** Bytes at the start of the content, and before a place in it, that tell it from another. */
const markBytesMax = 1_024;
const [newline, carriageReturn] = [10, 13];

/** So many bytes, and what they are. */
export interface Mark {
  readonly bytes: number;
  readonly hash: string;
}

/** A place in content that may have been changed meanwhile: what it begins with, and what lies before the place. */
export interface Marked {
  readonly place: Place;
  readonly head: Mark;
  readonly before: Mark;
}

export const markOf = (bytes: Uint8Array): Mark => ({
  bytes: bytes.length,
  hash: createHash("sha256").update(bytes).digest("base64url").slice(0, 22),
});

export class Input {
  /** The content's last chunks, back to what `before` may be asked for. */
  #kept: { at: number; bytes: Buffer }[] = [];

  private constructor(
    readonly source: Source,
    readonly stats: Stats | undefined,
  ) {}

  /** Without a path: the standard input. Without an encoding: what the input begins with decides. */
  static async open(path: string | undefined, encoding?: string): Promise<Input> {
    const stats = path === undefined ? undefined : statOf(path);
    return new Input(await Source.open(path, stats?.isFile() ?? false, encoding), stats);
  }

  /** Bytes that have been read of the file as it lies there. */
  get read(): number {
    return this.source.counter.read;
  }

  /** Where the content begins: behind the mark that some programs put before UTF-8. */
  get start(): number {
    return markBytes(this.source.head);
  }

  /** What it begins with; no more of it than lies before a place. What lies behind may be mended yet. */
  headBefore(place: number): Mark {
    return markOf(this.#head.subarray(0, place));
  }

  /** All that is looked at of what it begins with. */
  get head(): Mark {
    return markOf(this.#head);
  }

  get #head(): Buffer {
    return this.source.head.subarray(0, markBytesMax);
  }

  /** What tells the file from another, and from itself after a change. */
  get identity(): readonly unknown[] {
    const { path } = this.source;
    return path === undefined ? [] : [realpathSync(path), this.stats?.size, this.stats?.mtimeMs];
  }

  /** Throws Usage where a file, from a place on, is not all of its encoding. What can be read only once is not looked at. */
  async check(place: Place): Promise<void> {
    const { source } = this;
    if (!source.lasting) return;
    const from = source.plain ? place : { bytes: 0, lines: 0 };
    const line = await strayLine(() => source.again(from.bytes));
    if (line === undefined) return;
    throw new Usage(
      `line ${from.lines + line} of ${source.path} is not UTF-8: say its --encoding, such as windows-1252; ` +
        "or --encoding utf-8, to have such rows as bad ones",
    );
  }

  /** Throws BadPacking where a file cannot be read to its end. What can be read only once is not looked at. */
  async readThrough(): Promise<void> {
    if (!this.source.lasting) return;
    for await (const _ of this.source.again());
  }

  /** The content behind a place; throws where it is not the content in which the place was marked. */
  async *from({ bytes: to }: Place, marked?: Marked): AsyncGenerator<Buffer, void, undefined> {
    if (marked !== undefined && markOf(this.#head.subarray(0, marked.head.bytes)).hash !== marked.head.hash) {
      throw changed("begins with something else");
    }
    // A plain file is opened anew before the place; everything else is read up to it.
    let at = this.source.plain && to > chunkBytes ? to - markBytesMax : 0;
    for await (const next of this.source.content(at)) {
      const start = at;
      at += next.length;
      this.#kept.push({ at: start, bytes: next });
      if (at < to) this.forget(at);
      if (start <= to && at >= to && marked !== undefined) this.#check(marked, next[to - start]);
      if (at > to) yield start < to ? next.subarray(to - start) : next;
    }
    if (at < to) throw changed(`has only ${at} bytes, and ${to} were imported`);
  }

  /** What lies before a place that was passed, and not forgotten. */
  before(place: number): Mark {
    return markOf(this.#before(place));
  }

  #before(place: number): Buffer {
    const from = Math.max(0, place - markBytesMax);
    const parts = this.#kept.map(({ at, bytes }) =>
      bytes.subarray(Math.max(0, from - at), Math.max(0, Math.min(bytes.length, place - at))),
    );
    return Buffer.concat(parts);
  }

  /** No earlier place will be asked for. */
  forget(place: number): void {
    while (this.#kept.length > 0 && this.#kept[0].at + this.#kept[0].bytes.length <= place - markBytesMax) {
      this.#kept.shift();
    }
  }

  #check({ place, before }: Marked, next: number | undefined): void {
    const found = this.#before(place.bytes);
    if (markOf(found.subarray(found.length - before.bytes)).hash !== before.hash) {
      throw changed(`is another before line ${place.lines + 1}, where the import had got to`);
    }
    const ended = found.at(-1) === newline || found.at(-1) === carriageReturn;
    if (!ended && place.lines > 0 && next !== undefined && next !== newline && next !== carriageReturn) {
      throw changed(`goes on in line ${place.lines}, which was imported when it was the last`);
    }
  }
}

const changed = (how: string) =>
  new Usage(`the input ${how}: it is not what was being imported; give it back, or another --state to begin anew`);

/** Of a file; throws Usage where there is none. */
export function statOf(path: string): Stats {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Usage(`there is no file ${path}`);
  if (found.isDirectory()) throw new Usage(`${path} is a folder: give a file`);
  return found;
}
