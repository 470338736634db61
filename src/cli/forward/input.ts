/** The lines of the standard input, byte for byte. What cannot be sent is not read: the pipe makes its writer wait. */
import { setTimeout as pause } from "node:timers/promises";
import { type Piece, Splitter } from "./split.ts";

/** Bytes that are held of it, beside a line that has not ended. */
const heldBytesMax = 1_048_576;

export class Input {
  readonly #lines: Splitter;
  #ended = false;
  #problem: unknown;

  constructor(
    bytesMax: number,
    readonly signal: AbortSignal,
    input: AsyncIterable<Buffer> = process.stdin,
  ) {
    this.#lines = new Splitter(bytesMax);
    void this.#read(input);
  }

  get isDone(): boolean {
    if (this.#problem !== undefined) throw this.#problem;
    return this.#ended && this.#lines.rest === 0;
  }

  next(room: number): Piece | undefined {
    return this.#lines.next(room, this.#ended);
  }

  limit(bytesMax: number): void {
    this.#lines.bytesMax = bytesMax;
  }

  async #read(input: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const bytes of input) {
        this.#lines.push(bytes);
        while (this.#lines.rest > heldBytesMax + this.#lines.bytesMax && !this.signal.aborted) await pause(5);
        if (this.signal.aborted) return;
      }
    } catch (error) {
      this.#problem = new Error(`the standard input cannot be read: ${(error as Error).message}`);
    } finally {
      this.#ended = true;
    }
  }
}
