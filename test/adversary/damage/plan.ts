/** What a round of the damage program is made of: streams at rest, what befalls their bytes, and who reads them then. */

/** One append, and so one chunk. */
export interface Commit {
  readonly records: readonly Kept[];
}

export interface Kept {
  readonly key: number | null;
  readonly size: number;
  /** The writer's timestamp is so much more than the one before. */
  readonly afterMs: number;
}

/** What is made of a stream before it is damaged: its segments are rewritten. */
export type Rewriting = "erase";

/** Shares are of what there is: of a form's bytes, of the segments or rows. */
export type Blow =
  | { readonly on: "object"; readonly which: number; readonly part: Part; readonly at: number; readonly bit: number }
  | { readonly on: "object"; readonly which: number; readonly how: Fate; readonly at: number }
  | { readonly on: "row"; readonly which: number; readonly column: Column; readonly at: number; readonly bit: number }
  | { readonly on: "row"; readonly which: number; readonly how: RowFate; readonly at: number }
  | {
      readonly on: "segment";
      readonly which: number;
      readonly column: SegmentColumn;
      readonly at: number;
      readonly bit: number;
    }
  | {
      readonly on: "snapshot";
      readonly how: "flipped" | "cut" | "empty" | "missing";
      readonly at: number;
      readonly bit: number;
    };

export type Part = "header" | "frames" | "records" | "index" | "footer";
export type Fate = "cut" | "grown" | "empty" | "missing" | "swapped" | "foreign";
export type Column = "base" | "next" | "first" | "last" | "records" | "flags" | "bytes" | "print" | "body";
/** Of a segment's row; `print` is in a table of its own. */
export type SegmentColumn =
  | ("n" | "next" | "first" | "last" | "chunks" | "records" | "bytes" | "hot" | "size" | "indexBytes" | "sealed")
  | ("sha" | "prev" | "origin" | "print");
export type RowFate = "missing" | "cut" | "empty" | "swapped";

export type Way = "pages" | "backward" | "ndjson" | "frames" | "events" | "socket" | "packed" | "group" | "dump";

export interface Reader {
  readonly way: Way;
  /** All of them, merged. */
  readonly partition: number | null;
  readonly key: number | null;
  readonly from: { readonly at: "earliest" } | { readonly at: "offset" | "time"; readonly share: number };
  /** Records of a page or of a receive, credits of a socket. */
  readonly window: number;
}

export interface StreamPlan {
  readonly partitions: number;
  /** Writers stamp their records. */
  readonly stamps: boolean;
  /** Each partition keeps so many records in its database. */
  readonly keep: number;
  /** To each partition. */
  readonly commits: readonly (readonly Commit[])[];
  readonly rewriting?: Rewriting;
  /** A snapshot of this size. */
  readonly snapshot?: number;
  /** On each partition. */
  readonly blows: readonly (readonly Blow[])[];
  readonly readers: readonly Reader[];
  readonly repair: boolean;
}

/** The file of a dump, and what becomes of its bytes, each alone. */
export interface FilePlan {
  readonly stream: number;
  readonly restore: boolean;
  readonly blows: readonly { readonly how: "flipped" | "cut" | "grown"; readonly at: number; readonly bit: number }[];
}

export interface DamagePlan {
  readonly streams: readonly StreamPlan[];
  readonly how: "kill" | "term";
  readonly file?: FilePlan;
}
