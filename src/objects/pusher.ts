/**
 * Pushes a delivery's records to its receiver: some requests at a time, as many as it agrees to. A batch that fails is cut in
 * halves and sent again, down to the record that is to blame, which goes alone from then on; the others are charged nothing.
 */
import type { Delivery, Leased } from "../delivery/delivery.ts";
import type { Health } from "../delivery/health.ts";
import { type Outcome, outcomeOf, targetProblem } from "../delivery/push.ts";
import { type PushRequest, pushRequest } from "../delivery/push-request.ts";
import { turnsBetween } from "../delivery/turns.ts";
import { type Attempts, silent } from "./attempts.ts";
import { Opinion } from "./opinion.ts";
import { type Exchange, Outgoing } from "./outgoing.ts";
import { Underway, Unsent } from "./underway.ts";

export const pushMember = "push";

/** A lease outlives its request. */
const graceMs = 5_000;

/** What the pusher needs of the object around it. */
export interface PushHost {
  readonly core: Delivery;
  readonly attempts: Attempts;
  /** The group is gone. */
  readonly stopped: boolean;
  /** Something was finished, or failed: save it soon, read on, arm the alarm. */
  settled(): void;
  pause(reason: string): void;
}

/** What became of a request: an outcome, or that it was never made. */
type Sent =
  | Outcome
  | { readonly is: "unsent" }
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "unmade"; readonly reason: string };

export class Pusher {
  readonly #opinion: Opinion;
  readonly #outgoing = new Outgoing();
  #active = 0;
  /** Requests with a record that failed more than once, and since how many others there was none. */
  #worn = 0;
  #since = 0;
  /** While others wait, such a record takes no more than a tenth of the time. */
  #wornFrom = 0;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #waited = false;

  constructor(readonly host: PushHost) {
    this.#opinion = new Opinion(host.core.state);
  }

