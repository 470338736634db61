/**
 * Members that hold a socket. A member gives credits, and gets as many deliveries; a socket that is lost, or silent for
 * longer than the group's heartbeat, returns its leases at once. Sockets hibernate with the object: what a member is
 * stands in its socket's attachment.
 *
 * A member of several partitions is a Worker's, which relays. It says `ready` to the Worker when there is something, is lent
 * credits of the one member then, and gives back at once what it cannot use: what the member takes is never promised twice.
 */
import type { Refusal } from "../../schemas/errors.ts";
import type { GroupMessage, RelayMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { readMember } from "../intake/member.ts";
import { deliveriesBytes, Heard, type Member, type Settling, settledBy } from "./members.ts";
import { Crowd, newAccount, Owed, Pool } from "./owed.ts";
import * as ends from "./socket.ts";
import { count, errorOf, isOver, post, roomOf, slowCode, slowReason } from "./socket.ts";

/** What the sockets need of the object around them. */
export interface SocketHost {
  readonly core: Delivery;
  /** Something was finished, or failed, or is wanted. */
  settled(): void;
  /** There is something to be seen to later. */
  arm(): void;
}

export class Sockets {
  readonly #members = new Map<WebSocket, Member>();
  readonly #told = new WeakSet<WebSocket>();
  readonly #pool = new Pool();
  readonly #crowd = new Crowd(() => this.host.settled());
  readonly #owed = new WeakMap<Member, Owed>();
  readonly #heard = new Heard();

  constructor(
    readonly ctx: DurableObjectState,
    readonly host: SocketHost,
  ) {
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    for (const socket of ctx.getWebSockets()) this.#add(socket, socket.deserializeAttachment() as Member);
    const { members } = host.core;
    for (const { id } of this.#members.values()) members.connected(id);
  }

  get size(): number {
    return this.#members.size;
  }

  /** True where a member has credits, or would be lent some. */
  get hungry(): boolean {
    for (const [socket, member] of this.#members) {
      if ((member.credits > 0 && this.#stays(member) && roomOf(socket) > 0) || (member.relayed && !member.told))
        return true;
    }
    return false;
  }

  /** It is given no more of a partition that was split, where it is wanted on those that continue it. */
  readonly #stays = ({ relayed, named }: Member) => relayed || named === true || !this.host.core.state.sealed;

  #add(socket: WebSocket, member: Member): void {
    this.#members.set(socket, member);
    if (member.account === undefined) return;
    const owed = new Owed(member.account, this.#pool);
    this.#owed.set(member, owed);
    count(socket, owed, () => socket.serializeAttachment(member));
  }

  accept(request: Request): Response {
    if (this.#members.size >= limits.socketsMax) return new Response(null, { status: 429 });
    const { searchParams } = new URL(request.url);
    const name = searchParams.get("member") ?? "socket";
    const { 0: client, 1: server } = new WebSocketPair();
    const id = `${name}#${crypto.randomUUID().slice(0, 8)}`;
    const loanBytes = Number(searchParams.get("loanBytes") ?? 0);
    const until = searchParams.has("until") ? { until: Number(searchParams.get("until")) } : {};
    const member: Member = {
      id,
      relayed: searchParams.has("relayed"),
      ...(searchParams.has("named") ? { named: true } : {}),
      credits: 0,
      told: false,
      seen: Date.now(),
      ...(searchParams.has("confirms") ? { account: newAccount() } : {}),
      ...(loanBytes > 0 ? { loanBytes } : {}),
      ...until,
    };
    this.ctx.acceptWebSocket(server);
    this.#add(server, member);
    this.host.core.members.connected(id);
    server.serializeAttachment(member);
    const { heartbeatMs } = this.host.core.state.spec.config;
    send(server, { type: "ready", member: member.id, heartbeatMs });
    if (member.relayed) this.host.settled();
    if (member.until !== undefined) this.host.arm();
    return new Response(null, { status: 101, webSocket: client });
  }

  message(socket: WebSocket, text: string | ArrayBuffer): void {
    const member = this.#members.get(socket);
    if (member === undefined) return;
    if (isOver(member.until, Date.now())) {
      this.#expire(socket);
      return;
    }
    const { heartbeatMs } = this.host.core.state.spec.config;
    if (this.#heard.note(member, heartbeatMs, Date.now())) socket.serializeAttachment(member);
    const read = readMember(text);
    if (!read.ok) {
      this.#refuse(socket, read.refusal);
      return;
    }
    const [message, owed] = [read.value, this.#owed.get(member)];
    if (message.type === "confirm") {
      if (owed?.confirm(message.nonce) !== true) return;
      socket.serializeAttachment(member);
    } else if (message.type === "credit") {
      if (member.loanBytes !== undefined) member.loan = member.loanBytes;
      member.credits = Math.min(limits.creditsMax, member.credits + message.credits);
      member.told = false;
      socket.serializeAttachment(member);
    } else this.#answer(socket, message);
    if (owed?.isDeaf) this.#giveUp(socket);
    else this.host.settled();
  }

  /** Gives the members what they have credits for, in turn; answers how many records went. */
  run(): number {
    let sum = 0;
    this.#expireAll(Date.now());
    this.#tellSplit();
    for (let given = true; given; ) {
      given = false;
      for (const [socket, member] of this.#members) {
        const count = member.credits > 0 && this.#stays(member) ? this.#give(socket, member) : 0;
        if (count > 0 && member.loan !== undefined && member.loan <= 0) this.#giveBack(socket, member);
        if (count > 0) given = true;
        sum += count;
      }
    }
    this.#announce();
    this.#tellLost();
    return sum;
  }

  /** Nothing more comes now: what was lent, and cannot be used, goes back. */
  settleLoans(): void {
    for (const [socket, member] of this.#members) if (member.relayed) this.#giveBack(socket, member);
    this.#announce();
  }

  #giveBack(socket: WebSocket, member: Member): void {
    if (member.credits === 0) return;
    send(socket, { type: "unused", credits: member.credits });
    member.credits = 0;
    member.told = false;
    socket.serializeAttachment(member);
  }

  /** Bytes that a member may be sent. One that was asked long ago what it has read is given up. */
  #roomFor(socket: WebSocket, member: Member): number {
    const room = Math.min(roomOf(socket), member.loan ?? Number.POSITIVE_INFINITY);
    if (room <= 0 && this.#owed.get(member)?.isLate(Date.now())) this.#giveUp(socket);
    else if (room <= 0 && this.#pool.crowded) void this.#crowd.lookLater();
    return room;
  }

  #giveUp(socket: WebSocket): void {
    socket.close(slowCode, slowReason);
    this.closed(socket, slowReason);
  }

  #give(socket: WebSocket, member: Member): number {
    const { core } = this.host;
    const { batch } = core.state.spec.config;
    const room = this.#roomFor(socket, member);
    if (room <= 0) return 0;
    const ask = {
      max: Math.min(member.credits, batch.records),
      bytesMax: Math.min(batch.bytes, room),
      member: member.id,
    };
    const leased = core.lease(ask, Date.now(), Math.random);
    if (leased.length === 0) return 0;
    member.credits -= leased.length;
    socket.serializeAttachment(member);
    const bytes = deliveriesBytes(core, leased);
    if (member.loan !== undefined) member.loan -= bytes.length;
    if (post(socket, new TextDecoder().decode(bytes))) return leased.length;
    // It has gone, and its close is on its way: nobody has had them.
    for (const { item } of leased.reverse()) core.endings.release(item, Date.now());
    member.credits = 0;
    return 0;
  }

  /** There is something for members that could be lent credits. */
  #announce(): void {
    if (this.host.core.state.paused !== undefined) return;
    for (const [socket, member] of this.#members) {
      if (!member.relayed || member.told || member.credits > 0) continue;
      if (!this.host.core.room.ready(Date.now(), member.id)) continue;
      member.told = true;
      socket.serializeAttachment(member);
      send(socket, { type: "waiting" });
    }
  }

  closed(socket: WebSocket, reason: string, code?: number): void {
    const member = this.#members.get(socket);
    if (member === undefined) return;
    this.#members.delete(socket);
    this.#owed.get(member)?.end();
    const { members } = this.host.core;
    // A relay looks at the ticket itself.
    if (ends.isSpared(code, member.relayed ? 0 : member.until)) members.release(member.id, Date.now());
    else members.leave(member.id, reason, Date.now());
    this.host.settled();
  }

  /** When the next ticket is over, in ms since 1970. */
  get overAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const { until } of this.#members.values()) at = Math.min(at, until ?? at);
    return at;
  }

  /** Closes sockets that have been silent for too long, or whose tickets are over. */
  beat(now: number): void {
    this.#expireAll(now);
    const { heartbeatMs } = this.host.core.state.spec.config;
    for (const [socket, member] of [...this.#members]) {
      const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      if (!this.#heard.isSilent(member, heartbeatMs, pinged, now)) continue;
      socket.close(4000, `silent for ${heartbeatMs} ms; send 'ping' now and then`);
      this.closed(socket, "its socket fell silent");
    }
  }

  #expireAll(now: number): void {
    for (const [socket, { until }] of this.#members) if (isOver(until, now)) this.#expire(socket);
  }

  #expire(socket: WebSocket): void {
    send(socket, errorOf(ends.ticketOver, true));
    socket.close(ends.ticketOverCode, ends.ticketOver.detail);
    this.closed(socket, ends.ticketOver.detail, ends.ticketOverCode);
  }

  closeAll(reason: string): void {
    for (const socket of this.#members.keys()) socket.close(4001, reason);
    this.#members.clear();
  }

  #answer(socket: WebSocket, message: Settling): void {
    const refused = settledBy(this.host.core, message, Date.now());
    if (refused.length > 0) send(socket, { type: "refused", refused });
  }

  /** A member that does not keep to the protocol is told why, and closed; the others notice nothing. */
  #refuse(socket: WebSocket, refusal: Refusal): void {
    send(socket, errorOf(refusal, true));
    socket.close(1008, refusal.detail.slice(0, 120));
    this.closed(socket, "it broke the protocol");
  }

  /**
   * The partition was split: its members are wanted on those that continue it too, however many of its keys wait here for
   * whatever. Who asked for it alone is told when it is finished; who has something at hand, when that is settled.
   */
  #tellSplit(): void {
    const { core } = this.host;
    if (!core.state.sealed) return;
    const { over } = core.state;
    for (const [socket, member] of [...this.#members]) {
      if (member.named ? !over : !member.relayed && core.members.holds(member.id)) continue;
      if (!this.#told.has(socket)) send(socket, { type: "split" });
      this.#told.add(socket);
      if (member.relayed) continue;
      socket.close(4002, "the partition was split; connect again");
      this.closed(socket, "the partition was split");
    }
  }

  #tellLost(): void {
    const { lost, spec } = this.host.core.state;
    if (lost.size === 0) return;
    const ranges = lost.all.map((one) => ({ partition: spec.partition, ...one }));
    for (const socket of this.#members.keys()) {
      // One that has gone was told nothing.
      if (!send(socket, { type: "lost", lost: ranges })) continue;
      lost.take();
      this.host.settled();
      return;
    }
  }
}

const send = (socket: WebSocket, message: GroupMessage | RelayMessage) => post(socket, JSON.stringify(message));
