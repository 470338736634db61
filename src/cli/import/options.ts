/** What the options of `import` come to: which rows there are, and what becomes of them. */
import { basename } from "node:path";
import type { StreamConfig } from "../../client/index.ts";
import { given } from "../arguments.ts";
import { Usage } from "../output.ts";
import { outboxRows, tableRows } from "./debezium.ts";
import { type Columns, dataRows, type Mapping, recordRows } from "./map.ts";
import type { Place, Row } from "./row.ts";
import { csvRows, lineRows } from "./rows.ts";

export const formats = ["ndjson", "csv", "debezium"] as const;
export type Format = (typeof formats)[number];

const columnNames = ["key", "id", "type", "subject", "time", "timeUnit", "tag"] as const;
const csvNames = ["columns", "delimiter", "numbers"] as const;

/** Of the ids of changes, which were others before: an import that was begun with those cannot go on with these. */
const changesVersion = 2;

export interface ImportOptions extends Columns {
  format?: Format;
  records?: boolean;
  columns?: readonly string[];
  delimiter?: string;
  numbers?: boolean;
  table?: boolean;
}

/** The format that was said, or that the file's name suggests. */
export function formatOf(said: Format | undefined, path: string | undefined, options: ImportOptions): Format {
  const name = basename(path ?? "").replace(/\.gz$/, "");
  const guessed = /\.(csv|tsv)$/i.test(name) ? "csv" : /debezium|outbox/i.test(name) ? "debezium" : "ndjson";
  const format = said ?? guessed;
  const only = (names: readonly (keyof ImportOptions)[], of: Format) => {
    const wrong = format === of ? undefined : names.find((one) => options[one]);
    if (wrong !== undefined) throw new Usage(`--${wrong} is for --format ${of}; this is taken for ${format}`);
  };
  only(csvNames, "csv");
  only(["table"], "debezium");
  only(["records"], "ndjson");
  const column = options.records ? columnNames.find((one) => options[one] !== undefined) : undefined;
  if (column !== undefined) throw new Usage(`--${column} and --records exclude each other: records name their fields`);
  if (format === "csv" && /\.tsv$/i.test(name)) options.delimiter ??= "\t";
  return format;
}

/** What rows become depends on. */
export const optionsOf = (format: Format, options: ImportOptions): Record<string, unknown> => ({
  format,
  ...(options.table ? { changes: changesVersion } : {}),
  ...given(options as Record<string, unknown>, [...columnNames, ...csvNames, "records", "table"]),
});

/** `resumed`: some of the rows are in the stream already. */
export function mapOf(format: Format, options: ImportOptions, config: StreamConfig, resumed: boolean): Mapping {
  if (options.records) return recordRows(config);
  const columns = given<Columns>(options as Record<string, unknown>, columnNames);
  if (format !== "debezium") return dataRows(columns);
  return options.table ? tableRows(columns) : outboxRows(columns, resumed);
}

export function rowsOf(
  format: Format,
  chunks: AsyncIterable<Buffer>,
  from: Place,
  { delimiter = ",", numbers, columns }: ImportOptions,
  onColumns?: (columns: readonly string[]) => void,
): AsyncGenerator<Row[], void, undefined> {
  if (format !== "csv") return lineRows(chunks, from);
  return csvRows(chunks, from, {
    delimiter,
    ...(numbers && { numbers }),
    ...(columns && { columns }),
    ...(onColumns && { onColumns }),
  });
}
