import { frameLimits } from "../../schemas/frame-limits.ts";
import { concat } from "../lib/bytes.ts";
import { FrameWriter, type Rec } from "../log/record.ts";
import type { Settled } from "./producing.ts";

/** Records that go together, packed. */
export class Batch {
  readonly writer = new FrameWriter();
  /** Who is told of each. */
  readonly settled: (Settled | undefined)[] = [];
  bytes = 0;
  /** Where each record stands in the body, and how many bytes it has. */
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];

  /** Takes a record, unless it has more bytes than one may; returns how many. */
  add(record: Rec, settled: Settled | undefined): number {
    const bytes = this.writer.add(record, frameLimits.recordBytesMax);
    if (bytes <= frameLimits.recordBytesMax) this.#took(bytes, settled);
    return bytes;
  }

  get body(): Uint8Array {
    return concat(this.writer.finish(0));
  }

  /** The same records, in two. */
  halves(): Batch[] {
    const both = [new Batch(), new Batch()];
    const { body, settled } = this;
    settled.forEach((one, index) => {
      const from = this.#starts[index];
      const size = this.#sizes[index];
      const half = both[index * 2 < settled.length ? 0 : 1];
      half.writer.copy(body, from, from + size);
      half.#took(size, one);
    });
    return both;
  }

  #took(bytes: number, settled: Settled | undefined): void {
    this.#starts.push(this.writer.length - bytes);
    this.#sizes.push(bytes);
    this.settled.push(settled);
    this.bytes += bytes;
  }
}
