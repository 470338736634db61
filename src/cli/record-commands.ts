/** What is done with the records of a stream: their commands. */
import type { append } from "./append.ts";
import { number, stream, text, type Yargs } from "./arguments.ts";
import { type Common, connect } from "./config.ts";
import * as records from "./records.ts";
import { formatHelp } from "./showing.ts";

type Of<F extends (client: never, args: never) => unknown> = Common & Parameters<F>[1];

const scope = {
  partition: { ...number, describe: "Only this partition." },
  key: { ...text, describe: "Only records of this key." },
  type: { ...text, array: true, describe: "Only records of these types." },
  tag: { ...text, array: true, describe: "Only records with one of these tags." },
  data: { type: "boolean", describe: "Print the data only: a text as it is, everything else as JSON." },
} as const;

const from = "Offset, earliest, latest, snapshot, -n, a time (1h ago, 2026-11-28, RFC 3339), or a cursor.";

export const appendCommand = {
  command: "append <stream> [values..]",
  describe: "Append values, or lines of a file or of the standard input",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .positional("values", {
        type: "string",
        array: true,
        describe: "Each a record: JSON, or else a text. What begins with { or [ and is no JSON is refused.",
      })
      .option("file", { alias: "f", ...text, describe: "Lines of a file; - is the standard input." })
      .option("key", { alias: "k", ...text, describe: "Key of every record." })
      .option("key-field", { ...text, describe: "Field of the data that is the key; a.b for one within." })
      .option("id", { ...text, describe: "Id of the one value: appended again, it is a duplicate." })
      .option("type", { ...text, describe: "Type of every record." })
      .option("tag", { ...text, array: true, describe: "A tag of every record." })
      .option("partition", { ...number, describe: "All go there; a key that belongs elsewhere is refused." })
      .option("text", { type: "boolean", describe: "Values are texts, though they may look like JSON, or begin so." })
      .option("records", {
        type: "boolean",
        describe: "Each is a whole record: {key, data, type, …}, as read --json prints them.",
      })
      .conflicts("records", ["text", "key", "key-field", "id", "type", "tag"])
      .conflicts("key", "key-field")
      .example("$0 append orders '{\"total\":42}' --key customer-1", "")
      .example("$0 append orders --file orders.ndjson --key-field customer.id", ""),
  // What stands after -- is a value though it begins with a dash.
  handler: async (args: Omit<Of<typeof append>, "values"> & { values: string[] | undefined; "--"?: string[] }) => {
    const { append } = await import("./append.ts");
    await append(connect(args), { ...args, values: [...(args.values ?? []), ...(args["--"] ?? [])] });
  },
};

export const readCommand = {
  command: "read <stream>",
  describe: "Print what a stream holds",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .option("from", { ...text, describe: from })
      .option("to", { ...text, describe: "Offset, or a time: stop before it." })
      .option("limit", { ...number, describe: "Records at most, 1 or more." })
      .option("backward", { type: "boolean", describe: "The latest first." })
      .options(scope)
      .option("format", { alias: "f", ...text, describe: formatHelp })
      .conflicts("to", "backward")
      .example("$0 read orders --from 1h --format '%k %v\\n'", "keys and data of the last hour"),
  handler: (args: Of<typeof records.read>) => records.read(connect(args), args),
};

export const tailCommand = {
  command: "tail <stream>",
  describe: "Print the last records, and with -f those that come",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .option("follow", { alias: "f", type: "boolean", describe: "Go on with what comes." })
      .option("lines", { alias: "c", ...number, default: 10, describe: "How many of the last." })
      .option("from", { ...text, describe: `Begin here instead. ${from}` })
      .options(scope)
      .option("format", { ...text, describe: formatHelp }),
  handler: (args: Of<typeof records.tail>) => records.tail(connect(args), args),
};
