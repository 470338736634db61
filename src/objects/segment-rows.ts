/** The chunks of a segment, in order, wherever they lie. */
import type { Result } from "../../schemas/errors.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { headsIn } from "../log/heads.ts";
import type { Log } from "../log/log.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import { chunkRows, indexOf } from "./cold.ts";
import { reached } from "./out-of-reach.ts";

/** Bytes read from the bucket at a time. */
const fetchBytes = 4_194_304;

/** The chunks of a segment could not be had; a bucket that does not answer is an error instead. */
export class Lost extends Error {}

/** From the database. */
export async function* hotRows({ segments }: Log, segment: Segment): AsyncGenerator<ChunkRow> {
  const heads = headsIn(segments, segment.base, segment.next);
  for (const head of heads) yield { ...head, body: segments.body(head.base) };
}

/** From the segment's object. */
export async function* coldRows(
  { spec: { logId, partition } }: Log,
  blobs: Blobs | undefined,
  segment: Segment,
): AsyncGenerator<ChunkRow> {
  const where = { logId, partition, blobs };
  const { chunks } = had(await indexOf(where, segment));
  for (let at = 0; at < chunks.length; ) {
    const rows = had(await chunkRows(where, segment, chunks.slice(at), fetchBytes));
    yield* rows;
    at += rows.length;
  }
}

/** What is damaged or missing is lost; what is only out of reach is tried again. */
function had<T>(result: Result<T | undefined> | undefined): T {
  if (result?.ok === false && result.refusal.code === "damaged") throw new Lost(result.refusal.detail);
  const value = result && reached(result);
  if (value === undefined) throw new Lost("the object is missing");
  return value;
}
