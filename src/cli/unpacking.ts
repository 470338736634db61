/** What unpackers share: all that lies before a fault is given, and then the fault. */
import { setImmediate as turn } from "node:timers/promises";
import type { Zlib } from "node:zlib";

export type Chunks = AsyncGenerator<Buffer, void, undefined>;

/** What is packed is damaged: behind everything that could be unpacked. */
export class BadPacking extends Error {
  constructor(
    readonly why: string,
    advice: string,
    /** What there is may be its beginning, and its writer about to go on. */
    readonly isCut = false,
  ) {
    super(`${why}; ${advice}`);
  }
}

/** The faults of files of a kind. */
export const faultsOf = (kind: string) => ({
  cut: () => new BadPacking(`the ${kind} file is cut off: its end is missing`, "fetch or write it anew", true),
  behind: () =>
    new BadPacking(`something lies behind the end of what ${kind} has packed`, `unpack it with ${kind} -d, and look`),
  damaged: (why: string) =>
    new BadPacking(`the ${kind} file is damaged, or something else is behind it: ${why}`, "fetch or write it anew"),
});

/** Packed bytes at a time: they unpack to 16 MiB at most. */
export const feedBytes = 16_384;

/**
 * What a decoder of Node's gives, up to the end of what it decodes. Throws `BadPacking`. Node's own way loses, with what is
 * behind that end, what it has unpacked before; or ends there, and says nothing of it.
 */
export async function* decoded(input: Bytes, decoder: Zlib, kind: string): Chunks {
  const stream = decoder as Zlib & NodeJS.ReadWriteStream & { readableLength: number; destroyed: boolean };
  let failed: NodeJS.ErrnoException | undefined;
  let parts: Buffer[] = [];
  stream.on("data", (part: Buffer) => parts.push(part));
  const done = (act: (resolve: () => void) => void) =>
    new Promise<void>((resolve) => {
      stream.removeAllListeners("error").on("error", (error) => {
        failed = error;
        resolve();
      });
      act(resolve);
    });
  try {
    let fed = 0;
    for (let isOver = false; !isOver; ) {
      const some = await input.some(feedBytes);
      fed += some.length;
      const isLast = some.length === 0;
      await done((resolve) => (isLast ? stream.once("end", resolve).end() : stream.write(some, () => resolve())));
      while (stream.readableLength > 0 && !stream.destroyed) await turn();
      yield* parts;
      parts = [];
      if (failed !== undefined) {
        const { cut, damaged } = faultsOf(kind);
        throw failed.code === "Z_BUF_ERROR" ? cut() : damaged(failed.message);
      }
      // What it does not take is behind its end.
      isOver = isLast || decoder.bytesWritten < fed;
      if (!isLast && isOver) input.back(fed - decoder.bytesWritten);
    }
  } finally {
    decoder.close();
  }
}

/** Bytes as they are asked for. */
export class Bytes {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(
    readonly chunks: Chunks,
    readonly kind: string,
  ) {}

  /** So many that are not taken yet, or all that there are. */
  async peek(count: number): Promise<Buffer> {
    while (this.#bytes.length - this.#at < count) {
      const { value, done } = await this.chunks.next();
      if (done) break;
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), value as Buffer]);
      this.#at = 0;
    }
    return this.#bytes.subarray(this.#at, this.#at + count);
  }

  /** So many; throws BadPacking where there are not. */
  async take(count: number): Promise<Buffer> {
    const taken = await this.peek(count);
    if (taken.length < count) throw faultsOf(this.kind).cut();
    this.#at += count;
    return taken;
  }

  /** At least one, and no more than `most`; none at the end. */
  async some(most = Number.POSITIVE_INFINITY): Promise<Buffer> {
    const { length } = await this.peek(1);
    if (length === 0) return this.#bytes.subarray(0, 0);
    const from = this.#at;
    this.#at = Math.min(this.#bytes.length, from + most);
    return this.#bytes.subarray(from, this.#at);
  }

  /** So many of those that `some` gave last are not taken. */
  back(count: number): void {
    this.#at -= count;
  }
}
