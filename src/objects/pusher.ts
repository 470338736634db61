/**
 * Pushes a delivery's records to its receiver: some requests at a time, faster while they succeed, slower while they
 * fail. A batch that fails is cut in halves, so that a record that is to blame is found and the others go on; a receiver
 * that fails again and again is left alone for longer and longer.
 */
import type { Delivery, Leased } from "../delivery/delivery.ts";
import { type Outcome, outcomeOf, type PushRequest, pushRequest, targetProblem } from "../delivery/push.ts";
import { signed } from "../platform/signing.ts";
import type { Attempt } from "./rpc.ts";

export const pushMember = "push";

/** Attempts that the log keeps. */
const attemptsKept = 50;
const answerBytesMax = 512;
/** Failures in a row after which the receiver is left alone. */
const patience = 10;
const restMsMax = 30_000;
/** A lease outlives its request. */
const graceMs = 5_000;

/** What came back, with the first bytes of the body. */
interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  readonly answer: string;
}

/** What the pusher needs of the object around it. */
export interface PushHost {
  readonly core: Delivery;
  /** The group is gone. */
  readonly stopped: boolean;
  /** Something was finished, or failed: save it soon, read on, arm the alarm. */
  settled(): void;
  pause(reason: string): void;
}

export class Pusher {
  readonly attempts: Attempt[] = [];
  #active = 0;
  #batch = Number.POSITIVE_INFINITY;
  #failures = 0;
  #failingSince: number | undefined;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #waited = false;
  #validated: string | undefined;
  /** Not before this, in ms since 1970. */
  notBefore = 0;

  constructor(readonly host: PushHost) {}

  get target() {
    return this.host.core.state.spec.config.push;
  }

  get active(): number {
    return this.#active;
  }

  /** True where records are wanted. */
  get hungry(): boolean {
    const { target } = this;
    if (target === null || this.host.core.state.paused !== undefined || Date.now() < this.notBefore) return false;
    return this.#active < this.#lanes(target.concurrency);
  }

  /** The group was changed, or resumed by hand: whatever was held against the receiver is forgotten. */
  reset(): void {
    this.#batch = Number.POSITIVE_INFINITY;
    this.#failures = 0;
    this.#failingSince = undefined;
    this.notBefore = 0;
  }

