/** However many keys wait in the parent, its children deliver those that do not: to members of before, too. */
import type { Json } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";
import { eventually, onAbort } from "../../frame/time.ts";
import { Ground, names } from "./ground.ts";
import type { ParkedPlan } from "./plan.ts";
import { pull, socket, type Verdict } from "./workers.ts";

const boundMs = 15_000;

export async function parked(plan: ParkedPlan, round: Round): Promise<void> {
  const ground = new Ground(round);
  await ground.make(1, {
    onFailure: "park",
    maxDeliveries: 1,
    backoff: [0],
    maxInFlight: 10_000,
    ackTimeoutMs: 120_000,
  });
  await new Parked(plan, round, ground).watched();
}

const placeOf = ({ partition, offset }: Json) => `${partition}.${offset}`;

class Parked {
  readonly #came = new Map<string, string>();
  readonly #stop = new AbortController();

  constructor(
    readonly plan: ParkedPlan,
    readonly round: Round,
    readonly ground: Ground,
  ) {
    onAbort(round.stopped, () => this.#stop.abort());
  }

  async watched(): Promise<void> {
    const run = this.plan.member === "pull" ? pull : socket;
    const work = (delivery: Json) => this.#work(delivery);
    const member = run({ ground: this.ground, member: "m", batch: 1000, work, stopped: this.#stop.signal });
    const broken = member.then(() => new Promise<never>(() => {}));
    await Promise.race([this.#judge(), broken]).finally(() => this.#stop.abort());
    await member;
  }

  #work(delivery: Json): Verdict {
    this.#came.set(placeOf(delivery), delivery.key);
    return delivery.key.startsWith("stuck") ? "nack" : "ack";
  }

  async #judge(): Promise<void> {
    const { plan, round, ground } = this;
    await ground.append(names("stuck", plan.keys).map((key) => ({ key, data: 0 })));
    await this.#drained();
    await round.must("PUT", ground.stream, { body: { partitions: 1 + plan.by } });
    const fresh = await ground.append(names("free", plan.fresh).map((key) => ({ key, data: 1 })));
    const held = await ground.append(names("stuck", Math.min(20, plan.keys)).map((key) => ({ key, data: 2 })));
    const left = () => fresh.filter((one) => !this.#came.has(placeOf(one))).length;
    await eventually(() => left() === 0, round.patient(boundMs));
    for (const place of held.map(placeOf)) {
      const seen = () =>
        `${place} of ${this.#came.get(place)} came, and an earlier record of the key is parked in the parent`;
      round.checks.that("order", !this.#came.has(place), seen);
    }
    const waits = () =>
      `${left()} of ${plan.fresh} fresh records do not come, with ${plan.keys} parked keys in the parent`;
    round.checks.that("healthy", left() === 0, waits);
  }

  /** All that was appended has come, and failed. */
  async #drained(): Promise<void> {
    const { plan, round } = this;
    while (this.#came.size < plan.keys) {
      const { size } = this.#came;
      await eventually(() => this.#came.size > size, round.patient(boundMs));
      const rest = () => `${plan.keys - size} of ${plan.keys} do not come`;
      round.checks.that("drained", this.#came.size > size, rest);
    }
  }
}
