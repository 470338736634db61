/**
 * A member's socket on a group of several partitions: this Worker holds it, and has a socket of its own to each partition. The
 * member's credits are lent to the partitions that have something, no more than there are; what is not used comes back.
 */
import type { Refusal } from "../../../schemas/errors.ts";
import type { RelayMessage } from "../../../schemas/frames.ts";
import { limits } from "../../../schemas/limits.ts";
import { readReceipt } from "../../delivery/receipt.ts";
import { readMember } from "../../intake/member.ts";
import { Crowd, newAccount, Owed } from "../../objects/owed.ts";
import {
  count,
  errorOf,
  post,
  roomOf,
  slowCode,
  slowReason,
  ticketOver,
  ticketOverCode,
} from "../../objects/socket.ts";
import type { Env } from "../../objects/stubs.ts";
import { Ending } from "../live/ending.ts";
import { type Pooled, poolOf } from "../live/pools.ts";
import type { Names } from "./groups.ts";
import { type GroupRoute, groupRoute } from "./route.ts";
import { type Caller, loanBytes, openDelivery } from "./upstream.ts";

/** How often a relay looks for partitions that have come to be. */
const lookMs = 5_000;

interface Upstream {
  readonly socket: WebSocket;
  /** Credits that it was lent and has not used. */
  lent: number;
  /** It has something to be had for credits. */
  waiting: boolean;
}

interface Deliveries {
  readonly type: "deliveries";
  readonly deliveries: readonly unknown[];
}

