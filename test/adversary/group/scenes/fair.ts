/** Old failures get one turn in ten while fresh records wait, and fresh records come in a bounded time. */
import type { Json } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";
import { eventually, onAbort, sleep } from "../../frame/time.ts";
import { Ground, names } from "./ground.ts";
import type { FairPlan } from "./plan.ts";
import { pull, socket, type Verdict } from "./workers.ts";

/** What is delivered of a partition while fresh records of it wait. */
interface Turns {
  fresh: number;
  failed: number;
  left: number;
}

/** One in ten is promised; two, and a few more, are let pass: turns come in batches, and members work side by side. */
const shareMax = 0.2;
const slack = 8;

export async function fair(plan: FairPlan, round: Round): Promise<void> {
  const scene = new Fair(plan, round);
  await scene.ground.make(plan.partitions, {
    onFailure: plan.onFailure,
    maxDeliveries: 1000,
    backoff: [plan.backoffMs],
    maxInFlight: plan.maxInFlight,
    ...(plan.perSecond !== null && { rate: { perSecond: plan.perSecond, burst: 1 } }),
  });
  await scene.ground.append(names("bad", plan.poisoned).map((key) => ({ key, data: 0 })));
  await scene.watched();
}

class Fair {
  readonly ground: Ground;
  readonly #stop = new AbortController();
  readonly #failures = new Map<string, number>();
  readonly #turns = new Map<number, Turns>();
  #since = Number.POSITIVE_INFINITY;

  constructor(
    readonly plan: FairPlan,
    readonly round: Round,
  ) {
    this.ground = new Ground(round);
    onAbort(round.stopped, () => this.#stop.abort());
  }

  async watched(): Promise<void> {
    const { plan, ground } = this;
    const work = (delivery: Json, from: number) => this.#work(delivery, from);
    const run = plan.member === "pull" ? pull : socket;
    const workers = names("m", plan.members).map((member) =>
      run({ ground, member, batch: plan.batch, work, stopped: this.#stop.signal }),
    );
    const broken = new Promise<never>((_, fail) => {
      for (const worker of workers) worker.catch(fail);
    });
    broken.catch(() => {});
    await Promise.race([this.#judge(), broken]).finally(() => this.#stop.abort());
    await Promise.all(workers);
  }

  async #work({ partition, key }: Json, from: number): Promise<Verdict> {
    const turns = this.#turns.get(partition);
    // The last ones may all be in the members' hands by then. A socket's deliveries are of their own time.
    const { members, batch } = this.plan;
    const counted =
      turns !== undefined && turns.left > members * batch && (this.plan.member === "socket" || from > this.#since);
    if (key.startsWith("bad")) {
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      if (counted && failures > 1 && this.round.now() > this.#since) turns.failed++;
      return "nack";
    }
    // One may come before the answer to its append.
    const own = turns ?? { fresh: 0, failed: 0, left: 0 };
    this.#turns.set(partition, own);
    own.left--;
    if (counted) own.fresh++;
    if (this.plan.workMs > 0) await sleep(this.plan.workMs, this.#stop.signal);
    return "ack";
  }

  async #judge(): Promise<void> {
    const { plan } = this;
    const perSecond = plan.perSecond ?? 50;
    const often = () => this.#failures.size >= plan.poisoned && [...this.#failures.values()].every((n) => n > 1);
    await eventually(often, 5000 + (plan.poisoned * 3000) / perSecond, 50);
    const verdicts = await this.ground.append(names("good", plan.fresh).map((key) => ({ key, data: 1 })));
    for (const { partition } of verdicts) {
      const turns = this.#turns.get(partition) ?? { fresh: 0, failed: 0, left: 0 };
      this.#turns.set(partition, { ...turns, left: turns.left + 1 });
    }
    this.#since = this.round.now();
    const all = [...this.#turns.values()];
    const boundMs = 25_000 + (plan.perSecond === null ? 0 : (plan.fresh * 2000) / plan.perSecond);
    const over = await eventually(
      () => all.every(({ left }) => left <= 0) || all.some((turns) => unfair(turns)),
      boundMs,
    );
    for (const [partition, turns] of this.#turns) this.#look(partition, turns, over === true);
  }

  #look(partition: number, turns: Turns, over: boolean): void {
    const { checks, history } = this.round;
    const seen = `${turns.fresh} turns of fresh records, ${turns.failed} of old failures, ${turns.left} fresh ones wait`;
    history.note([], () => `partition ${partition}: ${seen}`);
    checks.that("fairness", !unfair(turns), () => `in partition ${partition}, while fresh records waited: ${seen}`);
    const served = over || turns.left <= 0;
    checks.that("healthy", served, () => `in partition ${partition} fresh records wait behind failures: ${seen}`);
  }
}

const unfair = ({ fresh, failed }: Turns) => failed > (fresh + failed) * shareMax + slack;
