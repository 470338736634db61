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
