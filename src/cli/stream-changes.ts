/** What a change makes of a stream: as lines for people, and what will be lost by it. */
import type { StreamConfig } from "../client/index.ts";
import { counted } from "./output.ts";
import { shownDuration, shownSize } from "./units.ts";

type Field = keyof StreamConfig & string;

/** A field's value: as it is, with what a duration or a size says to people behind it. */
export function shownValue(name: string, value: unknown): string {
  if (value === undefined || value === null) return "none";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (name.endsWith("Ms") && value >= 1_000) return `${value} (${shownDuration(value)})`;
  if (/Bytes(Max)?$/.test(name) && value >= 1_024) return `${value} (${shownSize(value)})`;
  return String(value);
}

/** `name  old -> new` for each field that changed. */
export function changes(before: StreamConfig, after: StreamConfig): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])] as Field[];
  return names
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
    .map((name) => `  ${name}  ${shownValue(name, before[name])} -> ${shownValue(name, after[name])}`);
}

/**
 * What a change will take from a stream for good, as a sentence; undefined: nothing. `drops` are the records that its new
 * bounds do not keep; null where that could not be found out.
 */
export function losses(
  stream: string,
  before: StreamConfig,
  after: StreamConfig,
  drops: number | null | undefined = 0,
): string | undefined {
  const parts: string[] = [];
  if (drops === null) parts.push(`records of '${stream}' may be dropped: a partition could not be asked how many`);
  else if (drops > 0) parts.push(`${counted(drops, "record")} of '${stream}' will be dropped`);
  if (after.compact && !before.compact) parts.push(`of each key of '${stream}' only the latest record will be kept`);
  if ((after.snapshotsKept ?? 0) < (before.snapshotsKept ?? 0))
    parts.push(`of each partition of '${stream}' only ${counted(after.snapshotsKept ?? 0, "snapshot")} will be kept`);
  return parts.length === 0 ? undefined : parts.join("; ");
}
