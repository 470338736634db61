/** The options that set a stream's fields. */
import type { StreamConfig } from "../client/index.ts";
import { given, number, stream, text, withConfig, type Yargs } from "./arguments.ts";
import { Usage } from "./output.ts";
import { bytes, milliseconds } from "./units.ts";

const asTheyAre = [
  "partitions",
  "keyIndex",
  "timestamps",
  "offsets",
  "placement",
  "retentionRecords",
  "keepForGroups",
  "keepForSnapshot",
  "snapshotsKept",
  "archive",
  "compact",
  "segmentEvents",
] as const;

/** Options that take a duration: each also under its name with `-ms`, where a number without a unit is in ms. */
const durations = {
  "deduplication-window": { field: "deduplicationWindowMs", describe: "How long a repeated id is a duplicate." },
  "retention-age": { field: "retentionAgeMs", describe: "Keep records for so long, such as 7d." },
  "archive-age": { field: "archiveAgeMs", describe: "Delete archived records that are older." },
  ttl: { field: "ttlMs", describe: "Delete the stream so long after its creation." },
  "delete-on-empty": { field: "deleteOnEmptyMs", describe: "Delete it when it has been empty for so long." },
} as const;

type Duration = keyof typeof durations;

const sizes = {
  "retention-bytes": { ...text, describe: "Bytes that each partition keeps, such as 10GiB." },
  "record-bytes-max": { ...text, describe: "Largest record." },
  "batch-bytes-max": { ...text, describe: "Largest body of an append." },
} as const;
const sizeFields = {
  "retention-bytes": "retentionBytes",
  "record-bytes-max": "recordBytesMax",
  "batch-bytes-max": "batchBytesMax",
} as const;

const ofDurations = Object.fromEntries(
  Object.entries(durations).flatMap(([name, { describe }]) => [
    [name, { ...text, describe }],
    [`${name}-ms`, { ...text, hidden: true }],
  ]),
) as Record<Duration | `${Duration}-ms`, typeof text>;
export const streamOptions = (yargs: Yargs) =>
  yargs
    .positional("stream", stream)
    .option("partitions", { ...number, describe: "Partitions that take appends; may only grow." })
    .option("key-index", { type: "boolean", describe: "Keep the last offset of each key." })
    .option("timestamps", {
      choices: ["arrival", "client"] as const,
      describe: "Whose: the partition's, or the record's.",
    })
    .option("offsets", {
      choices: ["assigned", "producer"] as const,
      describe: "Whose: the partition's, or the producer's.",
    })
    .option("placement", { ...text, describe: "Where new partitions are placed." })
    .option("retention-records", { ...number, describe: "Records that each partition keeps." })
    .option("keep-for-groups", { type: "boolean", describe: "Retention waits for every group." })
    .option("keep-for-snapshot", { type: "boolean", describe: "Retention waits for snapshots." })
    .option("snapshots-kept", { ...number, describe: "Snapshots that each partition keeps." })
    .option("archive", { type: "boolean", describe: "Archive what retention drops; it stays readable." })
    .option("compact", { type: "boolean", describe: "Keep only the latest record of each key." })
    .option("segment-events", { ...text, describe: "A stream that is told of its segments." })
    .options(ofDurations)
    .options(sizes)
    .option("config", { ...text, describe: "Any further fields, as JSON; null lifts one." });

/** The fields that were named, in their own units. Throws `Usage`. */
export function configOf(args: Record<string, unknown> & { config?: string | undefined }): StreamConfig {
  const config = given<StreamConfig>(args, asTheyAre);
  for (const [name, { field }] of Object.entries(durations)) {
    const [words, ms] = [args[name], args[`${name}-ms`]] as (string | undefined)[];
    if (words !== undefined && ms !== undefined) throw new Usage(`give --${name} or --${name}-ms, and not both`);
    if (words !== undefined) config[field] = milliseconds(`--${name}`, words);
    if (ms !== undefined) config[field] = milliseconds(`--${name}-ms`, ms, true);
  }
  for (const [name, field] of Object.entries(sizeFields)) {
    const value = args[name] as string | undefined;
    if (value !== undefined) config[field] = bytes(`--${name}`, value);
  }
  return withConfig(config, args.config);
}
