/** The manifest from the bucket alone: for a partition whose database is lost. */
import type { LostRange } from "../../schemas/erasure.ts";
import { ChunkTable } from "../log/chunk-store.ts";
import { flags } from "../log/frame.ts";
import type { Log } from "../log/log.ts";
import type { Segment } from "../log/segment-store.ts";
import { noteLost } from "./repair.ts";
import { footerBytes, type Index } from "./segment.ts";

/** An object that says what it is. */
export interface Found {
  readonly size: number;
  readonly index: Index;
}

/** Of objects that overlap, the one with the highest number is what replaced the others. */
export function chosen(found: readonly Found[]): Found[] {
  const taken: Found[] = [];
  for (const one of [...found].sort((a, b) => b.index.footer.n - a.index.footer.n)) {
    const { base, next } = one.index.footer;
    const overlaps = taken.some(({ index: { footer } }) => base < footer.next && footer.base < next);
    if (!overlaps) taken.push(one);
  }
  return taken.sort((a, b) => a.index.footer.base - b.index.footer.base);
}

/** The row of the manifest that an object is. */
function segmentOf({ size, index: { footer, chunks } }: Found): Segment {
  const { n, base, next, first, last, records, indexLength, sha, prev, origin } = footer;
  const known = (hash: Uint8Array) => (hash.some((byte) => byte !== 0) ? hash : new Uint8Array(0));
  return {
    n,
    base,
    next,
    first,
    last,
    chunks: chunks.length,
    records,
    bytes: chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
    hot: 0,
    size,
    indexBytes: indexLength + footerBytes,
    sha,
    prev: known(prev),
    origin: known(origin),
    sealed: last,
  };
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

/** Makes an empty log what its objects say; answers the offsets that none of them has. */
export function rebuild(log: Log, found: readonly Found[], now: number): LostRange[] {
  const all = chosen(found);
  const lost: LostRange[] = [];
  const { store, meta } = log.segments;
  let n = Math.max(...found.map(({ index }) => index.footer.n));
  const head = all[0].index.footer.base;
  let [next, last] = [head, 0];
  log.change(now, () => {
    for (const one of all) {
      const { footer } = one.index;
      if (footer.base > next) {
        lost.push({ from: next, to: footer.base, reason: "no object has them" });
        store.set(gap(log, ++n, { base: next, next: footer.base, first: last, last: footer.first }, now));
      }
      store.set(segmentOf(one));
      store.setPrint(footer.n, one.index.print);
      [next, last] = [footer.next, footer.last];
    }
    if (log.span.dense) {
      const from = next + unseenMax;
      lost.push({ from: next, to: from, reason: "they may have been given out, and no object has them" });
      store.set(gap(log, ++n, { base: next, next: from, first: last, last }, now));
      next = from;
    }
    meta.setMeta(metaName, JSON.stringify(lost));
    noteLost(log, lost);
    meta.setMeta("segments", JSON.stringify({ open: n + 1, base: next, next: n + 2 }));
    const marks = JSON.parse(meta.meta("marks") ?? "{}");
    meta.setMeta("marks", JSON.stringify({ sealed: false, ...marks, head, tail: next, last, thinned: true }));
  });
  log.reload(now);
  return lost;
}

/** A segment without records in the place of one that no object has. */
function gap(log: Log, n: number, place: Pick<Segment, "base" | "next" | "first" | "last">, now: number): Segment {
  const table = new ChunkTable(log.sql, n);
  table.create();
  const none = new Uint8Array(0);
  const row = { ...place, records: 0, flags: flags.thinned, bytes: 0, print: Uint8Array.of(1), body: none };
  table.insert(row);
  const facts = { n, chunks: 1, records: 0, bytes: 0, hot: 1, size: 0, indexBytes: 0, sealed: now };
  return { ...place, ...facts, sha: none, prev: none, origin: none };
}
