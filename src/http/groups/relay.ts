/**
 * A member's socket on a group of several partitions: this Worker holds it, and has a socket of its own to each partition. The
 * member's credits are lent to the partitions that have something, no more than there are; what is not used comes back.
 */
import type { ErrorCode, Refusal } from "../../../schemas/errors.ts";
import type { RelayMessage } from "../../../schemas/frames.ts";
import { limits } from "../../../schemas/limits.ts";
import { readReceipt } from "../../delivery/receipt.ts";
import { readMember } from "../../intake/member.ts";
import type { Settling } from "../../objects/members.ts";
import { Crowd, newAccount, Owed } from "../../objects/owed.ts";
import {
  count,
  doneCode,
  errorOf,
  post,
  slowCode,
  slowReason,
  ticketOver,
  ticketOverCode,
} from "../../objects/socket.ts";
import type { Env } from "../../objects/stubs.ts";
import { behind } from "../../platform/behind.ts";
import { Ending } from "../live/ending.ts";
import { type Pooled, poolOf } from "../live/pools.ts";
import type { Names } from "./groups.ts";
import { Lending, type Upstream } from "./lending.ts";
import { type GroupRoute, groupRoute } from "./route.ts";
import { settleEach } from "./settle.ts";
import { type Caller, openDelivery } from "./upstream.ts";

/** How often a relay looks for partitions that have come to be. */
const lookMs = 5_000;

/** Close codes that a delivery's own socket has too. */
const [silentCode, goneCode, againCode] = [4000, 4001, 4002];
/** What the catalog says of a group that was deleted, by itself or with what it was of. */
const gone: readonly ErrorCode[] = ["group-not-found", "stream-not-found", "namespace-not-found"];

interface Deliveries {
  readonly type: "deliveries";
  readonly deliveries: readonly unknown[];
}

