/** Every scene: how it is drawn, run, and made smaller. */
import type { Smaller } from "../../frame/program.ts";
import type { Random } from "../../frame/random.ts";
import type { Round } from "../../frame/round.ts";
import { fair } from "./fair.ts";
import { heartbeat } from "./heartbeat.ts";
import { idle } from "./idle.ts";
import { parked } from "./parked.ts";
import type { FairPlan, HeartbeatPlan, IdlePlan, ParkedPlan, RatePlan, ScenePlan } from "./plan.ts";
import { rate } from "./rate.ts";

const runs: { [K in ScenePlan["kind"]]: (plan: Extract<ScenePlan, { kind: K }>, round: Round) => Promise<void> } = {
  fair,
  idle,
  rate,
  parked,
  heartbeat,
};

export function runScene<P extends ScenePlan>(plan: P, round: Round): Promise<void> {
  const run = runs[plan.kind] as (plan: P, round: Round) => Promise<void>;
  return run(plan, round);
}

function drawFair(random: Random, brief: boolean): FairPlan {
  const perSecond = random.chance(0.3) ? random.pick([10, 20, 40]) : null;
  return {
    kind: "fair",
    partitions: random.pick([1, 1, 2, 4]),
    member: random.pick(["pull", "socket"]),
    members: random.int(1, 3),
    batch: random.pick([1, 5, 20]),
    poisoned: random.int(10, perSecond !== null ? 30 : 60),
    fresh: perSecond !== null ? 30 : brief ? 60 : random.pick([50, 200]),
    onFailure: random.pick(["block", "block", "park", "skip"]),
    backoffMs: random.pick([0, 50, 200, 1000]),
    perSecond,
    maxInFlight: random.pick([1000, 1000, 10]),
    workMs: random.pick([0, 5, 20]),
  };
}

function drawIdle(random: Random): IdlePlan {
  return {
    kind: "idle",
    partitions: random.pick([1, 2, 4]),
    growth: random.pick([0, 0, 1, 3]),
    why: random.pick(["empty", "rate", "member-limit", "limit", "paused", "backoff", "only", "parked"]),
    pollers: random.int(0, 4),
    sockets: random.int(0, 3),
    records: random.pick([20, 200]),
  };
}

const drawRate = (random: Random, brief: boolean): RatePlan => ({
  kind: "rate",
  partitions: random.pick([1, 2, 4]),
  growth: random.pick([0, 0, 1, 4]),
  perSecond: random.pick([5, 20, 40, 100, 500]),
  burst: random.pick([null, 1, 10, 50]),
  members: random.int(1, 3),
  batch: random.pick([5, 50]),
  seconds: brief ? 3 : random.int(3, 6),
});

const drawParked = (random: Random, brief: boolean): ParkedPlan => ({
  kind: "parked",
  keys: brief ? 1500 : random.pick([500, 4000, 5200, 7000]),
  fresh: 100,
  by: random.int(1, 2),
  member: random.pick(["pull", "socket"]),
});

const drawHeartbeat = (random: Random): HeartbeatPlan => ({
  kind: "heartbeat",
  partitions: random.pick([1, 2, 4]),
  heartbeatMs: 1500,
  records: 24,
  pings: random.chance(0.3),
});

const draws = { fair: drawFair, idle: drawIdle, rate: drawRate, parked: drawParked, heartbeat: drawHeartbeat };

export type SceneKind = keyof typeof draws;

export const drawScene = (kind: SceneKind, random: Random, brief: boolean): ScenePlan => draws[kind](random, brief);

/** Each number halved, down to one; each choice at its plainest. */
export function smallerScene(plan: ScenePlan): Smaller<ScenePlan>[] {
  const plain = { member: "pull", onFailure: "block", perSecond: null, burst: null, maxInFlight: 1000, growth: 0 };
  const found: Smaller<ScenePlan>[] = [];
  for (const [name, value] of Object.entries(plan)) {
    if (name in plain && plain[name as keyof typeof plain] !== value) {
      found.push({ name: `plain:${name}`, plan: { ...plan, [name]: plain[name as keyof typeof plain] } });
    }
    const shrinks = ["partitions", "members", "pollers", "sockets", "records", "fresh", "poisoned", "batch", "keys"];
    if (!shrinks.includes(name) || typeof value !== "number") continue;
    const least = name === "pollers" || name === "sockets" ? 0 : 1;
    for (const less of new Set([least, Math.floor(value / 2)])) {
      if (less < value && less >= least) found.push({ name: `${name}:${less}`, plan: { ...plan, [name]: less } });
    }
  }
  return found;
}
