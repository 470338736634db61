/**
 * What a chunk may contain: the hashes of its records' keys, types, sources and tags, so that a filtered read passes over
 * chunks without reading them. Few hashes are kept as they are; many become a Bloom filter of about eight bits a hash,
 * at most 4 KiB for a chunk. False positives cost a read, false negatives do not exist.
 *
 *     list     0x01, then each hash, 4 bytes little-endian
 *     Bloom    0x02, then the bits (a power of two of bytes), 3 probes a hash
 */
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";

/** What a hash stands for: the seed keeps a key apart from a type of the same text. A key's is also its route. */
export const seeds = { key: 0, type: 1, source: 2, tag: 3 } as const;

export const hashText = (text: string, seed: number): number => murmur3(encodeText(text), seed);

const listMax = 16;
const chunkPrintBytes = 4096;
const probes = 3;
const list = 1;
const bloom = 2;

export function fingerprint(parts: readonly Uint32Array[], bytesMax = chunkPrintBytes): Uint8Array {
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  if (total <= listMax) {
    const distinct = new Set<number>();
    for (const part of parts) for (const hash of part) distinct.add(hash);
    const print = new Uint8Array(1 + distinct.size * 4);
    const view = new DataView(print.buffer);
    print[0] = list;
    let at = 1;
    for (const hash of distinct) {
      view.setUint32(at, hash, true);
      at += 4;
    }
    return print;
  }
  const size = Math.min(bytesMax, 2 ** Math.ceil(Math.log2(total)));
  const print = new Uint8Array(1 + size);
  print[0] = bloom;
  const mask = size * 8 - 1;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) {
      const hash = part[i];
      const step = stepOf(hash);
      for (let probe = 0, bit = hash; probe < probes; probe++, bit = (bit + step) | 0) {
        print[1 + ((bit & mask) >>> 3)] |= 1 << (bit & 7);
      }
    }
  }
  return print;
}

/** A fingerprint that says yes to every hash. */
export const everything = (): Uint8Array => Uint8Array.of(bloom, 255);

export function mayContain(print: Uint8Array, hash: number): boolean {
  if (print[0] === list) {
    const view = new DataView(print.buffer, print.byteOffset, print.length);
    for (let at = 1; at < print.length; at += 4) if (view.getUint32(at, true) === hash) return true;
    return false;
  }
  const mask = (print.length - 1) * 8 - 1;
  const step = stepOf(hash);
  for (let probe = 0, bit = hash; probe < probes; probe++, bit = (bit + step) | 0) {
    if ((print[1 + ((bit & mask) >>> 3)] & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

/** Distance of a hash's probes. From the high bits, because the low ones have already chosen the first probe. */
const stepOf = (hash: number) => (Math.imul(hash, 0x9e3779b1) >>> 15) | 1;
