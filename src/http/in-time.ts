/**
 * Deadlines of what nearly always is there at once. A timer for each request costs a twentieth of an append; here one looks for all
 * of an isolate, in the name of the request that began it, and stops when nobody waits.
 */
import { behind } from "../platform/behind.ts";

const lookMs = 1_000;

interface Waiting {
  readonly until: number;
  readonly giveUp: () => void;
}

const waiting = new Set<Waiting>();
let lookedAt = 0;

/** What comes of the work, or undefined where it takes longer than so many ms, by a second or so. */
export function inTime<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const now = Date.now();
  // The platform may have ended the one who looked.
  if (now - lookedAt > 3 * lookMs) {
    lookedAt = now;
    behind(look());
  }
  return new Promise((resolve, reject) => {
    const one: Waiting = { until: now + ms, giveUp: () => resolve(undefined) };
    waiting.add(one);
    work.then(
      (value) => {
        waiting.delete(one);
        resolve(value);
      },
      (error) => {
        waiting.delete(one);
        reject(error);
      },
    );
  });
}

async function look(): Promise<void> {
  do {
    await scheduler.wait(lookMs);
    lookedAt = Date.now();
    for (const one of waiting) {
      if (one.until > lookedAt) continue;
      waiting.delete(one);
      one.giveUp();
    }
  } while (waiting.size > 0);
  lookedAt = 0;
}
