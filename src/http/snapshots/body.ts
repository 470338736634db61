/**
 * A body on its way into the bucket: as it comes where its length is known, and else in pieces, of which one is in memory. What is
 * in memory counts with the other bodies that are gathered, and must come as fast as they.
 */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { hex32 } from "../../lib/bytes.ts";
import { crc32c, type Sum, sumOf } from "../../lib/crc32c.ts";
import type { Placed } from "../../objects/snapshot-orders.ts";
import type { Blobs } from "../../platform/blobs.ts";
import { faultTold } from "../../platform/fault-told.ts";
import { summed } from "../../platform/summed.ts";
import { Arriving, BodyFault } from "../arriving.ts";
import { holdBody, takeRoom } from "../body-room.ts";
import { type Hold, keeping } from "../budget.ts";

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
  request: Request,
  length: number | undefined,
  key: string,
  shelf: Shelf,
): Promise<Result<Sum>> {
  const what = "the snapshot could not be stored";
  if (length === undefined) return gathering(request, what, (body, hold) => storePieces(body, hold, key, shelf));
  return passing(request, what, async (arriving) => {
    const { body, sum } = summed(arriving.stream());
    await shelf.blobs.put(key, body, length);
    return ok(sum());
  });
}

/** What becomes of a body that goes through as it comes. */
async function passing<T>(
  { body }: Request,
  what: string,
  pass: (arriving: Arriving) => Promise<Result<T>>,
  bytesPerSecond: number = limits.snapshotBytesPerSecondMin,
): Promise<Result<T>> {
  const arriving = new Arriving(body, bytesPerSecond);
  try {
    return await pass(arriving);
  } catch (error) {
    if (arriving.fault !== undefined) return { ok: false, refusal: arriving.fault.refusal };
    if (!(error instanceof BodyFault)) return faultTold(what, error);
    await arriving.discard();
    return { ok: false, refusal: error.refusal };
  } finally {
    arriving.end();
  }
}

/** What becomes of one that is gathered in pieces. */
function gathering<T>(
  request: Request,
  what: string,
  gather: (arriving: Arriving, hold: Hold) => Promise<Result<T>>,
): Promise<Result<T>> {
  const hold = holdBody();
  const work = (arriving: Arriving) => gather(arriving, hold).finally(() => hold.release());
  return passing(request, what, work, limits.bodyBytesPerSecondMin);
}

async function storePieces(body: Arriving, hold: Hold, key: string, { blobs, named }: Shelf): Promise<Result<Sum>> {
  const parts: { number: number; etag: string }[] = [];
  let upload: string | undefined;
  let [bytes, crc] = [0, 0];
  for await (const { piece, last } of pieces(body, hold)) {
    bytes += piece.length;
    crc = crc32c(piece, 0, piece.length, crc);
    if (bytes > limits.snapshotBytesMax) return tooLarge(limits.snapshotBytesMax);
    if (last && upload === undefined) {
      await keeping(hold, blobs.put(key, streamOf(piece), piece.length));
      return ok({ bytes, crc });
    }
    if (upload === undefined) {
      upload = await blobs.begin(key);
      const noted = await named(upload);
      if (!noted.ok) return noted;
    }
    const number = parts.length + 1;
    const name = upload;
    const etag = await keeping(hold, blobs.part(key, name, number, streamOf(piece), piece.length));
    parts.push({ number, etag });
  }
  await blobs.complete(key, upload as string, parts);
  return ok({ bytes, crc });
}

/** Writes a part of an upload. The answer names it, and says its sum. */
export async function storePart(
  request: Request,
  length: number | undefined,
  blobs: Blobs,
  { key, upload }: Placed,
  number: number,
): Promise<Result<string>> {
  const what = "the part could not be stored";
  if (length === undefined) {
    return gathering(request, what, async (body, hold) => {
      for await (const { piece, last } of pieces(body, hold)) {
        if (!last) break;
        const sum = sumOf(piece);
        const etag = await keeping(hold, blobs.part(key, upload, number, streamOf(piece), piece.length));
        return ok(nameOf(etag, sum));
      }
      return tooLarge(limits.snapshotPartBytes);
    });
  }
  return passing(request, what, async (arriving) => {
    const { body, sum } = summed(arriving.stream());
    const etag = await blobs.part(key, upload, number, body, length);
    return ok(nameOf(etag, sum()));
  });
}

/**
 * A body in pieces of as many bytes as a part may have, the last with fewer or, where the body is empty, with none. All of them lie
 * in the same memory: each is gone when the next is asked for. It is taken as they come.
 */
async function* pieces(
  body: Arriving,
  hold: Hold,
): AsyncGenerator<{ readonly piece: Uint8Array; readonly last: boolean }, void, undefined> {
  const size = limits.snapshotPartBytes;
  let piece = new Uint8Array(0);
  let filled = 0;
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
    hold.touch(Date.now());
    for (let at = 0; at < chunk.length; ) {
      // A piece that is full goes when it is known that there is more.
      if (filled === size) {
        yield { piece, last: false };
        filled = 0;
        body.anew();
      }
      const taken = Math.min(size - filled, chunk.length - at);
      if (filled + taken > piece.length) piece = await grown(piece, Math.min(size, (filled + taken) * 2), hold);
      piece.set(chunk.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
    }
  }
  yield { piece: piece.subarray(0, filled), last: true };
}

/** The same bytes, with room for more behind them. */
async function grown(bytes: Uint8Array, size: number, hold: Hold): Promise<Uint8Array<ArrayBuffer>> {
  await takeRoom(hold, size - bytes.length);
  const wider = new Uint8Array(size);
  wider.set(bytes);
  return wider;
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
