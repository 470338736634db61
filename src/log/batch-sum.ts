/**
 * By what a partition knows that a producer's number comes again with the same batch: a checksum over what the client sent.
 * Frames have one each; where records bring timestamps, these are left out, because the service may have made them up.
 */
import { ByteReader } from "../lib/bytes.ts";
import { crc32c } from "../lib/crc32c.ts";
import { checksumOf, eachRecord, type Frame, flags } from "./frame.ts";
import { bits } from "./record.ts";

export function batchSum(frames: readonly Frame[]): number {
  const sums = frames.flatMap((frame) =>
    frame.flags & flags.times ? timelessSums(frame) : [frame.count, checksumOf(frame)],
  );
  const words = Uint32Array.from(sums);
  return crc32c(new Uint8Array(words.buffer));
}

/** Of each record the sums of what stands before its timestamp, and behind it. */
function timelessSums({ bytes, ...frame }: Frame): number[] {
  const sums: number[] = [];
  eachRecord({ bytes, ...frame }, (from, to) => {
    const reader = new ByteReader(bytes, from + 2, to);
    if (bytes[from] & bits.offset) reader.varint();
    sums.push(crc32c(bytes, from, reader.at));
    if (bytes[from] & bits.timestamp) reader.varint();
    sums.push(crc32c(bytes, reader.at, to));
  });
  return sums;
}
