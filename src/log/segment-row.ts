/**
 * What a segment's row says, and the sum by which it is believed: reads, retention and searches go by these numbers before they have
 * seen a chunk, so that a wrong one would lead them past records without a word.
 *
 *     indexBytes   bytes of the object's index (32 bits), the row's sum (20)
 *     print        0xA5, CRC-32C of the rest (4 bytes), the fingerprint; without the two as it was written before there was a sum
 *
 * A row that does not agree with its sum is put right where one number is wrong that its table or its neighbours say too. What else it
 * says of its records is taken for the worst: it may hold any time between theirs, and counts for no more than it has room for.
 */
import { crc32c } from "../lib/crc32c.ts";
import type { Totals } from "./chunk-store.ts";

/** A sealed run of chunks: offsets `[base, next)`, timestamps from `first` to `last`. */
export interface Segment {
  /** Names its object; never used again. */
  n: number;
  base: number;
  next: number;
  first: number;
  last: number;
  chunks: number;
  records: number;
  /** Of the chunks' bodies. */
  bytes: number;
  /** 1 while its chunks lie in the database. */
  hot: number;
  /** Bytes of its object; 0 where there is none. */
  size: number;
  /** Bytes of the object's index and footer, at its end. */
  indexBytes: number;
  /** SHA-256 of the object; empty without one. */
  sha: Uint8Array;
  /** That of the segment before it, as it was. Empty until its object is begun, and then where none is known. */
  prev: Uint8Array;
  /** That by which the segment after it may know it: of what it replaces. */
  origin: Uint8Array;
  /** When it was sealed, in ms. */
  sealed: number;
  /** The row is not what was written: what it says beside its place is a guess. */
  broken?: true;
}

const none = new Uint8Array(0);

type Whole = Pick<Segment, "base" | "next" | "first" | "last" | "chunks" | "records" | "bytes">;

/** One that lies in the database alone. */
export const sealedNow = (n: number, whole: Whole, now: number): Segment => ({
  ...whole,
  n,
  hot: 1,
  size: 0,
  indexBytes: 0,
  sha: none,
  prev: none,
  origin: none,
  sealed: now,
});

/** Above the bytes of the index. */
const sumAt = 2 ** 32;
const numbers = new Float64Array(12);
const bytesOfNumbers = new Uint8Array(numbers.buffer);

/** Never zero: that is a row of before there was a sum. */
function rowSum(row: Segment): number {
  const { base, n, next, first, last, chunks, records, bytes, hot, size, indexBytes, sealed } = row;
  numbers.set([base, n, next, first, last, chunks, records, bytes, hot, size, indexBytes, sealed]);
  let crc = crc32c(bytesOfNumbers);
  for (const hash of [row.sha, row.prev, row.origin]) crc = crc32c(hash, 0, hash.length, crc);
  return (crc ^ (crc >>> 12)) & 0xf_ffff || 1;
}

/** `indexBytes` of a row as the table has it. What is guessed does not come to be believed by being written. */
export function sealRow(row: Segment): number {
  const sum = rowSum(row);
  return row.indexBytes + (row.broken ? sum ^ 2 || 4 : sum) * sumAt;
}

/** Takes the sum off a row that comes from the table, and answers it: 0 where the row agrees with it, or never had one. */
export function openRow(row: Segment): number {
  const sum = Math.floor(row.indexBytes / sumAt);
  if (sum === 0) return 0;
  row.indexBytes -= sum * sumAt;
  return sum === rowSum(row) ? 0 : sum;
}

/** What is known of a row's segment besides: its neighbours, where the next one begins, or the open one, and its table, if it has one. */
export interface Around {
  readonly before: Segment | undefined;
  readonly behind: Segment | undefined;
  readonly next: number;
  /** Where it may begin, if that is wrong: with one bit it may be where another segment begins. */
  readonly nexts: readonly number[];
  readonly table: Totals | undefined;
  /** Segments that have a table, of which no row tells. */
  readonly lost: readonly number[];
}

/** What stands for a row that does not agree with its sum; undefined where its neighbours leave it no room. */
export function mendedRow(row: Segment, sum: number, around: Around): Segment | undefined {
  const { before, behind, next, nexts, table, lost } = around;
  if (row.base >= next || (before !== undefined && before.next > row.base)) return undefined;
  const { first = row.first, last = row.last, chunks, records, bytes } = table ?? row;
  const hot = table === undefined ? 0 : 1;
  const said = { next, hot, first, last, chunks, records, bytes };
  // One that lies in the database alone has no object.
  const noObject = ["size", "indexBytes"].map((name) => [name, 0] as const);
  const others = [...nexts.map((at) => ["next", at] as const), ...lost.map((n) => ["n", n] as const)];
  const ways = [...Object.entries(said), ...noObject, ...others];
  for (const [name, value] of ways) {
    const mended = { ...row, [name]: value };
    if (rowSum(mended) === sum) return mended;
  }
  const room = next - row.base;
  const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  const guess =
    table === undefined
      ? {
          first: before?.last ?? 0,
          last: behind?.first ?? Math.max(row.last, row.sealed),
          chunks: within(row.chunks, room),
          records: within(row.records, room),
          bytes: within(row.bytes, Math.max(row.size, 0)),
        }
      : { first, last, chunks, records, bytes };
  // An index that would begin before its object is looked for in all of it.
  const indexBytes = within(row.indexBytes, Math.max(row.size, 0));
  return { ...row, ...guess, indexBytes, next, hot, broken: true };
}

const printSealed = 0xa5;

/** A fingerprint as the table has it. */
export function sealPrint(print: Uint8Array): Uint8Array {
  const row = new Uint8Array(print.length + 5);
  row[0] = printSealed;
  new DataView(row.buffer).setUint32(1, crc32c(print), true);
  row.set(print, 5);
  return row;
}

/** The fingerprint of a row; undefined where it is not what was written. */
export function openPrint(row: Uint8Array): Uint8Array | undefined {
  // A list or a Bloom filter of before there was a sum.
  if (row[0] === 1 || row[0] === 2) return row;
  if (row[0] !== printSealed || row.length < 5) return undefined;
  const print = row.subarray(5);
  return crc32c(print) === new DataView(row.buffer, row.byteOffset).getUint32(1, true) ? print : undefined;
}
