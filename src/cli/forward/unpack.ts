/** Files that a rotation has compressed: unpacked beside the state, as far as they prove to be the one that is looked for. */
import { closeSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeAt } from "../../node/disk.ts";
import { unpackGzip } from "../gunzip.ts";
import { BadPacking, type Chunks } from "../unpacking.ts";
import { unpacksZstd, unpackZstd } from "../unzstd.ts";
import type { Sampler } from "./contents.ts";
import { openHeld } from "./descriptors.ts";
import { headBytes } from "./identity.ts";

/** What unpacks a file of a kind, where this Node has it. */
const unpackers: Readonly<Record<string, ((packed: Chunks) => Chunks) | undefined>> = {
  gz: unpackGzip,
  zst: unpacksZstd ? unpackZstd : undefined,
};

export const unpacks = (packing: string): boolean => unpackers[packing] !== undefined;

/** What came out of a file. */
export interface Unpacked {
  readonly fd: number;
  readonly bytes: number;
  /** Why there is no more of it, where that is not its end. */
  readonly fault: BadPacking | undefined;
}

/**
 * Unpacks an open file, as far as it can be, into one whose name is gone by then. Undefined where its first 256 bytes, or all
 * that it holds, are not those that `begins` looks for. The sampler takes what comes. Throws where files cannot be read or written.
 */
export async function unpack(
  packed: number,
  packing: string,
  folder: string,
  sampler: Sampler,
  begins: (head: Buffer) => boolean,
): Promise<Unpacked | undefined> {
  const path = join(folder, `unpacked-${crypto.randomUUID()}`);
  let fd: number;
  try {
    fd = openHeld(path, "wx+", 0o600);
  } finally {
    rmSync(path, { force: true });
  }
  let unpacked: Unpacked | undefined;
  try {
    unpacked = await written(fd, unpackers[packing]!(contents(packed)), sampler, begins);
    return unpacked;
  } finally {
    if (unpacked === undefined) closeSync(fd);
  }
}

async function written(
  fd: number,
  parts: Chunks,
  sampler: Sampler,
  begins: (head: Buffer) => boolean,
): Promise<Unpacked | undefined> {
  let fault: BadPacking | undefined;
  try {
    for await (const part of parts) {
      const { bytes } = sampler;
      sampler.push(part);
      if (bytes < headBytes && sampler.bytes >= headBytes && !begins(sampler.head)) return undefined;
      await writeAt(fd, part, bytes);
    }
  } catch (error) {
    if (!(error instanceof BadPacking)) throw error;
    fault = error;
  }
  const { head, bytes } = sampler;
  const isIt = head.length === headBytes || begins(head) || fault !== undefined;
  return isIt ? { fd, bytes, fault } : undefined;
}

/** A stream of the file would close it. */
async function* contents(fd: number): Chunks {
  for (let at = 0; ; ) {
    const bytes = Buffer.alloc(65_536);
    const count = readSync(fd, bytes, 0, bytes.length, at);
    if (count === 0) return;
    at += count;
    yield bytes.subarray(0, count);
  }
}
