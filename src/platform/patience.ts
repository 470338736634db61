/** What is borne of a store: how often it is asked again, and how long it is waited for. */

export interface Patience {
  /** How often a call is asked, all in all. */
  readonly attempts: number;
  /** Before the second attempt; then twice as long each time. A random part of it is waited. */
  readonly pauseMs: number;
  readonly pauseMsMax: number;
  /** For an answer. Bodies have longer, by their length. */
  readonly answerMs: number;
  /** For the answer to a read: who asked for it waits. */
  readonly readMs: number;
  /** After so long a read is not asked again. */
  readonly readMsMax: number;
  /** For the next bytes of a stream. */
  readonly stallMs: number;
}

export const patience: Patience = {
  attempts: 4,
  pauseMs: 200,
  pauseMsMax: 3_000,
  answerMs: 30_000,
  readMs: 8_000,
  readMsMax: 16_000,
  stallMs: 30_000,
};

/** The slowest link that is borne: 256 KiB/s. */
const bytesPerMsMin = 262;

/** How long a call may take that carries so many bytes. */
export const callMs = ({ answerMs }: Patience, bytes: number): number => answerMs + Math.ceil(bytes / bytesPerMsMin);

/** What is borne of a read. */
export const ofReads = (patient: Patience): Borne => ({
  ...patient,
  answerMs: Math.min(patient.answerMs, patient.readMs),
  msMax: patient.readMsMax,
});

/** What is borne of a call. */
export interface Borne extends Patience {
  /** After so long it is not asked again. */
  readonly msMax?: number;
}

/** Why a store did not do what it was asked. */
export class Fault extends Error {
  /** Another attempt may succeed. */
  readonly passing: boolean;
  readonly status?: number;
  /** The store's own word for it. */
  readonly code?: string;

  constructor(message: string, passing: boolean, more: { status?: number; code?: string; cause?: unknown } = {}) {
    super(message, { cause: more.cause });
    this.passing = passing;
    this.status = more.status;
    this.code = more.code;
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Asks until it is answered, as long as the faults are passing ones. What it throws says what was asked, and of whom. */
export async function patiently<T>(
  what: string,
  {
    attempts,
    pauseMs,
    pauseMsMax,
    msMax = Number.POSITIVE_INFINITY,
  }: Pick<Borne, "attempts" | "pauseMs" | "pauseMsMax" | "msMax">,
  ask: (attempt: number) => Promise<T>,
): Promise<T> {
  const until = Date.now() + msMax;
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(attempt);
    } catch (error) {
      const again = error instanceof Fault && error.passing && attempt < attempts && Date.now() < until;
      if (!again) {
        const times = attempt === 1 ? "" : ` (${attempt} attempts)`;
        throw new Error(`${what} failed: ${messageOf(error)}${times}`, { cause: error });
      }
      const most = Math.min(pauseMs * 2 ** (attempt - 1), pauseMsMax);
      // Those who were throttled together must not come back together.
      await new Promise((done) => setTimeout(done, most * (0.5 + Math.random() / 2)));
    }
  }
}

/** Gives up on work that takes longer. The signal is for what can be stopped; what cannot is left to itself. */
export async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const fault = new Fault(`nothing within ${ms} ms`, true);
      reject(fault);
      stop.abort(fault);
    }, ms);
  });
  try {
    return await Promise.race([work(stop.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A stream that ends after so many bytes or fails, and does not wait for ever. */
export function steady(
  what: string,
  { stallMs }: Pick<Patience, "stallMs">,
  body: ReadableStream<Uint8Array>,
  length: number,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = length;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await within(stallMs, () => reader.read());
          left -= value?.length ?? 0;
          if (left < 0 || (done && left > 0)) throw new Fault(`the body is not of ${length} bytes`, true);
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          reader.cancel(error).catch(() => {}); // It has failed already, or nobody listens.
          controller.error(new Error(`${what} failed: ${messageOf(error)}`, { cause: error }));
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

export const emptyBody = (): ReadableStream<Uint8Array> =>
  new ReadableStream({ start: (controller) => controller.close() });
