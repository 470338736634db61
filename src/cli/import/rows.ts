/** Rows of the content: lines, or records of CSV. What is held of one row is bounded. */
import { isUtf8 } from "node:buffer";
import { type CsvError, type InfoRecord, Parser } from "csv-parse";
import { Usage } from "../output.ts";
import type { Place, Row } from "./row.ts";

type Chunks = AsyncIterable<Buffer>;
type Pages = AsyncGenerator<Row[], void, undefined>;

/** Nothing that a stream takes is longer. */
const rowBytesMax = 16 * 1_048_576;
const none = new Uint8Array(0);
const tooLong = `is longer than ${rowBytesMax} bytes`;
const [newline, carriageReturn] = [10, 13];

/** Lines that hold something, from a place on. The last one need not have an end. */
export async function* lineRows(chunks: Chunks, from: Place): Pages {
  let { bytes, lines } = begun(from);
  let rest: Buffer = Buffer.alloc(0);
  /** Bytes of a line that is too long, which are not kept. */
  let dropped = 0;
  const take = (line: Buffer, width: number, open?: true): Row | undefined => {
    bytes += dropped + width;
    const after = { bytes, lines: ++lines, ...(open && { open }) };
    const long = dropped > 0 || line.length > rowBytesMax;
    dropped = 0;
    if (long) return { line: lines, after, json: none, why: tooLong };
    const json = line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
    return isBlank(line) ? undefined : { line: lines, after, json };
  };
  for await (const chunk of chunks) {
    const whole = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const rows: Row[] = [];
    let start = 0;
    for (let end = whole.indexOf(newline, rest.length); end >= 0; end = whole.indexOf(newline, start)) {
      const row = take(whole.subarray(start, end), end + 1 - start);
      if (row !== undefined) rows.push(row);
      start = end + 1;
    }
    rest = whole.subarray(start);
    if (rest.length > rowBytesMax) {
      dropped += rest.length;
      rest = Buffer.alloc(0);
    }
    if (rows.length > 0) yield rows;
  }
  const last = rest.length + dropped > 0 ? take(rest, rest.length, true) : undefined;
  if (last !== undefined) yield [last];
}

/** The line that has no end yet is not counted again with its end. */
const begun = ({ bytes, lines, open }: Place): Place => ({ bytes, lines: open ? lines - 1 : lines });

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 32 && byte !== 9 && byte !== 13) return false;
  return true;
}

export interface CsvOptions {
  delimiter: string;
  /** Cells that look like JSON's numbers and booleans are these. */
  numbers?: boolean;
  /** Names of the columns; without them, the first record has them. */
  columns?: readonly string[];
  /** Told the names once they are known. */
  onColumns?: (columns: readonly string[]) => void;
}

/** Records of CSV, each as a JSON object. */
export async function* csvRows(chunks: Chunks, from: Place, options: CsvOptions): Pages {
  const rows: Row[] = [];
  const reading = new CsvReading(from, options, rows);
  const parser = new Parser({
    bom: false,
    // A character is a byte: what is UTF-8 stays as it is, and what is not can be told.
    encoding: "latin1",
    delimiter: Buffer.from(options.delimiter),
    columns: false,
    record_delimiter: ["\r\n", "\n"],
    max_record_size: rowBytesMax,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_record: (record: string[], info) => {
      reading.take(record, info);
      return null;
    },
    on_skip: (error) => {
      reading.skip(error as CsvError);
      return undefined;
    },
  });
  // Given here: without a listener, an error would end the process.
  let failed: Error | undefined;
  parser.on("error", (error) => {
    failed = error;
  });
  const ended = new Promise((resolve) => parser.once("end", resolve).once("close", resolve));
  let last: number | undefined;
  let { bytes } = from;
  for await (const chunk of chunks) {
    await new Promise<unknown>((resolve) => parser.write(chunk, resolve));
    if (failed !== undefined) throw failed;
    if (rows.length > 0) yield rows.splice(0);
    bytes += chunk.length;
    last = chunk.at(-1);
  }
  parser.resume().end();
  await ended;
  // The parser takes what is behind the last line's end for a line.
  const isOpen = last !== newline && last !== carriageReturn;
  reading.finish(bytes, parser.info.empty_lines - (isOpen ? 0 : 1), isOpen);
  if (rows.length > 0) yield rows.splice(0);
  if (failed !== undefined) throw failed;
}