  /** Sends what may be sent now. Does not wait for the answers; answers how many records went. */
  run(): number {
    const now = Date.now();
    let given = 0;
    while (this.hungry) {
      const leased = this.#lease(now);
      if (leased.length === 0) break;
      given += leased.length;
      this.#active++;
      this.#send(leased).finally(() => {
        this.#active--;
        this.host.settled();
      });
    }
    return given;
  }

  /** One at a time while it fails. */
  #lanes(concurrency: number): number {
    return this.#failures >= patience ? 1 : concurrency;
  }

  #lease(now: number): Leased[] {
    const { core } = this.host;
    const { batch, push, ackTimeoutMs } = core.state.spec.config;
    if (push === null) return [];
    const most = push.format === "batch" ? Math.min(batch.records, Math.max(1, Math.floor(this.#batch))) : 1;
    if (push.format === "batch" && batch.waitMs > 0 && this.#tooFew(most, batch.waitMs)) return [];
    const leaseMs = Math.max(ackTimeoutMs, push.timeoutMs + graceMs);
    return core.lease({ max: most, bytesMax: batch.bytes, member: pushMember, leaseMs }, now);
  }

  /** An incomplete batch waits once for more. */
  #tooFew(most: number, waitMs: number): boolean {
    const { window } = this.host.core.state;
    if (window.readyCount >= most || window.readyCount === 0 || this.#waited) {
      this.#waited = false;
      return false;
    }
    this.#waiting ??= setTimeout(() => {
      this.#waiting = undefined;
      this.#waited = true;
      this.host.settled();
    }, waitMs);
    return true;
  }

  async #send(leased: readonly Leased[]): Promise<void> {
    const { core } = this.host;
    const { spec } = core.state;
    const started = Date.now();
    const request = pushRequest(spec, leased);
    let status: number | undefined;
    let answer = "";
    let outcome: Outcome;
    try {
      const problem = targetProblem(spec.config.push!.url, spec.privateTargets) ?? (await this.#refusal());
      if (problem !== undefined) throw new Error(problem);
      const response = await this.#post(request);
      ({ status, answer } = response);
      outcome = outcomeOf(status, response.headers.get("retry-after"), Date.now());
    } catch (error) {
      outcome = { is: "failed", reason: reasonOf(error) };
    }
    this.attempts.push({
      at: started,
      deliveryId: request.id,
      records: leased.length,
      attempt: leased[0].attempt,
      status,
      error: "reason" in outcome && status === undefined ? outcome.reason : undefined,
      durationMs: Date.now() - started,
      answer,
    });
    if (this.attempts.length > attemptsKept) this.attempts.shift();
    if (this.host.stopped) return;
    this.#settle(leased, outcome, Date.now());
  }

  async #post({ id, headers, body }: PushRequest): Promise<Exchange> {
    const { url, secrets } = this.target!;
    const signature = await signed(secrets, id, Math.floor(Date.now() / 1_000), body);
    return this.#exchange(url, { method: "POST", headers: { ...headers, ...signature }, body });
  }

  /** A request and the beginning of its answer, in the time that the target has for both. */
  async #exchange(url: string, init: RequestInit): Promise<Exchange> {
    const controller = new AbortController();
    // Cleared as soon as there is an answer: `AbortSignal.timeout` would keep every request in memory for its whole time.
    const timer = setTimeout(() => controller.abort(new Error("no answer in time")), this.target!.timeoutMs);
    try {
      const response = await fetch(url, { ...init, redirect: "manual", signal: controller.signal });
      return { status: response.status, headers: response.headers, answer: await beginning(response) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** CloudEvents' handshake, once for each url. Why the receiver must not be pushed to, if so. */
  async #refusal(): Promise<string | undefined> {
    const { url, validate } = this.target!;
    if (!validate || this.#validated === url) return undefined;
    const headers = { "webhook-request-origin": "millrace" };
    const response = await this.#exchange(url, { method: "OPTIONS", headers });
    const allowed = response.headers.get("webhook-allowed-origin");
    const agreed = response.status >= 200 && response.status < 300 && (allowed === "*" || allowed === "millrace");
    if (!agreed) {
      return `the receiver did not agree to be pushed to (OPTIONS: ${response.status}, WebHook-Allowed-Origin: ${allowed})`;
    }
    this.#validated = url;
    return undefined;
  }

  #settle(leased: readonly Leased[], outcome: Outcome, now: number): void {
    const { core } = this.host;
    const held = core.held(leased);
    if (outcome.is === "done") {
      for (const item of held) core.finish(item, now);
      this.#batch *= 2;
      this.#failures = 0;
      this.#failingSince = undefined;
      return;
    }
    if (outcome.is === "gone") {
      for (const item of held.reverse()) core.release(item, now);
      this.host.pause("the receiver answered 410 Gone");
      return;
    }
    this.#failures++;
    this.#failingSince ??= now;
    if (outcome.is === "busy") {
      for (const item of held.reverse()) core.release(item, now);
      this.notBefore = Math.max(this.notBefore, now + outcome.afterMs);
    } else if (leased.length > 1) {
      for (const item of held.reverse()) core.release(item, now);
      this.#batch = Math.max(1, Math.floor(leased.length / 2));
    } else for (const item of held) core.fail(item, undefined, outcome.reason, now, Math.random());
    if (this.#failures >= patience) {
      const rest = Math.min(restMsMax, 500 * 2 ** (this.#failures - patience));
      this.notBefore = Math.max(this.notBefore, now + rest);
    }
    if (now - this.#failingSince >= this.target!.pauseAfterMs) {
      this.#failingSince = undefined;
      this.host.pause(`the receiver has failed for ${this.target!.pauseAfterMs} ms; last: ${outcome.reason}`);
    }
  }
}

async function beginning(response: Response): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const parts: string[] = [];
  const decoder = new TextDecoder();
  let left = answerBytesMax;
  while (left > 0) {
    const { done, value } = await reader.read();
    if (done) return parts.join("");
    parts.push(decoder.decode(value.subarray(0, left), { stream: true }));
    left -= value.length;
  }
  await reader.cancel();
  return parts.join("");
}

function reasonOf(error: unknown): string {
  const { message } = error as Error;
  // Of its own failures workerd tells a reference and nothing else.
  return /^internal error/.test(message) ? "the receiver could not be reached" : message;
}
