/** What a log whose database is lost has left in the bucket, where another log has begun in its place, and does not know it. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { noteUnreadable } from "../archive/unreadable.ts";
import { dropBereft, dropUnasked, isUnasked, setBereft, setUnasked } from "../log/bereft.ts";
import { objectPrefixes } from "../log/forgetting.ts";
import { placeOfKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { neverUploaded } from "../log/notice.ts";
import type { Damage } from "../log/verify.ts";
import type { Blob, Blobs } from "../platform/blobs.ts";
import { faultTold } from "../platform/fault-told.ts";
import { listed, readEnd } from "./object-ends.ts";
import { OutOfReach } from "./out-of-reach.ts";

/** Names that are noted: a row has room for them. */
const leftMax = 8_192;

/** Where their segments begin, of segments and of Parquet files up to a thousand. Fails where the bucket does. */
export async function leftBehind(log: Log, blobs: Blobs | undefined): Promise<number[]> {
  const bases = (await objectsOf(log, blobs)).map(({ key }) => placeOfKey(key).base);
  return [...new Set(bases)].sort((a, b) => a - b);
}

/** What there is of it, as damage; undefined where there is nothing. Fails where the bucket does. */
async function bereft(log: Log, blobs: Blobs | undefined): Promise<Damage | undefined> {
  const objects = await objectsOf(log, blobs);
  if (blobs === undefined || objects.length === 0) return undefined;
  const based = objects.map((one) => ({ ...one, ...placeOfKey(one.key) })).sort((a, b) => a.base - b.base || a.n - b.n);
  const [first, last] = [based[0], based[based.length - 1]];
  const index = await readEnd(blobs, last.key, last.size);
  const to = Math.max(index?.footer.next ?? 0, last.base + 1);
  const then =
    log.span.tail === 0
      ? "rebuild the partition (repair, mode rebuild)"
      : "it cannot be rebuilt, as something was appended to it since: fetch what you want of it, and give it up (repair, mode isolate)";
  const reason = `the partition's database was lost, and what was in it is in the bucket alone; ${then}`;
  return { object: first.key, from: first.base, to, reason };
}

/** Notes it for readers of a log that was made anew. Where the bucket does not say, they see an empty one. */
export async function noteBereft(log: Log, blobs: Blobs | undefined): Promise<void> {
  const lost = await lostBefore(log, blobs);
  if (!lost.ok) setUnasked(log.segments.meta);
  else if (lost.value !== undefined && log.span.tail === 0) setBereft(log.segments.meta, lost.value);
}

/**
 * Before the first object of a log that was made while the bucket did not answer: what one of before has left there could not be told
 * from the log's own any more. Whoever forgets is told of it, and a repair gives it up. Fails where the bucket does.
 */
export async function keepLeft(log: Log, blobs: Blobs, now: () => number): Promise<void> {
  const { meta } = log.segments;
  if (!isUnasked(meta)) return;
  const keys = neverUploaded(log.segments) ? await allLeft(log, blobs) : [];
  log.change(now(), () => {
    if (keys.length > 0) noteUnreadable(log, keys.slice(0, leftMax));
    dropUnasked(meta);
  });
}

/** The same, refused where the bucket does not say. */
export async function lostBefore(log: Log, blobs: Blobs | undefined): Promise<Result<Damage | undefined>> {
  try {
    return ok(await bereft(log, blobs));
  } catch (error) {
    return error instanceof OutOfReach
      ? { ok: false, refusal: error.refusal }
      : faultTold("the archive could not be read", error);
  }
}

/**
 * Leaves what there is of it to be deleted, where something was appended since, and says what is lost by that. Refused where it
 * can be rebuilt yet.
 */
export async function giveUpLeft(log: Log, blobs: Blobs | undefined, now: number): Promise<Result<Damage | undefined>> {
  const lost = await lostBefore(log, blobs);
  const { meta, store } = log.segments;
  if (!lost.ok || blobs === undefined) return lost;
  if (lost.value === undefined) {
    // Somebody else has deleted it.
    dropBereft(meta);
    return lost;
  }
  if (log.span.tail === 0) return refuse("conflict", `partition ${log.spec.partition}: ${lost.value.reason}`);
  const keys = await allLeft(log, blobs);
  // Meanwhile the log has begun to have objects of its own.
  if (!neverUploaded(log.segments)) return ok(undefined);
  log.change(now, () => {
    for (const key of keys) store.addGarbage(key, now);
    dropBereft(meta);
  });
  return lost;
}

/** Names of all of its objects. */
async function allLeft(log: Log, blobs: Blobs): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of objectPrefixes(log.spec)) for await (const { key } of listed(blobs, prefix)) keys.push(key);
  return keys.filter((key) => !log.segments.store.isGarbage(key));
}

async function objectsOf(log: Log, blobs: Blobs | undefined): Promise<Blob[]> {
  // What has uploaded something, or was rebuilt, has objects of its own.
  if (blobs === undefined || !neverUploaded(log.segments)) return [];
  const { store: garbage } = log.segments;
  const pages = await Promise.all(objectPrefixes(log.spec).map((prefix) => blobs.list(prefix)));
  // What was on its way when a log of before was deleted is deleted yet.
  return pages.flatMap((page) => page.blobs).filter(({ key }) => !garbage.isGarbage(key));
}
