import { stream, text, type Yargs } from "../arguments.ts";
import { connect } from "../config.ts";
import type { ImportArgs } from "./import.ts";
import { delimiterOf, formats } from "./options.ts";
import { units } from "./times.ts";

export const importCommand = {
  command: "import <stream> [file]",
  describe: "Load a file, or the standard input, into a stream: every row once",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .positional("file", { type: "string", describe: "Also packed with gzip. None, or -: the standard input." })
      .option("format", { choices: formats, describe: "Default: what the file's name suggests, or else ndjson." })
      .option("encoding", { ...text, describe: "Default: UTF-8, or what a byte order mark says. As: windows-1252." })
      .option("records", { type: "boolean", describe: "Lines are whole records, as `read --json` prints them." })
      .option("key", { alias: "k", ...text, describe: "Column of the key; a.b for a field within." })
      .option("id", { ...text, describe: "Column of the id, by which a stream finds duplicates." })
      .option("type", { ...text, describe: "Column of the type, or =text for every row." })
      .option("subject", { ...text, describe: "Column of the subject, or =text." })
      .option("time", { ...text, describe: "Column of the time: RFC 3339, a date and time, or since 1970." })
      .option("time-unit", { choices: units, describe: "Of times since 1970. Default: by their magnitude." })
      .option("tag", { ...text, array: true, nargs: 1, describe: "Column of tags, or =text. May be repeated." })
      .option("columns", {
        ...text,
        describe: "CSV: names of the columns, with commas between; the first row is data then.",
      })
      .option("delimiter", {
        ...text,
        describe: "CSV: between cells; tab is one. Default: a comma, or what a first line sep= says.",
      })
      .option("numbers", { type: "boolean", describe: "CSV: what looks like a number or boolean is one." })
      .option("table", { type: "boolean", describe: "Debezium: changes of any table, rather than of an outbox." })
      .option("producer", { ...text, describe: "The import's name, in place of the file's identity." })
      .option("state", {
        ...text,
        describe: "File of its progress. Default: <file>.<stream>-<log id>.millrace-import.",
      })
      .option("on-error", { choices: ["stop", "skip"] as const, default: "stop" as const, describe: "At a bad row." })
      .option("dry-run", { type: "boolean", describe: "Show the first records; append nothing." })
      .example("$0 import orders orders.ndjson --key customer.id --time placedAt --type =order.placed", "")
      .example("$0 import orders orders.csv.gz --key customer --numbers", "")
      .example("$0 import orders outbox.ndjson --format debezium", ""),
  handler: async (args: Parameters<typeof connect>[0] & Given) => {
    const { importRows } = await import("./import.ts");
    await importRows(connect(args), read(args));
  },
};

type Given = Omit<ImportArgs, "columns"> & { readonly columns?: string };

/** Not by the parser: what it makes a list of is taken for an option that was given twice. */
const read = ({ columns, delimiter, ...args }: Given): ImportArgs => ({
  ...args,
  ...(columns !== undefined && { columns: columns.split(",") }),
  ...(delimiter !== undefined && { delimiter: delimiterOf(delimiter) }),
});
