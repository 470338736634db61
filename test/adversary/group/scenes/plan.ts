/** Scenes: one promise each, that a step by step script cannot look at: who is served how often, and what waiting costs. */

/** Fresh records while others fail and fail. */
export interface FairPlan {
  readonly kind: "fair";
  readonly partitions: number;
  readonly member: "pull" | "socket";
  readonly members: number;
  /** Of a receive, or credits. */
  readonly batch: number;
  readonly poisoned: number;
  readonly fresh: number;
  readonly onFailure: "block" | "park" | "skip";
  readonly backoffMs: number;
  readonly perSecond: number | null;
  readonly maxInFlight: number;
  readonly workMs: number;
}

/** Everybody waits, and nothing may go. */
export interface IdlePlan {
  readonly kind: "idle";
  readonly partitions: number;
  /** So many more partitions later, over the sealed ones. */
  readonly growth: number;
  readonly why: "empty" | "rate" | "member-limit" | "limit" | "paused" | "backoff" | "only" | "parked";
  readonly pollers: number;
  readonly sockets: number;
  readonly records: number;
}

/** Greedy members, a backlog, and a rate. */
export interface RatePlan {
  readonly kind: "rate";
  readonly partitions: number;
  /** So many more partitions in the middle of it, with a backlog of their own. */
  readonly growth: number;
  readonly perSecond: number;
  readonly burst: number | null;
  readonly members: number;
  readonly batch: number;
  readonly seconds: number;
}

/** Many keys that wait behind a dead letter, then growth, and records of other keys. */
export interface ParkedPlan {
  readonly kind: "parked";
  /** The one that fails them, and goes on after the growth. */
  readonly member: "pull" | "socket";
  readonly keys: number;
  readonly fresh: number;
  readonly by: number;
}

/** A socket that works and never pings, and one that falls silent. */
export interface HeartbeatPlan {
  readonly kind: "heartbeat";
  readonly partitions: number;
  readonly heartbeatMs: number;
  readonly records: number;
  readonly pings: boolean;
}

export type ScenePlan = FairPlan | IdlePlan | RatePlan | ParkedPlan | HeartbeatPlan;
