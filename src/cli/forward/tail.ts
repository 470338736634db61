/**
 * The lines of one file as it grows, over rotation: renamed and made anew, or copied and truncated. A line counts when its
 * end is there.
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Position } from "./state.ts";

const readBytes = 262_144;
/** Lines that are given out at a time. */
const linesMax = 2_000;
/** Bytes at the start of a file that tell it from another. */
const headBytes = 256;
/** A writer may still hold the file that was renamed. */
const graceMs = 1_000;

interface Open {
  readonly fd: number;
  readonly inode: number;
  /** Behind the last line that was given out. */
  offset: number;
  /** What has been read of a line that has not ended. */
  rest: Buffer;
}

export class Tail {
  #open: Open | undefined;
  #rotatedAt: number | undefined;
  readonly #buffer = Buffer.alloc(readBytes);

  constructor(
    readonly path: string,
    public saved: Position | undefined,
    /** A file that was never read begins at its end. */
    public fromEnd: boolean,
  ) {}

  /** Behind the lines that were given out. */
  get position(): Position | undefined {
    const open = this.#open;
    if (open === undefined) return this.saved;
    return { inode: open.inode, offset: open.offset, head: headOf(open.fd, open.offset) };
  }

  /** The next lines; none where there is nothing new. */
  read(): Buffer[] {
    this.#open ??= this.#reopen();
    if (this.#open === undefined) return [];
    const lines = this.#take(this.#open);
    return lines.length > 0 ? lines : this.#turn(this.#open);
  }

  close(): void {
    this.saved = this.position;
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #take(open: Open): Buffer[] {
    for (;;) {
      const { rest } = open;
      const lines: Buffer[] = [];
      let from = 0;
      for (let end = rest.indexOf(10); end >= 0 && lines.length < linesMax; end = rest.indexOf(10, from)) {
        lines.push(rest.subarray(from, end > from && rest[end - 1] === 13 ? end - 1 : end));
        from = end + 1;
      }
      open.offset += from;
      open.rest = rest.subarray(from);
      if (lines.length > 0) return lines;
      const count = readSync(open.fd, this.#buffer, 0, readBytes, open.offset + open.rest.length);
      if (count === 0) return [];
      open.rest = Buffer.concat([open.rest, this.#buffer.subarray(0, count)]);
    }
  }

  /** At the end of the file: it may have been cut, or the path may be another file's by now. */
  #turn(open: Open): Buffer[] {
    if (fstatSync(open.fd).size < open.offset + open.rest.length) {
      const left = open.rest;
      Object.assign(open, { offset: 0, rest: Buffer.alloc(0) });
      return left.length > 0 ? [left] : [];
    }
    const next = statOf(this.path)?.ino === open.inode ? undefined : this.#successor(open);
    if (next === undefined) {
      this.#rotatedAt = undefined;
      return [];
    }
    this.#rotatedAt ??= Date.now();
    if (Date.now() - this.#rotatedAt < graceMs) return [];
    const left = open.rest;
    closeSync(open.fd);
    this.#rotatedAt = undefined;
    this.#open = openAt(next, 0);
    return left.length > 0 ? [left] : [];
  }

  /** What was written after a file that was renamed: it may have been renamed itself by now. */
  #successor(open: Open): string | undefined {
    const own = fstatSync(open.fd);
    const later = [this.path, ...neighbours(this.path)]
      .map((path) => ({ path, stat: statOf(path) }))
      .filter(({ stat }) => stat !== undefined && stat.ino !== own.ino)
      .filter(({ stat }) => (stat?.mtimeMs ?? 0) >= own.mtimeMs && (stat?.birthtimeMs ?? 0) >= own.birthtimeMs)
      .sort((a, b) => (a.stat?.mtimeMs ?? 0) - (b.stat?.mtimeMs ?? 0));
    return later[0]?.path ?? (statOf(this.path) === undefined ? undefined : this.path);
  }

  /** Finds the place where reading ended before. */
  #reopen(): Open | undefined {
    const { saved } = this;
    if (saved === undefined) {
      const open = openAt(this.path, 0);
      if (open !== undefined && this.fromEnd) open.offset = fstatSync(open.fd).size;
      // What comes later under the path is new from its start.
      this.fromEnd = false;
      return open;
    }
    this.saved = undefined;
    for (const path of [this.path, ...neighbours(this.path)]) {
      if (statOf(path)?.ino !== saved.inode) continue;
      const open = openAt(path, saved.offset);
      if (open === undefined) continue;
      if (fstatSync(open.fd).size >= saved.offset && headOf(open.fd, saved.offset) === saved.head) return open;
      closeSync(open.fd);
      // The same file, cut and written anew.
      if (path === this.path) return openAt(path, 0);
    }
    if (saved.offset > 0) console.error(`millrace: ${this.path} is another file than before, and that one is gone`);
    return openAt(this.path, 0);
  }
}

function openAt(path: string, offset: number): Open | undefined {
  try {
    const fd = openSync(path, "r");
    return { fd, inode: fstatSync(fd).ino, offset, rest: Buffer.alloc(0) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Files beside one, whose names continue its own: what a rotation makes. Not those that have been compressed. */
function neighbours(path: string): string[] {
  const name = basename(path);
  try {
    return readdirSync(dirname(path))
      .filter((one) => one.startsWith(name) && /^[.-]/.test(one.slice(name.length)) && !/\.(gz|zst|bz2|xz)$/.test(one))
      .map((one) => join(dirname(path), one));
  } catch {
    return [];
  }
}

/** Tells what a file begins with, as far as it had been read. */
function headOf(fd: number, offset: number): string {
  const bytes = Buffer.alloc(Math.min(headBytes, offset));
  readSync(fd, bytes, 0, bytes.length, 0);
  return createHash("sha256").update(bytes).digest("base64url").slice(0, 16);
}
