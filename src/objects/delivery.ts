import type { Target } from "../../schemas/erasure.ts";
import { ok } from "../../schemas/errors.ts";
import type { OrderArgs, OrderName, OrderValue } from "../delivery/admin.ts";
import { Delivery as Core } from "../delivery/delivery.ts";
import { floorBefore, isAnothers, type Placed, type PlacePage, type PlacePart, takePlace } from "../delivery/dump.ts";
import { giveBack } from "../delivery/giving-back.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import type { Lost } from "../delivery/told.ts";
import type { Position } from "../log/read.ts";
import { objectSql } from "../platform/sql.ts";
import { type Answer, gone } from "./answer.ts";
import type { Change } from "./changes.ts";
import { begun, followAgain } from "./following.ts";
import { forget } from "./forgetting.ts";
import { Hibernating } from "./hibernating.ts";
import { Keeper } from "./keeper.ts";
import { dumped, inherit, operate, seek, unfinished } from "./operating.ts";
import { receive, wait } from "./pull.ts";
import type { DeliveryRpc, HeritageCall, Leases, ReceiveCall, Refused, WaitCall } from "./rpc.ts";
import type { Env } from "./stubs.ts";
import { terms } from "./terms.ts";

/** A group on one partition: the delivery's shell. `Keeper` reads, pushes and arms the alarm; rules are the core's. */
export class Delivery extends Hibernating<Env> implements DeliveryRpc {
  /** What keeps it going; undefined where the group never was, or is gone. */
  keeper: Keeper | undefined;
  /** The catalog's name for the group's deliveries. */
  readonly #id = (this.ctx.id.name ?? "").replace(/\/\d+$/, "");
  readonly #keep = (core: Core) => new Keeper(this.ctx, this.env, this.#id, core);

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const core = Core.open(objectSql(ctx.storage), terms());
    if (core !== undefined) this.keeper = this.#keep(core).goingOn();
  }

  override get doorman() {
    return this.keeper?.sockets;
  }

  async configure(spec: DeliverySpec): Promise<Answer<undefined>> {
    const before = this.keeper;
    if (before === undefined) {
      const start = await begun(this.env, this.#id, this.ctx.storage, spec);
      if (!start.ok) return start;
      this.keeper ??= this.#keep(Core.create(objectSql(this.ctx.storage), spec, start.value, terms()));
    }
    // Another call may have created it meanwhile, by an older version.
    const keeper = this.keeper as Keeper;
    if (keeper.core.configure(spec, Date.now())) keeper.pusher.reset();
    keeper.configured();
    return before === undefined ? ok(undefined) : followAgain(this.env, this.#id, keeper);
  }

  async wake(from: number, to: number, tail: number, sealed: boolean, bodies: readonly Uint8Array[]): Promise<number> {
    return this.keeper?.wake({ from, to, tail, sealed, pieces: bodies.map((body) => ({ body })) }) ?? -1;
  }

  async receive(call: ReceiveCall): Promise<Answer<Leases>> {
    if (this.keeper === undefined) return gone;
    const acked = call.ack.length === 0 ? ok<Refused[]>([]) : await this.ack(call.ack);
    if (!acked.ok) return acked;
    return this.keeper === undefined ? gone : receive(this.keeper, call, acked.value);
  }

  async wait(call: WaitCall): Promise<Answer<boolean>> {
    return this.keeper === undefined ? gone : wait(this.keeper, call);
  }

  async cancel(call: string): Promise<void> {
    this.keeper?.callers.cancel(call);
    this.keeper?.kick();
  }

  async release(receipts: readonly string[], lost?: readonly Lost[]): Promise<Answer<Refused[]>> {
    if (lost === undefined) return this.keeper?.changes.settle((core) => giveBack(core, receipts, Date.now())) ?? gone;
    this.keeper?.core.state.lost.putBack(lost);
    return this.keeper?.changes.settle((core) => core.release(receipts, Date.now())) ?? gone;
  }

  async ack(receipts: readonly string[]): Promise<Answer<Refused[]>> {
    return this.keeper?.changes.settle((core) => core.ack(receipts, Date.now())) ?? gone;
  }

  async nack(receipts: readonly string[], delayMs?: number, reason = "nack"): Promise<Answer<Refused[]>> {
    const change: Change = (core) => core.nack(receipts, { delayMs, reason }, Date.now(), Math.random);
    return this.keeper?.changes.settle(change) ?? gone;
  }

  async extend(receipts: readonly string[], ackTimeoutMs?: number): Promise<Answer<Refused[]>> {
    const ms = (core: Core) => ackTimeoutMs ?? core.state.spec.config.ackTimeoutMs;
    return this.keeper?.changes.settle((core) => core.extend(receipts, ms(core), Date.now())) ?? gone;
  }

  async seek(position: Position, heirs: readonly number[] = []): Promise<Answer<number>> {
    return this.keeper === undefined ? gone : seek(this.keeper, position, heirs);
  }

  /** What an operator asks. It may set something going. */
  async admin<N extends OrderName>(order: N, ...args: OrderArgs<N>): Promise<Answer<OrderValue<N>>> {
    return this.keeper === undefined ? gone : operate(this.keeper, order, ...args);
  }

  async forget(target: Target, to: number, last: boolean): Promise<Answer<number>> {
    return this.keeper === undefined ? gone : forget(this.keeper, target, to, last);
  }

  async attempts() {
    return this.keeper === undefined ? gone : ok(this.keeper.attempts.list);
  }

  async unfinished(call: HeritageCall) {
    return this.keeper === undefined ? gone : unfinished(this.keeper, call);
  }

  inherit(again: boolean): Promise<void> {
    return inherit(this.keeper, objectSql(this.ctx.storage), again);
  }

  async floor(): Promise<number> {
    // What is finished only in memory would be wanted again after a crash.
    this.keeper?.core.state.save();
    return this.keeper?.core.state.head ?? floorBefore(objectSql(this.ctx.storage));
  }

  async dump(after?: string): Promise<Answer<PlacePage>> {
    const page = dumped(this.keeper, objectSql(this.ctx.storage), after);
    return page === undefined ? gone : ok(page);
  }

  async restore(owner: string, parts: readonly PlacePart[]): Promise<Answer<Placed>> {
    return takePlace(objectSql(this.ctx.storage), owner, parts);
  }

  async idle(): Promise<boolean> {
    return this.keeper?.idle ?? true;
  }

  async destroy(groupId: string, owner: string): Promise<void> {
    if (isAnothers(objectSql(this.ctx.storage), groupId, owner)) return;
    this.keeper?.stop("the group was deleted");
    this.keeper = undefined;
    await this.ctx.storage.deleteAll();
  }

  override async alarm(): Promise<void> {
    await this.keeper?.alarm();
  }
}
