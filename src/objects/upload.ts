/** Making a sealed segment an object, and a Parquet file where the stream asks for one. */
import type { Archive } from "../archive/archive.ts";
import { ParquetSegment } from "../archive/parquet.ts";
import { Prints } from "../archive/prints.ts";
import { type Footer, footerBytes, hashedPart, printBytesMax, readFooter, SegmentBuilder } from "../archive/segment.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { headsIn } from "../log/heads.ts";
import { parquetKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import { sha256 } from "../platform/sha256.ts";
import { makeAgain } from "./copies.ts";

/** Bytes that are packed before others have a turn. */
const turnBytes = 1_048_576;

/** Uploads a segment, and notes it. Repeated after a crash it comes to the same. */
export async function upload(archive: Archive, blobs: Blobs, segment: Segment, now: () => number): Promise<void> {
  // What its row says of its neighbours would come into the object. Another row says what is known.
  if (segment.broken) return makeAgain(archive.log, segment, rowsOf(archive.log, segment), now());
  const begun = archive.uploads.begin(segment, now());
  if (!(await uploadParquet(archive, blobs, segment))) return archive.taken(segment, now());
  const facts = archive.factsOf(begun);
  const heads = headsOf(archive.log, segment);
  const prints = new Prints();
  const builder = new SegmentBuilder(facts, heads);
  const { dense } = archive.log.span;
  for await (const row of inTurns(archive.log, heads)) {
    const frames = openChunk(row, dense);
    // What is damaged is archived as it is: its place is known, and `repair` decides.
    if (frames.ok) for (const frame of frames.value) prints.add(frame);
    else prints.unknown();
    builder.add(row);
  }
  const print = prints.finish(printBytesMax);
  const { hashed, indexBytes } = builder.finish(print);
  const sha = await sha256(hashed);
  const object = builder.sign(sha);
  const key = archive.keyOf(segment);
  const made = { size: object.length, indexBytes, sha, prev: facts.prev, print };
  if (await blobs.create(key, object, archive.uploads.cutOff)) return archive.uploaded(segment, made, now());
  const there = await thatIs(blobs, key, object);
  if (there === undefined) archive.taken(segment, now());
  else archive.uploaded(segment, { ...made, sha: there.sha, prev: there.prev }, now());
}

/**
 * False where there is another of its name: its number was given before, to a segment that is lost, or the columns were others.
 */
async function uploadParquet({ log, uploads }: Archive, blobs: Blobs, segment: Segment): Promise<boolean> {
  const { logId, partition, names, retention } = log.spec;
  if (names === undefined || retention?.parquet == null) return true;
  const parquet = new ParquetSegment(partition, retention.parquet);
  for await (const row of inTurns(log, headsOf(log, segment))) {
    const frames = openChunk(row, log.span.dense);
    if (frames.ok) parquet.add(frames.value);
  }
  const key = parquetKey({ logId, partition, names }, segment);
  const made = parquet.finish();
  if (await blobs.create(key, made, uploads.cutOff)) return true;
  const there = await blobs.get(key, 0, made.length + 1);
  return there !== undefined && equal(there, made);
}

const headsOf = ({ segments }: Log, { base, next }: Segment) => headsIn(segments, base, next);

const rowsOf = (log: Log, segment: Segment): ChunkRow[] =>
  headsOf(log, segment).map((head) => ({ ...head, body: log.segments.body(head.base) }));

/** The chunks of heads, with turns for others in between. */
async function* inTurns({ segments }: Log, heads: ReturnType<typeof headsOf>): AsyncGenerator<ChunkRow> {
  let bytes = 0;
  for (const head of heads) {
    yield { ...head, body: segments.body(head.base) };
    bytes += head.bytes;
    if (bytes < turnBytes) continue;
    bytes = 0;
    await scheduler.wait(0);
  }
}

/**
 * The footer of the object that is there, if it is the one that was to be written: a crash came between writing and noting
 * it. The segment before it may have gone meanwhile, so that their footers need not agree.
 */
async function thatIs(blobs: Blobs, key: string, object: Uint8Array): Promise<Footer | undefined> {
  const there = await blobs.get(key, 0, object.length + 1);
  const footer = there === undefined ? undefined : readFooter(there);
  if (there === undefined || footer?.ok !== true || there.length !== object.length) return undefined;
  const same = equal(there.subarray(0, -footerBytes), object.subarray(0, -footerBytes));
  const sha = await sha256(hashedPart(there));
  return same && equal(sha, footer.value.sha) ? footer.value : undefined;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
