/** Why a partition holds more than its stream's bounds say: what keeps it from being dropped, as far as can be asked. */
import type { PartitionFacts, Stream, StreamConfig } from "../client/index.ts";
import { withPart } from "../log/retention.ts";
import { counted } from "./output.ts";
import { shownAge, shownDuration, shownSize } from "./units.ts";

/** What retention waits for on a partition. */
export interface Holders {
  /** Each group, and the first record that it has not finished. */
  readonly groups: readonly { readonly group: string; readonly head: number }[];
  /** Where the newest snapshot ends. */
  readonly snapshot?: number | undefined;
}

/** The bounds that a partition is beyond, by more than the eighth to which they are kept. */
export function beyondBounds(config: StreamConfig, facts: PartitionFacts, now: number): string[] {
  const { retentionAgeMs, retentionBytes, retentionRecords, archive } = config;
  // With an archive the bounds are for what lies in the database.
  const records = archive ? Math.min(facts.records, facts.tail - facts.hotFrom) : facts.records;
  const bytes = archive ? facts.hotBytes : facts.bytes;
  const age = archive || facts.firstTimestamp === undefined ? 0 : now - Date.parse(facts.firstTimestamp);
  const beyond: string[] = [];
  if (retentionRecords != null && records > withPart(retentionRecords))
    beyond.push(`${counted(records, "record")}, and retentionRecords is ${retentionRecords}`);
  if (retentionBytes != null && bytes > withPart(retentionBytes))
    beyond.push(`${shownSize(bytes)}, and retentionBytes is ${shownSize(retentionBytes)}`);
  if (retentionAgeMs != null && age > withPart(retentionAgeMs))
    beyond.push(`records of ${shownAge(age)} ago, and retentionAgeMs is ${shownDuration(retentionAgeMs)}`);
  return beyond;
}

/** What holds it up. */
export function reasons(config: StreamConfig, facts: PartitionFacts, { groups, snapshot }: Holders, now: number) {
  const because: string[] = [];
  const { deduplicationWindowMs = 0 } = config;
  const until = Date.parse(facts.lastTimestamp ?? "") + deduplicationWindowMs;
  if (until > now)
    because.push(
      `until ${new Date(until).toISOString()} ids may come again (deduplicationWindowMs is ${shownDuration(deduplicationWindowMs)})`,
    );
  if (config.keepForGroups)
    for (const { group, head } of groups)
      if (head < facts.tail)
        because.push(`the group '${group}' has finished what is before offset ${head} (keepForGroups)`);
  if (config.keepForSnapshot)
    because.push(
      snapshot === undefined
        ? "there is no snapshot (keepForSnapshot)"
        : `the newest snapshot covers what is before offset ${snapshot} (keepForSnapshot)`,
    );
  if (facts.chunks === 1) because.push("what was appended at once is never cut");
  return because.length === 0 ? ["it is dropped in the background, by segments: ask again in a minute"] : because;
}

/** A line for each partition that is beyond its bounds. */
export async function heldBack(
  stream: Stream,
  config: StreamConfig,
  all: readonly PartitionFacts[],
): Promise<string[]> {
  const now = Date.now();
  const over = all
    .map((facts) => ({ facts, beyond: beyondBounds(config, facts, now) }))
    .filter(({ beyond }) => beyond.length > 0);
  if (over.length === 0) return [];
  const heads = config.keepForGroups ? await headsOf(stream) : [];
  const snapshots = config.keepForSnapshot ? await stream.snapshots.list() : [];
  return over.map(({ facts, beyond }) => {
    const { partition } = facts;
    const ends = snapshots.filter((one) => one.partition === partition).map(({ offset }) => offset);
    const holders = {
      groups: heads.filter((one) => one.partition === partition),
      snapshot: ends.length === 0 ? undefined : Math.max(...ends),
    };
    const because = reasons(config, facts, holders, now);
    return `partition ${partition} holds ${beyond.join("; ")}: ${because.join("; ")}`;
  });
}

async function headsOf(stream: Stream): Promise<{ group: string; partition: number; head: number }[]> {
  const heads: { group: string; partition: number; head: number }[] = [];
  for await (const { group } of stream.groups()) {
    const { partitions } = (await stream.group(group).status()) as unknown as {
      partitions: { partition: number; head: number }[];
    };
    heads.push(...partitions.map(({ partition, head }) => ({ group, partition, head })));
  }
  return heads;
}
