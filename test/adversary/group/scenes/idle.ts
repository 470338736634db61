/** Waiting costs next to nothing, whatever is waited for: the CPU time of the service's processes tells. */
import { type Json, Lost } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";
import { onAbort, sleep } from "../../frame/time.ts";
import { GroupSocket } from "../group-socket.ts";
import { Ground, names } from "./ground.ts";
import type { IdlePlan } from "./plan.ts";

const windowMs = 3000;
/** A service that rests burns a few ms a second; one that asks in a loop, hundreds. */
const shareMax = 0.06;

export async function idle(plan: IdlePlan, round: Round): Promise<void> {
  const ground = new Ground(round);
  await ground.make(plan.partitions, config(plan));
  await prepare(plan, round, ground);
  const stop = new AbortController();
  onAbort(round.stopped, () => stop.abort());
  const polls = names("m", plan.pollers).map((_, i) => poll(ground, memberOf(plan, i), stop.signal));
  const sockets = names("w", plan.sockets).map((name, i) =>
    follow(round, ground, plan.why === "member-limit" ? memberOf(plan, i) : name),
  );
  const opened = await Promise.all(sockets);
  try {
    const settled = await round.service.rest(8000);
    const before = round.service.cpuMs();
    const began = round.now();
    await sleep(windowMs, round.stopped);
    const share = (round.service.cpuMs() - before) / (round.now() - began);
    const seen = () =>
      `while ${plan.pollers} long polls and ${plan.sockets} sockets waited (${plan.why}), the service took ${Math.round(share * 100)} % of a core${settled ? "" : ", and did not come to rest"}`;
    round.history.note([], seen);
    round.checks.that("idle", share <= shareMax, seen);
  } finally {
    stop.abort();
    for (const socket of opened) socket.leave(false);
  }
  await Promise.all(polls);
}

/** Who is at his limit must be the one who asks. */
const memberOf = ({ why }: IdlePlan, i: number) => (why === "member-limit" ? "greedy" : `m${i}`);

function config({ why }: IdlePlan): Json {
  const usual = { ackTimeoutMs: 600_000, backoff: [600_000], maxInFlight: 1000 };
  switch (why) {
    case "rate":
      return { ...usual, rate: { perSecond: 0.01, burst: 1 } };
    case "member-limit":
      return { ...usual, memberMaxInFlight: 1 };
    case "limit":
      return { ...usual, maxInFlight: 1 };
    case "parked":
      return { ...usual, onFailure: "park", maxDeliveries: 1 };
    default:
      return usual;
  }
}

async function prepare(plan: IdlePlan, round: Round, ground: Ground): Promise<void> {
  const { why, records } = plan;
  const append = () => ground.append(names("k", records).map((key) => ({ key, data: 0 })));
  if (why !== "empty") await append();
  if (why === "paused") await round.must("POST", `${ground.group}/pause`, { body: {} });
  if (why === "only") await ground.configure({ only: ["nobody"] });
  if (why === "empty" || why === "paused" || why === "only")
    return grow(plan, round, ground, why === "empty" ? undefined : append);
  for (;;) {
    const deliveries = await ground.receive({ max: 1000, member: "greedy" });
    if (deliveries.length === 0) break;
    if (why === "backoff" || why === "parked") await ground.settle("nack", deliveries);
  }
  await grow(plan, round, ground, append);
}

async function grow(
  { partitions, growth }: IdlePlan,
  round: Round,
  ground: Ground,
  append?: () => Promise<unknown>,
): Promise<void> {
  if (growth > 0) await round.must("PUT", ground.stream, { body: { partitions: partitions + growth } });
  if (growth > 0) await append?.();
}

/** Waits, again and again, until it is told to go. */
async function poll(ground: Ground, member: string, stopped: AbortSignal): Promise<void> {
  while (!stopped.aborted) {
    try {
      await ground.receive({ max: 5, waitSeconds: 20, member }, stopped);
    } catch (error) {
      if (stopped.aborted && error instanceof Lost) return;
      throw error;
    }
  }
}

async function follow(round: Round, ground: Ground, member: string): Promise<GroupSocket> {
  const socket = new GroupSocket(round, { group: ground.group, member, onMessage: () => {}, onClose: () => {} });
  await socket.open();
  socket.send({ type: "credit", credits: 5 });
  return socket;
}
