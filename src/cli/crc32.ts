/** The checksum of gzip (CRC-32). */
import zlib from "node:zlib";

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** For Node before 20.15, which has none of its own. */
export function slowly(bytes: Uint8Array, before: number): number {
  let crc = ~before;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Of what was summed up `before`, and of bytes behind it. */
export const crcOf: (bytes: Uint8Array, before: number) => number =
  typeof zlib.crc32 === "function" ? zlib.crc32 : slowly;
