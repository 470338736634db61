/** The manifest from the bucket alone: for a partition whose database is lost. */
import type { LostRange } from "../../schemas/erasure.ts";
import { countBefore } from "../lib/search.ts";
import { dropBereft } from "../log/bereft.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { ChunkTable } from "../log/chunk-store.ts";
import { parquetKey, placeOfKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { discard, mayHaveUploaded } from "../log/notice.ts";
import type { Segment } from "../log/segment-store.ts";
import { eachKey } from "./chunk-keys.ts";
import type { DraftStore } from "./draft-store.ts";
import { holeRow, noteLost } from "./repair.ts";
import { type Footer, footerBytes, type Index } from "./segment.ts";
import { noteUnreadable } from "./unreadable.ts";

/** What an object says of itself, without its chunks: there may be as many objects as memory has room for. */
export interface Found {
  readonly size: number;
  readonly footer: Footer;
  /** Of the chunks' bodies. */
  readonly bytes: number;
}

export const foundIn = (size: number, { footer, chunks }: Index): Found => ({
  size,
  footer,
  bytes: chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
});

/** Of objects that overlap, the one with the highest number is what replaced the others. By their offsets. */
export function chosen(found: readonly Found[]): Found[] {
  const taken: Found[] = [];
  for (const one of [...found].sort((a, b) => b.footer.n - a.footer.n)) {
    const at = countBefore(taken, ({ footer }) => footer.base < one.footer.base);
    const overlaps = taken[at - 1]?.footer.next > one.footer.base || taken[at]?.footer.base < one.footer.next;
    if (!overlaps) taken.splice(at, 0, one);
  }
  return taken;
}

/** The row of the manifest that an object is. */
export function segmentOf({ size, footer, bytes }: Found): Segment {
  const { n, base, next, first, last, chunks, records, indexLength, sha, prev, origin } = footer;
  const known = (hash: Uint8Array) => (hash.some((byte) => byte !== 0) ? hash : new Uint8Array(0));
  return {
    n,
    base,
    next,
    first,
    last,
    chunks,
    records,
    bytes,
    hot: 0,
    size,
    indexBytes: indexLength + footerBytes,
    sha,
    prev: known(prev),
    origin: known(origin),
    sealed: last,
  };
}

export function learnKeys(log: Log, draft: DraftStore, row: ChunkRow): void {
  log.sql.transaction(() => {
    eachKey(row, log.span.dense, (key, offset) => draft.learn(key, offset));
  });
}

/**
 * No database has room for so many records. Behind the last object there were some, whose offsets readers, groups and producers
 * may know: they are not given out again. Where producers give them out, they send them again, and what they send is no
 * duplicate.
 */
const unseenMax = 2 ** 32;
const metaName = "rebuilt";

/** What the rebuild that made this log lost; undefined where none did. */
export function rebuiltFrom(log: Log): LostRange[] | undefined {
  const text = log.segments.meta.meta(metaName);
  return text === undefined ? undefined : JSON.parse(text);
}

/** What else there is in the bucket: names of objects that are no segment's, or cannot be read; and of Parquet files, of all segments. */
export interface Others {
  readonly unread: readonly string[];
  readonly parquet: readonly string[];
}

/**
 * Makes an empty log what its objects, and a draft, say; answers the offsets that none of them has. Of the others the names tell
 * which offsets and numbers were given out; something there must be.
 */
export function rebuild(
  log: Log,
  found: readonly Found[],
  others: Others,
  draft: DraftStore,
  now: number,
): LostRange[] {
  const all = chosen(found);
  const lost: LostRange[] = [];
  const { store, meta } = log.segments;
  const named = [...others.unread, ...others.parquet].map(placeOfKey);
  let n = [...found.map(({ footer }) => footer), ...named].reduce((max, one) => Math.max(max, one.n), 0);
  const head = all.length > 0 ? all[0].footer.base : named.reduce((min, { base }) => Math.min(min, base), Infinity);
  let [next, last] = [head, 0];
  log.change(now, () => {
    supersede(log, found, all, draft, now);
    leaveOthers(log, others, all, now);
    draft.adopt();
    for (const one of all) {
      const { footer } = one;
      const segment = segmentOf(one);
      if (footer.base > next) {
        lost.push({ from: next, to: footer.base, reason: "no object has them" });
        const place = { base: next, next: footer.base, first: last, last: footer.first };
        store.set(gap(log, ++n, place, segment.prev, now));
      }
      store.set(segment);
      [next, last] = [footer.next, footer.last];
    }
    if (log.span.dense) {
      const from = named.reduce((max, { base }) => Math.max(max, base), next) + unseenMax;
      lost.push({ from: next, to: from, reason: "they may have been given out, and no object has them" });
      store.set(gap(log, ++n, { base: next, next: from, first: last, last }, none, now));
      next = from;
    }
    meta.setMeta(metaName, JSON.stringify(lost));
    dropBereft(meta);
    noteLost(log, lost);
    meta.setMeta("segments", JSON.stringify({ open: n + 1, base: next, next: n + 2 }));
    const marks = JSON.parse(meta.meta("marks") ?? "{}");
    meta.setMeta("marks", JSON.stringify({ sealed: false, ...marks, head, tail: next, last, thinned: true }));
  });
  log.reload(now);
  return lost;
}

/** Objects that others have replaced are left to be deleted, with their Parquet files: whoever forgets waits for that. */
function supersede(log: Log, found: readonly Found[], all: readonly Found[], draft: DraftStore, now: number): void {
  const taken = new Set(all);
  // Whether there ever were Parquet files is not known any more.
  mayHaveUploaded(log.segments);
  for (const one of found) {
    if (taken.has(one)) continue;
    draft.dropPrint(one.footer.n);
    discard(log.segments, log.spec, segmentOf(one), now);
  }
}

/**
 * Parquet files that are no segment's any more are left to be deleted, and so is what could not be read where others have taken
 * its place. The rest of that stays, with whatever is in it, until somebody gives it up.
 */
function leaveOthers(log: Log, { unread, parquet }: Others, all: readonly Found[], now: number): void {
  const { logId, partition, names } = log.spec;
  const { store } = log.segments;
  const taken = new Set(names && all.map(({ footer }) => parquetKey({ logId, partition, names }, footer)));
  for (const key of parquet) if (!taken.has(key)) store.addGarbage(key, now);
  const isTaken = (key: string) => {
    const { base, n } = placeOfKey(key);
    return all.some(({ footer }) => footer.n > n && footer.base <= base && base < footer.next);
  };
  for (const key of unread) if (isTaken(key)) store.addGarbage(key, now);
  noteUnreadable(
    log,
    unread.filter((key) => !isTaken(key)),
  );
}

const none = new Uint8Array(0);

/** A segment without records in the place of those that no object has. `origin`: by which hash the one behind knows the last of them. */
function gap(
  log: Log,
  n: number,
  place: Pick<Segment, "base" | "next" | "first" | "last">,
  origin: Uint8Array,
  now: number,
): Segment {
  const table = new ChunkTable(log.sql, n);
  table.create();
  table.insert(holeRow(place));
  const facts = { n, chunks: 1, records: 0, bytes: 0, hot: 1, size: 0, indexBytes: 0, sealed: now };
  return { ...place, ...facts, sha: none, prev: none, origin };
}
