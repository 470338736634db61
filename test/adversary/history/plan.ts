/** What a round of the history program is made of: streams whose past changes, over a store that is not always well. */
import type { Kill } from "../frame/gate.ts";
import type { Mishap, Operation } from "../frame/mishap.ts";

/** Fields of a stream's configuration, by the names that the protocol has for them. */
export interface Settings {
  readonly retentionAgeMs?: number | null;
  readonly retentionBytes?: number | null;
  readonly retentionRecords?: number | null;
  readonly keepForGroups?: boolean;
  readonly keepForSnapshot?: boolean;
  readonly archive?: boolean;
  readonly archiveAgeMs?: number | null;
  readonly compact?: boolean;
  readonly deleteMarkerGraceMs?: number;
  readonly deduplicationWindowMs?: number;
}

/** Keys and subjects by number. A marker has no data; what is large is a segment by itself, or nearly. */
export interface Drawn {
  readonly key: number | null;
  readonly subject: number | null;
  readonly form: "value" | "marker" | "large";
}

/** Every so-manieth request of these kinds comes to grief. */
export interface StoreFault {
  readonly on: readonly Operation[];
  readonly every: number;
  readonly mishap: Mishap;
}

export interface Query {
  readonly by: "forward" | "backward" | "key" | "time" | "newest";
  /** By its place among all of them. */
  readonly partition: number | null;
  readonly limit: number;
  /** Of what is there: where it begins, or whose key. */
  readonly share: number;
  readonly accept: "json" | "ndjson";
}

/** What befalls an object that lies in the archive alone. */
export type Harm = "flipped" | "cut" | "gone" | "swapped";

/** `on`: which of the script's streams, by its place among all of them. */
export type Step = { readonly on?: number } & (
  | { readonly do: "append"; readonly batches: readonly (readonly Drawn[])[] }
  | { readonly do: "settings"; readonly settings: Settings }
  | { readonly do: "grow"; readonly by: number }
  | { readonly do: "trim"; readonly where: number; readonly share: number }
  /** `wait`: for the receipt; else it is only looked after. */
  | { readonly do: "erase"; readonly key?: number; readonly subject?: number; readonly wait: boolean }
  | { readonly do: "store"; readonly fault: StoreFault | null }
  | { readonly do: "look"; readonly queries: readonly Query[] }
  | { readonly do: "receive"; readonly max: number; readonly nack: boolean }
  | { readonly do: "redrive" }
  | { readonly do: "snapshot"; readonly where: number; readonly share: number }
  | { readonly do: "verify" }
  | { readonly do: "harm"; readonly how: Harm; readonly share: number; readonly isolate: boolean }
  /** `moved`: the stream is deleted and restored as it was; else there are two. */
  | { readonly do: "copy"; readonly how: "new-id" | "moved"; readonly elsewhere: boolean }
  | { readonly do: "settle" }
  | { readonly do: "sleep"; readonly ms: number }
);

export interface Script {
  readonly partitions: number;
  readonly settings: Settings;
  readonly steps: readonly Step[];
}

export interface HistoryPlan {
  readonly scripts: readonly Script[];
  readonly kills: readonly Kill[];
}
