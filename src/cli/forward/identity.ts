/**
 * Which file is it? One that is open is what the file system says, its device and inode. After a restart these may be
 * another's: a file is the one that was read where it holds the same bytes at its beginning, and before the place.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, closeSync, fstatSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { openHeld } from "./descriptors.ts";
import { nearBytes } from "./split.ts";
import { Stirred } from "./stirred.ts";

/** A place in a file that may be renamed, copied or compressed. */
export interface Position {
  /** Empty where a release that did not know it wrote the position. */
  readonly dev: string;
  readonly inode: string;
  /** Everything before it has been appended. It may lie inside a line. */
  readonly offset: number;
  /** Hash of the first 256 bytes before `offset`. */
  readonly head: string;
  /** Hash of the 1 024 bytes before `offset`; empty as `dev`. */
  readonly near: string;
  /** The line before `offset` has not ended: what follows is its rest. */
  readonly inside?: boolean;
  /** The name, through links, under which it was opened. */
  readonly name?: string;
  /** Of a file of which nothing has been given out, when it was made, in ns since 1970, where that is known. */
  readonly made?: string;
}

/** As releases before wrote it. */
export interface OldPosition {
  readonly inode: number;
  readonly offset: number;
  readonly head: string;
}

/** Bytes at the start of a file that tell it from another. */
export const headBytes = 256;

/** Why a file cannot be read, in words that say what to do. */
export class Unreadable extends Error {
  constructor(
    readonly path: string,
    problem: string,
    /** It is not there, which may change. */
    readonly missing = false,
    /** Nothing is wrong with the file: later it can be read. */
    readonly passing = false,
  ) {
    super(`${path} ${problem}`);
  }
}

const causes: Readonly<Record<string, string>> = {
  ENOENT: "is not there",
  EACCES: "may not be read by this user",
  EPERM: "may not be read by this user",
  EISDIR: "is a folder; name the files in it",
  ELOOP: "is a link that leads to itself",
  ENOTDIR: "is not there: a part of its path is a file",
  EMFILE: "cannot be opened: too many files are open; raise the limit (ulimit -n)",
  ENOSPC: "cannot be unpacked: the disk of --state is full",
};
const passingCodes = new Set(["EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EDQUOT", "EAGAIN", "ESTALE"]);

export function unreadable(path: string, error: unknown): Unreadable {
  if (error instanceof Unreadable) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  const why = causes[code] ?? `cannot be read: ${message}`;
  return new Unreadable(path, why, code === "ENOENT" || code === "ENOTDIR", passingCodes.has(code));
}

