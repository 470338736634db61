import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../lib/bytes.ts";
import { Arriving, BodyFault, cutOff, tooSlow } from "./arriving.ts";
import { Budget, growLater, type Hold } from "./budget.ts";
import { inTime } from "./in-time.ts";
import { unpackedBytesMax } from "./unread.ts";

const tooLarge = (limit: number) =>
  refuse("body-too-large", `the body has more than ${limit} bytes; send less at a time`, { limit });

/** A small body is there at once, or nearly so: it is read in one call, and counts for nothing. */
const smallBytes = 262_144;
/** What one has to come in is the time of silence, and for what goes beyond this, the time that its bytes may take. */
const atOnceBytes = 65_536;
/** Of a larger one so much is asked for at a time: what has come is taken in few calls. */
const pieceBytes = 262_144;
/** Bodies that are being read here. A client that is silent for longer is given up by itself. */
const bodies = new Budget(limits.bodiesBytesMax, limits.bodySilentMsMax * 2);
/** How often a body that waits for room, unread, looks. */
const lookMs = 25;

const noRoom = refuse(
  "too-many",
  `bodies of more than ${limits.bodiesBytesMax} bytes are being read at once; send it again in a moment`,
  { limit: limits.bodiesBytesMax },
);

/** Reads a request's body up to `limit` bytes, unpacked. Of a longer one no more than that is ever held. */
export async function readBody(request: Request, limit: number): Promise<Result<Uint8Array>> {
  const encoding = request.headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    return refuse("unsupported-media-type", `content-encoding '${encoding}' is not supported; send gzip or none`);
  }
  const announced = encoding === "identity" ? request.headers.get("content-length") : null;
  if (announced !== null) {
    if (Number(announced) > limit) return tooLarge(limit);
    if (Number(announced) <= smallBytes) return readSmall(request, Number(announced));
  }
  if (request.body === null) return ok(new Uint8Array(0));
  const packed = encoding === "gzip";
  const body = packed ? request.body.pipeThrough(new DecompressionStream("gzip")) : request.body;
  const arriving = new Arriving(body, limits.bodyBytesPerSecondMin, packed);
  const hold = bodies.hold();
  try {
    const length = announced === null ? undefined : Number(announced);
    return await collect(arriving, limit, length, hold, packed ? unpackedBytesMax : undefined);
  } catch (error) {
    if (!(error instanceof BodyFault)) throw error;
    const { refusal } = error;
    if (packed && refusal === cutOff) return refuse("bad-gzip", "the body says it is gzip but does not unpack");
    return { ok: false, refusal };
  } finally {
    arriving.end();
    hold.release();
  }
}

async function readSmall(request: Request, length: number): Promise<Result<Uint8Array>> {
  const more = Math.max(0, length - atOnceBytes) / limits.bodyBytesPerSecondMin;
  try {
    const bytes = await inTime(request.arrayBuffer(), limits.bodySilentMsMax + more * 1_000);
    return bytes === undefined ? { ok: false, refusal: tooSlow } : ok(new Uint8Array(bytes));
  } catch {
    return { ok: false, refusal: cutOff };
  }
}

async function collect(
  arriving: Arriving,
  limit: number,
  announced: number | undefined,
  hold: Hold,
  discardMax: number | undefined,
): Promise<Result<Uint8Array>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Memory is taken for what has come, and not for what is announced: that costs a client nothing to say.
  while (length !== announced) {
    const piece = await arriving.next(Math.min((announced ?? limit) - length, length === 0 ? atOnceBytes : pieceBytes));
    if (piece === undefined) break;
    length += piece.length;
    if (length > limit) {
      await arriving.discard(discardMax);
      return tooLarge(limit);
    }
    // What is not read while it waits, waits at the client.
    if (!hold.grow(piece.length, Date.now()) && !(await growLater(hold, piece.length, lookMs))) {
      await arriving.discard(discardMax);
      return noRoom;
    }
    parts.push(piece);
  }
  if (announced !== undefined && length < announced) return { ok: false, refusal: cutOff };
  return ok(parts.length === 0 ? new Uint8Array(0) : concat(parts));
}
