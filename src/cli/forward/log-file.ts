/** One file that is open, and read on from a place: whatever its name becomes, and until it is cut. */
import { closeSync, fstatSync, readSync } from "node:fs";
import { beforeAt, hashOf, headAt, headBytes, idOf, openFile, orClosed, type Position } from "./identity.ts";
import { nearBytes, type Piece, Splitter } from "./split.ts";

const readBytes = 262_144;
/** A writer may still hold a file that was renamed: it is given this time since the last line of it … */
const graceMs = 1_000;
/** … and no more than this one, after which its lines come beside those of the next file. */
const graceMsMax = 10_000;
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
  #head: Buffer;
  #position: Position | undefined;

  constructor(
    readonly fd: number,
    /** Where it was found. */
    readonly name: string,
    readonly lines: Splitter,
    /** Of what it was unpacked from. */
    id?: string,
    /** It was copied or compressed: nobody writes to it. */
    public finished = false,
    head = headAt(fd, lines.at),
  ) {
    this.id = id ?? idOf(fstatSync(fd, { bigint: true }));
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
    return new LogFile(this.fd, this.name, new Splitter(this.lines.bytesMax), this.id);
  }

  get position(): Position {
    const { at: offset, inside, before } = this.lines;
    if (this.#position?.offset === offset && this.#position.inside === inside) return this.#position;
    const [dev = "", inode = ""] = this.id.split(":");
    const head = hashOf(this.#head.subarray(0, offset));
    this.#position = { dev, inode, offset, head, near: hashOf(before), inside, name: this.name };
    return this.#position;
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
  }
}
