import { stream, text, type Yargs } from "./arguments.ts";
import { connect } from "./config.ts";
import { pastCommands } from "./past-commands.ts";
import { configOf, streamOptions } from "./stream-options.ts";
import * as streams from "./streams.ts";

export const streamCommands = (yargs: Yargs) =>
  pastCommands(
    yargs
      .command(
        "create <stream>",
        "Make a stream",
        (yargs) =>
          streamOptions(yargs)
            .option("if-not-exists", { type: "boolean", describe: "Leave one that is there as it is." })
            .example("$0 streams create orders --partitions 4 --retention-age 30d", ""),
        (args) => streams.create(connect(args), args.stream, configOf(args), args),
      )
      .command("update <stream>", "Change what is named; asks where records will be lost", streamOptions, (args) =>
        streams.update(connect(args), args.stream, configOf(args), args),
      )
      .command(
        ["list", "ls"],
        "List streams",
        (yargs) => yargs.option("prefix", text),
        (args) => streams.list(connect(args), args.prefix, args.json),
      )
      .command(
        "show <stream>",
        "A stream and its partitions, and why more is held than its bounds say",
        (yargs) => yargs.positional("stream", stream),
        (args) => streams.show(connect(args), args.stream, args.json),
      )
      .command(
        ["delete <stream>", "rm <stream>"],
        "Delete a stream and its records",
        (yargs) => yargs.positional("stream", stream),
        (args) => streams.remove(connect(args), args.stream, args),
      ),
  ).demandCommand(1, "say which: create, list, show, update, delete, trim, verify, repair or erase");
