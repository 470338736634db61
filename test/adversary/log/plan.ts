/** What a round of the log program is made of. Plans are data: they are drawn, cut down and repeated as they stand. */
import type { Kill } from "../frame/gate.ts";

/** How a batch is sent. `event` and `events` are CloudEvents as JSON, `headers` is their binary mode. */
export type Door = "json" | "ndjson" | "event" | "events" | "headers" | "raw" | "frames";

/** What the data of a record look like; see `dataOf`. */
export type Shape = "plain" | "odd" | "escapes" | "lines" | "text" | "number" | "none" | "bytes" | "large";

/** Keys and ids by number; a record is told from all others by a number of its own, given when it is sent. */
export interface Drawn {
  readonly key: number | null;
  /** It gets an id of its own. */
  readonly id: boolean;
  readonly color: Color | null;
  readonly type: string | null;
  readonly shape: Shape;
  /** Its writer stamps it with the time then, and so much. */
  readonly stampMs?: number;
}

export type Color = "red" | "blue";

/** The caller goes away: amid the body, which then is no request, or so long after all of it was sent. */
export type Cut = { readonly at: "body"; readonly share: number } | { readonly at: "answer"; readonly afterMs: number };

export interface Write {
  readonly door: Door;
  readonly records: readonly Drawn[];
  readonly gzip?: boolean;
  readonly mark?: boolean;
  readonly producer?: number;
  /** To one partition, by its place among those that take appends. */
  readonly where?: number;
  readonly atomic?: boolean;
  readonly runs?: boolean;
  readonly cut?: Cut;
  /** `ack=none`: the answer says nothing, and nothing is sent again. */
  readonly blind?: boolean;
  /** Where the first was not answered it is sent again as it was. Producers always do. */
  readonly retry: boolean;
  /** So many at once; only what has ids or a producer. */
  readonly times?: number;
}

export interface Filter {
  readonly key?: number;
  readonly tags?: readonly Color[];
  readonly types?: readonly string[];
  readonly match?: "any" | "all";
}

/** Where a reader begins. Shares are of what there is. */
export type From =
  | { readonly at: "default" | "earliest" | "latest" | "snapshot" }
  | { readonly at: "newest"; readonly count: number }
  | { readonly at: "time"; readonly share: number; readonly plusMs: number; readonly form: number }
  | { readonly at: "offset"; readonly share: number }
  | { readonly at: "bookmark"; readonly share: number };

export interface Query {
  /** By its place among all partitions. */
  readonly partition: number | null;
  readonly filter: Filter;
  readonly from: From;
  readonly backward: boolean;
  readonly limit: number;
  readonly maxBytes: number | "all" | null;
  readonly accept: "json" | "ndjson" | "frames";
  /** What leads from page to page. */
  readonly by: "next" | "cursor" | "link";
  /** After so many pages back to where it began, by `prev`. */
  readonly turnAfter: number | null;
  /** Below the head it would wait, if there were anything to wait for. */
  readonly wait?: boolean;
}

export interface Follow {
  readonly name: string;
  /** `frames`: a socket whose records are packed. */
  readonly kind: "events" | "socket" | "frames" | "poll";
  readonly partition: number | null;
  readonly filter: Filter;
  readonly from: From;
  /** Credits of a socket, records of a page. */
  readonly window: number;
}

/** What is asked for with the sequence of an earlier batch, or next to it. */
export type Misuse = "conflict" | "gap" | "fenced";

export type Step =
  /** `grows`: meanwhile there come to be so many partitions more. */
  | { readonly do: "append"; readonly writes: readonly Write[]; readonly grows?: number }
  | {
      readonly do: "socket";
      readonly writes: readonly Write[];
      /** They go as packed frames. */
      readonly frames?: boolean;
      readonly where: number | null;
      readonly cutMs: number | null;
    }
  | { readonly do: "again"; readonly share: number; readonly door: Door | null }
  | { readonly do: "misuse"; readonly share: number; readonly how: Misuse }
  | { readonly do: "epoch"; readonly producer: number }
  | {
      readonly do: "repeat";
      readonly share: number;
      readonly door: Door;
      readonly otherKey: number | null;
    }
  | { readonly do: "expect"; readonly where: number; readonly off: number }
  | { readonly do: "expect-key"; readonly key: number; readonly right: boolean }
  | { readonly do: "fence"; readonly where: number; readonly right: boolean; readonly grows: boolean }
  | { readonly do: "grow"; readonly by: number }
  | { readonly do: "trim"; readonly where: number; readonly share: number }
  | { readonly do: "snapshot"; readonly where: number; readonly share: number }
  | { readonly do: "look"; readonly queries: readonly Query[] }
  | {
      readonly do: "wait";
      readonly seconds: number;
      readonly color: Color;
      readonly lets: boolean;
      readonly grows: boolean;
    }
  | { readonly do: "follow"; readonly follow: Follow }
  | { readonly do: "shake" }
  | { readonly do: "drop"; readonly name: string }
  /** A cursor of another stream, or of one that had the name before. */
  | { readonly do: "wrong-log"; readonly whose: "other" | "former" }
  | { readonly do: "sleep"; readonly ms: number };

export interface StreamTerms {
  readonly partitions: number;
  readonly keyIndex: boolean;
  /** Each partition keeps so many records. Nothing has an id then: what has is kept for as long as its window. */
  readonly retention?: number;
  /** Writers stamp their records. */
  readonly stamps?: boolean;
}

/** One stream, and what is done to it, one after another. */
export interface Script {
  readonly terms: StreamTerms;
  readonly steps: readonly Step[];
}

export interface LogPlan {
  readonly scripts: readonly Script[];
  readonly kills: readonly Kill[];
}
