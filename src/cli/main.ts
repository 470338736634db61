/** The command line: what there is, and what it is called. */
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { version } from "../../schemas/limits.ts";
import { s3Names } from "../platform/archive.ts";
import { checkValues, dashed, given, number, stream, text, type Yargs } from "./arguments.ts";
import { bench } from "./bench.ts";
import { connect, profilePath, readProfile, settle, writeProfile } from "./config.ts";
import { dev } from "./dev.ts";
import { dumpCommand, restoreCommand, verifyCommand } from "./dump/command.ts";
import { forward } from "./forward/forward.ts";
import { groupCommands } from "./group-commands.ts";
import { importCommand } from "./import/command.ts";
import { exits, explain, print, Usage } from "./output.ts";
import * as records from "./records.ts";
import { snapshotCommands } from "./snapshot-commands.ts";
import { streamCommands } from "./stream-commands.ts";

const scope = {
  partition: { ...number, describe: "Only this partition." },
  key: { ...text, describe: "Only records of this key." },
  type: { ...text, array: true, describe: "Only records of these types." },
  tag: { ...text, array: true, describe: "Only records with one of these tags." },
  data: { type: "boolean", describe: "Print the data only." },
} as const;

const after = (args: Record<string, unknown>): string[] => (args["--"] as string[] | undefined) ?? [];

/** A command with the common options only. */
const noMore = (yargs: Yargs) => yargs;

