import { number, stream, text, type Yargs } from "./arguments.ts";
import { connect } from "./config.ts";
import { Usage } from "./output.ts";
import * as past from "./past.ts";

const partition = { ...number, describe: "Only this one; needed for offsets where the stream has several." } as const;

export const pastCommands = (yargs: Yargs) =>
  yargs
    .command(
      "verify <stream>",
      "Read everything that is stored, and check it",
      (yargs) => yargs.positional("stream", stream).option("partition", { ...number, describe: "Only this one." }),
      (args) => past.verify(connect(args), args.stream, args.partition, args.json),
    )
    .command(
      "repair <stream>",
      "Give up what is damaged, and say what was lost",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .option("partition", partition)
          .option("mode", { choices: ["isolate", "truncate", "rebuild"] as const, demandOption: true })
          .option("from", { ...number, describe: "First offset. Default: 0; truncate needs it." })
          .option("to", { ...number, describe: "Offset after the last one. Default: the tail." }),
      (args) => {
        const { mode, from, to } = args;
        if (mode === "truncate" && from === undefined) throw new Usage("say with --from where to cut it off");
        return past.repair(connect(args), args.stream, { mode, from, to }, args);
      },
    )
    .command(
      "trim <stream> <before>",
      "Drop what is before an offset of a partition, or before a time in all of them",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .positional("before", {
            type: "string",
            demandOption: true,
            describe: "An offset, or a time: 7d (ago), 2026-11-28, or RFC 3339.",
          })
          .option("partition", partition),
      (args) => past.trim(connect(args), args.stream, args.before, args),
    )
    .command(
      "erase <stream>",
      "Forget every record of a key, or of a subject; --id alone shows how a request stands",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .option("key", text)
          .option("subject", text)
          .option("id", { ...text, describe: "Name of the request; the same again is the same request." })
          .option("wait", { type: "boolean", default: false, describe: "Until there is a receipt." }),
      (args) => {
        const { key, subject } = args;
        const stands = key === undefined && subject === undefined && args.id !== undefined;
        if (!stands && (key === undefined) === (subject === undefined))
          throw new Usage("say --key, or --subject; or --id alone, to see how a request stands");
        const target = stands ? undefined : key === undefined ? { subject: subject as string } : { key };
        return past.erase(connect(args), args.stream, target, args);
      },
    );
