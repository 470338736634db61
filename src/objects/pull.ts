/** Members that pull: what they get, and how they wait for it. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Keeper } from "./keeper.ts";
import { packLeases } from "./packing.ts";
import type { Leases, ReceiveCall, Refused } from "./rpc.ts";

/** Leases what there is, or waits for it. `acked` is what became of the acks that came with the call. */
export async function receive(keeper: Keeper, call: ReceiveCall, acked: readonly Refused[]): Promise<Result<Leases>> {
  const { core, filler, waiters } = keeper;
  keeper.used();
  for (const until = Date.now() + call.waitMs; ; ) {
    const filled = await fill(() => filler.fill(() => core.state.window.readyCount >= call.max));
    if (!filled.ok) return filled;
    const { state } = core;
    const leased = core.lease(call, Date.now());
    const left = until - Date.now();
    if (leased.length > 0 || state.lost.length > 0 || left <= 0 || state.over || keeper.stopped) {
      keeper.arm();
      return ok(packLeases(leased, state, state.lost.splice(0), acked));
    }
    if (waiters.size >= limits.waitersMax) {
      return refuse("too-many", `${limits.waitersMax} members wait already; receive without waitSeconds`);
    }
    await waiters.wait(Math.min(left, keeper.patienceMs()));
  }
}

/** A partition that cannot be reached is nobody's mistake: the member tries again. */
async function fill(read: () => Promise<void>): Promise<Result<undefined>> {
  try {
    await read();
    return ok(undefined);
  } catch (error) {
    console.error("delivery:", (error as Error).message);
    return refuse("unavailable", "the partition could not be read; try again");
  }
}

/** Resolves when something may be leased, or after a time. */
export async function ready(keeper: Keeper, waitMs: number): Promise<Result<boolean>> {
  for (const until = Date.now() + waitMs; ; ) {
    keeper.core.expire(Date.now(), Math.random());
    const filled = await fill(() => keeper.filler.fill(() => keeper.ready));
    if (!filled.ok) return filled;
    const left = until - Date.now();
    if (keeper.ready || left <= 0 || keeper.stopped) return ok(keeper.ready);
    await keeper.waiters.wait(Math.min(left, keeper.patienceMs()));
  }
}
