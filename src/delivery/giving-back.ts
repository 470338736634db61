/** A member gives records back that it will not work on: they go out again at once, to others first, and no attempt is counted. */
import { ok, type Result } from "../../schemas/errors.ts";
import type { Delivery } from "./delivery.ts";
import { readReceipt } from "./receipt.ts";
import type { State } from "./state.ts";

/** Twice is as once: of a lease that is over, however that came, nothing is left to give back. */
export function giveBack(delivery: Delivery, receipts: readonly string[], now: number): Result<undefined>[] {
  const holders = receipts.map((text) => holderOf(delivery.state, text, now));
  return delivery.release(receipts, now).map((result, index) => {
    const holder = holders[index];
    if (result.ok && holder !== undefined) delivery.room.resting.begin(holder, now);
    return result.ok || result.refusal.code !== "stale-lease" ? result : ok(undefined);
  });
}

/** Who has the lease of a receipt, if anybody. */
function holderOf({ leases }: State, text: string, now: number): string | undefined {
  const receipt = readReceipt(text);
  if (receipt === undefined) return undefined;
  const lease = leases.get(receipt.offset) ?? leases.restored.get(receipt.offset);
  return lease?.generation === receipt.generation && lease.expires > now ? lease.member : undefined;
}
