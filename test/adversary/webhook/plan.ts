/** What a round of the webhook program is made of: one stream, groups with a receiver each, and what happens in time. */
import type { Order } from "../group/plan.ts";

export type Format = "binary" | "structured" | "batch";

/** What a receiver does, for so long. All of it depends on the request alone, so that it is the same when it is repeated. */
export type Habit =
  | { readonly kind: "good" }
  /** The first keys never succeed. */
  | { readonly kind: "poisoned"; readonly keys: number; readonly by: Failing }
  /** Some records fail the first few times. */
  | { readonly kind: "flaky"; readonly share: number; readonly times: number; readonly by: Failing }
  /** Of some records the first request is lost with its connection. */
  | { readonly kind: "losing"; readonly share: number }
  | { readonly kind: "idle"; readonly ms: number }
  | { readonly kind: "slow"; readonly ms: number }
  /** Some first answers come just when nobody waits any more. */
  | { readonly kind: "late"; readonly share: number; readonly ms: number }
  | { readonly kind: "slow-body"; readonly ms: number }
  | { readonly kind: "huge-body" }
  | { readonly kind: "busy"; readonly status: 429 | 503; readonly retryAfter?: RetryAfter }
  | { readonly kind: "gone" }
  | { readonly kind: "down"; readonly by: Failing }
  | { readonly kind: "away" }
  | { readonly kind: "no-handshake" };

export type Failing = "500" | "400" | "302" | "garbage" | "reset" | "hang";

export type RetryAfter =
  | "1"
  | "2"
  | "0"
  | "1.5"
  | "-1"
  | "7, 9"
  | "soon"
  | "9999999999"
  | "imf"
  | "rfc850"
  | "asctime"
  | "past";

export interface Phase {
  readonly ms: number;
  readonly habit: Habit;
}

export interface PushGroup {
  readonly theme: Theme;
  readonly order: Order;
  readonly onFailure: "block" | "park" | "skip";
  readonly maxDeliveries: number;
  readonly backoff: readonly number[];
  readonly format: Format;
  readonly batch: number;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly pauseAfterMs: number;
  readonly secrets: number;
  readonly validate: boolean;
  /** In order; afterwards the receiver is good. */
  readonly phases: readonly Phase[];
}

/** What a group is about, and what is asserted of it besides everything else. */
export type Theme = "poison" | "quirks" | "busy" | "capped" | "gone" | "down" | "away" | "handshake" | "moving";

export interface Sent {
  readonly key: number | null;
  readonly form: "number" | "text" | "binary" | "none" | "long" | "attributes";
}

export type Beat = { readonly afterMs: number } & (
  | { readonly do: "append"; readonly records: readonly Sent[] }
  | { readonly do: "grow"; readonly by: number }
  | { readonly do: "kill"; readonly how: "kill" | "term" }
  | { readonly do: "pause"; readonly group: number; readonly ms: number }
  | { readonly do: "rotate"; readonly group: number }
  | { readonly do: "retarget"; readonly group: number }
);

export interface WebhookPlan {
  readonly partitions: number;
  readonly groups: readonly PushGroup[];
  readonly beats: readonly Beat[];
  /** So long after everything is quiet the attempts are looked at. */
  readonly idleMs: number;
  /** Then the service is killed, and they are looked at again. */
  readonly killAtEnd: boolean;
}
