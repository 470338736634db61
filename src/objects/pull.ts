/** Members that pull: what they get, and how they wait for it. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { type Answer, gone } from "./answer.ts";
import type { Keeper } from "./keeper.ts";
import { packLeases } from "./packing.ts";
import type { Leases, ReceiveCall, Refused, WaitCall } from "./rpc.ts";

/**
 * Leases what there is. Where there is nothing it waits, and then says that there is something, but leases nothing: whether
 * the member is still there only the caller can find out. `acked` is what became of the acks that came with the call.
 */
export async function receive(keeper: Keeper, call: ReceiveCall, acked: readonly Refused[]): Promise<Answer<Leases>> {
  const { core, filler, callers } = keeper;
  const { state } = core;
  keeper.used();
  const filled = await fill(() => filler.fill(() => state.window.readyCount >= call.max));
  callers.came(call.call);
  if (keeper.stopped) return gone;
  if (!filled.ok) return filled;
  const leased = core.lease(call, Date.now(), Math.random);
  if (leased.length > 0 || state.lost.size > 0 || call.waitMs <= 0 || state.over) {
    const lost = state.lost.take();
    if (lost.length > 0) keeper.settled();
    keeper.arm();
    keeper.kick();
    return ok(packLeases(leased, core, lost, acked));
  }
  const waited = await wait(keeper, call);
  return waited.ok ? ok({ ...packLeases([], core, [], acked), ready: waited.value }) : waited;
}

/** Resolves when something may be leased by a member, or after a time; says whether it may. */
export async function wait(keeper: Keeper, terms: WaitCall): Promise<Answer<boolean>> {
  keeper.callers.begin(terms.call);
  try {
    return await waitFor(keeper, terms);
  } finally {
    keeper.callers.end(terms.call);
  }
}

async function waitFor(keeper: Keeper, terms: WaitCall): Promise<Answer<boolean>> {
  const { call, member, max, waitMs } = terms;
  const { core, filler, callers } = keeper;
  const { state } = core;
  const there = () =>
    core.room.ready(Date.now(), member) || state.lost.size > 0 || state.over || (state.sealed && !terms.knowsSealed);
  for (const until = Date.now() + waitMs; ; ) {
    // The group, or its stream, was deleted: whoever waits finds out which.
    if (keeper.stopped) return gone;
    core.expire(Date.now(), Math.random);
    const filled = await fill(() => filler.fill(there));
    if (callers.hasGone(call)) return ok(false);
    if (keeper.stopped) return gone;
    if (!filled.ok) return filled;
    const left = until - Date.now();
    if (there() || left <= 0) return ok(there());
    if (callers.size >= limits.waitersMax) {
      return refuse("too-many", `${limits.waitersMax} members wait already; receive without waitSeconds`);
    }
    const waited = callers.wait(call, member, max, left);
    keeper.arm();
    if (!(await waited)) return ok(false);
  }
}

/** A partition that cannot be reached is nobody's mistake: the member tries again. */
export async function fill(read: () => Promise<void>): Promise<Result<undefined>> {
  try {
    await read();
    return ok(undefined);
  } catch (error) {
    console.error("delivery:", (error as Error).message);
    return refuse("unavailable", "the partition could not be read; try again");
  }
}
