/**
 * CRC-32C (Castagnoli) at about 1.8 GB/s: slicing by 16 over 32-bit words. It stands on the path of every byte that is
 * appended or read, where the package that we test it against (@aws-crypto/crc32c) reaches a sixth of that.
 */

/** Sixteen tables of 256, one behind the other: what a byte comes to that has so many behind it. */
const table = new Int32Array(4_096);
for (let i = 0; i < 256; i++) {
  let crc = i;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  table[i] = crc;
}
for (let i = 256; i < 4_096; i++) table[i] = (table[i - 256] >>> 8) ^ table[table[i - 256] & 255];

const bytewise = (crc: number, bytes: Uint8Array, from: number, to: number): number => {
  for (let i = from; i < to; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]) & 255];
  return crc;
};

/** The checksum of `bytes[from, to)` as an unsigned 32-bit number; behind bytes that have one, of all of them. */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length, before = 0): number {
  // Words are read at addresses that are multiples of four; what lies before and after goes byte by byte.
  const aligned = Math.min(to, from + (-(bytes.byteOffset + from) & 3));
  let crc = bytewise(~before, bytes, from, aligned);
  const blocks = (to - aligned) >>> 4;
  if (blocks > 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + aligned, blocks * 4);
    for (let i = 0; i < words.length; i += 4) {
      const a = crc ^ words[i];
      const b = words[i + 1];
      const c = words[i + 2];
      const d = words[i + 3];
      crc =
        table[3_840 + (a & 255)] ^
        table[3_584 + ((a >>> 8) & 255)] ^
        table[3_328 + ((a >>> 16) & 255)] ^
        table[3_072 + (a >>> 24)] ^
        table[2_816 + (b & 255)] ^
        table[2_560 + ((b >>> 8) & 255)] ^
        table[2_304 + ((b >>> 16) & 255)] ^
        table[2_048 + (b >>> 24)] ^
        table[1_792 + (c & 255)] ^
        table[1_536 + ((c >>> 8) & 255)] ^
        table[1_280 + ((c >>> 16) & 255)] ^
        table[1_024 + (c >>> 24)] ^
        table[768 + (d & 255)] ^
        table[512 + ((d >>> 8) & 255)] ^
        table[256 + ((d >>> 16) & 255)] ^
        table[d >>> 24];
    }
  }
  return ~bytewise(crc, bytes, aligned + blocks * 16, to) >>> 0;
}

/** The same in little code, at about 1 GB/s: what a client's bundle carries. */
export function smallCrc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    let sum = 0;
    // What came before is spent after four.
    for (let row = 3_840, next = at; row >= 0; row -= 256, crc >>>= 8)
      sum ^= table[row + ((bytes[next++] ^ crc) & 255)];
    crc = sum;
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}

/** How long something is, and its checksum. */
export interface Sum {
  readonly bytes: number;
  readonly crc: number;
}

export const sumOf = (bytes: Uint8Array): Sum => ({ bytes: bytes.length, crc: crc32c(bytes) });

/** The checksum of two texts, one behind the other, from those of each and the second one's length. */
export function crc32cOfBoth(first: number, second: number, length: number): number {
  // A byte of zeros moves the first one's remainder on by a linear map; so do 2^n bytes, by that map's powers.
  let zeros = eightZeros;
  let crc = first;
  for (let left = length; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) crc = image(zeros, crc);
    zeros = zeros.map((column) => image(zeros, column));
  }
  return (crc ^ second) >>> 0;
}

/** What a linear map, given by its columns, makes of a vector of 32 bits. */
function image(columns: readonly number[], vector: number): number {
  let sum = 0;
  for (let bit = 0; bit < 32; bit++) if ((vector >>> bit) & 1) sum ^= columns[bit];
  return sum >>> 0;
}

const eightZeros: readonly number[] = /* @__PURE__ */ Array.from({ length: 32 }, (_, bit) => {
  const crc = (1 << bit) >>> 0;
  return ((crc >>> 8) ^ table[crc & 255]) >>> 0;
});
