import type { StreamConfig } from "../client/index.ts";
import { given, stream, type Yargs } from "./arguments.ts";
import { connect } from "./config.ts";
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
] as const;

export const streamCommands = (yargs: Yargs) =>
  yargs
    .command(
      ["create <stream>", "update <stream>"],
      "Make a stream, or change what is named",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .option("partitions", { type: "number", describe: "Partitions that take appends; may only grow." })
          .option("deduplication-window-ms", { type: "number", describe: "How long a repeated id is a duplicate." })
          .option("key-index", { type: "boolean", describe: "Keep the last offset of each key." })
          .option("timestamps", { choices: ["arrival", "client"] as const })
          .option("offsets", { choices: ["assigned", "producer"] as const })
          .option("record-bytes-max", { type: "number" })
          .option("batch-bytes-max", { type: "number" })
          .option("placement", { type: "string", describe: "Where new partitions are placed." }),
      (args) => streams.create(connect(args), args.stream, given<StreamConfig>(args, streamFields), args.json),
    )
    .command(
      ["list", "ls"],
      "List streams",
      (yargs) => yargs.option("prefix", { type: "string" }),
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
    .demandCommand(1, "say which: create, list, show or delete");
