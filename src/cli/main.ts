/** The command line: what there is, and what it is called. */
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { version } from "../../schemas/limits.ts";
import { s3Names } from "../platform/archive.ts";
import { checkValues, dashed, number, text } from "./arguments.ts";
import { bench } from "./bench.ts";
import { completer, forShell, namesFor, scriptFor } from "./completion.ts";
import { connect } from "./config.ts";
import { contextCommands, profileCommands } from "./context-commands.ts";
import { dev } from "./dev.ts";
import { doctor } from "./doctor.ts";
import { dumpCommand, restoreCommand, verifyCommand } from "./dump/command.ts";
import { forwardCommand } from "./forward/command.ts";
import { groupCommands } from "./group-commands.ts";
import { importCommand } from "./import/command.ts";
import { namespaceCommands } from "./namespaces.ts";
import { exits, explain, Usage } from "./output.ts";
import { endWithReader } from "./readers.ts";
import { appendCommand, readCommand, tailCommand } from "./record-commands.ts";
import { report } from "./report.ts";
import { snapshotCommands } from "./snapshot-commands.ts";
import { streamCommands } from "./stream-commands.ts";
import { suggestion } from "./suggestion.ts";
import { allWritten, writeWhole } from "./whole.ts";

writeWhole();
const words = forShell(hideBin(process.argv));

/** `names`: what a shell is offered, looked up before the parser asks, which does not wait. */
function parser(names: string[]): { parseAsync(): Promise<unknown> } {
  const commands = yargs(words)
    .scriptName("millrace")
    .parserConfiguration({ "populate--": true, "parse-positional-numbers": false })
    .usage("$0 <command>\n\nAn event log at the edge that drives work.")
    .option("url", { ...text, describe: "Where the service is. [MILLRACE_URL]", global: true })
    .option("token", { ...text, describe: "Its token, or a ticket. [MILLRACE_TOKEN]", global: true })
    .option("namespace", { alias: "n", ...text, describe: "Default: default. [MILLRACE_NAMESPACE]", global: true })
    .option("context", { ...text, describe: "Which context of the file holds. [MILLRACE_CONTEXT]", global: true })
    .option("profile", { ...text, describe: "File with the contexts. [MILLRACE_PROFILE]", global: true })
    .option("json", { type: "boolean", describe: "For programs: a JSON text a line.", global: true })
    .option("yes", { type: "boolean", describe: "Do not ask, whatever is lost.", global: true })
    .group(["url", "token", "namespace", "context", "profile", "json", "yes", "help", "version"], "Everywhere:")
    .command("streams", "Make, change, show and delete streams, and tend their past", streamCommands)
    .command(appendCommand)
    .command(readCommand)
    .command(tailCommand)
    .command("snapshot", "Store, fetch and list snapshots of what a consumer has made of a stream", snapshotCommands)
    .command("groups", "Make, watch and tend consumer groups", groupCommands)
    .command("namespaces", "Make, list and delete namespaces", namespaceCommands)
    .command(
      "report",
      "All streams and groups of a namespace, what is worst first",
      (yargs) => yargs,
      (args) => report(connect(args), args.json),
    )
    .command(
      "doctor",
      "What is wrong with this connection, and what to do",
      (yargs) => yargs,
      (args) => doctor(args),
    )
    .command(forwardCommand)
    .command(importCommand)
    .command(dumpCommand)
    .command(restoreCommand)
    .command(verifyCommand)
    .command(
      "bench",
      "Measure a service, on a stream of its own",
      (yargs) =>
        yargs
          .option("records", { ...number, default: 200_000, describe: "How many." })
          .option("bytes", { ...number, default: 100, describe: "Of a record." })
          .option("partitions", { ...number, default: 1, describe: "Of the stream." }),
      (args) => bench(connect(args), args),
    )
    .command(
      "dev",
      "Start the service on this machine",
      (yargs) =>
        yargs
          .option("port", { ...number, default: 8787, describe: "Port to listen on; 0: any that is free." })
          .option("host", {
            ...text,
            default: "127.0.0.1",
            describe: "Address to listen on; beyond loopback with --token.",
          })
          .option("data", { ...text, default: ".millrace/data", describe: "Folder of the data." })
          .epilogue(`In the environment: ${s3Names.join(", ")} name the S3 store of the archive and of snapshots.`),
      (args) => dev(args),
    )
    .command("context", "Keep several services by name, and choose among them", contextCommands)
    .command("profile", "Write and show what holds: url, token and namespace", profileCommands)
    .completion("completion", "Print a script for the completion of bash, zsh or fish", completer(names))
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
      throw new Usage(`${unknown(message, known()) ?? valueless(message)}\n\n${usageOf(yargs)}`);
    });
  function known(): string[] {
    return (commands as unknown as Parser).getInternalMethods().getCommandInstance().getCommands();
  }
  return commands;
}

/** Of a command that there is not, the one that was meant. */
function unknown(message: string, known: readonly string[]): string | undefined {
  const [, said] = /^Unknown (?:argument|command)s?: (.+)$/.exec(message) ?? [];
  const word = said?.split(", ")[0];
  if (word === undefined || !words.includes(word)) return undefined;
  if (known.length === 0) return undefined;
  const meant = suggestion(word, known);
  return `there is no command '${word}'${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}

/** Its commands are those where it stands. */
interface Parser {
  getInternalMethods(): { getCommandInstance(): { getCommands(): string[] } };
}

const valueless = (message: string) =>
  message.replace(/^Not enough arguments following: (.+)$/, (_, name) => `${dashed(name)} needs a value`);

const usageOf = (yargs: { getHelp?: () => unknown }) =>
  yargs === undefined ? "" : "See millrace --help, or millrace <command> --help.";

endWithReader();

async function main(): Promise<void> {
  const commands = parser(await namesFor(process.argv));
  try {
    const script = scriptFor(words);
    if (script === undefined) await commands.parseAsync();
    else process.stdout.write(script);
    allWritten();
  } catch (error) {
    const { message, code } = explain(error);
    console.error(`millrace: ${message}`);
    process.exitCode = code;
    if (code === exits.usage) process.exitCode = exits.usage;
  }
  // Sockets that linger keep nobody waiting; what was said must be out.
  process.stdout.write("", () => process.exit());
}

// Nothing waits at the top: tests evaluate what is built of this many times in one process, as a function.
void main();