export class Relay {
  readonly #upstreams = new Map<number, Upstream>();
  readonly #opening = new Set<number>();
  /** Credits of the member that no partition has used, lent or not. */
  #credits = 0;
  #closed = false;
  #looking: ReturnType<typeof setInterval> | undefined;
  #heartbeatMs = 0;
  readonly #ending: Ending;
  readonly #pooled: Pooled;
  readonly #owed: Owed;
  readonly #crowd = new Crowd(() => this.#lend());
  /** The partitions are about to be told that the member is there. */
  #beating: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly env: Env,
    readonly names: Names,
    readonly client: WebSocket,
    readonly caller: Caller,
    readonly only: number | undefined,
  ) {
    this.#ending = new Ending(caller.until, () => this.#fail(ticketOver, ticketOverCode));
    const { namespace, stream, group } = names;
    this.#pooled = poolOf(`${namespace}/${stream}/groups/${group}`);
    this.#owed = new Owed(newAccount(), this.#pooled.pool);
    count(client, this.#owed);
  }

  start(target: GroupRoute): void {
    this.#heartbeatMs = target.group.config.heartbeatMs;
    this.client.addEventListener("message", ({ data }) => this.#fromMember(data));
    this.client.addEventListener("close", () => this.#close(1000, "the member has gone"));
    this.client.addEventListener("error", () => this.#close(1011, "the socket broke"));
    this.#looking = setInterval(() => void this.#look(), lookMs);
    this.#say({ type: "ready", member: this.caller.member, heartbeatMs: this.#heartbeatMs });
    void this.#connect(target);
  }

  async #look(): Promise<void> {
    const { namespace, stream, group } = this.names;
    const target = await groupRoute(this.env, namespace, stream, group, true);
    if (target.ok) await this.#connect(target.value);
    else this.#fail(target.refusal);
  }

  async #connect(target: GroupRoute): Promise<void> {
    this.#heartbeatMs = target.group.config.heartbeatMs;
    const wanted = this.only === undefined ? target.partitions : [this.only];
    const missing = wanted.filter((one) => !this.#upstreams.has(one) && !this.#opening.has(one));
    await Promise.all(missing.map((partition) => this.#open(target, partition)));
  }

  async #open(target: GroupRoute, partition: number): Promise<void> {
    this.#opening.add(partition);
    try {
      const opened = await openDelivery(this.env, target, partition, this.caller, "relayed");
      if (!opened.ok || opened.value.webSocket === null) return;
      const socket = opened.value.webSocket;
      if (this.#closed) return void socket.close(1000, "the member has gone");
      socket.accept();
      const upstream: Upstream = { socket, lent: 0, waiting: false };
      this.#upstreams.set(partition, upstream);
      socket.addEventListener("message", ({ data }) => this.#fromPartition(upstream, data));
      socket.addEventListener("close", ({ reason }) => {
        this.#upstreams.delete(partition);
        this.#promise();
        // Its deliveries have returned to the group; the next look opens it again.
        if (reason === "the group was deleted") this.#fail({ code: "group-not-found", detail: reason });
        else this.#lend();
      });
    } finally {
      this.#opening.delete(partition);
    }
  }

  #fromMember(data: unknown): void {
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
      if (this.#owed.confirm(message.nonce)) this.#lend();
      return;
    }
    if (this.#owed.isDeaf) {
      this.#close(slowCode, slowReason);
      return;
    }
    if (message.type === "credit") {
      this.#credits = Math.min(limits.creditsMax, this.#credits + message.credits);
      this.#lend();
      return;
    }
    const { receipts, ...rest } = message;
    for (const [partition, some] of Map.groupBy(receipts, (one) => readReceipt(one)?.partition)) {
      const upstream = partition === undefined ? undefined : this.#upstreams.get(partition);
      if (upstream !== undefined) post(upstream.socket, JSON.stringify({ ...rest, receipts: some }));
      else {
        const detail = "no such lease: the partition's socket was lost, and its leases with it";
        this.#say({ type: "refused", refused: some.map((receipt) => ({ receipt, code: "stale-lease", detail })) });
      }
    }
  }

  /** Whatever the member says, it is there: on every partition, wherever it was said. */
  #beat(): void {
    this.#beating ??= setTimeout(() => {
      this.#beating = undefined;
      for (const { socket } of this.#upstreams.values()) post(socket, "ping");
    }, this.#heartbeatMs / 10);
  }

  #fromPartition(upstream: Upstream, data: unknown): void {
    if (typeof data !== "string" || data === "pong") return;
    const message = JSON.parse(data) as { readonly type: string };
    if (message.type === "ready") return;
    if (message.type === "split") {
      if (this.only === undefined) void this.#look();
      return;
    }
    if (message.type === "waiting") upstream.waiting = true;
    else if (message.type === "unused") {
      upstream.lent -= (message as Extract<RelayMessage, { type: "unused" }>).credits;
      this.#promise();
    } else {
      const { length } = message.type === "deliveries" ? (message as Deliveries).deliveries : [];
      upstream.lent -= length;
      this.#promise();
      this.#credits -= length;
      if (!this.#closed) post(this.client, data);
    }
    this.#lend();
  }

  /** Lends what is left to the partitions that have something, in even shares; where there is too little, in turn. */
  #lend(): void {
    if (this.#closed) return;
    let left = this.#credits;
    // Each loan may bring so much, and the first one more than there is room for.
    let room = roomOf(this.client);
    if (room <= 0 && left > 0 && this.#owed.isLate(Date.now())) {
      this.#close(slowCode, slowReason);
      return;
    }
    if (room <= 0 && this.#pooled.pool.crowded) void this.#crowd.lookLater();
    for (const { lent } of this.#upstreams.values()) {
      left -= lent;
      if (lent > 0) room -= loanBytes;
    }
    const waiting = [...this.#upstreams].filter(([, { waiting }]) => waiting);
    for (const [index, [partition, upstream]] of waiting.entries()) {
      if (left <= 0 || room <= 0) return;
      room -= loanBytes;
      const credits = Math.ceil(left / (waiting.length - index));
      left -= credits;
      upstream.lent += credits;
      upstream.waiting = false;
      this.#promise();
      // Next time the others come first.
      this.#upstreams.delete(partition);
      this.#upstreams.set(partition, upstream);
      post(upstream.socket, JSON.stringify({ type: "credit", credits }));
    }
  }

  get #onLoan(): number {
    let loans = 0;
    for (const { lent } of this.#upstreams.values()) if (lent > 0) loans++;
    return loans;
  }

  /** What loans may bring counts before it has come. */
  #promise(): void {
    if (!this.#closed) this.#owed.promise(this.#onLoan * loanBytes);
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
    this.#ending.drop();
    this.#owed.end();
    this.#pooled.leave();
    // Of a ticket that is over the members' records are not to blame.
    for (const { socket } of this.#upstreams.values()) socket.close(code === ticketOverCode ? code : 1000, reason);
    this.client.close(code, reason);
  }
}
