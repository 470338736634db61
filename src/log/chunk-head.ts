/**
 * What a chunk's row says beside its body, and the sum by which the database's rows are believed: reads go by these numbers
 * before they have seen a body, so that a wrong one would lead them past records without a word.
 *
 *     flags    the frames' flags and the chunk's own (8 bits), the sum of the frames' headers (24), the row's sum (20)
 *
 * The row's sum is of the table alone: objects and dumps have checksums of their own over their heads.
 */
import { crc32c } from "../lib/crc32c.ts";

/** A chunk without its body. Offsets `[base, next)`, timestamps from `first` to `last`. */
export interface ChunkHead {
  base: number;
  next: number;
  first: number;
  last: number;
  records: number;
  flags: number;
  bytes: number;
  print: Uint8Array;
  /** The row is not what was written: its place is what its neighbours leave, and nobody knows what is in it. */
  broken?: true;
}

export interface ChunkRow extends ChunkHead {
  body: Uint8Array;
}

/** Above the flags and the headers' sum. */
const rowSumAt = 2 ** 32;

const numbers = new Float64Array(7);
const bytesOfNumbers = new Uint8Array(numbers.buffer);

/** Never zero: that is a row of before there was a sum. */
export function headSum({ base, next, first, last, records, flags: set, bytes, print }: ChunkHead): number {
  numbers[0] = base;
  numbers[1] = next;
  numbers[2] = first;
  numbers[3] = last;
  numbers[4] = records;
  numbers[5] = set;
  numbers[6] = bytes;
  const crc = crc32c(print, 0, print.length, crc32c(bytesOfNumbers));
  return (crc ^ (crc >>> 12)) & 0xf_ffff || 1;
}

/** The flags of a row as the table has them. */
export const sealHead = (head: ChunkHead): number => head.flags + headSum(head) * rowSumAt;

/** Takes the sum off a row that comes from the table, and answers it: 0 where the row agrees with it, or never had one. */
export function openHead(row: ChunkHead): number {
  const sum = Math.floor(row.flags / rowSumAt);
  if (sum === 0) return 0;
  row.flags -= sum * rowSumAt;
  return sum === headSum(row) ? 0 : sum;
}
