/** A partition whose database is lost becomes what its objects in the bucket say. */
import type { LostRange } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type Found, rebuild, rebuiltFrom } from "../archive/rebuild.ts";
import { footerBytes, type Index, readFooter, readIndex } from "../archive/segment.ts";
import { segmentPrefix } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import type { Blobs } from "../platform/blobs.ts";

/** Bytes at an object's end that hold most indexes. */
const endBytes = 131_072;

/**
 * Answers the offsets that are lost; objects that cannot be read are none. Asked again it says what it said. Refuses where
 * something was appended since the database was lost: the offsets of that are those of what is in the bucket.
 */
export async function rebuildFrom(log: Log, blobs: Blobs | undefined, now: () => number): Promise<Result<LostRange[]>> {
  const before = rebuiltFrom(log);
  if (before !== undefined) return ok(before);
  if (blobs === undefined) return refuse("archive-off", "the deployment has no archive from which to rebuild");
  if (log.span.tail > 0) return occupied(log);
  const { logId, partition } = log.spec;
  const found: Found[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: Awaited<ReturnType<Blobs["list"]>> = await blobs.list(segmentPrefix(logId, partition), after);
    for (const { key, size } of page.blobs) {
      const index = await readEnd(blobs, key, size);
      const own = index?.footer.logId === logId && index.footer.partition === partition;
      if (index !== undefined && own) found.push({ size, index });
    }
    after = page.after;
  }
  // Something may have been appended meanwhile.
  if (log.span.tail > 0) return occupied(log);
  if (found.length === 0) return refuse("conflict", "the bucket has no segment of this partition; nothing was rebuilt");
  return ok(rebuild(log, found, now()));
}

function occupied({ span: { tail } }: Log): Result<never> {
  const detail = `the partition has given out the offsets up to ${tail}, and a rebuild is for one that is empty; nothing was changed`;
  return refuse("conflict", detail, { tail });
}

async function readEnd(blobs: Blobs, key: string, size: number): Promise<Index | undefined> {
  const length = Math.min(size, endBytes);
  const end = await blobs.get(key, size - length, length);
  const footer = end === undefined ? undefined : readFooter(end);
  if (end === undefined || !footer?.ok) return undefined;
  const needed = footer.value.indexLength + footerBytes;
  const whole = needed <= length ? end.subarray(length - needed) : await blobs.get(key, size - needed, needed);
  const index = whole === undefined ? undefined : readIndex(whole, size);
  return index?.ok ? index.value : undefined;
}
