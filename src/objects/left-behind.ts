/** What a log whose database is lost has left in the bucket, where another log has begun in its place, and does not know it. */
import { placeOfKey, segmentPrefix } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { neverUploaded } from "../log/notice.ts";
import type { Blobs } from "../platform/blobs.ts";

/** Where such segments begin, up to a thousand of them. Fails where the bucket does. */
export async function leftBehind(log: Log, blobs: Blobs | undefined): Promise<number[]> {
  // What has uploaded something, or was rebuilt, has objects of its own.
  if (blobs === undefined || !neverUploaded(log.segments)) return [];
  const page = await blobs.list(segmentPrefix(log.spec.logId, log.spec.partition));
  return page.blobs.map(({ key }) => placeOfKey(key).base);
}
