/**
 * Ranges of archived segments in the cache of the data centre that asks: an object's name is never used again, so that what is
 * cached under it is right for as long as somebody asks for it.
 */
import type { Blobs } from "./blobs.ts";

/** Also how long what was forgotten may lie in a cache, where nobody can ask for it any more. */
const seconds = 3_600;
/** A larger one is not worth its place. */
const bytesMax = 16_777_216;
/**
 * What is smaller is put there at once; the rest when it is asked for again, here, while it is among the last so many. Who
 * reads a long history once would else pay for writing all of it into a cache, from which it drives out what others read.
 */
const smallBytes = 65_536;
const askedMax = 4_096;

/** The same store, with its ranges cached. Where there is no cache, as on bare workerd, it is the store itself. */
export function cached(blobs: Blobs): Blobs {
  let works = true;
  const asked = new Set<string>();
  /** True where it was asked for before, not long ago. */
  const again = (name: string): boolean => {
    const known = asked.delete(name);
    asked.add(name);
    if (asked.size > askedMax) asked.delete(asked.values().next().value as string);
    return known;
  };
  const get: Blobs["get"] = async (key, from, length) => {
    if (!works) return blobs.get(key, from, length);
    const name = `https://archive.invalid/${encodeURIComponent(key)}?from=${from}&length=${length}`;
    try {
      const hit = await caches.default.match(name);
      if (hit !== undefined) return new Uint8Array(await hit.arrayBuffer());
    } catch {
      works = false;
    }
    const bytes = await blobs.get(key, from, length);
    if (bytes === undefined || bytes.length > bytesMax || !works) return bytes;
    if (bytes.length > smallBytes && !again(name)) return bytes;
    const headers = { "cache-control": `max-age=${seconds}` };
    // When it is needed: the routes are read outside workerd too, for the reference.
    const { waitUntil } = await import("cloudflare:workers");
    waitUntil(caches.default.put(name, new Response(bytes.slice(), { headers })).catch(() => {}));
    return bytes;
  };
  return { ...blobs, get };
}
