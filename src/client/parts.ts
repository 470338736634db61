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
  #chunks: AsyncIterator<Uint8Array> | undefined;
  /** What is there, and to be taken. */
  #left: (Blob | Uint8Array<ArrayBuffer>)[] = [];
  #bytes = 0;

  constructor(body: SnapshotBody) {
    if (typeof body === "string" || body instanceof Uint8Array || body instanceof Blob)
      this.#put(new Blob([body as Blob]));
    else this.#chunks = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : each(body);
  }

  /** The next part. One at a time. */
  async take(): Promise<Blob> {
    this.taken++;
    // A byte more, to know whether it is the last.
    while (this.#bytes <= this.#size && this.#chunks !== undefined) {
      const { done, value } = await this.#chunks.next();
      if (done) this.#chunks = undefined;
      else {
        this.#left.push(value as Uint8Array<ArrayBuffer>);
        this.#bytes += value.length;
      }
    }
    const there = new Blob(this.#left);
    this.#put(there.slice(this.#size));
    this.ended = this.#chunks === undefined && this.#bytes === 0;
    return there.slice(0, this.#size);
  }

  /** Gives the first part back: it is to be taken again, in parts of this size. */
  again(first: Blob, size: number): void {
    this.taken = 0;
    this.#size = size;
    this.ended = false;
    this.#put(new Blob([first, ...this.#left]));
  }

  /** Nobody takes any more. */
  cancel(): void {
    void this.#chunks?.return?.();
    this.#chunks = undefined;
  }

  #put(left: Blob): void {
    this.#left = [left];
    this.#bytes = left.size;
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