const breaks = /\n/g;
const jsonLike = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false)$/;
const toText = (bytes: string) => Buffer.from(bytes, "latin1").toString();
const toBytes = (text: string) => Buffer.from(text).toString("latin1");

/** What is made of records, whose texts have a character for each byte. */
class CsvReading {
  #columns: readonly string[] | undefined;
  /** Names as JSON, each with its colon. */
  #names: string[] = [];
  #after: Place;
  /** Lines that were empty, up to here. */
  #empty: number;
  readonly #from: Place;
  /** Records that cannot be read, since the last that could. */
  #bad: { line: number; why: string }[] = [];

  constructor(
    from: Place,
    readonly options: CsvOptions,
    readonly rows: Row[],
  ) {
    this.#from = begun(from);
    this.#after = { bytes: from.bytes, lines: from.lines };
    // To the parser, the end of a line that was read before is an empty one.
    this.#empty = from.open ? 1 : 0;
    if (options.columns !== undefined) this.#name(options.columns);
  }

  take(record: string[], info: InfoRecord): void {
    const within = record.reduce((sum, cell) => sum + (cell.match(breaks)?.length ?? 0), 0);
    const line = this.#after.lines + 1 + (info.empty_lines - this.#empty);
    this.#blank(info.empty_lines);
    // How long a record was that could not be read, is known by the one that follows it.
    const lines = this.#bad.length === 0 ? line + within : this.#from.lines + info.lines;
    this.#report();
    this.#after = { bytes: this.#from.bytes + info.bytes, lines };
    if (this.#columns === undefined) this.#name(this.#header(record));
    else this.rows.push({ line: lines - within, after: this.#after, ...this.#json(record) });
  }

  skip({ code, message, lines }: CsvError): void {
    const line = this.#from.lines + Number(lines);
    const why = toText(message);
    // Of other faults, nobody could say where the next record begins.
    if (code !== "INVALID_OPENING_QUOTE") {
      throw new Error(`line ${line}, in what begins in line ${this.#after.lines + 1} or later: ${why}`);
    }
    if (this.#bad.at(-1)?.line !== line) this.#bad.push({ line, why });
  }

  /** At so many bytes, and so many empty lines, the content ended; `open`: amid a line. */
  finish(bytes: number, empty: number, open: boolean): void {
    const last = this.rows.at(-1);
    if (open && last !== undefined) this.rows[this.rows.length - 1] = { ...last, after: { ...last.after, open } };
    this.#report();
    const lines = this.#after.lines + Math.max(0, empty - this.#empty);
    this.#blank(empty, { bytes, lines });
  }

  /** An empty line is no row; where there is one column it could have been meant as one, and is counted. */
  #blank(empty: number, after = this.#after): void {
    for (let line = this.#after.lines + 1; this.#empty < empty; this.#empty++, line++) {
      if (this.#columns?.length === 1) this.rows.push({ line, after, json: none, blank: true });
    }
  }

  #report(): void {
    for (const { line, why } of this.#bad) this.rows.push({ line, after: this.#after, json: none, why });
    this.#bad = [];
  }

  #header(record: string[]): string[] {
    if (isUtf8(Buffer.from(record.join(""), "latin1"))) return record.map(toText);
    throw new Usage("the names of the columns, in the first row, are not UTF-8: say their --encoding");
  }

  #name(columns: readonly string[]): void {
    const twice = columns.find((name, index) => columns.indexOf(name) !== index);
    if (twice !== undefined) throw new Usage(`there are two columns '${twice}'; name them anew with --columns`);
    this.#columns = columns;
    this.#names = columns.map((name) => toBytes(`${JSON.stringify(name)}:`));
    this.options.onColumns?.(columns);
  }

  #json(record: string[]): Pick<Row, "json" | "why"> {
    const names = this.#names;
    if (record.length !== names.length) return { json: none, why: `has ${record.length} cells, not ${names.length}` };
    const { numbers } = this.options;
    const value = (cell: string) => (numbers && jsonLike.test(cell) ? cell : JSON.stringify(cell));
    const json = Buffer.from(`{${record.map((cell, index) => names[index] + value(cell)).join(",")}}`, "latin1");
    return isUtf8(json) ? { json } : { json: none, why: "is not UTF-8: say its --encoding" };
  }
}
