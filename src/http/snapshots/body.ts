/** A body on its way into the bucket: as it comes where its length is known, and else in parts, one in memory at a time. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { hex32 } from "../../lib/bytes.ts";
import { crc32c, type Sum, sumOf } from "../../lib/crc32c.ts";
import type { Placed } from "../../objects/snapshot-orders.ts";
import type { Blobs } from "../../platform/blobs.ts";
import { faultTold } from "../../platform/fault-told.ts";
import { summed } from "../../platform/summed.ts";
import { Arriving } from "../arriving.ts";

const tooLarge = (limit: number) =>
  refuse("body-too-large", `the body has more than the ${limit} bytes that it may have`, { limit });

/** The length that a request announces; undefined where it does not. Refused where it is too much. */
export function lengthOf({ headers }: Request, limit: number): Result<number | undefined> {
  const encoding = headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding !== "identity") {
    return refuse(
      "unsupported-media-type",
      `content-encoding '${encoding}': bodies are kept as they come; send it without`,
    );
  }
  const text = headers.get("content-length");
  if (text === null) return ok(undefined);
  return Number(text) > limit ? tooLarge(limit) : ok(Number(text));
}

/** What a part is called in the answer to it, and in the completion. */
const nameOf = (etag: string, { bytes, crc }: Sum) => `${bytes}.${hex32(crc)}.${etag}`;

/** A part's etag of the bucket's, and its sum; undefined where the text is none that `nameOf` made. */
export function partOf(name: string): (Sum & { readonly etag: string }) | undefined {
  const [, bytes, crc = "", etag] = /^(\d{1,9})\.([0-9a-f]{8})\.(.+)$/.exec(name) ?? [];
  return etag === undefined ? undefined : { bytes: Number(bytes), crc: Number.parseInt(crc, 16), etag };
}

/** Where a body goes. */
export interface Shelf {
  readonly blobs: Blobs;
  /** Notes what the bucket calls an upload in parts. */
  named(name: string): Promise<Result<unknown>>;
}

/** Writes a body as an object, and answers its sum. */
export async function store(
  { body }: Request,
  length: number | undefined,
  key: string,
  shelf: Shelf,
): Promise<Result<Sum>> {
  const arriving = new Arriving(body, limits.snapshotBytesPerSecondMin);
  try {
    if (length === undefined) return await storePieces(arriving, key, shelf);
    const passing = summed(arriving.stream());
    await shelf.blobs.put(key, passing.body, length);
    return ok(passing.sum());
  } catch (error) {
    if (arriving.fault !== undefined) return { ok: false, refusal: arriving.fault.refusal };
    return faultTold("the snapshot could not be stored", error);
  } finally {
    arriving.end();
  }
}

async function storePieces(body: Arriving, key: string, { blobs, named }: Shelf): Promise<Result<Sum>> {
  const parts: { number: number; etag: string }[] = [];
  let upload: string | undefined;
  let [bytes, crc] = [0, 0];
  for await (const { piece, last } of pieces(body, limits.snapshotPartBytes)) {
    bytes += piece.length;
    crc = crc32c(piece, 0, piece.length, crc);
    if (bytes > limits.snapshotBytesMax) return tooLarge(limits.snapshotBytesMax);
    if (last && upload === undefined) {
      await blobs.put(key, streamOf(piece), piece.length);
      return ok({ bytes, crc });
    }
    if (upload === undefined) {
      upload = await blobs.begin(key);
      const noted = await named(upload);
      if (!noted.ok) return noted;
    }
    const number = parts.length + 1;
    const name = upload;
    const etag = await blobs.part(key, name, number, streamOf(piece), piece.length);
    parts.push({ number, etag });
  }
  await blobs.complete(key, upload as string, parts);
  return ok({ bytes, crc });
}

/** Writes a part of an upload. The answer names it, and says its sum. */
export async function storePart(
  { body }: Request,
  length: number | undefined,
  blobs: Blobs,
  { key, upload }: Placed,
  number: number,
): Promise<Result<string>> {
  const arriving = new Arriving(body, limits.snapshotBytesPerSecondMin);
  try {
    if (length !== undefined) {
      const passing = summed(arriving.stream());
      const etag = await blobs.part(key, upload, number, passing.body, length);
      return ok(nameOf(etag, passing.sum()));
    }
    for await (const { piece, last } of pieces(arriving, limits.snapshotPartBytes)) {
      if (!last) break;
      const sum = sumOf(piece);
      return ok(nameOf(await blobs.part(key, upload, number, streamOf(piece), piece.length), sum));
    }
    return tooLarge(limits.snapshotPartBytes);
  } catch (error) {
    if (arriving.fault !== undefined) return { ok: false, refusal: arriving.fault.refusal };
    return faultTold("the part could not be stored", error);
  } finally {
    arriving.end();
  }
}

/**
 * A body in pieces of so many bytes, the last with fewer or, where the body is empty, with none. All of them lie in the
 * same memory: each is gone when the next is asked for.
 */
async function* pieces(
  body: Arriving,
  size: number,
): AsyncGenerator<{ readonly piece: Uint8Array; readonly last: boolean }, void, undefined> {
  const piece = new Uint8Array(size);
  let filled = 0;
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
    for (let at = 0; at < chunk.length; ) {
      // A piece that is full goes when it is known that there is more.
      if (filled === size) {
        yield { piece, last: false };
        filled = 0;
      }
      const taken = Math.min(size - filled, chunk.length - at);
      piece.set(chunk.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
    }
  }
  yield { piece: piece.subarray(0, filled), last: true };
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
