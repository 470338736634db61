/** What a log whose database is lost has left in the bucket, where another log has begun in its place, and does not know it. */
import { objectPrefixes } from "../log/forgetting.ts";
import { placeOfKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { neverUploaded } from "../log/notice.ts";
import type { Blobs } from "../platform/blobs.ts";

/** Where their segments begin, of segments and of Parquet files up to a thousand. Fails where the bucket does. */
export async function leftBehind(log: Log, blobs: Blobs | undefined): Promise<number[]> {
  // What has uploaded something, or was rebuilt, has objects of its own.
  if (blobs === undefined || !neverUploaded(log.segments)) return [];
  const { store: garbage } = log.segments;
  const pages = await Promise.all(objectPrefixes(log.spec).map((prefix) => blobs.list(prefix)));
  // What was on its way when a log of before was deleted is deleted yet.
  const keys = pages.flatMap((page) => page.blobs.map(({ key }) => key)).filter((key) => !garbage.isGarbage(key));
  const bases = keys.map((key) => placeOfKey(key).base);
  return [...new Set(bases)].sort((a, b) => a - b);
}
