/** What an import reads: a file, plain or gzip, or the standard input; from its start, or from where an import ended. */
import { createHash } from "node:crypto";
import { createReadStream, realpathSync, type Stats, statSync } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Usage } from "../output.ts";
import type { Place } from "./row.ts";

/** Bytes at the start of the content, and before a place in it, that tell it from another. */
const markBytesMax = 1_024;
const chunkBytes = 524_288;
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
  /** Bytes that have been read of the file as it lies there. */
  read = 0;
  #head = Buffer.alloc(0);
  /** The content's last chunks, back to what `before` may be asked for. */
  #kept: { at: number; bytes: Buffer }[] = [];
  #chunks: AsyncIterator<Buffer> | undefined;
  #raw: Readable | undefined;

  private constructor(
    readonly path: string | undefined,
    readonly stats: Stats | undefined,
  ) {}

  /** Undefined: the standard input. */
  static async open(path: string | undefined): Promise<Input> {
    const input = new Input(path, path === undefined ? undefined : statOf(path));
    await input.#peek();
    return input;
  }

  /** Where the content begins: behind the mark that some programs put before UTF-8. */
  get start(): number {
    return this.#head[0] === 0xef && this.#head[1] === 0xbb && this.#head[2] === 0xbf ? 3 : 0;
  }

  get head(): Mark {
    return markOf(this.#head);
  }

  /** What tells the file from another, and from itself after a change. */
  get identity(): readonly unknown[] {
    return this.path === undefined ? [] : [realpathSync(this.path), this.stats?.size, this.stats?.mtimeMs];
  }

  /** The content behind a place; throws where it is not the content in which the place was marked. */
  async *from(marked: Marked | undefined): AsyncGenerator<Buffer, void, undefined> {
    if (marked !== undefined && markOf(this.#head.subarray(0, marked.head.bytes)).hash !== marked.head.hash) {
      throw changed("begins with something else");
    }
    const to = marked?.place.bytes ?? this.start;
    let at = this.#seek(to);
    for (let next = await this.#next(); next !== undefined; next = await this.#next()) {
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

  /** A plain file is opened anew before the place; everything else is read up to it. */
  #seek(to: number): number {
    if (this.path === undefined || isGzip(this.path) || to <= chunkBytes) return 0;
    this.#raw?.destroy();
    const start = to - markBytesMax;
    this.read = start;
    this.#chunks = this.#open(start)[Symbol.asyncIterator]();
    return start;
  }

  async #peek(): Promise<void> {
    const chunks = this.#open(0)[Symbol.asyncIterator]();
    let head = Buffer.alloc(0);
    while (head.length < markBytesMax) {
      const { value, done } = await chunks.next();
      if (done) break;
      head = Buffer.concat([head, value]);
    }
    this.#head = head.subarray(0, markBytesMax);
    this.#chunks = startingWith(head, chunks);
  }

  async #next(): Promise<Buffer | undefined> {
    const next = await this.#chunks?.next();
    return next === undefined || next.done ? undefined : next.value;
  }

  #open(start: number): AsyncIterable<Buffer> {
    const raw =
      this.path === undefined ? process.stdin : createReadStream(this.path, { start, highWaterMark: chunkBytes });
    raw.on("data", (part: Buffer | string) => {
      this.read += part.length;
    });
    raw.pause();
    this.#raw = raw;
    if (this.path === undefined || !isGzip(this.path)) return raw;
    // An error of the file comes out of the pipe's end.
    return pipeline(raw, createGunzip({ chunkSize: chunkBytes }), () => {});
  }
}

async function* startingWith(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  if (first.length > 0) yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

const isGzip = (path: string) => path.endsWith(".gz");

const changed = (how: string) =>
  new Usage(`the input ${how}: it is not what was being imported; give it back, or another --state to begin anew`);

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw new Usage((error as Error).message);
  }
}
