/** What gzip's members hold (RFC 1952), one behind the other: all that lies before a fault is given, and then the fault. */
import zlib from "node:zlib";
import { crcOf } from "./crc32.ts";
import { Bytes, type Chunks, decoded, faultsOf, feedBytes } from "./unpacking.ts";

const kind = "gzip";
const { cut, behind, damaged } = faultsOf(kind);
const [magic, deflate] = [0x8b1f, 8];
const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;

/** Throws BadPacking. Behind the last member there may be the zeros that fill up a tape. */
export async function* unpackGzip(chunks: Chunks): Chunks {
  const input = new Bytes(chunks, kind);
  try {
    for (let isFirst = true; ; isFirst = false) {
      const start = await input.peek(2);
      if (!isFirst && (start.length === 0 || start[0] === 0)) break;
      if (start.length < 2 && (start.length === 0 || start[0] === 0x1f)) throw cut();
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
  let [crc, length] = [0, 0];
  for await (const part of decoded(input, zlib.createInflateRaw({ chunkSize: 16 * feedBytes }), kind)) {
    crc = crcOf(part, crc);
    length += part.length;
    yield part;
  }
  const end = await input.take(8);
  if (end.readUInt32LE(0) !== crc || end.readUInt32LE(4) !== length % 2 ** 32) throw damaged("incorrect data check");
}
