/** What a round of the group program is made of. Plans are data: they are drawn, cut down and repeated as they stand. */
import type { Kill } from "../frame/gate.ts";

export type Order = "key" | "partition" | "none";
export type OnFailure = "block" | "park" | "skip";

export interface GroupConfig {
  order: Order;
  onFailure: OnFailure;
  maxDeliveries: number;
  ackTimeoutMs: number;
  backoff: number[];
  maxInFlight: number;
  memberMaxInFlight: number | null;
  heartbeatMs: number;
  filter: { key?: string; types?: string[]; tags?: string[]; match?: "any" | "all" } | null;
}

/** Leases of the model, or their receipts, by what has become of them. Which of them: a share of the list, by place. */
export interface Pick {
  readonly of: "live" | "past" | "done" | "any";
  readonly from: number;
  readonly count: number;
}

export type Forgery = "digit" | "letter" | "swap" | "offset" | "cut" | "longer" | "empty" | "elsewhere" | "deleted";

export type Step =
  | { readonly do: "append"; readonly records: readonly AppendedKey[] }
  | {
      readonly do: "receive";
      readonly member: string;
      readonly max: number;
      readonly waitMs: number;
      readonly ack?: Pick;
    }
  | { readonly do: "poll"; readonly member: string; readonly max: number; readonly waitMs: number }
  | { readonly do: "leave"; readonly member: string; readonly afterMs: number }
  | { readonly do: "ack"; readonly pick: Pick; readonly twice?: boolean }
  | { readonly do: "nack"; readonly pick: Pick; readonly delayMs?: number }
  | { readonly do: "extend"; readonly pick: Pick; readonly ackTimeoutMs: number }
  | { readonly do: "forge"; readonly pick: Pick; readonly how: Forgery; readonly call: "ack" | "nack" | "extend" }
  | { readonly do: "sleep"; readonly ms: number }
  | { readonly do: "update"; readonly config: Partial<GroupConfig> }
  | { readonly do: "pause" }
  | { readonly do: "resume" }
  | { readonly do: "seek"; readonly to: "earliest" | "latest" | "time" | "offset"; readonly share: number }
  | { readonly do: "grow"; readonly by: number }
  | { readonly do: "only"; readonly keys: readonly number[] | null }
  | { readonly do: "redrive"; readonly choice: Choice; readonly edit?: boolean }
  | { readonly do: "discard"; readonly choice: Choice }
  | { readonly do: "lane"; readonly order: "resume" | "skip"; readonly share: number }
  | { readonly do: "socket"; readonly member: string; readonly credits: number }
  | { readonly do: "credit"; readonly member: string; readonly credits: number }
  | { readonly do: "cut"; readonly member: string; readonly politely: boolean }
  | { readonly do: "socket-ack"; readonly member: string; readonly pick: Pick }
  | { readonly do: "socket-nack"; readonly member: string; readonly pick: Pick }
  | { readonly do: "recreate" }
  | { readonly do: "look" };

/** Letters: all, or some by place, perhaps each twice. */
export interface Choice {
  readonly all?: boolean;
  readonly from: number;
  readonly count: number;
  readonly twice?: boolean;
}

/** `k3`, or none; and what a filter may ask for. */
export interface AppendedKey {
  readonly key: number | null;
  readonly tag?: string;
}

/** One group on a stream of its own, and what is done to it, one after another. */
export interface Script {
  readonly partitions: number;
  readonly group: GroupConfig;
  readonly steps: readonly Step[];
}

export interface ScriptPlan {
  readonly kind: "script";
  readonly scripts: readonly Script[];
  readonly kills: readonly Kill[];
}
