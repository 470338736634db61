/**
 * Unpacking a body. The platform unpacks whatever it is given at once, a thousandfold at worst, and holds what nobody has read
 * yet: it is given so little at a time that what one body holds beside what is counted is bounded, and more only where what came
 * before has shown that it does not grow much, and where there is room for the worst.
 */
import { alone } from "./arriving.ts";

/** A byte of deflate comes to so many at most. */
const growthMax = 1_032;
/** What has grown less than this is given twice as much at a time. */
const modest = 32;
const sliceMin = 256;
const sliceMax = 4_096;
/** Slices that need no room before they are unpacked. */
const sliceFree = 1_024;
/** Of what was unpacked so much is taken at a time: less came only where there is no more. */
const takeBytes = 65_536;

/** The bytes are no gzip. */
export class BadGzip extends Error {}

type Read = ReadableStreamReadResult<Uint8Array>;

export class Gunzip {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  #read: Promise<Read> | undefined;
  #begun = false;
  /** How many bytes are to be given next. */
  slice = sliceMin;

  constructor() {
    const { readable, writable } = new DecompressionStream("gzip");
    this.#writer = writable.getWriter();
    this.#reader = readable.getReader({ mode: "byob" });
  }

  /** What the next slice may come to, as far as there must be room for it before. */
  get worst(): number {
    return this.slice <= sliceFree ? 0 : this.slice * growthMax;
  }

  /** What comes of the bytes, `slice` at most, as far as it can be had yet. */
  async push(bytes: Uint8Array): Promise<Uint8Array[]> {
    try {
      await this.#writer.write(bytes);
      // Most small bodies are one slice: what comes of it is taken at the end.
      if (!this.#begun) {
        this.#begun = true;
        return [];
      }
      const parts = await this.#taken();
      const grown = parts.reduce((sum, { length }) => sum + length, 0);
      this.slice = grown > bytes.length * modest ? sliceMin : Math.min(this.slice * 2, sliceMax);
      return parts;
    } catch {
      throw new BadGzip();
    }
  }

  /** The rest, after the last byte. */
  async end(): Promise<Uint8Array[]> {
    try {
      const closed = this.#writer.close();
      const parts: Uint8Array[] = [];
      for (;;) {
        const { done, value } = await this.#next();
        this.#read = undefined;
        if (done) break;
        parts.push(alone(value));
      }
      await closed;
      return parts;
    } catch {
      throw new BadGzip();
    }
  }

  async #taken(): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    for (;;) {
      // What was not there in this turn comes with the next slice.
      const read = await Promise.race([this.#next(), scheduler.wait(0)]);
      if (read === undefined) return parts;
      this.#read = undefined;
      if (read.done) return parts;
      parts.push(alone(read.value));
      if (read.value.length < takeBytes) return parts;
    }
  }

  #next(): Promise<Read> {
    if (this.#read === undefined) {
      this.#read = this.#reader.read(new Uint8Array(takeBytes));
      // Nobody may come for it any more.
      this.#read.catch(() => {});
    }
    return this.#read;
  }
}
