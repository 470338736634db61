/** A socket that is heard of keeps its leases, whatever it says; one that is not gives them back. */
import type { Json } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";
import { eventually, sleep } from "../../frame/time.ts";
import { GroupSocket } from "../group-socket.ts";
import { Ground, names } from "./ground.ts";
import type { HeartbeatPlan } from "./plan.ts";

const boundMs = 15_000;

export async function heartbeat(plan: HeartbeatPlan, round: Round): Promise<void> {
  const ground = new Ground(round);
  await ground.make(plan.partitions, { heartbeatMs: plan.heartbeatMs, ackTimeoutMs: 600_000, backoff: [0] });
  await ground.append(names("k", plan.records).map((key) => ({ key, data: 0 })));
  const came: Json[] = [];
  let closed: number | undefined;
  const member = new GroupSocket(round, {
    group: ground.group,
    member: "busy",
    ...(plan.pings && { pingMs: plan.heartbeatMs / 3 }),
    onMessage: (message) => {
      if (message.type === "deliveries") came.push(...message.deliveries);
    },
    onClose: (code) => {
      closed = code;
    },
  });
  await member.open();
  try {
    member.send({ type: "credit", credits: plan.records });
    const all = await eventually(() => came.length >= plan.records, boundMs);
    round.checks.that("drained", all === true, () => `${came.length} of ${plan.records} came to a socket in time`);
    await busy(plan, round, ground, member, came, () => closed);
  } finally {
    member.leave(false);
  }
}

/** It acks one now and then, for three heartbeats; then it falls silent. */
async function busy(
  plan: HeartbeatPlan,
  round: Round,
  ground: Ground,
  member: GroupSocket,
  came: readonly Json[],
  closed: () => number | undefined,
): Promise<void> {
  const end = round.now() + 3 * plan.heartbeatMs;
  let next = 0;
  while (round.now() < end && next < came.length - 2) {
    member.send({ type: "ack", receipts: [came[next++].receipt] });
    await sleep(plan.heartbeatMs / 5, round.stopped);
    const others = await ground.receive({ max: 100, member: "other" });
    const seen = () =>
      `${others[0]?.partition}.${others[0]?.offset} came to another, and its member acks all the while`;
    round.checks.that("heartbeat", others.length === 0, seen);
    round.checks.that("heartbeat", closed() === undefined, () => `a member that acks was closed with ${closed()}`);
    round.checks.that(
      "heartbeat",
      came.length === plan.records,
      () => `the member got ${came.length} of ${plan.records}`,
    );
  }
  if (plan.pings) return;
  const left = plan.records - next;
  const returned = await eventually(
    async () => {
      const others = await ground.receive({ max: 1000, waitSeconds: 1, member: "other" });
      return others.length > 0 && others;
    },
    plan.heartbeatMs * 2 + boundMs,
  );
  const kept = () => `a member has been silent for ${plan.heartbeatMs * 2 + boundMs} ms, and has ${left} leases yet`;
  round.checks.that("heartbeat", returned !== undefined, kept);
}
