import type { StreamConfig } from "../client/index.ts";
import { given, json, number, stream, text, type Yargs } from "./arguments.ts";
import { connect } from "./config.ts";
import { pastCommands } from "./past-commands.ts";
import * as streams from "./streams.ts";

const streamFields = [
  "partitions",
  "deduplicationWindowMs",
  "keyIndex",
  "timestamps",
  "offsets",
  "recordBytesMax",
  "batchBytesMax",
  "placement",
  "retentionAgeMs",
  "retentionBytes",
  "retentionRecords",
  "keepForGroups",
  "keepForSnapshot",
  "snapshotsKept",
  "archive",
  "archiveAgeMs",
  "compact",
  "ttlMs",
  "deleteOnEmptyMs",
  "segmentEvents",
] as const;

const configOf = (args: { config?: string | undefined }): StreamConfig => ({
  ...given<StreamConfig>(args, streamFields),
  ...json<StreamConfig>(args.config, "config"),
});

export const streamCommands = (yargs: Yargs) =>
  pastCommands(yargs)
    .command(
      ["create <stream>", "update <stream>"],
      "Make a stream, or change what is named",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .option("partitions", { ...number, describe: "Partitions that take appends; may only grow." })
          .option("deduplication-window-ms", { ...number, describe: "How long a repeated id is a duplicate." })
          .option("key-index", { type: "boolean", describe: "Keep the last offset of each key." })
          .option("timestamps", { choices: ["arrival", "client"] as const })
          .option("offsets", { choices: ["assigned", "producer"] as const })
          .option("record-bytes-max", number)
          .option("batch-bytes-max", number)
          .option("placement", { ...text, describe: "Where new partitions are placed." })
          .option("retention-age-ms", { ...number, describe: "Keep records for so long." })
          .option("retention-bytes", { ...number, describe: "Bytes that each partition keeps." })
          .option("retention-records", { ...number, describe: "Records that each partition keeps." })
          .option("keep-for-groups", { type: "boolean", describe: "Retention waits for every group." })
          .option("keep-for-snapshot", { type: "boolean", describe: "Retention waits for snapshots." })
          .option("snapshots-kept", { ...number, describe: "Snapshots that each partition keeps." })
          .option("archive", { type: "boolean", describe: "Archive what retention drops; it stays readable." })
          .option("archive-age-ms", { ...number, describe: "Delete archived records that are older." })
          .option("compact", { type: "boolean", describe: "Keep only the latest record of each key." })
          .option("ttl-ms", { ...number, describe: "Delete the stream so long after its creation." })
          .option("delete-on-empty-ms", { ...number, describe: "Delete it when it has been empty for so long." })
          .option("segment-events", { ...text, describe: "A stream that is told of its segments." })
          .option("config", { ...text, describe: "Any further fields, as JSON; null lifts one." }),
      (args) => streams.create(connect(args), args.stream, configOf(args), args.json),
    )
    .command(
      ["list", "ls"],
      "List streams",
      (yargs) => yargs.option("prefix", text),
      (args) => streams.list(connect(args), args.prefix, args.json),
    )
    .command(
      "show <stream>",
      "A stream and its partitions",
      (yargs) => yargs.positional("stream", stream),
      (args) => streams.show(connect(args), args.stream, args.json),
    )
    .command(
      ["delete <stream>", "rm <stream>"],
      "Delete a stream and its records",
      (yargs) =>
        yargs.positional("stream", stream).option("yes", { type: "boolean", default: false, describe: "Do not ask." }),
      (args) => streams.remove(connect(args), args.stream, args.yes),
    )
    .demandCommand(1, "say which: create, list, show, delete, trim, verify, repair or erase");
