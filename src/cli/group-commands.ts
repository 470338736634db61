import type { GroupConfig } from "../client/index.ts";
import { given, group, json, number, stream, text, type Yargs } from "./arguments.ts";
import { type Common, connect } from "./config.ts";
import { exactly } from "./exact.ts";
import * as groups from "./groups.ts";
import { print, Usage } from "./output.ts";

const groupFields = [
  "start",
  "order",
  "onFailure",
  "maxInFlight",
  "ackTimeoutMs",
  "maxDeliveries",
  "deadLetterStream",
] as const;

const ofGroup = (yargs: Yargs) => yargs.positional("stream", stream).positional("group", group);
const ofLetters = (yargs: Yargs) =>
  ofGroup(yargs).positional("letters", { type: "string", array: true }).option("all", { type: "boolean" });
const target = (args: Common & { stream: string; group: string }) =>
  connect(args).stream(args.stream).group(args.group);

export const groupCommands = (yargs: Yargs) =>
  yargs
    .command(
      ["create <stream> <group>", "update <stream> <group>"],
      "Make a group, or change what is named",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .positional("group", group)
          .option("start", { ...text, describe: "earliest, latest, a time, or a cursor." })
          .option("order", { choices: ["key", "partition", "none"] as const })
          .option("on-failure", { choices: ["block", "park", "skip"] as const })
          .option("max-in-flight", number)
          .option("ack-timeout-ms", number)
          .option("max-deliveries", number)
          .option("dead-letter-stream", text)
          .option("push", { ...text, describe: "URL of a receiver. The rest of a push stays." })
          .option("config", { ...text, describe: "Any further fields, as JSON." }),
      (args) =>
        groups.create(
          target(args),
          { ...given<GroupConfig>(args, groupFields), ...json<GroupConfig>(args.config, "config") },
          args.push,
          args.json,
        ),
    )
    .command(
      ["list <stream>", "ls <stream>"],
      "List groups",
      (yargs) => yargs.positional("stream", stream),
      (args) => groups.list(connect(args), args.stream, args.json),
    )
    .command(
      "status <stream> <group>",
      "Lag, leases, lanes and dead letters",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .positional("group", group)
          .option("watch", { alias: "w", type: "boolean", default: false, describe: "Go on, once a second." }),
      (args) => groups.status(target(args), args.watch, args.json),
    )
    .command(
      "consume <stream> <group>",
      "Work as a member: print deliveries, or give each to a command behind --",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .positional("group", group)
          .option("concurrency", { ...number, default: 1 })
          .option("member", text)
          .option("max", { ...number, describe: "Stop after so many." })
          .option("data", { type: "boolean", describe: "Print the data only." })
          .example("$0 groups consume orders billing -- ./bill.sh", "data on its input; exit 0 acknowledges"),
      (args) =>
        groups.consume(exactly(connect(args)).stream<string | undefined>(args.stream).group(args.group), {
          ...args,
          command: (args["--"] as string[] | undefined) ?? [],
        }),
    )
    .command(
      "seek <stream> <group> <to>",
      "Move a group: earliest, latest, a time, a cursor",
      (yargs) =>
        yargs
          .positional("stream", stream)
          .positional("group", group)
          .positional("to", { type: "string", demandOption: true })
          .option("partition", number),
      async (args) => {
        const to = /^\d+$/.test(args.to) ? Number(args.to) : args.to;
        const options = args.partition === undefined ? {} : { partition: args.partition };
        print(JSON.stringify(await target(args).seek(to, options)));
      },
    )
    .command(
      "pause <stream> <group>",
      "Stop delivering",
      (yargs) => yargs.positional("stream", stream).positional("group", group).option("reason", text),
      async (args) => groups.showInfo(await target(args).pause(args.reason), args.json),
    )
    .command("resume <stream> <group>", "Go on delivering", ofGroup, async (args) =>
      groups.showInfo(await target(args).resume(), args.json),
    )
    .command("dead-letters <stream> <group>", "List dead letters", ofGroup, (args) =>
      groups.deadLetters(target(args), args.json),
    )
    .command("redrive <stream> <group> [letters..]", "Deliver dead letters again", ofLetters, async (args) =>
      print(JSON.stringify(await target(args).redrive(chosen(args)))),
    )
    .command("discard <stream> <group> [letters..]", "Drop dead letters", ofLetters, async (args) =>
      print(JSON.stringify(await target(args).discard(chosen(args)))),
    )
    .command(["delete <stream> <group>", "rm <stream> <group>"], "Delete a group", ofGroup, async (args) => {
      await target(args).delete();
      print(`deleted ${args.group}`);
    })
    .demandCommand(1, "say which: see millrace groups --help");

function chosen({ letters, all }: { letters?: unknown; all?: boolean }): "all" | readonly string[] {
  if (all) return "all";
  if (!Array.isArray(letters) || letters.length === 0) throw new Usage("say which letters, or --all");
  return letters as string[];
}
