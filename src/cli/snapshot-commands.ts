import { number, stream, text, type Yargs } from "./arguments.ts";
import { connect } from "./config.ts";
import * as snapshots from "./snapshots.ts";

const offset = {
  type: "string",
  describe: "Everything below it is applied.",
  demandOption: true,
  coerce: snapshots.offsetOf,
} as const;
const ofStream = (yargs: Yargs) =>
  yargs
    .positional("stream", stream)
    .option("partition", { ...number, describe: "May be left out where the stream has one." });

export const snapshotCommands = (yargs: Yargs) =>
  yargs
    .command(
      "put <stream> <offset> [file]",
      "Store a state, from a file or from the standard input",
      (yargs) =>
        ofStream(yargs)
          .positional("offset", offset)
          .positional("file", { type: "string", describe: "None, or -: the standard input." })
          .option("content-type", { ...text, describe: "Default: application/octet-stream." })
          .option("name", { ...text, describe: "Who made it." })
          .option("lease", { ...text, describe: "The lease that it was made under." })
          .example("$0 snapshot put orders 1000 state.json --content-type application/json", ""),
      (args) => snapshots.put(connect(args), args),
    )
    .command(
      "get <stream> [which] [file]",
      "Fetch one, into a file or to the standard output",
      (yargs) =>
        ofStream(yargs)
          .positional("which", { type: "string", default: "latest", describe: "An offset, or latest." })
          .positional("file", { type: "string", describe: "None, or -: the standard output." })
          .option("before", { ...number, describe: "With latest: below this offset." }),
      (args) => snapshots.get(connect(args), args),
    )
    .command(["list <stream>", "ls <stream>"], "List snapshots", ofStream, (args) =>
      snapshots.list(connect(args), args),
    )
    .command(
      ["delete <stream> <offset>", "rm <stream> <offset>"],
      "Delete a snapshot",
      (yargs) => ofStream(yargs).positional("offset", offset),
      (args) => snapshots.remove(connect(args), args),
    )
    .command(
      "lease <stream>",
      "Take or renew the lease of the next snapshot",
      (yargs) =>
        ofStream(yargs)
          .option("holder", { ...text, demandOption: true, describe: "Who you are: the same one renews." })
          .option("seconds", { ...number, default: 300, describe: "From now; 0 gives it up." })
          .option("offset", { ...number, describe: "Of the snapshot that is to be made. Default: the tail." }),
      (args) => snapshots.lease(connect(args), args),
    )
    .demandCommand(1, "say which: put, get, list, delete or lease");
