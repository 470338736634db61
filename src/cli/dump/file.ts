/** The file of a dump, read block by block. */
import { createHash } from "node:crypto";
import { createReadStream, type Stats, statSync } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Result } from "../../../schemas/errors.ts";
import {
  type Block,
  blockBytes,
  blockHeadBytes,
  checkHeader,
  type Hash,
  headerBytes,
  readBlock,
} from "../../archive/dump.ts";
import { Usage } from "../output.ts";

const readBytes = 1_048_576;

export const isGzip = (path: string): boolean => path.endsWith(".gz");

export function sizeOf(path: string): number {
  // The parser makes an empty text of a dash.
  if (path === "" || path === "-") throw new Usage("a dump is read from a file: give its name");
  let found: Stats;
  try {
    found = statSync(path);
  } catch (error) {
    throw new Usage((error as Error).message);
  }
  if (found.isDirectory()) throw new Usage(`${path} is a folder: give the name of a dump's file`);
  return found.size;
}

/** A SHA-256 that can be asked in between. */
export class Sha256 implements Hash {
  #hash = createHash("sha256");

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  digest(): Uint8Array {
    return this.#hash.copy().digest();
  }

  copy(): Sha256 {
    const copy = new Sha256();
    copy.#hash = this.#hash.copy();
    return copy;
  }
}

/** A block of the file, `[at, at + bytes.length)` of what it holds; or what is in its place, and whether the file goes on. */
export interface Found {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly block: Result<Block>;
}

/** Why the blocks end before the file does. */
export class Broken extends Error {
  constructor(
    readonly at: number,
    message: string,
  ) {
    super(message);
  }
}

/** The blocks of a file. Throws `Broken` where one has no end. `passed` is told of bytes of the file as it lies there. */
export async function* blocksIn(path: string, passed: (bytes: number) => void = () => {}): AsyncGenerator<Found> {
  const parts = source(path, passed)[Symbol.asyncIterator]();
  let rest = Buffer.alloc(0);
  let at = 0;
  let ended = false;
  const need = async (bytes: number): Promise<boolean> => {
    const more: Buffer[] = [rest];
    let length = rest.length;
    while (length < bytes && !ended) {
      const next = await parts.next().catch((error) => ({ done: true as const, value: error as Error }));
      if (next.done) ended = true;
      else {
        more.push(next.value);
        length += next.value.length;
      }
    }
    if (more.length > 1) rest = Buffer.concat(more);
    return rest.length >= bytes;
  };
  await need(headerBytes);
  const header = checkHeader(rest);
  if (!header.ok) throw new Broken(0, header.refusal.detail);
  rest = rest.subarray(headerBytes);
  at = headerBytes;
  while (await need(1)) {
    if (!(await need(blockHeadBytes))) throw new Broken(at, "the file is cut off in the head of a block");
    const length = blockBytes(rest, 0) as Result<number>;
    if (!length.ok) throw new Broken(at, length.refusal.detail);
    // Nothing writes such a block: these are zeros, in the place of what was to be written there.
    if (length.value === blockHeadBytes) throw new Broken(at, "a block has a length of 0");
    if (!(await need(length.value))) throw new Broken(at, "the file is cut off in a block");
    const bytes = rest.subarray(0, length.value);
    yield { at, bytes, block: readBlock(bytes, 0, bytes.length) };
    rest = rest.subarray(length.value);
    at += length.value;
  }
}

function source(path: string, passed: (bytes: number) => void): AsyncIterable<Buffer> {
  sizeOf(path);
  const raw = createReadStream(path, { highWaterMark: readBytes });
  raw.on("data", (part) => passed(part.length));
  raw.pause();
  // A file whose end is missing breaks the blocks, too: there it is told.
  return isGzip(path) ? pipeline(raw, createGunzip({ chunkSize: readBytes }), () => {}) : raw;
}
