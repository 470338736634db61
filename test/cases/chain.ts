/** Each segment's object names the hash of the one before it, by which that one must be known, whatever has become of it since. */
import { expect } from "vitest";
import { readFooter } from "../../src/archive/segment.ts";
import { hex } from "../../src/lib/bytes.ts";
import { segmentKey } from "../../src/log/keys.ts";
import type { Segment } from "../../src/log/segment-store.ts";
import type { Machine } from "./archive.ts";

/** Where a row is not what was written, nothing is known of its hashes. */
export async function chained({ log, blobs }: Machine, words = ""): Promise<void> {
  const { logId, partition } = log.spec;
  let before: Segment | undefined;
  for (const segment of log.segments.store.from(0)) {
    const object = await blobs.get(segmentKey(logId, partition, segment), 0, segment.size);
    const footer = object === undefined ? undefined : readFooter(object);
    const prev =
      footer?.ok === true && footer.value.prev.some((byte) => byte !== 0) ? hex(footer.value.prev) : undefined;
    const known = before === undefined ? [] : [hex(before.sha), hex(before.origin)];
    if (before !== undefined && before.next === segment.base && !before.broken && prev !== undefined)
      expect(known, `${words}: ${segment.base} continues ${before.base}`).toContain(prev);
    before = segment;
  }
}