const commands = yargs(hideBin(process.argv))
  .scriptName("millrace")
  .parserConfiguration({ "populate--": true, "parse-positional-numbers": false })
  .usage("$0 <command>\n\nAn event log at the edge that drives work.")
  .option("url", { ...text, describe: "Where the service is. [MILLRACE_URL]", global: true })
  .option("token", { ...text, describe: "[MILLRACE_TOKEN]", global: true })
  .option("namespace", { alias: "n", ...text, describe: "[MILLRACE_NAMESPACE]", global: true })
  .option("profile", {
    ...text,
    describe: "File with url, token and namespace. [MILLRACE_PROFILE]",
    global: true,
  })
  .option("json", { type: "boolean", describe: "For programs: a JSON text a line.", global: true })
  .command("streams", "Make, list, show and delete streams", streamCommands)
  .command(
    "append <stream> [values..]",
    "Append values, or lines of a file or of the standard input",
    (yargs) =>
      yargs
        .positional("stream", stream)
        .positional("values", { type: "string", array: true, describe: "Each a record: JSON, or else a text." })
        .option("file", { alias: "f", ...text, describe: "Lines of a file; - is the standard input." })
        .option("key", { alias: "k", ...text, describe: "Key of every record." })
        .option("key-field", { ...text, describe: "Field of the data that is the key; a.b for one within." })
        .option("type", text)
        .option("tag", { ...text, array: true })
        .option("partition", number)
        .option("text", { type: "boolean", describe: "Values are texts, though they may look like JSON." })
        .option("records", { type: "boolean", describe: "Lines are whole records: {key, data, type, …}." })
        .conflicts("text", "records")
        .example("$0 append orders '{\"total\":42}' --key customer-1", "")
        .example("$0 append orders --file orders.ndjson --key-field customer.id", ""),
    // What stands after -- is a value though it begins with a dash.
    (args) =>
      records.append(connect(args), { ...args, values: [...((args.values ?? []) as string[]), ...after(args)] }),
  )
  .command(
    "read <stream>",
    "Print what a stream holds",
    (yargs) =>
      yargs
        .positional("stream", stream)
        .option("from", { ...text, describe: "Offset, earliest, latest, snapshot, -n, a time, or a cursor." })
        .option("limit", { ...number, describe: "Records at most, 1 or more." })
        .option("backward", { type: "boolean", describe: "The latest first." })
        .options(scope),
    (args) => records.read(connect(args), args),
  )
  .command(
    "tail <stream>",
    "Print the last records, and with -f those that come",
    (yargs) =>
      yargs
        .positional("stream", stream)
        .option("follow", { alias: "f", type: "boolean", describe: "Go on with what comes." })
        .option("lines", { alias: "c", ...number, default: 10, describe: "How many of the last." })
        .option("from", { ...text, describe: "Begin here instead." })
        .options(scope),
    (args) => records.tail(connect(args), args),
  )
  .command("snapshot", "Store, fetch and list snapshots of what a consumer has made of a stream", snapshotCommands)
  .command("groups", "Make, watch and tend consumer groups", groupCommands)
  .command(
    "forward <stream> [files..]",
    "Append the lines of files as they grow, or of the standard input",
    (yargs) =>
      yargs
        .positional("stream", stream)
        .positional("files", { type: "string", array: true, describe: "None: the standard input." })
        .option("state", { ...text, default: ".millrace/forward", describe: "Folder of saved positions." })
        .option("key", { ...text, describe: "Key of every record. Default: the file's path." })
        .option("text", { type: "boolean", describe: "Lines are texts, though they may look like JSON." })
        .option("from-end", { type: "boolean", describe: "Files that are new begin at their end." })
        .option("once", { type: "boolean", describe: "Stop when everything that is there has been appended." }),
    (args) => forward(connect(args), { ...args, files: (args.files as string[] | undefined) ?? [] }),
  )
  .command(importCommand)
  .command(dumpCommand)
  .command(restoreCommand)
  .command(verifyCommand)
  .command(
    "bench",
    "Measure a service, on a stream of its own",
    (yargs) =>
      yargs
        .option("records", { ...number, default: 200_000 })
        .option("bytes", { ...number, default: 100, describe: "Of a record." })
        .option("partitions", { ...number, default: 1 }),
    (args) => bench(connect(args), args),
  )
  .command(
    "dev",
    "Start the service on this machine",
    (yargs) =>
      yargs
        .option("port", { ...number, default: 8787 })
        .option("host", { ...text, default: "127.0.0.1" })
        .option("data", { ...text, default: ".millrace/data" })
        .epilogue(`In the environment: ${s3Names.join(", ")} name the S3 store of the archive and of snapshots.`),
    (args) => dev(args),
  )
  .command("profile", "Keep url, token and namespace in a file of your own", (yargs) =>
    yargs
      .command("set", "Write what is given", noMore, (args) => {
        const path = profilePath(args.profile);
        writeProfile(path, { ...readProfile(path), ...given(args as never, ["url", "token", "namespace"]) });
        print(`written to ${path}`);
      })
      .command("show", "What holds now, from flags, environment and file", noMore, (args) => {
        const { token, ...rest } = settle(args);
        const shown = { ...rest, token: `${token.slice(0, 4)}…`, profile: profilePath(args.profile) };
        print(
          args.json
            ? JSON.stringify(shown)
            : Object.entries(shown)
                .map((entry) => entry.join("  "))
                .join("\n"),
        );
      })
      .demandCommand(1, "say which: set or show"),
  )
  .completion("completion", "Print a script for the shell's completion")
  .demandCommand(1, "say what to do; see millrace --help")
  .strict()
  .check(checkValues)
  .version(version)
  .help()
  .alias("h", "help")
  .wrap(Math.min(110, process.stdout.columns ?? 110))
  .locale("en")
  .exitProcess(false)
  .fail((message, error, yargs) => {
    // What the parser finds wrong comes as an error of its own.
    if (error && error.name !== "YError") throw error;
    throw new Usage(`${valueless(message)}\n\n${usageOf(yargs)}`);
  });

const valueless = (message: string) =>
  message.replace(/^Not enough arguments following: (.+)$/, (_, name) => `${dashed(name)} needs a value`);

const usageOf = (yargs: { getHelp?: () => unknown }) =>
  yargs === undefined ? "" : "See millrace --help, or millrace <command> --help.";

// A reader that has enough (`| head`) ends us quietly.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await commands.parseAsync();
} catch (error) {
  const { message, code } = explain(error);
  console.error(`millrace: ${message}`);
  process.exitCode = code;
  if (code === exits.usage) process.exitCode = exits.usage;
}
// Sockets that linger keep nobody waiting; what was said must be out.
process.stdout.write("", () => process.exit());
