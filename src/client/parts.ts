/** What a snapshot may be given as. */
export type SnapshotBody = string | Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** What goes in one request. */
const wholeBytes = 8_388_608;

/** A body in parts of equal size, the last with fewer bytes. What is in memory, or in a file, is not copied. */
export class Parts {
  /** Parts that were taken. */
  taken = 0;
  /** Nothing is left to take. */
  ended = false;
  #size = wholeBytes;
  #whole: Blob | undefined;
  #at = 0;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #left: Uint8Array[] = [];
  #bytes = 0;

  constructor(body: SnapshotBody) {
    if (typeof body === "string" || body instanceof Uint8Array || body instanceof Blob)
      this.#whole = new Blob([body as Blob]);
    else this.#chunks = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : each(body);
  }

  /** The next part. One at a time. */
  async take(): Promise<Uint8Array | Blob> {
    this.taken++;
    const whole = this.#whole;
    if (whole !== undefined) {
      const from = this.#at;
      this.#at = from + this.#size;
      this.ended = this.#at >= whole.size;
      return whole.slice(from, this.#at);
    }
    // A byte more, to know whether it is the last.
    while (this.#bytes <= this.#size && this.#chunks !== undefined) {
      const { done, value } = await this.#chunks.next();
      if (done) this.#chunks = undefined;
      else {
        this.#left.push(value);
        this.#bytes += value.length;
      }
    }
    const part = new Uint8Array(Math.min(this.#size, this.#bytes));
    let filled = 0;
    while (filled < part.length) {
      const chunk = this.#left.shift() as Uint8Array;
      const used = Math.min(chunk.length, part.length - filled);
      part.set(chunk.subarray(0, used), filled);
      filled += used;
      if (used < chunk.length) this.#left.unshift(chunk.subarray(used));
    }
    this.#bytes -= part.length;
    this.ended = this.#chunks === undefined && this.#bytes === 0;
    return part;
  }

  /** Gives the first part back: it is to be taken again, in parts of this size. */
  again(first: Uint8Array | Blob, size: number): void {
    this.taken = 0;
    this.#at = 0;
    this.#size = size;
    this.ended = false;
    if (first instanceof Blob) return;
    this.#left.unshift(first);
    this.#bytes += first.length;
  }

  /** Nobody takes any more. */
  cancel(): void {
    void this.#chunks?.return?.();
    this.#chunks = undefined;
  }
}

/** A stream's chunks, where streams cannot be iterated over. */
async function* each(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}
