/** What the options of `import` come to: which rows there are, and what becomes of them. */
import { basename } from "node:path";
import type { StreamConfig } from "../../client/index.ts";
import { given } from "../arguments.ts";
import { Usage } from "../output.ts";
import { outboxRows, tableRows } from "./debezium.ts";
import type { Input } from "./input.ts";
import { type Columns, dataRows, listed, type Mapping, recordRows } from "./map.ts";
import { BadRow, type Place, type Row } from "./row.ts";
import { csvRows, lineRows } from "./rows.ts";
import { csvShape, mustBeLines } from "./sniff.ts";
import { toTime } from "./times.ts";

export const formats = ["ndjson", "csv", "debezium"] as const;
export type Format = (typeof formats)[number];

const columnNames = ["key", "id", "type", "subject", "time", "timeUnit", "tag"] as const;
const csvNames = ["columns", "delimiter", "numbers"] as const;

/** Of the ids of changes, which were others before: an import that was begun with those cannot go on with these. */
const changesVersion = 3;

export interface ImportOptions extends Columns {
  format?: Format;
  encoding?: string;
  records?: boolean;
  columns?: readonly string[];
  delimiter?: string;
  numbers?: boolean;
  table?: boolean;
}

/** Words for what a shell makes hard to write. */
const delimiterWords: Readonly<Record<string, string>> = {
  tab: "\t",
  comma: ",",
  semicolon: ";",
  pipe: "|",
  space: " ",
};

/** What stands between cells. Throws Usage for what would make one column of them. */
export function delimiterOf(said: string): string {
  const delimiter = delimiterWords[said.toLowerCase()] ?? said.replaceAll("\\t", "\t");
  if (/[\r\n"]/.test(delimiter))
    throw new Usage(
      "--delimiter: no line end and no quote can stand between cells; give a character, such as ; or tab",
    );
  if (/^[\p{L}\p{N}]{2,}$/u.test(delimiter))
    throw new Usage(
      `--delimiter: '${said}' is a word, and no delimiter; give the character itself, or ${Object.keys(delimiterWords).join(", ")}`,
    );
  return delimiter;
}

/** The format that was said, or that the file's name suggests. */
export function formatOf(said: Format | undefined, path: string | undefined, options: ImportOptions): Format {
  const name = basename(path ?? "").replace(/\.gz$/i, "");
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
  ...given(options as Record<string, unknown>, [...columnNames, ...csvNames, "encoding", "records", "table"]),
});

/** `resumed`: some of the rows are in the stream already. */
export function mapOf(format: Format, options: ImportOptions, config: StreamConfig, resumed: boolean): Mapping {
  if (options.records) return recordRows(config);
  const columns = given<Columns>(options as Record<string, unknown>, columnNames);
  mustBeTime(columns);
  if (format !== "debezium") return dataRows(columns);
  return options.table ? tableRows(columns) : outboxRows(columns, resumed);
}

/** A text that is the same for all rows would make each of them a bad one. */
function mustBeTime({ time, timeUnit }: Columns): void {
  if (!time?.startsWith("=")) return;
  try {
    toTime(time.slice(1), timeUnit);
  } catch (error) {
    throw error instanceof BadRow ? new Usage(`--time: ${error.message}`) : error;
  }
}

/** Where rows begin in the content, and how CSV is written in it. Throws Usage where it is not as it was said to be. */
export function shapeOf(format: Format, input: Input, options: ImportOptions, said: boolean): Shape {
  const { start, source } = input;
  const head = source.head.subarray(start);
  mustBeLines(head, source.path, format !== "csv");
  if (format !== "csv") return { begin: { bytes: start, lines: 0 } };
  const { delimiter, skipped } = csvShape(head, options.delimiter ?? ",", said);
  return { delimiter, begin: { bytes: start + skipped, lines: skipped > 0 ? 1 : 0 } };
}

export interface Shape {
  readonly begin: Place;
  readonly delimiter?: string;
}

export function rowsOf(
  format: Format,
  chunks: AsyncIterable<Buffer>,
  from: Place,
  options: ImportOptions,
  onColumns?: (columns: readonly string[]) => void,
): AsyncGenerator<Row[], void, undefined> {
  if (format !== "csv") return lineRows(chunks, from);
  const { delimiter = ",", numbers, columns } = options;
  return csvRows(chunks, from, {
    delimiter,
    ...(numbers && { numbers }),
    ...(columns && { columns }),
    onColumns: (names) => {
      mustHave(names, options);
      onColumns?.(names);
    },
  });
}

/** Every row has the same columns: one that is not among them was misspelt. */
function mustHave(names: readonly string[], { key, id, type, subject, time, tag = [] }: ImportOptions): void {
  for (const [option, column] of Object.entries({ key, id, type, subject, time, tag })) {
    for (const one of [column].flat()) {
      if (one === undefined || one.startsWith("=") || names.includes(one)) continue;
      throw new Usage(`--${option}: there is no column '${one}'; ${listed(names)}`);
    }
  }
}
