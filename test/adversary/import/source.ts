/** A source as a whole: its bytes, its options, and what is to become of its rows. */
import { constants, gunzipSync } from "node:zlib";
import { changeArgs, changeRow } from "./changes.ts";
import { encoded, encodingArgs, packed } from "./encode.ts";
import { type Expected, onceEach, type Want } from "./model.ts";
import { outboxRow } from "./outbox.ts";
import type { Form, Look, RowPlan, SourcePlan } from "./plan.ts";
import { cellOf, columnArgs, columnsOf, csvRow, lineRow, type Made, recordRow } from "./rows.ts";

const makers: Readonly<Record<Form, (row: RowPlan, look: Look) => Made>> = {
  lines: lineRow,
  records: recordRow,
  csv: csvRow,
  changes: changeRow,
  outbox: outboxRow,
};

/** What a file of that form is called, so that its format is guessed. */
const names: Readonly<Record<Form, string>> = {
  lines: "rows.ndjson",
  records: "rows.jsonl",
  csv: "rows.csv",
  changes: "debezium.ndjson",
  outbox: "my-outbox.txt",
};

const formats: Readonly<Record<Form, string>> = {
  lines: "ndjson",
  records: "ndjson",
  csv: "csv",
  changes: "debezium",
  outbox: "debezium",
};

export interface Source {
  readonly name: string;
  readonly args: readonly string[];
  /** What stands before the first row. */
  readonly head: string;
  readonly rows: readonly Made[];
  /** By row, the line in which it begins. */
  readonly lines: readonly number[];
  readonly offsets: boolean;
}

function headOf({ form, look }: SourcePlan): string {
  if (form !== "csv") return "";
  const row = columnsOf(look)
    .map((name) => cellOf(name, look))
    .join(look.delimiter);
  if (look.header === "columns") return "";
  return look.header === "sep" ? `sep=${look.delimiter}${look.lineEnd}${row}${look.lineEnd}` : `${row}${look.lineEnd}`;
}

/** A comma within a name cannot be said in `--columns`. */
function csvArgs({ form, look }: SourcePlan): string[] {
  if (form !== "csv") return [];
  const { delimiter, header } = look;
  return [
    ...(header === "columns" ? ["--columns", columnsOf(look).join(",")] : []),
    ...(delimiter === "," || header === "sep" ? [] : ["--delimiter", delimiter === "\t" ? "\\t" : delimiter]),
  ];
}

function formArgs({ form, look }: SourcePlan): string[] {
  switch (form) {
    case "records":
      return ["--records"];
    case "changes":
      return changeArgs(look);
    case "outbox":
      return [];
    default:
      return columnArgs(look, form === "csv");
  }
}

const breaks = (text: string) => text.split("\n").length - 1;

/** `piped`: nothing but the options tell what it is. */
export function sourceOf(plan: SourcePlan, piped: boolean): Source {
  const { form, look } = plan;
  const rows = plan.rows.map((row) => makers[form](row, look));
  const head = headOf(plan);
  let line = 1 + breaks(head);
  const lines = rows.map(({ text }) => {
    const at = line;
    line += 1 + breaks(text);
    return at;
  });
  const isSaid = piped || look.gzip === 2;
  const name = isSaid ? "rows.dat" : `${names[form]}${look.gzip > 0 ? ".gz" : ""}`;
  const format = isSaid ? ["--format", formats[form]] : [];
  return {
    name,
    head,
    rows,
    lines,
    offsets: plan.offsets === true,
    args: [...format, ...encodingArgs(look.encoding), ...csvArgs(plan), ...formArgs(plan)],
  };
}

/** The first so many rows as they lie in a file. */
export function bytesOf({ head, rows }: Source, { look }: SourcePlan, count = rows.length): Buffer {
  const texts = rows.slice(0, count).map(({ text }) => text);
  const text = head + texts.map((one) => one + look.lineEnd).join("");
  const whole = look.ended || texts.length === 0 || count < rows.length ? text : text.slice(0, -look.lineEnd.length);
  return packed(encoded(whole, look.encoding), look.gzip);
}

/** How many rows of lines lie whole before the cut. */
export function rowsBefore(source: Source, plan: SourcePlan, cut: Buffer): number {
  let left = gunzipSync(cut, { finishFlush: constants.Z_SYNC_FLUSH }).length;
  left -= encoded("", plan.look.encoding).length;
  const { encoding, lineEnd } = plan.look;
  // Each has the mark, which stands once.
  const mark = encoded("", encoding).length;
  const end = source.rows.findIndex(({ text }) => {
    left -= encoded(text + lineEnd, encoding).length - mark;
    return left < 0;
  });
  return end < 0 ? source.rows.length : end;
}

/** What is to become of the first so many rows. */
export function expectedOf({ rows, lines, offsets }: Source, count = rows.length): Expected {
  const wants: Want[] = [];
  let ignored = 0;
  let skipped = 0;
  const rejected: number[] = [];
  let next = 0;
  for (const [i, { fate, offset = 0 }] of rows.slice(0, count).entries()) {
    if (fate === "ignored") ignored++;
    else if (fate === "bad") skipped++;
    else if (fate === "no row") continue;
    else if (offsets && offset < next) rejected.push(lines[i] as number);
    else wants.push({ ...fate, ...(offsets && { offset }), line: lines[i] as number });
    if (offsets) next = Math.max(next, offset + 1);
  }
  return { ...onceEach(wants), ignored, skipped, rejected };
}
