/**
 * Pushes a delivery's records to its receiver: some requests at a time, as many as it agrees to. A batch that fails is cut in
 * halves and sent again, down to the record that is to blame, which goes alone from then on; the others are charged nothing.
 */
import type { PushTarget } from "../../schemas/group.ts";
import type { Delivery, Leased } from "../delivery/delivery.ts";
import type { Health } from "../delivery/health.ts";
import { isSameReceiver, type Outcome, outcomeOf, targetProblem } from "../delivery/push.ts";
import { type PushRequest, pushRequest } from "../delivery/push-request.ts";
import { type Attempts, silent } from "./attempts.ts";
import { Lingering } from "./lingering.ts";
import { Opinion } from "./opinion.ts";
import { type Exchange, Outgoing } from "./outgoing.ts";
import { PushTurns } from "./push-turns.ts";
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

/** Records that go in one request. */
type Part = readonly Leased[];

/** What became of a request: an outcome, or that it was never made. */
type Sent =
  | Outcome
  | { readonly is: "unsent" }
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "unmade"; readonly reason: string };

export class Pusher {
  readonly #opinion: Opinion;
  readonly #outgoing = new Outgoing();
  readonly #lingering = new Lingering(() => this.host.settled());
  readonly #turns: PushTurns;
  #active = 0;

  constructor(readonly host: PushHost) {
    this.#opinion = new Opinion(host.core.state);
    this.#turns = new PushTurns(host.core.room);
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
      const slots = this.#health.slots(this.target?.concurrency ?? 1);
      const worn = this.#turns.isWorns(this.#health, slots, now);
      const leased = worn ? this.#lease(1, "worn", now) : this.#leaseFresh(now);
      if (leased.length === 0) break;
      given += leased.length;
      this.#turns.began(worn);
      this.#health.asked(now);
      this.#active++;
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
    this.#active--;
    this.#turns.ended(worn, leased[0].attempt, started, Date.now());
    if (!this.host.stopped) this.host.settled();
  }

  #leaseFresh(now: number): Leased[] {
    const { spec, window } = this.host.core.state;
    const { batch, push } = spec.config;
    const turn = this.#turns.fresh(this.#health, now);
    if (!this.#health.mayAsk(now, false)) return this.#lease(1, turn, now);
    const most = push?.format === "batch" && !this.#health.inDoubt ? batch.records : 1;
    const lingers = push?.format === "batch" && batch.waitMs > 0;
    if (lingers && this.#lingering.isOn(window.readyCount, most, batch.waitMs)) return [];
    return this.#lease(most, turn, now);
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

  #leaseMs(target = this.target): number {
    return Math.max(this.host.core.state.spec.config.ackTimeoutMs, (target?.timeoutMs ?? 0) + graceMs);
  }

  /** Sends records under lease, and settles what becomes of them: in parts, one after another, where they fail together. */
  async #send(leased: readonly Leased[]): Promise<void> {
    const waiting: Part[] = [];
    for (let part: Part | undefined = leased; part !== undefined; ) {
      waiting.unshift(...(await this.#sendPart(part, waiting)));
      part = this.#next(waiting);
      // What was decided of one part does not wait for the others, which may take long.
      if (part !== undefined) this.host.settled();
    }
  }

  /** One request. Answers what is to be sent again of it, before what waits behind it. */
  async #sendPart(part: Part, behind: readonly Part[]): Promise<Part[]> {
    const request = this.#make(part);
    if (request === undefined) return this.#apart(part);
    const { target } = this;
    const sent = await this.#ask(request, target, part, behind);
    if (this.host.stopped) return [];
    const middle = Math.ceil(part.length / 2);
    if (sent.is === "failed" && part.length > 1) return [part.slice(0, middle), part.slice(middle)];
    this.#settle(part, sent, Date.now(), target);
    this.#opinion.keep();
    return [];
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

  /** Those that cannot be made into a request fail, the others go together. */
  #apart(part: Part): Part[] {
    return part.length < 2 ? [] : [part.filter((one) => this.#make([one]) !== undefined)];
  }

  /** The next part that waits, where there is one that may be sent. */
  #next(waiting: Part[]): Part | undefined {
    const { core, stopped } = this.host;
    if (stopped) return undefined;
    const parts = waiting.splice(0).map((part) => core.held(part));
    const now = Date.now();
    // The receiver is in doubt, the group paused, or takes no batches any more: nothing is charged to what waits.
    const may = this.target?.format === "batch" && core.state.paused === undefined && this.#health.mayAsk(now, false);
    if (!may) {
      this.#release(parts.flat(), now);
      return undefined;
    }
    waiting.push(...parts.filter((part) => part.length > 0));
    this.#hold(waiting, this.target);
    return waiting.shift();
  }

  /** The leases of what is sent, and of what waits behind it, outlive a request. */
  #hold(parts: readonly Part[], target: PushTarget | null): void {
    this.host.core.renew(parts.flat(), Date.now() + this.#leaseMs(target));
  }

  /** One request, and what its answer means. */
  async #ask(request: PushRequest, target: PushTarget | null, leased: Part, behind: readonly Part[]): Promise<Sent> {
    const started = Date.now();
    const under = new Underway(this.host.core, leased);
    if (target === null) return { is: "refused", reason: "the group does not push any more" };
    const problem = targetProblem(target.url, this.host.core.state.spec.privateTargets);
    const refused = problem ?? (await this.#outgoing.refusal(target));
    if (refused !== undefined) {
      this.#log(request.id, leased, started, { error: refused });
      return { is: "refused", reason: refused };
    }
    // To be asked first took the receiver as long as an answer may.
    if (target.validate) this.#hold([leased, ...behind], target);
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

  /** `asked`: whose answer it is. What one that was replaced meanwhile says is about its records, and not about the receiver. */
  #settle(leased: readonly Leased[], sent: Sent, now: number, asked = this.target): void {
    const { core } = this.host;
    const held = core.held(leased);
    const health = isSameReceiver(asked, this.target) ? this.#health : undefined;
    if (sent.is === "done") {
      for (const { item } of held) core.endings.finish(item, now);
      health?.succeeded();
      return;
    }
    if (sent.is === "unsent" || sent.is === "gone") {
      this.#release(held, now);
      if (sent.is === "gone" && health !== undefined) this.host.pause("the receiver answered 410 Gone");
      return;
    }
    if (sent.is === "failed" || sent.is === "unmade") {
      for (const { item } of held) core.endings.fail(item, { reason: sent.reason }, now, Math.random);
      if (sent.is === "failed") health?.failed(leased[0].item.offset, now);
    } else {
      this.#release(held, now);
      if (sent.is === "busy") health?.busy(sent.afterMs, now, Math.random);
      else health?.refused(now);
    }
    const pauseAfterMs = this.target?.pauseAfterMs;
    if (pauseAfterMs !== undefined && health?.isLost(now, pauseAfterMs)) {
      this.#opinion.forget();
      this.host.pause(`the receiver has failed for ${pauseAfterMs} ms; last: ${sent.reason}`);
    }
  }
}
