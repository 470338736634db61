/** Configurations that cannot be. */
import type { StreamConfig } from "../../schemas/stream.ts";

/** What of a change cannot be done, and why. */
export function conflict(before: StreamConfig, after: StreamConfig): string | undefined {
  if (after.offsets !== before.offsets) return "offsets is set at creation; create another stream";
  if (after.keyIndex !== before.keyIndex) return "keyIndex is set at creation; create another stream";
  if (after.timestamps !== before.timestamps) return "timestamps is set at creation; create another stream";
  if (after.partitions < before.partitions) {
    return `the stream has ${before.partitions} partitions, and they may only grow; sealed records would be out of order`;
  }
  if (after.partitions > before.partitions && (after.keyIndex || after.offsets === "producer")) {
    return "a stream with keyIndex or producer-given offsets cannot grow: both are kept for each partition";
  }
  return undefined;
}

/**
 * Why a stream cannot be told where its configuration says: its events would come to be its own, each of which seals a
 * segment, which is an event.
 */
export function eventLoop(
  name: string,
  { segmentEvents }: Pick<StreamConfig, "segmentEvents">,
  configOf: (name: string) => StreamConfig | undefined,
): string | undefined {
  const seen: string[] = [];
  for (let next = segmentEvents; next != null; next = configOf(next)?.segmentEvents ?? null) {
    if (next === name) {
      const way = [name, ...seen, name].map((one) => `'${one}'`).join(" to ");
      return `segmentEvents would tell the stream of itself, from ${way}; name a stream that has no segmentEvents`;
    }
    // A loop of others is theirs.
    if (seen.includes(next)) return undefined;
    seen.push(next);
  }
  return undefined;
}
