/** A rate is the whole group's, from the first second and over growth, and is reached. */
import type { Round } from "../../frame/round.ts";
import { onAbort, sleep } from "../../frame/time.ts";
import { Ground, names } from "./ground.ts";
import type { RatePlan } from "./plan.ts";
import { pull } from "./workers.ts";

export async function rate(plan: RatePlan, round: Round): Promise<void> {
  const { partitions, growth, perSecond, burst, seconds } = plan;
  const ground = new Ground(round);
  await ground.make(partitions, { rate: { perSecond, ...(burst !== null && { burst }) } });
  const backlog = Math.ceil(perSecond * seconds * 3 + (burst ?? 1) + 200);
  const append = () => ground.append(names("k", backlog).map((key) => ({ key, data: 0 })));
  await append();
  const stop = new AbortController();
  onAbort(round.stopped, () => stop.abort());
  const times: number[] = [];
  const work = () => {
    times.push(round.now());
    return "ack" as const;
  };
  const began = round.now();
  const members = names("m", plan.members).map((member) =>
    pull({ ground, member, batch: plan.batch, work, stopped: stop.signal }),
  );
  const working = Promise.all(members);
  await Promise.race([sleep(seconds * 500, round.stopped), working]);
  if (growth > 0) await round.must("PUT", ground.stream, { body: { partitions: partitions + growth } });
  if (growth > 0) await append();
  await Promise.race([sleep(seconds * 500, round.stopped), working]);
  const ended = round.now();
  stop.abort();
  await Promise.all(members);
  judge(
    plan,
    round,
    times.map((at) => at - began),
    ended - began,
  );
}

function judge(plan: RatePlan, round: Round, times: readonly number[], lastedMs: number): void {
  const { growth, perSecond, members, batch } = plan;
  // Those that are split, and what comes of them.
  const partitions = plan.partitions + 2 * growth;
  const burst = plan.burst ?? 1;
  for (const upToMs of [1000, lastedMs / 2, lastedMs]) {
    const count = times.filter((at) => at <= upToMs).length;
    // A turn more for each partition, and what the clocks differ by.
    const most = burst + (perSecond * (upToMs + 100)) / 1000 + partitions + 1;
    const seen = () =>
      `${count} in the first ${Math.round(upToMs)} ms; ${perSecond} a second, burst ${burst}, allow ${Math.floor(most)}`;
    round.history.note([], seen);
    round.checks.that("rate", count <= most * 1.05, seen);
  }
  // Shares are even, and the backlog of a stream that grows is not.
  if (growth > 0) return;
  // What members can ask for at all: a request takes its time.
  const expected = Math.min((perSecond * lastedMs) / 1000, (members * batch * lastedMs) / 200);
  const short = () => `${times.length} in ${Math.round(lastedMs)} ms with a backlog; ${perSecond} a second are allowed`;
  round.checks.that("rate", times.length >= expected * 0.6 - 1, short);
}
