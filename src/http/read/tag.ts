/** How long a page may be kept by those who read it. */
import { encodeText } from "../../lib/bytes.ts";
import { murmur3 } from "../../lib/hash.ts";
import type { Ends } from "./ends.ts";
import type { Reading } from "./reading.ts";

const year = 31_536_000;

export const uncached = { "cache-control": "no-store" };

/**
 * A page with a fixed start and an end below the tail never changes, unless records of it are forgotten. Under an address that
 * names the log, as a cursor does, it may be kept; a plain offset is one of whatever log has the stream's name, and must be
 * asked for again. The tag is weak, because the answer also says where the tail is by now.
 */
export function cachingOf(reading: Reading, ends: Ends, accept: string | null): Record<string, string> {
  const { from, sources, backward, route, terms } = reading;
  const [{ partition, start, next, tail, checksum }, ...others] = sources;
  const fixed = "cursor" in from || from.position.at === "offset";
  // What is compacted loses records between others.
  // Where a time or the tail lies, changes; so does an offset that is yet to come.
  if (terms.to !== undefined) return uncached;
  if (!fixed || route.stream.config.compact || backward || others.length > 0 || ends.upToDate || next >= tail)
    return uncached;
  const asked = murmur3(encodeText(`${terms.url.search} ${accept}`)).toString(36);
  return {
    etag: `W/"${route.stream.logId}.${partition}.${start}-${next}.${checksum}.${asked}"`,
    "cache-control": "cursor" in from ? `private, max-age=${year}, immutable` : "private, no-cache",
    vary: "accept, authorization",
  };
}

/** True where the client has this page. Tags are compared weakly. */
export function isKnown(etag: string | undefined, known: string | null): boolean {
  if (etag === undefined || known === null) return false;
  const plain = (tag: string) => tag.trim().replace(/^W\//, "");
  return known.split(",").some((tag) => tag.trim() === "*" || plain(tag) === plain(etag));
}
