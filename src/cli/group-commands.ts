/** What is done with groups: their commands. */
import { group, number, stream, text, type Yargs } from "./arguments.ts";
import { type Common, connect } from "./config.ts";
import { consume } from "./consume.ts";
import { exactly } from "./exact.ts";
import * as config from "./group-config.ts";
import { groupConfigOf, groupOptions } from "./group-options.ts";
import * as groups from "./groups.ts";
import * as lanes from "./lanes.ts";
import * as letters from "./letters.ts";
import { Usage } from "./output.ts";
import * as pushes from "./pushes.ts";
import { formatHelp } from "./showing.ts";

type Named = Common & { stream: string; group: string };

/** Whoever says `--` means a command: a variable that is empty must not acknowledge everything. */
function commandOf(given: readonly string[] = []): readonly string[] {
  if (given.length > 0 || !process.argv.includes("--")) return given;
  throw new Usage("behind -- there is no command; leave -- out to print the deliveries");
}

const ofGroup = (yargs: Yargs) => yargs.positional("stream", stream).positional("group", group);
const ofLetters = (yargs: Yargs) =>
  ofGroup(yargs)
    .positional("letters", { type: "string", array: true, describe: "As groups dead-letters lists them." })
    .option("all", { type: "boolean", describe: "All of them." });
const ofLane = (yargs: Yargs) =>
  ofGroup(yargs)
    .positional("lane", { type: "string", demandOption: true, describe: "As groups lanes lists them." })
    .option("offset", {
      ...number,
      describe:
        "Of its first record: where another stands there by now, nothing is done. By default the one that is first.",
    });

const target = (args: Named) => connect(args).stream(args.stream).group(args.group);
/** The same, whose records have their data as they came. */
const exact = (args: Named) => exactly(connect(args)).stream(args.stream).group(args.group);

export const groupCommands = (yargs: Yargs) =>
  tending(letterCommands(making(yargs)))
    .option("yes", { type: "boolean", describe: "Do not ask, whatever is lost." })
    .demandCommand(1, "say which: see millrace groups --help");

const making = (yargs: Yargs) =>
  yargs
    .command(
      "create <stream> <group>",
      "Make a group",
      (yargs) =>
        groupOptions(yargs)
          .option("if-not-exists", { type: "boolean", describe: "One that is there stays as it is." })
          .example("$0 groups create orders billing --on-failure park --backoff 1s,5s,1m", "")
          .example("$0 groups create orders mailer --push https://example.com/hook --generate-secret", ""),
      (args) => config.create(target(args), groupConfigOf(args), args),
    )
    .command("update <stream> <group>", "Change what is named of a group", groupOptions, (args) =>
      config.update(target(args), groupConfigOf(args), args),
    )
    .command("show <stream> <group>", "What a group is", ofGroup, (args) => config.show(target(args), args.json))
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
        ofGroup(yargs).option("watch", {
          alias: "w",
          type: "boolean",
          default: false,
          describe: "Go on, once a second.",
        }),
      (args) => groups.status(target(args), args.watch, args.json),
    )
    .command(["delete <stream> <group>", "rm <stream> <group>"], "Delete a group", ofGroup, (args) =>
      groups.remove(target(args), args),
    );

const letterCommands = (yargs: Yargs) =>
  yargs
    .command(
      "dead-letters <stream> <group> [letters..]",
      "List dead letters, or show those that are named with their data and attempts",
      (yargs) => ofGroup(yargs).positional("letters", { type: "string", array: true, describe: "As listed." }),
      (args) => letters.deadLetters(exact(args), args.letters, args.json),
    )
    .command(
      "redrive <stream> <group> [letters..]",
      "Deliver dead letters again",
      (yargs) =>
        ofLetters(yargs)
          .option("data", { ...text, describe: "JSON that the one letter is delivered with instead of its data." })
          .example("$0 groups redrive orders billing 0.17 --data '{\"total\":42}'", ""),
      (args) => letters.redrive(target(args), args),
    )
    .command("discard <stream> <group> [letters..]", "Drop dead letters", ofLetters, (args) =>
      letters.discard(target(args), args),
    )
    .command("lanes", "What waits apart because a record of its key failed; resume or skip it", (yargs) =>
      yargs
        .command(
          ["list <stream> <group>", "$0"],
          "List lanes",
          (yargs) => ofGroup(yargs).option("key", { ...text, describe: "That of one key, with all its attempts." }),
          (args) => lanes.lanes(target(args), args.key, args.json),
        )
        .command("resume <stream> <group> <lane>", "Try a lane's first record again, now", ofLane, (args) =>
          lanes.orderLane(target(args), args, "resume"),
        )
        .command("skip <stream> <group> <lane>", "Leave its first record to the dead letters", ofLane, (args) =>
          lanes.orderLane(target(args), args, "skip"),
        ),
    )
    .command("attempts <stream> <group>", "The last requests of a push, and what was answered", ofGroup, (args) =>
      pushes.attempts(target(args), args.json),
    )
    .command("test <stream> <group>", "Send the receiver of a push an event, and show its answer", ofGroup, (args) =>
      pushes.test(target(args), args.json),
    )
    .command(
      "roll-secret <stream> <group>",
      "Make a push's new secret, which signs beside the one before",
      (yargs) => ofGroup(yargs).option("finish", { type: "boolean", describe: "The newest alone signs from now on." }),
      (args) => pushes.rollSecret(target(args), args),
    );

const tending = (yargs: Yargs) =>
  yargs
    .command(
      "consume <stream> <group>",
      "Work as a member: print deliveries, or give each to a command behind --",
      (yargs) =>
        ofGroup(yargs)
          .option("concurrency", { ...number, default: 1, describe: "Records at work at a time." })
          .option("member", { ...text, describe: "Name in the group's status." })
          .option("max", { ...number, describe: "Stop after so many." })
          .option("data", { type: "boolean", describe: "Print the data only." })
          .option("format", { alias: "f", ...text, describe: formatHelp })
          .option("stdin", {
            choices: ["data", "record"] as const,
            describe: "What a command reads: the data, or the record as a line of JSON.",
          })
          .example("$0 groups consume orders billing -- ./bill.sh", "data on its input; exit 0 acknowledges"),
      (args) => consume(connect(args), { ...args, command: commandOf(args["--"] as string[] | undefined) }),
    )
    .command(
      "seek <stream> <group> <to>",
      "Move a group: earliest, latest, a time, a cursor",
      (yargs) =>
        ofGroup(yargs)
          .positional("to", { type: "string", demandOption: true })
          .option("partition", { ...number, describe: "This one alone; an offset needs it where there are several." }),
      (args) => groups.seek(target(args), args),
    )
    .command(
      "pause <stream> <group>",
      "Stop delivering",
      (yargs) => ofGroup(yargs).option("reason", { ...text, describe: "Why: its status tells." }),
      async (args) => config.showRow(await target(args).pause(args.reason), args.json),
    )
    .command("resume <stream> <group>", "Go on delivering", ofGroup, async (args) =>
      config.showRow(await target(args).resume(), args.json),
    )
    .command(
      "only <stream> <group> [keys..]",
      "In an incident: deliver these keys alone, or with --off all again",
      (yargs) =>
        ofGroup(yargs)
          .positional("keys", { type: "string", array: true })
          .option("off", { type: "boolean", default: false, describe: "It is over." }),
      (args) => lanes.only(target(args), args.keys ?? [], args.off, args.json),
    );
