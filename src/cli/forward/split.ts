/**
 * Bytes into lines, and a line that is longer than a record may be into pieces: what is held is bounded, whatever the line.
 *
 *     held   ....before at....|....not given out yet....
 *                             ^ at                      ^ readAt
 *
 * Up to 1 KiB before `at` is held too, as the proof of a place in a file.
 */
import { markBytes } from "../../lib/bytes.ts";

export interface Piece {
  readonly bytes: Buffer;
  /** Not a whole line: of one that is too long, or the rest of one that was taken before its end was there. */
  readonly part: boolean;
}

/** Bytes before a place that prove it. */
export const nearBytes = 1_024;
/** So much that has been given out is held at most while nothing comes. */
const shrinkBytes = 16_384;
const [newline, carriage] = [10, 13];

export class Splitter {
  /** There is a piece, which is longer than there was room for. */
  waits = false;
  #held: Buffer;
  #from: number;
  /** No line ends before it. */
  #searched: number;
  /** At the start, where NULs and a byte order mark are passed over; those NULs are not behind `at` yet. */
  #starting: boolean;
  #skipped = 0;
  #nuls = 0;

  constructor(
    /** Longest piece. */
    public bytesMax: number,
    /** Bytes of the input that have been given out, or passed over. */
    public at = 0,
    /** `at` lies inside a line. */
    public inside = false,
    /** What stands before `at`: 1 KiB, or all. */
    before: Buffer = Buffer.alloc(0),
  ) {
    this.#held = before;
    this.#from = before.length;
    this.#searched = before.length;
    this.#starting = at === 0;
  }

  /** The end of what has been pushed. */
  get readAt(): number {
    return this.at + this.#skipped + this.rest;
  }

  /** Bytes that are held and not given out. */
  get rest(): number {
    return this.#held.length - this.#from;
  }

  /** What stands before `at`, as far as it proves a place. */
  get before(): Buffer {
    return this.#held.subarray(this.#from - Math.min(nearBytes, this.at, this.#from), this.#from);
  }

  /** What stands before `readAt`. */
  get last(): Buffer {
    const held = this.#held;
    return held.subarray(held.length - Math.min(nearBytes, this.readAt, held.length));
  }

  /** NULs that were passed over at the start: what a truncation leaves before a writer who goes on where he was. */
  takeNuls(): number {
    const nuls = this.#nuls;
    this.#nuls = 0;
    return nuls;
  }

  /** Takes a copy of the bytes that follow. */
  push(bytes: Buffer): void {
    const from = Math.max(0, this.#from - nearBytes);
    this.#held = Buffer.concat([this.#held.subarray(from), bytes]);
    this.#from -= from;
    this.#searched = Math.max(this.#from, this.#searched - from);
  }

  /** Lets go of what has been given out, except what proves the place. */
  shrink(): void {
    if (this.#from > shrinkBytes) this.push(Buffer.alloc(0));
  }

  /** The next piece of no more than `room` bytes. With `ending` what is left counts as a line, though its end is not there. */
  next(room: number, ending: boolean): Piece | undefined {
    this.waits = false;
    for (;;) {
      if (this.#starting) this.#skipStart();
      const [held, from] = [this.#held, this.#from];
      const end = held.indexOf(newline, this.#searched);
      this.#searched = end < 0 ? held.length : end;
      const to = end < 0 ? held.length : end > from && held[end - 1] === carriage ? end - 1 : end;
      // Of what may be a carriage return the next byte tells more.
      if (to - from > this.bytesMax + (end < 0 && !ending ? 1 : 0)) {
        const cut = letterBefore(held, from, from + this.bytesMax);
        return this.#give(cut, cut, true, true, room);
      }
      if (end < 0 && (!ending || from === to)) return undefined;
      const piece = this.#give(to, end < 0 ? to : end + 1, this.inside, end < 0, room);
      if (this.waits || piece !== undefined) return piece;
    }
  }

  #give(to: number, next: number, part: boolean, inside: boolean, room: number): Piece | undefined {
    const bytes = this.#held.subarray(this.#from, to);
    if (bytes.length > room) {
      this.waits = true;
      return undefined;
    }
    this.at += next - this.#from;
    this.#from = next;
    this.#searched = Math.max(this.#searched, next);
    this.#starting = false;
    this.inside = inside;
    return bytes.length === 0 ? undefined : { bytes, part };
  }

  #skipStart(): void {
    const held = this.#held;
    let from = this.#from;
    while (from < held.length && held[from] === 0) from++;
    this.#skipped += from - this.#from;
    this.#from = from;
    this.#searched = Math.max(this.#searched, from);
    const mark = this.#skipped > 0 ? 0 : markBytes(held.subarray(from));
    // A byte order mark may not be whole yet; and nobody knows yet where the NULs end.
    if (held.length === from || (this.#skipped === 0 && mark === 0 && held.length - from < 3)) return;
    this.#starting = false;
    this.#nuls += this.#skipped;
    this.at += this.#skipped + mark;
    this.#skipped = 0;
    this.#from += mark;
    this.#searched = Math.max(this.#searched, this.#from);
  }
}

/** The last place up to `to` between two letters of UTF-8; `to` where the bytes are none. */
function letterBefore(bytes: Buffer, from: number, to: number): number {
  for (let at = to; at > from && at > to - 4; at--) if ((bytes[at] & 0xc0) !== 0x80) return at;
  return to;
}
