/** Files that a rotation has compressed: unpacked beside the state, as far as they prove to be the one that is looked for. */
import { createWriteStream, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { headBytes } from "./identity.ts";

/** What unpacks a file of a kind, or undefined where this Node has nothing that does. */
function unpacker(packing: string): Transform | undefined {
  if (packing === "gz") return zlib.createGunzip();
  // Node 20 has no zstd.
  if (packing === "zst" && typeof zlib.createZstdDecompress === "function") return zlib.createZstdDecompress();
  return undefined;
}

export const unpacks = (packing: string): boolean => unpacker(packing) !== undefined;

/** What has been read does not begin as the file that is looked for. */
class Another extends Error {}

/**
 * Unpacks an open file and opens what comes out, whose name is gone by then. Undefined where its first 256 bytes are not
 * those that `begins` looks for. Throws where it is damaged.
 */
export async function unpack(
  fd: number,
  packing: string,
  folder: string,
  begins: (head: Buffer) => boolean,
): Promise<number | undefined> {
  const path = join(folder, `unpacked-${crypto.randomUUID()}`);
  try {
    await pipeline(contents(fd), unpacker(packing)!, checked(begins), createWriteStream(path, { mode: 0o600 }));
    return openSync(path, "r");
  } catch (error) {
    if (error instanceof Another) return undefined;
    throw error;
  } finally {
    rmSync(path, { force: true });
  }
}

/** A stream of the file would close it. */
async function* contents(fd: number): AsyncGenerator<Buffer> {
  for (let at = 0; ; ) {
    const bytes = Buffer.alloc(65_536);
    const count = readSync(fd, bytes, 0, bytes.length, at);
    if (count === 0) return;
    at += count;
    yield bytes.subarray(0, count);
  }
}

function checked(begins: (head: Buffer) => boolean) {
  return async function* (parts: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let head = Buffer.alloc(0);
    for await (const part of parts) {
      if (head.length < headBytes) {
        head = Buffer.concat([head, part.subarray(0, headBytes - head.length)]);
        if (head.length === headBytes && !begins(head)) throw new Another();
      }
      yield part;
    }
    if (head.length < headBytes && !begins(head)) throw new Another();
  };
}
