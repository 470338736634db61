import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { concat } from "../lib/bytes.ts";
import { discard, unpackedBytesMax } from "./unread.ts";

const tooLarge = (limit: number) =>
  refuse("body-too-large", `the body has more than ${limit} bytes; send less at a time`, { limit });

/** Reads a request's body up to `limit` bytes, unpacked. Of a longer one no more than that is ever held. */
export async function readBody(request: Request, limit: number): Promise<Result<Uint8Array>> {
  const encoding = request.headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    return refuse("unsupported-media-type", `content-encoding '${encoding}' is not supported; send gzip or none`);
  }
  const announced = request.headers.get("content-length");
  if (encoding === "identity" && announced !== null) {
    if (Number(announced) > limit) return tooLarge(limit);
    return ok(new Uint8Array(await request.arrayBuffer()));
  }
  if (request.body === null) return ok(new Uint8Array(0));
  if (encoding === "identity") return collect(request.body, limit);
  try {
    return await collect(request.body.pipeThrough(new DecompressionStream("gzip")), limit, unpackedBytesMax);
  } catch {
    return refuse("bad-gzip", "the body says it is gzip but does not unpack");
  }
}

async function collect(
  body: ReadableStream<Uint8Array>,
  limit: number,
  discardMax?: number,
): Promise<Result<Uint8Array>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return ok(parts.length === 0 ? new Uint8Array(0) : concat(parts));
    length += value.length;
    if (length > limit) {
      await discard(reader, discardMax);
      return tooLarge(limit);
    }
    parts.push(value);
  }
}