  get #health(): Health {
    return this.#opinion.health;
  }

  get target() {
    return this.host.core.state.spec.config.push;
  }

  get active(): number {
    return this.#active;
  }

  /** When any record may be sent, in ms since 1970. */
  get askAt(): number {
    return this.#health.askAt;
  }

  /** True where records are wanted. */
  get hungry(): boolean {
    const { target } = this;
    if (target === null || this.host.core.state.paused !== undefined) return false;
    return this.#health.mayAsk(Date.now(), true) && this.#active < this.#health.slots(target.concurrency);
  }

  /** The group was changed, or resumed by hand: whatever was held against the receiver is forgotten. */
  reset(): void {
    this.#opinion.forget();
    this.#outgoing.reset();
  }

  /** Sends what may be sent now. Does not wait for the answers; answers how many records went. */
  run(): number {
    const now = Date.now();
    let given = 0;
    while (this.hungry) {
      const worn = this.#wornsTurn(now);
      const leased = worn ? this.#lease(1, "worn", now) : this.#leaseFresh(now);
      if (leased.length === 0) break;
      given += leased.length;
      this.#since = worn ? 0 : this.#since + 1;
      this.#health.asked(now);
      this.#active++;
      if (worn) this.#worn++;
      void this.#deliver(leased, worn, now);
    }
    return given;
  }

  async #deliver(leased: readonly Leased[], worn: boolean, started: number): Promise<void> {
    try {
      await this.#send(leased);
    } catch (error) {
      // Nothing is thrown that is not a mistake of ours: the leases run out, and the others go on.
      console.error("push:", (error as Error).message);
    }
    const now = Date.now();
    this.#active--;
    if (worn) {
      this.#worn--;
      this.#wornFrom = now + turnsBetween * (now - started);
    }
    if (!this.host.stopped) this.host.settled();
  }

  /** Whether the next request is for a record that failed more than once. */
  #wornsTurn(now: number): boolean {
    const { core } = this.host;
    if (!this.#health.mayAsk(now, false) || !core.room.ready(now, undefined, "worn")) return false;
    if (!core.room.ready(now, undefined, "fresh")) return true;
    const slots = this.#health.slots(this.target?.concurrency ?? 1);
    return this.#since >= turnsBetween && this.#worn < Math.max(1, Math.floor(slots / 4)) && now >= this.#wornFrom;
  }

  #leaseFresh(now: number): Leased[] {
    const { batch, push } = this.host.core.state.spec.config;
    // In a rest, one that was never tried shows whether the receiver is there again.
    if (!this.#health.mayAsk(now, false)) return this.#lease(1, "untried", now);
    const most = push?.format === "batch" && !this.#health.inDoubt ? batch.records : 1;
    if (push?.format === "batch" && batch.waitMs > 0 && this.#tooFew(most, batch.waitMs)) return [];
    return this.#lease(most, "fresh", now);
  }

  #lease(max: number, turn: "fresh" | "worn" | "untried", now: number): Leased[] {
    const { core } = this.host;
    // What is under way goes with the object.
    core.members.connected(pushMember);
    const ask = {
      max,
      bytesMax: core.state.spec.config.batch.bytes,
      member: pushMember,
      leaseMs: this.#leaseMs(),
      turn,
    };
    return core.lease(ask, now, Math.random);
  }

  #leaseMs(): number {
    const { push, ackTimeoutMs } = this.host.core.state.spec.config;
    return Math.max(ackTimeoutMs, (push?.timeoutMs ?? 0) + graceMs);
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

  /** Sends records under lease, and settles what becomes of them. */
  async #send(leased: readonly Leased[]): Promise<void> {
    const request = this.#make(leased);
    if (request === undefined) return this.#sendApart(leased);
    const sent = await this.#ask(request, leased);
    if (this.host.stopped) return;
    if (sent.is === "failed" && leased.length > 1) return this.#sendHalves(leased);
    this.#settle(leased, sent, Date.now());
    this.#opinion.keep();
  }

  /** Undefined where one of several records is to blame for it; one on its own is failed. */
  #make(leased: readonly Leased[]): PushRequest | undefined {
    const { spec } = this.host.core.state;
    try {
      return pushRequest(spec, leased);
    } catch (error) {
      if (leased.length > 1) return undefined;
      const [one] = leased;
      const reason = `it cannot be made into a request: ${(error as Error).message}`;
      this.#log(`${spec.groupId}.${spec.partition}.${one.item.offset}`, leased, Date.now(), { error: reason });
      this.#settle(leased, { is: "unmade", reason }, Date.now());
      return undefined;
    }
  }

  /** Each half for itself; the other half waits under its lease. */
  async #sendHalves(leased: readonly Leased[]): Promise<void> {
    const middle = Math.ceil(leased.length / 2);
    for (const half of [leased.slice(0, middle), leased.slice(middle)]) await this.#sendAgain(half);
  }

  /** Those that cannot be made into a request fail, the others go together. */
  async #sendApart(leased: readonly Leased[]): Promise<void> {
    if (leased.length < 2) return;
    const made = leased.filter((one) => this.#make([one]) !== undefined);
    this.host.settled();
    if (made.length > 0) await this.#sendAgain(made);
  }

  async #sendAgain(leased: readonly Leased[]): Promise<void> {
    const { core } = this.host;
    const held = core.held(leased);
    const now = Date.now();
    // The receiver is in doubt, the group paused or changed: nothing is charged to what waits behind.
    if (held.length === 0 || this.host.stopped) return;
    if (this.target === null || core.state.paused !== undefined || !this.#health.mayAsk(now, false)) {
      this.#release(held, now);
      return;
    }
    core.renew(held, now + this.#leaseMs());
    await this.#send(held);
    // What was decided of this part does not wait for the others, which may take long.
    if (!this.host.stopped) this.host.settled();
  }

  /** One request, and what its answer means. */
  async #ask(request: PushRequest, leased: readonly Leased[]): Promise<Sent> {
    const started = Date.now();
    const under = new Underway(this.host.core, leased);
    const target = this.target;
    if (target === null) return { is: "refused", reason: "the group does not push any more" };
    const problem = targetProblem(target.url, this.host.core.state.spec.privateTargets);
    const refused = problem ?? (await this.#outgoing.refusal(target));
    if (refused !== undefined) {
      this.#log(request.id, leased, started, { error: refused });
      return { is: "refused", reason: refused };
    }
    // To be asked first took the receiver as long as an answer may.
    if (target.validate) this.host.core.renew(leased, Date.now() + this.#leaseMs());
    let exchange: Exchange;
    try {
      exchange = await this.#outgoing.post(target, request, under);
    } catch (error) {
      if (error instanceof Unsent) return { is: "unsent" };
      const reason = (error as Error).message;
      this.#log(request.id, leased, started, { error: reason }, under);
      return { is: "failed", reason };
    }
    const { status, headers, answer } = exchange;
    this.#log(request.id, leased, started, { status, answer }, under);
    return outcomeOf(status, headers.get("retry-after"), Date.now());
  }

  #log(
    deliveryId: string,
    leased: readonly Leased[],
    at: number,
    { status, error, answer = "" }: { status?: number; error?: string; answer?: string },
    under?: Underway,
  ): void {
    const { length: records, 0: first } = leased;
    const durationMs = Date.now() - at;
    const attempt = { at, deliveryId, records, attempt: first.attempt, status, error, durationMs, answer };
    this.host.attempts.add(under?.forgotten ? silent(attempt) : attempt);
  }

  #release(held: readonly Leased[], now: number): void {
    for (const { item } of [...held].reverse()) this.host.core.endings.release(item, now);
  }

  #settle(leased: readonly Leased[], sent: Sent, now: number): void {
    const { core } = this.host;
    const held = core.held(leased);
    if (sent.is === "done") {
      for (const { item } of held) core.endings.finish(item, now);
      this.#health.succeeded();
      return;
    }
    if (sent.is === "unsent" || sent.is === "gone") {
      this.#release(held, now);
      if (sent.is === "gone") this.host.pause("the receiver answered 410 Gone");
      return;
    }
    if (sent.is === "failed" || sent.is === "unmade") {
      for (const { item } of held) core.endings.fail(item, { reason: sent.reason }, now, Math.random);
      if (sent.is === "failed") this.#health.failed(leased[0].item.offset, now);
    } else {
      this.#release(held, now);
      if (sent.is === "busy") this.#health.busy(sent.afterMs, now, Math.random);
      else this.#health.refused(now);
    }
    const pauseAfterMs = this.target?.pauseAfterMs;
    if (pauseAfterMs !== undefined && this.#health.isLost(now, pauseAfterMs)) {
      this.#opinion.forget();
      this.host.pause(`the receiver has failed for ${pauseAfterMs} ms; last: ${sent.reason}`);
    }
  }
}
