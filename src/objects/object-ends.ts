/** What objects say of themselves, where no row says it: their indexes, which lie at their ends. */
import { footerBytes, type Index, readFooter, readIndex } from "../archive/segment.ts";
import type { Blob, Blobs } from "../platform/blobs.ts";
import { reached, surelyGone } from "./out-of-reach.ts";

/** Bytes at an object's end that hold most indexes. */
export const endBytes = 131_072;

/** Everything in the bucket whose name begins so. */
export async function* listed(blobs: Blobs, prefix: string): AsyncGenerator<Blob> {
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: Awaited<ReturnType<Blobs["list"]>> = await blobs.list(prefix, after);
    yield* page.blobs;
    after = page.after;
  }
}

/** The index of an object of which nothing is known but its size; undefined where it cannot be read. */
export async function readEnd(blobs: Blobs, key: string, size: number): Promise<Index | undefined> {
  const length = Math.min(size, endBytes);
  const end = await there(blobs, key, size - length, length);
  const footer = end === undefined ? undefined : readFooter(end);
  if (end === undefined || !footer?.ok) return undefined;
  const needed = footer.value.indexLength + footerBytes;
  const whole = needed <= length ? end.subarray(length - needed) : await there(blobs, key, size - needed, needed);
  const index = whole === undefined ? undefined : readIndex(whole, size);
  return index?.ok ? index.value : undefined;
}

async function there(blobs: Blobs, key: string, from: number, length: number): Promise<Uint8Array | undefined> {
  const bytes = await blobs.get(key, from, length);
  if (bytes === undefined) reached(await surelyGone(blobs, key));
  return bytes;
}
