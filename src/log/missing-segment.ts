import type { Segments } from "./segments.ts";

/**
 * Segments lie side by side. The offsets around one below the open segment that no row of the manifest has, where there are any:
 * from the end of the segment before it, or the head, to the beginning of the next one.
 */
export function missingSegment(
  { store, open }: Segments,
  head: number,
  offset: number,
): { readonly from: number; readonly to: number } | undefined {
  const before = store.before(offset);
  if (before !== undefined && before.next > offset) return undefined;
  const behind = store.from(offset).next().value;
  return { from: before?.next ?? Math.min(head, offset), to: behind?.base ?? open.base };
}