/** What is under a path, through links. Throws `Unreadable`, also for what is not a file. */
export function fileAt(path: string): BigIntStats {
  try {
    const stat = statSync(path, { bigint: true });
    if (stat.isFile()) return stat;
    if (stat.isDirectory()) throw new Unreadable(path, causes.EISDIR);
    throw new Unreadable(path, "is no file; what comes through a pipe goes to the standard input");
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Why there is no file under a path, if so. */
export function problemAt(path: string): Unreadable | undefined {
  try {
    fileAt(path);
    return undefined;
  } catch (error) {
    return unreadable(path, error);
  }
}

/** The same where there is none at all. Throws where there is one that cannot be read. */
export function missingAt(path: string): Unreadable | undefined {
  const problem = problemAt(path);
  if (problem === undefined) closeSync(openFile(path));
  else if (!problem.missing) throw problem;
  return problem;
}

/** The same of one that was read to a place, and is nowhere: what it held behind that went with it. */
export const awayFrom = (path: string, { offset }: Position): Unreadable | undefined =>
  offset === 0
    ? undefined
    : new Unreadable(
        path,
        `is not there, nor is what was read to byte ${offset}: what was written behind that is lost, unless it comes back`,
        true,
      );

export function openFile(path: string): number {
  fileAt(path);
  try {
    return openHeld(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The file that was seen under a path, open. Throws `Stirred` where it is another's by now, or nobody's. */
export function openSeen(path: string, seen: BigIntStats): number {
  try {
    const fd = openFile(path);
    const stat = fstatSync(fd, { bigint: true });
    if (idOf(stat) === idOf(seen) && !areMadeApart(stat, seen)) return fd;
    closeSync(fd);
  } catch (error) {
    if (!unreadable(path, error).missing) throw error;
  }
  throw new Stirred(path);
}

/** What is made of an open file, which is closed where nothing is. */
export function orClosed<T>(fd: number, make: () => T): T {
  let made: T | undefined;
  try {
    made = make();
    return made;
  } finally {
    if (made === undefined) closeSync(fd);
  }
}

/** Device and inode. Some file systems have no inodes: then it is empty, and tells nothing. */
export const idOf = ({ dev, ino }: BigIntStats): string => (ino === 0n ? "" : `${dev}:${ino}`);

/** When a file was made, in ns since 1970. Some file systems do not know it, and tell nothing, or when it was changed. */
export const madeAt = ({ birthtimeNs, ctimeNs }: BigIntStats): bigint | undefined =>
  birthtimeNs > 0n && birthtimeNs !== ctimeNs ? birthtimeNs : undefined;

/** Whether two files of one number are not the same one: it was given out again. */
const areMadeApart = (a: BigIntStats, b: BigIntStats): boolean =>
  (madeAt(a) ?? madeAt(b)) !== undefined && a.birthtimeNs !== b.birthtimeNs;

/** The same of a path; undefined where there is no file. */
export const idAt = (path: string): string | undefined =>
  problemAt(path) === undefined ? idOf(fileAt(path)) : undefined;

export const hashOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("base64url").slice(0, 16);

/** The bytes `[from, to)` of a file, or fewer where it ends. */
export function bytesAt(fd: number, from: number, to: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, to - from));
  return bytes.subarray(0, bytes.length === 0 ? 0 : readSync(fd, bytes, 0, bytes.length, from));
}

export const headAt = (fd: number, offset: number): Buffer => bytesAt(fd, 0, Math.min(headBytes, offset));
export const beforeAt = (fd: number, offset: number): Buffer => bytesAt(fd, Math.max(0, offset - nearBytes), offset);

/** What a file has at its beginning and before a place, read once: the next moment it may be another's. */
export interface Held {
  readonly head: Buffer;
  readonly before: Buffer;
}

/** The same, where it is what was read of the file that a position is of. A position at 0 proves nothing. */
export function heldBy(fd: number, { offset, head, near }: Position): Held | undefined {
  const [first, before] = [headAt(fd, offset), beforeAt(fd, offset)];
  const isWhole = first.length === Math.min(headBytes, offset) && before.length === Math.min(nearBytes, offset);
  const isSame = hashOf(first) === head && (near === "" || hashOf(before) === near);
  return isWhole && isSame ? { head: first, before } : undefined;
}

/** Whether a file holds what was read of the one that a position is of. A position at 0 proves nothing: no. */
export const holds = (fd: number, position: Position): boolean =>
  position.offset > 0 && heldBy(fd, position) !== undefined;

/** Whether so much was compared that no other file would hold the same by chance, as by a heading that all begin with. */
export const isStrong = ({ offset, near }: Position): boolean => near !== "" && offset >= headBytes + nearBytes;

/** One name for a path, however it was typed. The last link is not followed: it may be turned round. */
export function canonical(path: string): string {
  const whole = resolve(path);
  return join(realFolder(dirname(whole)), basename(whole));
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    const above = dirname(folder);
    return above === folder ? folder : join(realFolder(above), basename(folder));
  }
}

/** Where a path leads to; itself where it leads nowhere. */
export function target(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Whether a path is the file of an old position. */
export function holdsHead(path: string, { inode, offset, head }: OldPosition): boolean {
  let fd: number | undefined;
  try {
    if (Number(fileAt(path).ino) !== inode) return false;
    fd = openFile(path);
    return holds(fd, { dev: "", inode: String(inode), offset, head, near: "" });
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
