import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../lib/bytes.ts";
import { Arriving, BodyFault, cutOff, tooSlow } from "./arriving.ts";
import { Budget, growLater, type Hold } from "./budget.ts";
import { BadGzip, Gunzip } from "./gunzip.ts";
import { inTime } from "./in-time.ts";

const tooLarge = (limit: number): Refusal => ({
  code: "body-too-large",
  detail: `the body has more than ${limit} bytes; send less at a time`,
  facts: { limit },
});

/** A small body is there at once, or nearly so: it is read in one call, and counts for nothing. */
const smallBytes = 262_144;
/** What one has to come in is the time of silence, and for what goes beyond this, the time that its bytes may take. */
const atOnceBytes = 65_536;
/** Of a larger one so much is asked for at a time: what has come is taken in few calls. */
const pieceBytes = 262_144;
/** Of one that is packed. */
const packedBytes = 16_384;
/** Bodies that are being read here. A client that is silent for longer is given up by itself. */
const bodies = new Budget(limits.bodiesBytesMax, limits.bodySilentMsMax * 2);
/** How often a body that waits for room, unread, looks. */
const lookMs = 25;

const noRoom: Refusal = {
  code: "too-many",
  detail: `bodies of more than ${limits.bodiesBytesMax} bytes are being read at once; send it again in a moment`,
  facts: { limit: limits.bodiesBytesMax },
};
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
    if (Number(announced) > limit) return { ok: false, refusal: tooLarge(limit) };
    if (Number(announced) <= smallBytes) return readSmall(request, Number(announced));
  }
  if (request.body === null) return ok(new Uint8Array(0));
  const arriving = new Arriving(request.body, limits.bodyBytesPerSecondMin);
  const body = new Gathered(limit, bodies.hold());
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

async function readSmall(request: Request, length: number): Promise<Result<Uint8Array>> {
  const more = Math.max(0, length - atOnceBytes) / limits.bodyBytesPerSecondMin;
  try {
    const bytes = await inTime(request.arrayBuffer(), limits.bodySilentMsMax + more * 1_000);
    return bytes === undefined ? { ok: false, refusal: tooSlow } : ok(new Uint8Array(bytes));
  } catch {
    return { ok: false, refusal: cutOff };
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
    if (this.length > this.limit) throw new BodyFault(tooLarge(this.limit));
    await this.room(part.length);
    this.#parts.push(part);
  }

  /** What is not read while it waits, waits at the client. */
  async room(bytes: number): Promise<void> {
    if (this.hold.grow(bytes, Date.now()) || (await growLater(this.hold, bytes, lookMs))) return;
    throw new BodyFault(noRoom);
  }

  bytes(): Uint8Array {
    return this.#parts.length === 0 ? new Uint8Array(0) : concat(this.#parts);
  }
}

async function collect(arriving: Arriving, body: Gathered, announced: number | undefined): Promise<void> {
  while (body.length !== announced) {
    const left = (announced ?? body.limit) - body.length;
    const piece = await arriving.next(Math.min(left, body.length === 0 ? atOnceBytes : pieceBytes));
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
      await body.room(worst);
      const parts = await gunzip.push(piece.subarray(at, at + slice));
      body.hold.grow(-worst, Date.now());
      for (const part of parts) await body.add(part);
      at += slice;
    }
  }
  for (const part of await gunzip.end()) await body.add(part);
}
