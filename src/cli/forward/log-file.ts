/** One file that is open, and read on from a place: whatever its name becomes, and until it is cut. */
import { type BigIntStats, closeSync, fstatSync, readSync } from "node:fs";
import {
  beforeAt,
  hashOf,
  headAt,
  headBytes,
  holds,
  idOf,
  isStrong,
  madeAt,
  openFile,
  orClosed,
  type Position,
} from "./identity.ts";
import { nearBytes, type Piece, Splitter } from "./split.ts";

const readBytes = 262_144;
/** A writer may still hold a file that was renamed: it is given this time since the last line of it … */
const graceMs = 1_000;
/** … and no more than this one, after which its lines come beside those of the next file. */
const graceMsMax = 10_000;
/** Times of files are told by so much at worst. */
const inexactMs = 2_000;
/** When a file was changed; 0 where that is so short ago that it may be changed once more in the same moment. */
export const settled = (changedAt: bigint, now: number): bigint =>
  now - Number(changedAt / 1_000_000n) > inexactMs ? changedAt : 0n;

/** What has been read is copied out of it at once. */
const buffer = Buffer.alloc(nearBytes + readBytes);

export class LogFile {
  /** Its device and inode, when it was opened. */
  readonly id: string;
  /** It does not hold what was read of it any more: it was truncated, and perhaps written anew. */
  cut = false;
  /** All of it has been read, as far as it goes by now. */
  atEnd = false;
  /** It will not grow: what is left of it is a line. */
  ending = false;
  /** When there was something new in it. */
  grewAt = Date.now();
  /** It was copied or compressed: nobody writes to it. */
  finished: boolean;
  #head: Buffer;
  #position: Position | undefined;

  constructor(
    readonly fd: number,
    /** Where it was found. */
    readonly name: string,
    readonly lines: Splitter,
    /** What it was unpacked from, open as long: its number is nobody else's. */
    readonly packed?: number,
    head = headAt(fd, lines.at),
  ) {
    this.id = idOf(this.#stat);
    this.finished = packed !== undefined;
    this.#head = head;
  }

  /** From its start, or from behind what is there. */
  static open(path: string, name: string, bytesMax: number, atEnd = false): LogFile {
    return LogFile.of(openFile(path), name, bytesMax, atEnd);
  }

  /** The same of a file that is open. */
  static of(fd: number, name: string, bytesMax: number, atEnd = false): LogFile {
    return orClosed(fd, () => {
      const at = atEnd ? fstatSync(fd).size : 0;
      const before = beforeAt(fd, at);
      return new LogFile(fd, name, new Splitter(bytesMax, at, at > 0 && before.at(-1) !== 10, before));
    });
  }

  /** The same file, from its start. */
  again(): LogFile {
    return new LogFile(this.fd, this.name, new Splitter(this.lines.bytesMax), this.packed);
  }

  /** The next file at this place, where this one is a copy of it, and it is not truncated yet. */
  originalIn(next: unknown): LogFile | undefined {
    if (!(next instanceof LogFile) || next.lines.readAt > 0) return undefined;
    return isStrong(this.position) && holds(next.fd, this.position) ? next.from(this) : undefined;
  }

  /** The same file at the place of another one, which it is a copy of, or the other way round. */
  from({ lines }: LogFile): LogFile {
    const { bytesMax, at, inside, before } = lines;
    return new LogFile(this.fd, this.name, new Splitter(bytesMax, at, inside, Buffer.from(before)), this.packed);
  }

  get #stat(): BigIntStats {
    return fstatSync(this.packed ?? this.fd, { bigint: true });
  }

  get position(): Position {
    const { at: offset, inside, before } = this.lines;
    if (this.#position?.offset === offset && this.#position.inside === inside) return this.#position;
    const [dev = "", inode = ""] = this.id.split(":");
    const head = hashOf(this.#head.subarray(0, offset));
    const made = offset === 0 ? madeAt(this.#stat)?.toString() : undefined;
    const position = { dev, inode, offset, head, near: hashOf(before), inside, name: this.name };
    this.#position = made === undefined ? position : { ...position, made };
    return this.#position;
  }

  /** As much as was read of it, where nothing has been given out yet. */
  get proof(): Position {
    const { readAt: offset, last, at } = this.lines;
    if (at > 0) return this.position;
    return { ...this.position, offset, head: hashOf(this.#head.subarray(0, offset)), near: hashOf(last) };
  }

  /** Where it ends, whatever has been read of it. */
  get end(): Position {
    const offset = fstatSync(this.fd).size;
    const [head, near] = [hashOf(headAt(this.fd, offset)), hashOf(beforeAt(this.fd, offset))];
    return { ...this.position, offset, head, near };
  }

  /** When it was written to or truncated, in ns. */
  get changedAt(): bigint {
    return fstatSync(this.fd, { bigint: true }).ctimeNs;
  }

  /** Whether nobody writes to it any more since it was renamed; in ms since 1970. */
  isQuiet(now: number, renamedAt: number): boolean {
    if (this.finished) return true;
    const since = Math.min(Math.max(this.grewAt, renamedAt), Number(this.changedAt / 1_000_000n));
    return now - since >= graceMs || now - renamedAt >= graceMsMax;
  }

  /** Bytes that have not been read, nor been given out. */
  get behind(): number {
    return Math.max(0, fstatSync(this.fd).size - this.lines.at);
  }

  get isDry(): boolean {
    return (this.atEnd || this.cut) && this.lines.rest === 0;
  }

  /** The same, and nothing has come since. */
  get isRead(): boolean {
    return this.isDry && (this.cut || this.behind === 0);
  }

  /** The next piece of no more than `room` bytes. None where there is nothing new, or where it `waits` for more room. */
  next(room: number): Piece | undefined {
    for (;;) {
      const piece = this.lines.next(room, false);
      if (piece !== undefined) return piece;
      if (this.lines.waits) return undefined;
      if (!this.#read()) break;
    }
    return this.ending ? this.lines.next(room, true) : undefined;
  }

  /** Reads on, and sees by the bytes before that it is still the file that it was. */
  #read(): boolean {
    if (this.cut) return false;
    const { lines } = this;
    const { last, readAt } = lines;
    const count = readSync(this.fd, buffer, 0, last.length + readBytes, readAt - last.length);
    const same = count >= last.length && buffer.compare(last, 0, last.length, 0, last.length) === 0;
    // A short read is no end of the file.
    this.cut = !same && (count >= last.length || fstatSync(this.fd).size < readAt);
    this.atEnd = count <= last.length;
    if (this.atEnd) lines.shrink();
    if (!same || this.atEnd) return false;
    const bytes = buffer.subarray(last.length, count);
    if (this.#head.length < headBytes && readAt < headBytes) {
      this.#head = Buffer.concat([this.#head, bytes]).subarray(0, headBytes);
    }
    lines.push(bytes);
    this.grewAt = Date.now();
    return true;
  }

  close(): void {
    closeSync(this.fd);
    if (this.packed !== undefined) closeSync(this.packed);
  }
}
