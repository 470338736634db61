/** What is done with the records of a stream: their commands. */
import { number, stream, text, type Yargs } from "./arguments.ts";
import { type Common, connect } from "./config.ts";
import * as records from "./records.ts";

type Of<F extends (client: never, args: never) => unknown> = Common & Parameters<F>[1];

const scope = {
  partition: { ...number, describe: "Only this partition." },
  key: { ...text, describe: "Only records of this key." },
  type: { ...text, array: true, describe: "Only records of these types." },
  tag: { ...text, array: true, describe: "Only records with one of these tags." },
  data: { type: "boolean", describe: "Print the data only." },
} as const;

export const appendCommand = {
  command: "append <stream> [values..]",
  describe: "Append values, or lines of a file or of the standard input",
  builder: (yargs: Yargs) =>
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
  handler: (args: Omit<Of<typeof records.append>, "values"> & { values: string[] | undefined; "--"?: string[] }) =>
    records.append(connect(args), { ...args, values: [...(args.values ?? []), ...(args["--"] ?? [])] }),
};

export const readCommand = {
  command: "read <stream>",
  describe: "Print what a stream holds",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .option("from", { ...text, describe: "Offset, earliest, latest, snapshot, -n, a time, or a cursor." })
      .option("limit", { ...number, describe: "Records at most, 1 or more." })
      .option("backward", { type: "boolean", describe: "The latest first." })
      .options(scope),
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
      .option("from", { ...text, describe: "Begin here instead." })
      .options(scope),
  handler: (args: Of<typeof records.tail>) => records.tail(connect(args), args),
};
