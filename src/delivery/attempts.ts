/** What follows a failed attempt. Pure. */
import type { Backoff, GroupConfig } from "../../schemas/group.ts";

export type Plan = { readonly next: "retry"; readonly delayMs: number } | { readonly next: "park" | "skip" };

/** Added to a pause, at most: receivers that failed together are not asked together again. */
const jitter = 0.25;

/**
 * `attempts` were made. `asked` is a pause that the member, or the receiver, wants; it is kept to, and not shortened.
 * `chance` is in [0, 1).
 */
export function planAfter(
  config: Pick<GroupConfig, "onFailure" | "maxDeliveries" | "backoff">,
  attempts: number,
  asked: number | undefined,
  chance: number,
): Plan {
  if (config.onFailure !== "block" && attempts >= config.maxDeliveries) return { next: config.onFailure };
  return { next: "retry", delayMs: asked ?? Math.round(pause(config.backoff, attempts) * (1 + jitter * chance)) };
}

/** The pause after so many attempts, in ms. */
export function pause(backoff: Backoff, attempts: number): number {
  if (Array.isArray(backoff)) return backoff[Math.min(attempts, backoff.length) - 1];
  return Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** Math.min(attempts - 1, 64));
}
