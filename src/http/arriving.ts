/**
 * A request's body as it comes, a piece at a time. A client that sends nothing for too long, or too little, is not waited for; time
 * in which nobody asked for more is not the client's. A body that breaks off is the client's fault as well.
 */
import type { Refusal } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { discard } from "./unread.ts";

/** Why a body did not come. */
export class BodyFault extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.detail);
  }
}

export const cutOff: Refusal = {
  code: "body-cut-off",
  detail: "the body ended before its end, or a chunk of it is broken; nothing was done with it. Send it whole",
};

export const tooSlow: Refusal = {
  code: "body-too-slow",
  detail: `the body came too slowly, or stopped for ${limits.bodySilentMsMax / 1_000} s; nothing was done with it. Send less at a time`,
};

/** Of what nobody wants so much is read at a time. */
const discardedBytes = 16_384;

type Reader = ReadableStreamBYOBReader | ReadableStreamDefaultReader<Uint8Array>;

export class Arriving {
  readonly #reader: Reader | undefined;
  readonly #bytesPerSecond: number;
  #bytes = 0;
  #waitedMs = 0;
  #since: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #fail: (fault: BodyFault) => void = () => {};
  /** Why it came no further, if so. */
  fault: BodyFault | undefined;

  constructor(body: ReadableStream<Uint8Array> | null, bytesPerSecond: number) {
    this.#reader = readerOf(body);
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** The next piece, of so many bytes at most; undefined at the end. Throws a `BodyFault`. */
  async next(bytesMax = 65_536): Promise<Uint8Array | undefined> {
    const piece = await this.#next(() => new Uint8Array(Math.max(1, bytesMax)));
    return piece === undefined ? undefined : alone(piece);
  }

  async #next(room: () => Uint8Array): Promise<Uint8Array | undefined> {
    if (this.fault !== undefined) throw this.fault;
    if (this.#reader === undefined) return undefined;
    const since = Date.now();
    this.#since = since;
    if (!this.#ended) this.#timer ??= setTimeout(() => this.#look(), limits.bodySilentMsMax);
    try {
      const { done, value } = await this.#read(this.#reader, room);
      if (done) this.end();
      else this.#bytes += value.length;
      return done ? undefined : value;
    } catch (error) {
      this.end();
      this.fault = error instanceof BodyFault ? error : new BodyFault(cutOff);
      throw this.fault;
    } finally {
      this.#waitedMs += Date.now() - since;
      this.#since = undefined;
    }
  }

  /** What comes from here on is measured by itself: that much has come fast allows it no pauses. */
  anew(): void {
    this.#bytes = 0;
    this.#waitedMs = 0;
  }

  /** Nothing more is wanted of it. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** Reads the rest and throws it away, as far as that is bounded. */
  async discard(): Promise<void> {
    this.end();
    const reader = this.#reader;
    if (reader === undefined) return;
    // Of many at once each would leave as much to be freed as it throws away: one piece of memory is used again.
    let buffer: ArrayBufferLike = new ArrayBuffer(discardedBytes);
    const read = async () => {
      const part = await readFrom(reader, () => new Uint8Array(buffer));
      if (part.value !== undefined) buffer = part.value.buffer;
      return part;
    };
    await discard({ read, cancel: () => reader.cancel() });
  }

  /** The same as a body that is read by others. */
  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream(
      {
        pull: async (controller) => {
          const piece = await this.next();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
        cancel: () => this.end(),
      },
      { highWaterMark: 0 },
    );
  }

  #read(reader: Reader, room: () => Uint8Array): Promise<ReadableStreamReadResult<Uint8Array>> {
    // A race with one promise that lasts would keep something of every piece.
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      readFrom(reader, room).then(resolve, reject);
    });
  }

  #look(): void {
    const waiting = this.#since === undefined ? 0 : Date.now() - this.#since;
    const allowed = limits.bodyGraceMs + (this.#bytes / this.#bytesPerSecond) * 1_000;
    const left = Math.min(limits.bodySilentMsMax - waiting, allowed - this.#waitedMs - waiting);
    if (this.#since === undefined || left > 0) this.#timer = setTimeout(() => this.#look(), Math.max(left, 1_000));
    else this.#fail(new BodyFault(tooSlow));
  }
}

/** A byte does not keep the memory of many. */
export const alone = (piece: Uint8Array): Uint8Array =>
  piece.length * 2 > piece.buffer.byteLength ? piece : piece.slice();

/** A body that was made in JavaScript need not be a stream of bytes. */
function readerOf(body: ReadableStream<Uint8Array> | null): Reader | undefined {
  try {
    return body?.getReader({ mode: "byob" });
  } catch {
    return body?.getReader();
  }
}

const readFrom = (reader: Reader, room: () => Uint8Array): Promise<ReadableStreamReadResult<Uint8Array>> =>
  reader instanceof ReadableStreamBYOBReader ? reader.read(room()) : reader.read();
