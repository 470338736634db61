import { limits } from "../../schemas/limits.ts";
import type { Terms } from "../delivery/delivery.ts";
import type { Words } from "../lib/mac.ts";

/** What a core cannot have of itself: the time, chance, and a secret. */
export const terms = (): Terms => ({
  lanesMax: limits.lanesMax,
  now: Date.now(),
  draw: () => [...crypto.getRandomValues(new Int32Array(4))] as unknown as Words,
  chance: Math.random,
});
