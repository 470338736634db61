/** What a round of the import program is made of: files and pipes of known contents, what happens on the way, and what must be refused. */

export type Form = "lines" | "records" | "csv" | "changes" | "outbox";

/** A row of the source. What it looks like follows from these numbers and the look of all of them. */
export interface RowPlan {
  readonly n: number;
  readonly key: number;
  /** Which of what a form has it is; negative: a bad row. */
  readonly shape: number;
}

export type Encoding =
  | "utf-8"
  | "utf-8-mark"
  | "utf-16le-mark"
  | "utf-16be-mark"
  | "utf-16le"
  | "windows-1252"
  | "latin1"
  | "koi8-r"
  | "shift_jis"
  | "gbk";

/** How a message of Debezium's is printed. */
export type Printing = "value" | "object" | "kcat" | "rpk" | "tab" | "tab-null";

export type TimeForm = "none" | "rfc" | "space" | "s" | "ms" | "us" | "ns";

export interface Look {
  readonly encoding: Encoding;
  /** Members of gzip; 0: it is not packed. */
  readonly gzip: number;
  readonly lineEnd: "\n" | "\r\n";
  /** Whether the last line has one. */
  readonly ended: boolean;
  /** Bytes that each row is longer. */
  readonly pad: number;
  /** Where the key is: a column, a path, the message; or the same for all. */
  readonly key: "column" | "path" | "literal" | "none";
  readonly ids: boolean;
  readonly time: TimeForm;
  /** `--time-unit` says what the magnitude would tell. */
  readonly unitSaid: boolean;
  /** `--type`, `--subject`, `--tag`. */
  readonly fields: boolean;
  /** Of CSV. */
  readonly delimiter: "," | ";" | "\t" | "|";
  readonly header: "row" | "columns" | "sep";
  readonly quoted: "all" | "needed";
  readonly numbers: boolean;
  /** Of change events. */
  readonly printing: Printing;
  readonly envelope: "none" | "key" | "value" | "both";
  readonly unwrapped: boolean;
}

export interface SourcePlan {
  readonly form: Form;
  readonly look: Look;
  readonly rows: readonly RowPlan[];
  /** Of whole records, into a stream that takes their offsets: one that does not rise is rejected. */
  readonly offsets?: true;
}

/** At an append of a run, counted from 1: before the service hears of it, or when it has answered. */
export interface Mishap {
  readonly append: number;
  readonly at: "asked" | "answered";
  readonly kind: "lost" | "late" | "kill" | "term" | "interrupt" | "service-kill" | "service-term" | "grow";
  readonly ms: number;
}

export interface RunPlan {
  readonly mishaps: readonly Mishap[];
  /** The importer is killed so long after its start, whatever it has done. */
  readonly killMs?: number;
}

/** What is done when the import has said that it is done. */
export type After =
  /** The same command again. */
  | "again"
  /** The same without the file of its progress. */
  | "state-lost"
  /** Rows are added. */
  | "added"
  /** The file is not the one that was imported. */
  | "first-changed"
  | "shorter"
  | "row-gone"
  /** The stream is deleted and made anew. */
  | "made-anew"
  /** What is in the file of its progress is not what was written. */
  | "state-cut"
  | "state-empty"
  | "state-zeros"
  | "state-other"
  /** What `read --json` prints, into another stream. */
  | "copied"
  | "dry-run";

export interface JobPlan {
  readonly kind: "import";
  readonly source: SourcePlan;
  readonly partitions: number;
  readonly batchBytesMax: number;
  /** A file, with a state of its own or a named one; the standard input with a state, or with a name alone. */
  readonly door: "file" | "file-state" | "pipe-state" | "pipe-name";
  /** Whether the counts are asked for as JSON. */
  readonly json: boolean;
  readonly onError: "stop" | "skip";
  /** Of gzip that is not CSV, so many of a thousand bytes are there at first. */
  readonly cut?: number;
  readonly runs: readonly RunPlan[];
  /** Two of the same command side by side, before it is run to its end. */
  readonly twins: boolean;
  readonly after: readonly After[];
}

export interface RefusalPlan {
  readonly kind: "refusal";
  /** A name of `refusals`. */
  readonly name: string;
  readonly rows: number;
  readonly pipe: boolean;
}

export interface ImportPlan {
  readonly jobs: readonly (JobPlan | RefusalPlan)[];
}
