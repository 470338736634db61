import { MillraceError } from "./error.ts";

/** How failures are retried. */
export interface RetryOptions {
  /** Attempts in all; after the last one the error is thrown. Default 10. */
  attempts?: number;
  /** First pause, in ms; each one doubles, and half of it is chance. Default 100. */
  initialMs?: number;
  /** Longest pause, in ms. Default 10 000. */
  maxMs?: number;
  /** Told of each failure that is tried again, before the pause. */
  onRetry?: (error: MillraceError) => void;
}

/** Pauses between attempts: exponential, with jitter, and never shorter than the service asked for. */
export class Backoff {
  #failures = 0;

  constructor(readonly options: RetryOptions = {}) {}

  /** It went well: the next failure is a first one. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits after a failure, or throws it: it was the last attempt, or will not get better. */
  async pause(error: unknown, signal: AbortSignal | undefined, may: (error: MillraceError) => boolean): Promise<void> {
    const { attempts = 10, initialMs = 100, maxMs = 10_000, onRetry } = this.options;
    if (!(error instanceof MillraceError) || !may(error) || ++this.#failures >= attempts) throw error;
    onRetry?.(error);
    const full = Math.min(maxMs, initialMs * 2 ** (this.#failures - 1));
    await sleep(Math.max(error.retryAfterMs ?? 0, full * (0.5 + Math.random() / 2)), signal);
  }
}

/** Does it again while it fails in a way that may pass. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  options: RetryOptions | undefined,
  signal: AbortSignal | undefined,
  may: (error: MillraceError) => boolean,
): Promise<T> {
  const backoff = new Backoff(options);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      await backoff.pause(error, signal, may);
    }
  }
}

/** Calls it when the signal is aborted, or now where it is. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): void {
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
}

/** No bound. */
export const endless = 1 / 0;

/** Longest time that a timer can wait, in ms; it would fire at once beyond. */
export const timerMaxMs = 2 ** 31 - 1;

/** Throws the signal's reason where it is aborted meanwhile. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      },
      Math.min(ms, timerMaxMs),
    );
    onAbort(signal, stop);
  });
}
