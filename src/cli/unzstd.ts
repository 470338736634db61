/** What zstd's frames hold (RFC 8878), one behind the other, as parallel packers and whoever adds to a file write them. */
import zlib from "node:zlib";
import { Bytes, type Chunks, decoded, faultsOf } from "./unpacking.ts";

const kind = "zstd";
const { behind, cut, damaged } = faultsOf(kind);
const [magic, skippable] = [0xfd2fb528, 0x184d2a5];

const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Zlib };

/** Node 20 has none. */
export const unpacksZstd = createZstdDecompress !== undefined;

/** Throws BadPacking. */
export async function* unpackZstd(chunks: Chunks): Chunks {
  const input = new Bytes(chunks, kind);
  try {
    for (let isFirst = true; ; isFirst = false) {
      const start = await input.peek(4);
      if (!isFirst && start.length === 0) return;
      if (start.length === 0) throw cut();
      const word = start.length < 4 ? 0 : start.readUInt32LE();
      if (start.length >= 4 && word !== magic && word >>> 4 !== skippable) {
        throw isFirst ? damaged("it has no header") : behind();
      }
      yield* decoded(input, createZstdDecompress!(), kind);
    }
  } finally {
    await chunks.return();
  }
}
