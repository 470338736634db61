/** Requests to a receiver: signed, bounded in time, and once more where the connection was the fault. */
import { veiled } from "../../schemas/credentials.ts";
import type { PushTarget } from "../../schemas/group.ts";
import type { PushRequest } from "../delivery/push-request.ts";
import { signed } from "../platform/signing.ts";
import { type Underway, Unsent } from "./underway.ts";

const answerBytesMax = 512;
/**
 * A connection that the receiver has closed while it was idle is found to be so only when it is used, and the next one may
 * have been closed with it. After so long most of them are known, and after the second time all; both in ms.
 */
const againMs = [5, 50];

/** What came back, with the first bytes of the body. */
export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  readonly answer: string;
}

export class Outgoing {
  #agreed: string | undefined;

  /** The group was changed: the receiver is asked anew. */
  reset(): void {
    this.#agreed = undefined;
  }

  /** Throws, with a reason for people, where there is no answer; `Unsent` where some of its records were forgotten before. */
  async post(target: PushTarget, { id, headers, body }: PushRequest, under?: Underway): Promise<Exchange> {
    const signature = await signed(target.secrets, id, Math.floor(Date.now() / 1_000), body);
    if (under?.forgotten) throw new Unsent();
    return exchange(target, { method: "POST", headers: { ...headers, ...signature }, body }, under);
  }

  /** CloudEvents' handshake, once for each url. Why the receiver must not be pushed to, if so. */
  async refusal(target: PushTarget): Promise<string | undefined> {
    const { url, validate } = target;
    if (!validate || this.#agreed === url) return undefined;
    const headers = { "webhook-request-origin": "millrace" };
    let response: Exchange;
    try {
      response = await exchange(target, { method: "OPTIONS", headers });
    } catch (error) {
      return `the receiver did not agree to be pushed to (OPTIONS: ${(error as Error).message})`;
    }
    const allowed = response.headers.get("webhook-allowed-origin");
    const agreed = response.status >= 200 && response.status < 300 && (allowed === "*" || allowed === "millrace");
    if (!agreed) {
      const why = `OPTIONS: ${response.status}, WebHook-Allowed-Origin: ${allowed}`;
      // A header has what the receiver likes, and fifty attempts stand in a row.
      return `the receiver did not agree to be pushed to (${veiled(why, target).slice(0, answerBytesMax)})`;
    }
    this.#agreed = url;
    return undefined;
  }
}

/** All tries together have the target's time, which the lease outlives. What comes of it is shown to others than the receiver. */
async function exchange(target: PushTarget, init: RequestInit, under?: Underway): Promise<Exchange> {
  const { url, timeoutMs } = target;
  const until = Date.now() + timeoutMs;
  for (let tries = 0; ; tries++) {
    try {
      const got = await once(url, until - Date.now(), init);
      return { ...got, answer: veiled(got.answer, target) };
    } catch (error) {
      const { message } = error as Error;
      const again = lost.test(message) && tries < againMs.length && Date.now() + againMs[tries] < until;
      const why = veiled(reasonOf(message), target);
      if (!again) throw new Error(why);
      await scheduler.wait(againMs[tries]);
      if (under?.forgotten) throw new Error(why);
    }
  }
}

const lost = /connection (was )?(lost|reset|closed)/i;

/** A request and the beginning of its answer, in the time that there is for both. */
async function once(url: string, ms: number, init: RequestInit): Promise<Exchange> {
  const controller = new AbortController();
  // Cleared as soon as there is an answer: `AbortSignal.timeout` would keep every request in memory for its whole time.
  const timer = setTimeout(() => controller.abort(new Error("no answer in time")), ms);
  try {
    const response = await fetch(url, { ...init, redirect: "manual", signal: controller.signal });
    return { status: response.status, headers: response.headers, answer: await beginning(response) };
  } finally {
    clearTimeout(timer);
  }
}

/** As much of the body as is there in time. The status has been given: whatever becomes of the body changes nothing. */
async function beginning(response: Response): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const parts: string[] = [];
  const decoder = new TextDecoder();
  try {
    for (let left = answerBytesMax; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return parts.join("");
      parts.push(decoder.decode(value.subarray(0, left), { stream: true }));
      left -= value.length;
    }
    await reader.cancel();
  } catch {
    // It broke off, or came too slowly.
  }
  return parts.join("");
}

/** Of its own failures workerd tells a reference and nothing else. */
function reasonOf(message: string): string {
  return /^internal error/.test(message)
    ? "the receiver could not be reached, or its certificate is not valid"
    : message;
}