export class Relay {
  readonly #lending: Lending;
  readonly #opening = new Set<number>();
  /** Partitions that have said so. */
  readonly #split = new Set<number>();
  #closed = false;
  #looking: ReturnType<typeof setInterval> | undefined;
  #heartbeatMs = 0;
  /** When the member last said anything, in ms since 1970. */
  #seen = Date.now();
  #silence: ReturnType<typeof setTimeout> | undefined;
  readonly #ending: Ending;
  readonly #pooled: Pooled;
  readonly #owed: Owed;
  readonly #crowd = new Crowd(() => this.#lending.lend());
  /** The partitions are about to be told that the member is there. */
  #beating: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly env: Env,
    readonly names: Names,
    readonly client: WebSocket,
    readonly caller: Caller,
    readonly only: number | undefined,
    public target: GroupRoute,
  ) {
    this.#ending = new Ending(caller.until, () => this.#fail(ticketOver, ticketOverCode));
    const { namespace, stream, group } = names;
    this.#pooled = poolOf(`${namespace}/${stream}/groups/${group}`);
    this.#owed = new Owed(newAccount(), this.#pooled.pool);
    count(client, this.#owed);
    this.#lending = new Lending({
      client,
      owed: this.#owed,
      expected: this.#pooled.pool.expected,
      slow: () => this.#close(slowCode, slowReason),
      crowded: () => this.#pooled.pool.crowded && void this.#crowd.lookLater(),
    });
  }

  start(): void {
    this.client.addEventListener("message", ({ data }) => this.#fromMember(data));
    this.client.addEventListener("close", ({ code }) =>
      this.#close(code === doneCode ? code : 1000, "the member has gone"),
    );
    this.client.addEventListener("error", () => this.#close(1011, "the socket broke"));
    this.#looking = setInterval(() => void this.#look(), lookMs);
    const { heartbeatMs } = this.target.group.config;
    this.#say({ type: "ready", member: this.caller.member, heartbeatMs });
    void this.#connect(this.target);
  }

  /** Many look, and the catalog is one: it is asked anew only where what this Worker knows is certainly old. */
  async #look(): Promise<void> {
    const { namespace, stream, group } = this.names;
    let target = await groupRoute(this.env, namespace, stream, group);
    if (!target.ok || this.#isOld(target.value)) target = await groupRoute(this.env, namespace, stream, group, true);
    if (!target.ok) this.#refused(target.refusal);
    else if (target.value.group.id !== this.target.group.id) this.#close(goneCode, "the group was deleted");
    else await this.#connect(target.value);
  }

  /** A partition that was split takes appends by this map: the next one is out, or will be. Or it is of another group. */
  #isOld({ route, group }: GroupRoute): boolean {
    if (group.id !== this.target.group.id) return true;
    return [...this.#split].some((partition) => !route.stream.map[partition]?.sealed);
  }

  /** What the catalog, or a partition, cannot answer now is asked again by the next look. */
  #refused({ code, detail }: Refusal): void {
    if (gone.includes(code)) this.#close(goneCode, detail.slice(0, 120));
  }

  async #connect(target: GroupRoute): Promise<void> {
    if (this.#closed) return;
    this.target = target;
    const { heartbeatMs } = target.group.config;
    if (heartbeatMs !== this.#heartbeatMs) this.#watch(heartbeatMs);
    const wanted = this.only === undefined ? target.partitions : [this.only];
    const { upstreams } = this.#lending;
    const missing = wanted.filter((one) => !upstreams.has(one) && !this.#opening.has(one));
    await Promise.all(missing.map((partition) => this.#open(target, partition)));
  }

  async #open(target: GroupRoute, partition: number): Promise<void> {
    this.#opening.add(partition);
    try {
      const opened = await openDelivery(this.env, target, partition, this.caller, "relayed");
      if (!opened.ok) return this.#refused(opened.refusal);
      const socket = opened.value.webSocket as WebSocket;
      if (this.#closed) return void socket.close(1000, "the member has gone");
      socket.accept();
      const upstream = this.#lending.add(partition, socket);
      socket.addEventListener("message", ({ data }) => this.#fromPartition(partition, upstream, data));
      socket.addEventListener("close", ({ code, reason }) => {
        this.#lending.drop(partition);
        // Its deliveries have returned to the group; the next look opens it again.
        if (code === goneCode) this.#close(goneCode, reason);
        else this.#lending.lend();
      });
    } catch {
      // It could not be reached: the next look opens it.
    } finally {
      this.#opening.delete(partition);
    }
  }

  #fromMember(data: unknown): void {
    if (this.#closed) return;
    this.#seen = Date.now();
    this.#beat();
    if (data === "ping") {
      post(this.client, "pong");
      return;
    }
    const read = readMember(data);
    if (!read.ok) {
      this.#fail(read.refusal);
      return;
    }
    const message = read.value;
    if (message.type === "confirm") {
      if (this.#owed.confirm(message.nonce)) this.#lending.lend();
      return;
    }
    if (this.#owed.isDeaf) {
      this.#close(slowCode, slowReason);
      return;
    }
    if (message.type === "credit") {
      this.#lending.credits = Math.min(limits.creditsMax, this.#lending.credits + message.credits);
      this.#lending.lend();
    } else this.#settle(message);
  }

  /** What a partition's socket cannot be told, as while it is opened anew, goes the way that it goes over HTTP. */
  #settle(message: Settling): void {
    for (const [partition, receipts] of Map.groupBy(message.receipts, (one) => readReceipt(one)?.partition)) {
      const upstream = partition === undefined ? undefined : this.#lending.upstreams.get(partition);
      const some = { ...message, receipts };
      if (upstream === undefined || !post(upstream.socket, JSON.stringify(some))) behind(this.#settleLate(some));
    }
  }

  async #settleLate(message: Settling): Promise<void> {
    const refused = await settleEach(this.env, this.names, this.target, message, this.only);
    if (refused.length > 0) this.#say({ type: "refused", refused });
  }

  /** Closes the socket of a member that says nothing for so long. */
  #watch(heartbeatMs: number): void {
    this.#heartbeatMs = heartbeatMs;
    clearTimeout(this.#silence);
    const left = this.#seen + heartbeatMs - Date.now();
    if (left > 0) this.#silence = setTimeout(() => this.#watch(heartbeatMs), left);
    else this.#close(silentCode, `silent for ${heartbeatMs} ms; send 'ping' now and then`);
  }

  /** Whatever the member says, it is there: on every partition, wherever it was said. */
  #beat(): void {
    this.#beating ??= setTimeout(() => {
      this.#beating = undefined;
      for (const { socket } of this.#lending.upstreams.values()) post(socket, "ping");
    }, this.#heartbeatMs / 10);
  }

  #fromPartition(partition: number, upstream: Upstream, data: unknown): void {
    if (typeof data !== "string" || data === "pong") return;
    const message = JSON.parse(data) as { readonly type: string };
    if (message.type === "ready") return;
    if (message.type === "split") {
      this.#wasSplit(partition, message);
      return;
    }
    if (message.type === "waiting") upstream.waiting = true;
    else if (message.type === "unused") {
      this.#lending.back(upstream, (message as Extract<RelayMessage, { type: "unused" }>).credits);
    } else {
      const { length } = message.type === "deliveries" ? (message as Deliveries).deliveries : [];
      if (length > 0) this.#pooled.pool.expected.saw(data.length);
      this.#lending.back(upstream, length);
      this.#lending.credits -= length;
      if (!this.#closed) post(this.client, data);
    }
    this.#lending.lend();
  }

  /** Of a partition that the member asked for by its number this says that it is finished too. */
  #wasSplit(partition: number, message: object): void {
    this.#split.add(partition);
    if (this.only === undefined) return void this.#look();
    this.#say(message);
    this.#close(againCode, "the partition was split; connect again");
  }

  #say(message: object): void {
    if (!this.#closed) post(this.client, JSON.stringify(message));
  }

  #fail(refusal: Refusal, closeCode = 1008): void {
    this.#say(errorOf(refusal, true));
    this.#close(closeCode, refusal.detail.slice(0, 120));
  }

  #close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#looking);
    clearTimeout(this.#beating);
    clearTimeout(this.#silence);
    this.#ending.drop();
    this.#lending.close();
    this.#pooled.leave();
    // What the records are not to blame for, the partitions are told.
    const blameless = code === ticketOverCode || code === doneCode;
    for (const { socket } of this.#lending.upstreams.values()) socket.close(blameless ? code : 1000, reason);
    this.client.close(code, reason);
  }
}
