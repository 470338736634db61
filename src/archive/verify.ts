/** Whether an object is the segment that it should be: whole, unchanged, and the one after the one before. */

import { hex } from "../lib/bytes.ts";
import { openChunk } from "../log/chunk.ts";
import { readIndex } from "./segment.ts";

export interface ObjectFault {
  /** Offsets that it concerns. */
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** What an object should be. */
export interface Should {
  readonly base: number;
  readonly next: number;
  readonly size: number;
  readonly sha: Uint8Array;
  /** The log's: what lies below is missing rightly. */
  readonly head: number;
}

export interface ObjectReport {
  readonly chunks: number;
  readonly records: number;
  readonly faults: readonly ObjectFault[];
  /** The hash of the segment before it, as it was then; undefined where it knows none. */
  readonly prev: Uint8Array | undefined;
}

/** Checks a whole object; `sha` is the hash over its hashed part. */
export function verifyObject(object: Uint8Array, should: Should, sha: Uint8Array, dense: boolean): ObjectReport {
  const { base, next } = should;
  const nothing = { chunks: 0, records: 0, prev: undefined };
  const bad = (reason: string): ObjectReport => ({ ...nothing, faults: [{ from: base, to: next, reason }] });
  if (object.length !== should.size) return bad(`the object has ${object.length} bytes instead of ${should.size}`);
  const index = readIndex(object, object.length);
  if (!index.ok) return bad(index.refusal.detail);
  const { footer, chunks } = index.value;
  if (footer.base !== base || footer.next !== next) return bad("the object is that of another segment");
  const faults: ObjectFault[] = [];
  if (hex(sha) !== hex(footer.sha)) faults.push({ from: base, to: next, reason: "the hash does not match the bytes" });
  if (hex(footer.sha) !== hex(should.sha)) {
    faults.push({ from: base, to: next, reason: "the object is not the one that was archived" });
  }
  let at = Math.max(base, should.head);
  let ended = base;
  for (const chunk of chunks) {
    if (dense && chunk.base > at) faults.push({ from: at, to: chunk.base, reason: "a chunk is missing" });
    if (chunk.base < ended) faults.push({ from: chunk.base, to: ended, reason: "a chunk overlaps the one before it" });
    const opened = openChunk({ ...chunk, body: object.subarray(chunk.at, chunk.at + chunk.bytes) }, dense);
    if (!opened.ok) faults.push({ from: chunk.base, to: chunk.next, reason: opened.refusal.detail });
    ended = chunk.next;
    at = Math.max(at, ended);
  }
  if (dense && at < next) faults.push({ from: at, to: next, reason: "a chunk is missing" });
  const prev = footer.prev.some((byte) => byte !== 0) ? footer.prev : undefined;
  return { chunks: chunks.length, records: footer.records, faults, prev };
}
