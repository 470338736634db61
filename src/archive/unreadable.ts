/**
 * Objects of a lost database that the rebuild of it could not read. They are no segment's, and may hold anything: whoever forgets
 * is told of them, and a repair gives them up with the holes that are in their place.
 */
import { placeOfKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import type { Segment } from "../log/segment-store.ts";

const metaName = "unreadable";

const keysOf = (log: Log): string[] => JSON.parse(log.segments.meta.meta(metaName) ?? "[]");

/** Where their segments began. */
export const unreadable = (log: Log): number[] => keysOf(log).map((key) => placeOfKey(key).base);

/** Within `change`. */
export function noteUnreadable({ segments }: Log, keys: readonly string[]): void {
  if (keys.length === 0) segments.meta.dropMeta(metaName);
  else segments.meta.setMeta(metaName, JSON.stringify(keys));
}

type Place = Pick<Segment, "base" | "next">;

/** What a repair of a segment gives up: the first one stands for what is before it, too, and the last one for what is behind it. */
export function reachOf({ span: { head, tail } }: Log, { base, next }: Place): Place {
  return { base: base <= head ? 0 : base, next: next >= tail ? Number.MAX_SAFE_INTEGER : next };
}

/** Those that began there are left to be deleted. */
export function giveUpUnreadable(log: Log, { base, next }: Place, now: number): void {
  const keys = keysOf(log);
  const isThere = (key: string) => placeOfKey(key).base >= base && placeOfKey(key).base < next;
  const left = keys.filter((key) => !isThere(key));
  if (left.length === keys.length) return;
  log.change(now, () => {
    for (const key of keys) if (isThere(key)) log.segments.store.addGarbage(key, now);
    noteUnreadable(log, left);
  });
}
