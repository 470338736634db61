/** However many keys wait in the parent, its children deliver those that do not. */
import type { Round } from "../../frame/round.ts";
import { eventually } from "../../frame/time.ts";
import { Ground, names } from "./ground.ts";
import type { ParkedPlan } from "./plan.ts";

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
  await ground.append(names("stuck", plan.keys).map((key) => ({ key, data: 0 })));
  for (let failed = 0; failed < plan.keys; ) {
    const deliveries = await ground.receive({ max: 1000, waitSeconds: 5 });
    round.checks.that("drained", deliveries.length > 0, () => `${plan.keys - failed} of ${plan.keys} do not come`);
    await ground.settle("nack", deliveries);
    failed += deliveries.length;
  }
  await round.must("PUT", ground.stream, { body: { partitions: 1 + plan.by } });
  const fresh = await ground.append(names("free", plan.fresh).map((key) => ({ key, data: 1 })));
  const held = await ground.append(names("stuck", Math.min(20, plan.keys)).map((key) => ({ key, data: 2 })));
  const heldPlaces = new Set(held.map(({ partition, offset }) => `${partition}.${offset}`));
  const missing = new Set(fresh.map(({ partition, offset }) => `${partition}.${offset}`));
  await eventually(async () => {
    const deliveries = await ground.receive({ max: 1000, waitSeconds: 1 });
    for (const { partition, offset, key } of deliveries) {
      missing.delete(`${partition}.${offset}`);
      round.checks.that(
        "order",
        !heldPlaces.has(`${partition}.${offset}`),
        () => `${partition}.${offset} of ${key} came, and an earlier record of the key is parked in the parent`,
      );
    }
    await ground.settle("ack", deliveries);
    return missing.size === 0;
  }, round.patient(boundMs));
  round.checks.that(
    "healthy",
    missing.size === 0,
    () => `${missing.size} of ${plan.fresh} fresh records do not come, with ${plan.keys} parked keys in the parent`,
  );
}
