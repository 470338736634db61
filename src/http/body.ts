import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../lib/bytes.ts";
import { Arriving, BodyFault, cutOff, tooSlow } from "./arriving.ts";
import { holdBody, takeRoom } from "./body-room.ts";
import { Budget, type Hold } from "./budget.ts";
import { BadGzip, Gunzip } from "./gunzip.ts";
import { inTime } from "./in-time.ts";

export const bodyTooLarge = (limit: number): Refusal => ({
  code: "body-too-large",
  detail: `the body has more than ${limit} bytes; send less at a time`,
  facts: { limit },
});

/** A small body is there at once, or nearly so: it is read in one call, as long as there are not too many. */
const smallBytes = 262_144;
/** What one has to come in is the time of silence, and for what goes beyond this, the time that its bytes may take. */
const atOnceBytes = 65_536;
/** Of a larger one so much is asked for at a time: what has come is taken in few calls. */
const pieceBytes = 262_144;
/** And no more than such a part of what has come: a crowd that stalls holds what it has asked for beside what counts. */
const askedPart = 4;
/** Of one that is packed. */
const packedBytes = 16_384;
/** What counts for nothing however many there are: a connection by itself costs as much. */
const tinyBytes = 8_192;
/** A small body has no longer than this to come. */
const smallMsMax = smallMs(smallBytes);
/** Small bodies that are being read here, as they were announced. */
const smallBodies = new Budget(limits.smallBodiesBytesMax, smallMsMax + 5_000);

const badGzip: Refusal = {
  code: "bad-gzip",
  detail: "the body says it is gzip, of one member, and does not unpack as that",
};

/** Reads a request's body up to `limit` bytes, unpacked. Of a longer one no more than that is ever held. */
export async function readBody(request: Request, limit: number): Promise<Result<Uint8Array>> {
  const encoding = request.headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    return refuse("unsupported-media-type", `content-encoding '${encoding}' is not supported; send gzip or none`);
  }
  const announced = encoding === "identity" ? request.headers.get("content-length") : null;
  if (announced !== null) {
    if (Number(announced) > limit) return { ok: false, refusal: bodyTooLarge(limit) };
    if (Number(announced) <= tinyBytes) return readSmall(request, Number(announced));
    if (Number(announced) <= smallBytes) {
      const hold = smallBodies.hold();
      // One for which there is no room is counted as it comes, like a large one.
      if (hold.grow(Number(announced), Date.now())) return readSmall(request, Number(announced), hold);
    }
  }
  if (request.body === null) return ok(new Uint8Array(0));
  const arriving = new Arriving(request.body, limits.bodyBytesPerSecondMin);
  const body = new Gathered(limit, holdBody());
  try {
    if (encoding === "gzip") await unpack(arriving, body);
    else await collect(arriving, body, announced === null ? undefined : Number(announced));
    return ok(body.bytes());
  } catch (error) {
    const refusal = error instanceof BadGzip ? badGzip : error instanceof BodyFault ? error.refusal : undefined;
    if (refusal === undefined) throw error;
    if (refusal !== arriving.fault?.refusal) await arriving.discard();
    return { ok: false, refusal };
  } finally {
    arriving.end();
    body.hold.release();
  }
}

/** How long a small body may take, in ms. */
function smallMs(length: number): number {
  return limits.bodySilentMsMax + (Math.max(0, length - atOnceBytes) / limits.bodyBytesPerSecondMin) * 1_000;
}

async function readSmall(request: Request, length: number, hold?: Hold): Promise<Result<Uint8Array>> {
  try {
    const bytes = await inTime(request.arrayBuffer(), smallMs(length));
    return bytes === undefined ? { ok: false, refusal: tooSlow } : ok(new Uint8Array(bytes));
  } catch {
    return { ok: false, refusal: cutOff };
  } finally {
    hold?.release();
  }
}

/** What has come of a body. Memory is taken for that, and not for what is announced: that costs a client nothing to say. */
class Gathered {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  constructor(
    readonly limit: number,
    readonly hold: Hold,
  ) {}

  async add(part: Uint8Array): Promise<void> {
    this.length += part.length;
    if (this.length > this.limit) throw new BodyFault(bodyTooLarge(this.limit));
    await takeRoom(this.hold, part.length);
    this.#parts.push(part);
  }

  bytes(): Uint8Array {
    return this.#parts.length === 0 ? new Uint8Array(0) : concat(this.#parts);
  }
}

async function collect(arriving: Arriving, body: Gathered, announced: number | undefined): Promise<void> {
  while (body.length !== announced) {
    const left = (announced ?? body.limit) - body.length;
    // What is asked for takes memory from then on, before any of it has come, or has room: no more than a part of what has.
    const piece = await arriving.next(
      Math.min(left, Math.max(tinyBytes, Math.floor(body.length / askedPart)), pieceBytes),
    );
    if (piece === undefined) break;
    await body.add(piece);
  }
  if (announced !== undefined && body.length < announced) throw new BodyFault(cutOff);
}

async function unpack(arriving: Arriving, body: Gathered): Promise<void> {
  const gunzip = new Gunzip();
  for (;;) {
    const piece = await arriving.next(packedBytes);
    if (piece === undefined) break;
    for (let at = 0; at < piece.length; ) {
      const { slice, worst } = gunzip;
      await takeRoom(body.hold, worst);
      const parts = await gunzip.push(piece.subarray(at, at + slice));
      body.hold.grow(-worst, Date.now());
      for (const part of parts) await body.add(part);
      at += slice;
    }
  }
  for (const part of await gunzip.end()) await body.add(part);
}
