/**
 * The records of an archived segment as one Parquet file. Records are not made into objects: each field goes from the
 * chunk's bytes into its column as a view, and every MiB or so the columns become a row group, so that what is held at a
 * time is the file so far and one row group.
 *
 * Three choices that a reader of the file meets:
 *
 * - `data` and everything that is JSON are plain texts. Parquet's JSON type would forbid data of the kind text in the same
 *   column, and there are readers which show it as bytes; SQL's JSON functions take a text just as well.
 * - `time` stays a text as it was sent: it may say an offset from UTC and nanoseconds, which a timestamp would drop.
 * - Data called JSON or text that are not go to `data_binary`, as the JSON of the API gives them back as bytes.
 */
import type { ColumnSource, SchemaElement } from "hyparquet-writer";
// By their files: in Node, and to a bundler that is not told otherwise, the package's entry brings the file system.
import { ByteWriter } from "hyparquet-writer/src/bytewriter.js";
import { ParquetWriter } from "hyparquet-writer/src/parquet-writer.js";
import { version } from "../../schemas/limits.ts";
import { parquetAttributes } from "../../schemas/stream.ts";
import { assert } from "../lib/assert.ts";
import { concat } from "../lib/bytes.ts";
import { type Frame, flags } from "../log/frame.ts";
import { eachPlaced, textFields } from "../log/record.ts";
import { Rows } from "./rows.ts";
import type { Column } from "./typed.ts";

export type { Column } from "./typed.ts";

/** Bytes of records that make a row group. */
const groupBytes = 1_048_576;
/** Rows that do so: where records have few bytes, what counts is the columns' memory. */
const groupRows = 32_768;

export class ParquetSegment {
  readonly #partition: number;
  readonly #columns: readonly Column[];
  readonly #file = new FileBytes();
  readonly #parquet: ParquetWriter;
  #rows: Rows;

  /** The names of the columns are distinct, and none is that of an attribute. */
  constructor(partition: number, columns: readonly Column[]) {
    const names = [...parquetAttributes, ...columns.map((column) => column.name)];
    assert(new Set(names).size === names.length, "each column has a name of its own");
    this.#partition = partition;
    this.#columns = columns;
    this.#rows = new Rows(columns);
    this.#parquet = new ParquetWriter({
      writer: this.#file,
      schema: schemaOf(columns),
      createdBy: `millrace version ${version}`,
    });
  }

  /** Adds the records of one chunk's frames (already checked). Chunks in order of offsets. Keeps the frames' bytes. */
  add(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const checked = (frame.flags & flags.checked) !== 0;
      eachPlaced(frame, (from, to, offset, timestamp) => {
        this.#rows.add(frame.bytes, from, to, offset, timestamp, checked);
        if (this.#rows.bytes >= groupBytes || this.#rows.count >= groupRows) this.#flush();
      });
    }
  }

  /** The file. Nothing can be added any more. */
  finish(): Uint8Array {
    this.#flush();
    this.#parquet.finish();
    return this.#file.take();
  }

  #flush(): void {
    const rows = this.#rows;
    if (rows.count === 0) return;
    this.#rows = new Rows(this.#columns);
    const columnData = sources(rows, this.#partition, this.#columns);
    this.#parquet.write({ columnData, rowGroupSize: rows.count });
  }
}

/** Keeps each row group apart until the end: one buffer that doubles would hold the file three times. */
class FileBytes extends ByteWriter {
  readonly #parts: Uint8Array[] = [];

  /** Called by the Parquet writer after each row group. */
  flush(): void {
    this.#parts.push(this.getBytes().slice());
    this.index = 0;
  }

  take(): Uint8Array {
    this.flush();
    return concat(this.#parts);
  }
}

/** What the columns of a row group are written from, in the order of the schema. */
function sources(rows: Rows, partition: number, columns: readonly Column[]): ColumnSource[] {
  const count = rows.count;
  // Bounds help a reader to pass over row groups; those of data would only be long.
  const plain = { encoding: "PLAIN", statistics: false } as const;
  return [
    { name: "partition", data: new Int32Array(count).fill(partition) },
    { name: "offset", data: rows.offsets, encoding: "DELTA_BINARY_PACKED" },
    { name: "timestamp", data: rows.timestamps, encoding: "DELTA_BINARY_PACKED" },
    ...textFields.map(
      (name, i): ColumnSource => ({
        name,
        data: rows.texts[i].all(count),
        ...(name === "id" && { encoding: "PLAIN" }),
      }),
    ),
    { name: "tags", data: rows.tags.all(count), statistics: false },
    { name: "extensions", data: rows.extensions.all(count), statistics: false },
    { name: "data", data: rows.data.all(count), ...plain },
    { name: "data_binary", data: rows.binary.all(count), ...plain },
    ...columns.map(
      ({ name, type }, i): ColumnSource => ({ name, data: rows.typed[i].all(count), statistics: type !== "json" }),
    ),
  ];
}

const text = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;
const time = { type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" } } as const;
const physical: Record<Column["type"], Omit<SchemaElement, "name">> = {
  string: text,
  int: { type: "INT64" },
  double: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" },
  timestamp: time,
  json: text,
};

function schemaOf(columns: readonly Column[]): SchemaElement[] {
  const required = { repetition_type: "REQUIRED" } as const;
  const optional = { repetition_type: "OPTIONAL" } as const;
  return [
    { name: "record", num_children: parquetAttributes.length + columns.length },
    { name: "partition", type: "INT32", ...required },
    { name: "offset", type: "INT64", ...required },
    { name: "timestamp", ...time, ...required },
    ...textFields.map((name) => ({ name, ...text, ...optional })),
    { name: "tags", converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1, ...optional },
    { name: "list", num_children: 1, repetition_type: "REPEATED" },
    { name: "element", ...text, ...required },
    { name: "extensions", ...text, ...optional },
    { name: "data", ...text, ...optional },
    { name: "data_binary", type: "BYTE_ARRAY", ...optional },
    ...columns.map(({ name, type }) => ({ name, ...physical[type], ...optional })),
  ];
}
