/** Streams whose bytes are counted and summed on their way, or checked against what they were. */
import { crc32c, type Sum } from "../lib/crc32c.ts";

/** The sum of a stream, read to its end. */
export async function summedUp(body: ReadableStream<Uint8Array>): Promise<Sum> {
  let [bytes, crc] = [0, 0];
  for await (const chunk of body) {
    bytes += chunk.length;
    crc = crc32c(chunk, 0, chunk.length, crc);
  }
  return { bytes, crc };
}

/** A stream, and the sum of what has gone through it so far. */
export function summed(body: ReadableStream<Uint8Array>): {
  readonly body: ReadableStream<Uint8Array>;
  readonly sum: () => Sum;
} {
  let [bytes, crc] = [0, 0];
  const through = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      bytes += chunk.length;
      crc = crc32c(chunk, 0, chunk.length, crc);
      controller.enqueue(chunk);
    },
  });
  return { body: body.pipeThrough(through), sum: () => ({ bytes, crc }) };
}

/** A stream that fails before its end where that is not its checksum: nobody gets all of it. */
export function checked(body: ReadableStream<Uint8Array>, right: number): ReadableStream<Uint8Array> {
  let crc = 0;
  let last: Uint8Array | undefined;
  const through = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      crc = crc32c(chunk, 0, chunk.length, crc);
      if (last !== undefined) controller.enqueue(last);
      last = chunk;
    },
    flush(controller) {
      if (crc !== right) throw new Error("the bytes are not those that were stored");
      if (last !== undefined) controller.enqueue(last);
    },
  });
  return body.pipeThrough(through);
}
