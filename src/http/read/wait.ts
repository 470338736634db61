/**
 * A read that waits: a call to each partition that may still get records, which rests there until something happens. The first
 * answer ends the others, and so does a client that has gone. What was sealed and read to its end is not waited for.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import { type Merge, worstOf } from "./merge.ts";
import type { Reading } from "./reading.ts";

/** How long a partition that was told that its wait is over may take to answer: one that does not know the word is left. */
const graceMs = 1_000;
/** Growth seals partitions before the new map is out: it is asked for again after growing pauses. */
const pauseMs = 50;
const pauseMsMax = 2_000;

/** Fetches what there is, or, where there is nothing, what comes within the time that the read has. */
export async function firstFetch(reading: Reading, merge: Merge): Promise<Result<undefined>> {
  const { sources, until } = reading;
  const waitMs = until - Date.now();
  // The records of one partition need no merging: it may wait from the beginning.
  const waits = sources.length === 1 && waitMs > 0;
  let fetched = await (waits ? waitFor(reading, waitMs) : merge.fetch(0));
  for (let pause = pauseMs; fetched.ok; pause = Math.min(pause * 2, pauseMsMax)) {
    const grown = await reading.grow();
    if (!grown.ok) return grown;
    if (grown.value === "grown") {
      fetched = await merge.fetch(0);
      continue;
    }
    const left = until - Date.now();
    const settled = grown.value === "settled";
    const over = settled && sources.every(({ sealed }) => sealed);
    if (!merge.idle || left <= 0 || over || reading.signal.aborted) return fetched;
    fetched = await waitFor(reading, settled ? left : Math.min(left, pause));
  }
  return fetched;
}

/** Waits for the first of the partitions to have something; the others say where they stand. */
async function waitFor({ sources, signal }: Reading, ms: number): Promise<Result<undefined>> {
  const open = sources.filter(({ sealed }) => !sealed);
  if (open.length === 0) {
    await scheduler.wait(ms);
    return ok(undefined);
  }
  const answers = await firstOf(
    open,
    (source, wait) => source.fetch(ms, undefined, wait),
    (source, wait) => source.asks.end(wait),
    signal,
  );
  for (const source of open) source.forsake();
  return worstOf(answers);
}

/** Calls that wait under a name, until the first is answered: then the others are ended. What was answered. */
export async function firstOf<Of, T>(
  those: readonly Of[],
  call: (one: Of, wait: string) => Promise<T>,
  end: (one: Of, wait: string) => void,
  signal: AbortSignal,
): Promise<T[]> {
  const wait = crypto.randomUUID();
  const waiting = new Set(those);
  const answers: T[] = [];
  const calls = those.map(async (one) => {
    answers.push(await call(one, wait));
    waiting.delete(one);
  });
  let over = false;
  const endAll = () => {
    if (!over) for (const one of waiting) end(one, wait);
    over = true;
  };
  signal.addEventListener("abort", endAll);
  await Promise.race(calls);
  signal.removeEventListener("abort", endAll);
  endAll();
  if (waiting.size > 0) await Promise.race([Promise.all(calls), scheduler.wait(graceMs)]);
  return answers;
}
