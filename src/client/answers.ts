/** What a member answers deliveries with. */

/** What the service takes of a reason, and of a delay. */
const reasonBytesMax = 1_024;
const delayMsMax = 604_800_000;

/** Why a delivery failed, and when to try again. */
export interface Failure {
  readonly reason: string;
  readonly delayMs: number | undefined;
}

/** What a nack can say of what a handler threw: a reason of so many bytes, in whole letters, and a time that is one. */
export function failureOf(error: unknown): Failure {
  let reason = "";
  let delay = -1;
  try {
    const { message = error, retryAfterMs } = error as { message?: unknown; retryAfterMs?: number };
    reason = String(message);
    delay = Math.round(retryAfterMs as number);
  } catch {
    // Anything can be thrown, and not everything has a text.
  }
  const bytes = new Uint8Array(reasonBytesMax);
  const { written } = new TextEncoder().encodeInto(reason || "the handler threw", bytes);
  return {
    reason: new TextDecoder().decode(bytes.subarray(0, written)),
    delayMs: delay >= 0 ? Math.min(delay, delayMsMax) : undefined,
  };
}

/** Tells the group what became of deliveries. */
export type Say = (what: "ack" | "nack" | "extend" | "release", body: { receipts: string[] }) => void;

/** Acks that are said together. */
export class Gather {
  #receipts: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly say: Say,
    readonly delayMs = 0,
  ) {}

  add(receipts: string[]): void {
    this.#receipts.push(...receipts);
    if (this.#receipts.length >= 1_000) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.delayMs);
  }

  take(): string[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#receipts.splice(0);
  }

  flush(): void {
    const receipts = this.take();
    if (receipts.length > 0) this.say("ack", { receipts });
  }
}
