import { DurableObject } from "cloudflare:workers";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { Admin, type Which } from "../delivery/admin.ts";
import { Delivery as Core } from "../delivery/delivery.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import type { Position } from "../log/read.ts";
import { objectSql } from "../platform/sql.ts";
import { GroupCommit } from "./commit.ts";
import { Keeper } from "./keeper.ts";
import { packLeases } from "./packing.ts";
import type { Answer, DeliveryRpc, ReceiveCall, Refused } from "./rpc.ts";
import { type Env, partition } from "./stubs.ts";
import { Waiters } from "./waiters.ts";

type Change = (core: Core) => Result<undefined>[];

/** A group on one partition: the delivery's shell. `Keeper` reads, pushes and arms the alarm; rules are the core's. */
export class Delivery extends DurableObject<Env> implements DeliveryRpc {
  #keeper: Keeper | undefined;
  readonly #waiters = new Waiters();
  /** Acks that arrive together are one transaction, and one row. */
  readonly #changes = new GroupCommit(
    (changes: readonly Change[]) => this.#change(changes),
    () => this.ctx.storage.sync(),
    () => 0,
  );

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const core = Core.open(objectSql(ctx.storage), limits.lanesMax, Date.now());
    if (core !== undefined) this.#keeper = this.#keep(core);
  }

  async configure(spec: DeliverySpec): Promise<Answer<undefined>> {
    if (this.#keeper === undefined) {
      const start = await partition(this.env, spec.logId, spec.partition, undefined).follow(this.#id, spec.start);
      if (!start.ok) return start;
      const sql = objectSql(this.ctx.storage);
      this.#keeper ??= this.#keep(Core.create(sql, spec, start.value, limits.lanesMax, Date.now()));
    } else this.#keeper.core.configure(spec, Date.now());
    this.#keeper.kick();
    return ok(undefined);
  }

  async wake(from: number, to: number, tail: number, sealed: boolean, bodies: readonly Uint8Array[]): Promise<number> {
    return this.#keeper?.wake({ from, to, tail, sealed, pieces: bodies.map((body) => ({ body })) }) ?? -1;
  }

  async receive(call: ReceiveCall): Promise<Answer<ReturnType<typeof packLeases>>> {
    const keeper = this.#keeper;
    if (keeper === undefined) return gone;
    const acked = call.ack.length === 0 ? ok<Refused[]>([]) : await this.ack(call.ack);
    if (!acked.ok) return acked;
    const until = Date.now() + call.waitMs;
    for (;;) {
      await keeper.filler.fill(() => keeper.core.state.window.readyCount >= call.max);
      const { state } = keeper.core;
      const leased = keeper.core.lease(call, Date.now());
      const left = until - Date.now();
      if (leased.length > 0 || state.lost.length > 0 || left <= 0 || this.#keeper !== keeper) {
        keeper.arm();
        return ok(packLeases(leased, state.spec.partition, state.era, state.lost.splice(0), acked.value));
      }
      if (this.#waiters.size >= limits.waitersMax) return refuse("too-many", "too many members wait; receive without");
      await this.#waiters.wait(Math.min(left, keeper.patienceMs()));
    }
  }

  async ready(waitMs: number): Promise<Answer<boolean>> {
    const keeper = this.#keeper;
    if (keeper === undefined) return gone;
    for (const until = Date.now() + waitMs; ; ) {
      await keeper.filler.fill(() => keeper.ready);
      const left = until - Date.now();
      if (keeper.ready || left <= 0 || this.#keeper !== keeper) return ok(keeper.ready);
      await this.#waiters.wait(Math.min(left, keeper.patienceMs()));
    }
  }

  async ack(receipts: readonly string[]) {
    return this.#settle((core) => core.ack(receipts));
  }

  async nack(receipts: readonly string[], delayMs?: number, reason = "nack") {
    return this.#settle((core) => core.nack(receipts, delayMs, reason, Date.now(), Math.random()));
  }

  async extend(receipts: readonly string[], ackTimeoutMs?: number) {
    const until = (core: Core) => ackTimeoutMs ?? core.state.spec.config.ackTimeoutMs;
    return this.#settle((core) => core.extend(receipts, until(core), Date.now()));
  }

  async status() {
    return this.#ask((admin) => ok(admin.status()));
  }

  async pause(reason: string | null) {
    const paused = reason === null ? undefined : { reason, at: Date.now() };
    return this.#order((admin) => ok(admin.delivery.state.pause(paused) as undefined));
  }

  async seek(position: Position): Promise<Answer<number>> {
    const keeper = this.#keeper;
    if (keeper === undefined) return gone;
    const { logId, partition: number } = keeper.core.state.spec;
    const offset = await partition(this.env, logId, number, undefined).locate(position);
    if (!offset.ok) return offset;
    return this.#order((admin) => {
      admin.seek(offset.value, Date.now());
      return ok(offset.value);
    });
  }

  async lanes() {
    return this.#ask((admin) => ok(admin.lanes()));
  }

  async lane(id: number, order: "resume" | "skip") {
    return this.#order((admin) =>
      order === "resume" ? admin.resumeLane(id, Date.now()) : admin.skipLane(id, Date.now()),
    );
  }

  async letters(after: number, limit: number) {
    return this.#ask((admin) => ok(admin.letters(after, limit)));
  }

  async redrive(which: Which, body?: Uint8Array) {
    return this.#order((admin) => admin.redrive(which, Date.now(), body));
  }

  async discard(which: Which) {
    return this.#order((admin) => admin.discard(which, Date.now()));
  }

  async attempts() {
    return this.#keeper === undefined ? gone : ok(this.#keeper.pusher.attempts);
  }

  async unfinished() {
    const keeper = this.#keeper;
    if (keeper === undefined) return gone;
    await keeper.filler.fill(() => keeper.ready);
    return ok(keeper.heritage.unfinished());
  }

  async destroy(groupId: string): Promise<void> {
    if (this.#keeper !== undefined && this.#keeper.core.state.spec.groupId !== groupId) return;
    this.#keeper?.stop("the group was deleted");
    this.#keeper = undefined;
    await this.ctx.storage.deleteAll();
  }

  /** A member's socket. */
  override async fetch(request: Request): Promise<Response> {
    const keeper = this.#keeper;
    if (keeper === undefined) return new Response(null, { status: 404 });
    if (keeper.sockets.size >= limits.socketsMax) return new Response(null, { status: 429 });
    return keeper.sockets.accept(new URL(request.url).searchParams.get("member") ?? "socket");
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.#keeper?.sockets.message(socket, message);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    this.#keeper?.sockets.closed(socket, "its socket was closed");
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#keeper?.sockets.closed(socket, "its socket broke");
  }

  override async alarm(): Promise<void> {
    await this.#keeper?.alarm();
  }

  get #id(): string {
    return (this.ctx.id.name as string).replace(/\/\d+$/, "");
  }

  #keep(core: Core): Keeper {
    return new Keeper(this.ctx, this.env, this.#id, core, this.#waiters);
  }

  async #settle(change: Change): Promise<Answer<Refused[]>> {
    if (this.#keeper === undefined) return gone;
    const results = await this.#changes.add(change);
    if (!results.ok) return results;
    return ok(results.value.flatMap((one, place) => (one.ok ? [] : [{ place, refusal: one.refusal }])));
  }

  /** Changes of several callers, as one transaction. */
  #change(changes: readonly Change[]): Result<Result<undefined>[]>[] {
    const keeper = this.#keeper;
    if (keeper === undefined) return changes.map(() => refuse("group-not-found", "the group was deleted"));
    const results = changes.map((change) => ok(change(keeper.core)));
    if (keeper.core.state.spec.config.durable) keeper.core.state.save();
    keeper.kick();
    return results;
  }

  #ask<T>(ask: (admin: Admin) => Result<T>): Answer<T> {
    return this.#keeper === undefined ? gone : ask(new Admin(this.#keeper.core));
  }

  /** As `#ask`, for what may set something going. */
  #order<T>(order: (admin: Admin) => Result<T>): Answer<T> {
    const answer = this.#ask(order);
    this.#keeper?.kick();
    this.#keeper?.arm();
    return answer;
  }
}

const gone = { ok: false, moved: 0 } as const;
