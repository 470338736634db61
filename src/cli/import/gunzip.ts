/**
 * What gzip's members hold (RFC 1952), one behind the other: all that lies before a fault is given, and then the fault. Node's
 * own loses, with what is behind the last member, what it has unpacked of that.
 */
import { setImmediate as turn } from "node:timers/promises";
import zlib from "node:zlib";
import { crcOf } from "./crc32.ts";

type Chunks = AsyncGenerator<Buffer, void, undefined>;

/** What is packed is damaged: behind everything that could be unpacked. */
export class BadPacking extends Error {}

const cut = () => new BadPacking("the gzip file is cut off: its end is missing; fetch or write it anew");
const behind = () =>
  new BadPacking("something lies behind the end of what gzip has packed: unpack it with gzip -d, and look");
const damaged = (why: string) =>
  new BadPacking(`the gzip file is damaged, or something else is behind it: ${why}; fetch or write it anew`);

/** Packed bytes at a time: they unpack to 16 MiB at most. */
const feedBytes = 16_384;
const [magic, deflate] = [0x8b1f, 8];
const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;

/** Throws BadPacking. Behind the last member there may be the zeros that fill up a tape. */
export async function* unpack(chunks: Chunks): Chunks {
  const input = new Bytes(chunks);
  try {
    for (let isFirst = true; ; isFirst = false) {
      const start = await input.peek(2);
      if (!isFirst && (start.length === 0 || start[0] === 0)) break;
      if (start.length < 2 && start[0] === 0x1f) throw cut();
      if (start.length < 2 || start.readUInt16LE() !== magic) throw isFirst ? damaged("it has no header") : behind();
      await header(input);
      yield* content(input);
    }
    for (let rest = await input.some(); rest.length > 0; rest = await input.some())
      if (rest.some((byte) => byte !== 0)) throw behind();
  } finally {
    await chunks.return();
  }
}

async function header(input: Bytes): Promise<void> {
  const [, , method, flag] = await input.take(10);
  if (method !== deflate || (flag & flags.reserved) !== 0) throw damaged("incorrect header");
  if (flag & flags.extra) await input.take((await input.take(2)).readUInt16LE());
  for (const text of [flags.name, flags.comment]) if (flag & text) while ((await input.take(1))[0] !== 0);
  if (flag & flags.headerCrc) await input.take(2);
}

/** One member, up to its end, whose checksum and length are proved. */
async function* content(input: Bytes): Chunks {
  const inflate = zlib.createInflateRaw({ chunkSize: 16 * feedBytes });
  let failed: Error | undefined;
  let parts: Buffer[] = [];
  inflate.on("data", (part: Buffer) => parts.push(part));
  let [crc, length, fed] = [0, 0, 0];
  try {
    for (let isOver = false; !isOver; ) {
      const some = await input.some(feedBytes);
      if (some.length === 0) throw cut();
      fed += some.length;
      await new Promise<void>((resolve) => {
        inflate.removeAllListeners("error").on("error", (error) => {
          failed = error;
          resolve();
        });
        inflate.write(some, () => resolve());
      });
      while (inflate.readableLength > 0 && !inflate.destroyed) await turn();
      for (const part of parts) {
        crc = crcOf(part, crc);
        length += part.length;
        yield part;
      }
      parts = [];
      if (failed !== undefined) throw damaged(failed.message);
      // What it does not take is behind its end.
      isOver = inflate.bytesWritten < fed;
      if (isOver) input.back(fed - inflate.bytesWritten);
    }
  } finally {
    inflate.destroy();
  }
  const end = await input.take(8);
  if (end.readUInt32LE(0) !== crc || end.readUInt32LE(4) !== length % 2 ** 32) throw damaged("incorrect data check");
}

/** Bytes as they are asked for. */
class Bytes {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(readonly chunks: Chunks) {}

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
    if (taken.length < count) throw cut();
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
