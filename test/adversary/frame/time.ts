/** Waiting. What is waited for is an outcome; the bound is only there so that a failure ends. */

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** Acts when the signal is given, also where it was given before. What comes back ends the watch. */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
  return () => signal.removeEventListener("abort", act);
}

/** Asks until it is so, or the time is over: then undefined. */
export async function eventually<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  boundMs: number,
  everyMs = 20,
): Promise<T | undefined> {
  const end = performance.now() + boundMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) return undefined;
    await sleep(everyMs);
  }
}

/** A promise that others keep. */
export class Later<T = void> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {}); // Nobody may be waiting when it fails.
  }
}
