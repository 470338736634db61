/**
 * Clients that hold a socket of the partition: they follow it, and append. Sockets hibernate with the object: what a
 * client is, and where its subscriptions stand, is in its socket's attachment.
 */
import type { Refusal } from "../../schemas/errors.ts";
import type { StreamMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { type Message, readMessages } from "../intake/message.ts";
import { writeCursor } from "../log/cursor.ts";
import { mustSay, portionOf } from "../log/follow.ts";
import type { Log } from "../log/log.ts";
import type { Snapshot } from "../log/snapshot-store.ts";
import type { Alarms } from "./alarms.ts";
import { Appends, type LiveHost } from "./appends.ts";
import {
  type Client,
  canTake,
  clientOf,
  expel,
  giveUp,
  type Hello,
  Keeping,
  leave,
  type Subscription,
  say,
  understand,
} from "./clients.ts";
import { Crowd, newAccount, Pool } from "./owed.ts";
import { sendPortion } from "./portions.ts";
import { Shown } from "./shown.ts";
import { count, isOver, roomOf, ticketOver } from "./socket.ts";
import { sayNew, subscribe } from "./subscribe.ts";
import { Thaw } from "./thaw.ts";

/** Bytes that are sent, and subscriptions that are served, before others have a turn. */
const turnBytes = 4_194_304;
const turnServed = 64;
/** With more clients than these an append is answered before they are served. */
const fewClients = 32;

export class Live {
  /** Undefined after a sleep, until something is to be sent: then it is read from the sockets' attachments. */
  #clients: Map<WebSocket, Client> | undefined;
  readonly #appends: Appends;
  /** Those that read what is in the archive. */
  readonly #thaw: Thaw;
  readonly #pool = new Pool();
  readonly #keeping = new Keeping();
  #running = false;
  #again = false;
  readonly #crowd = new Crowd(() => this.appended());

  constructor(
    readonly ctx: DurableObjectState,
    readonly host: LiveHost,
    readonly alarms: Alarms,
  ) {
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#appends = new Appends(host);
    this.#thaw = new Thaw(host, {
      wanted: (socket, client, sub) => this.clients.get(socket) === client && client.subs.get(sub.id) === sub,
      room: (socket, client) => this.#roomFor(socket, client),
      show: (socket, client, sub, portion) =>
        sendPortion(this.host.log, { socket, client, sub }, { portion }, new Shown()),
      go: () => this.appended(),
    });
  }

  /** Takes the socket of a client that the Worker has let in; see `Hello`. */
  accept(request: Request): Response {
    const { log } = this.host;
    if (log === undefined) return new Response(null, { status: 404 });
    const hello = JSON.parse(new URL(request.url).searchParams.get("hello") ?? "") as Hello;
    // What continues the partition is elsewhere.
    if (log.sealed && !hello.pinned) return new Response(null, { status: 409 });
    const clients = this.clients;
    if (clients.size >= limits.streamSocketsMax) return new Response(null, { status: 429 });
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours);
    const client = clientOf({ hello, subs: [], account: newAccount() }, this.#pool);
    clients.set(ours, client);
    count(ours, client.owed, () => client.keep(ours));
    client.keep(ours);
    if (hello.until !== undefined) this.alarms.by(hello.until);
    say(ours, { type: "ready", logId: log.spec.logId });
    return new Response(null, { status: 101, webSocket: theirs });
  }

  get clients(): Map<WebSocket, Client> {
    if (this.#clients === undefined) {
      const sockets = this.ctx.getWebSockets();
      const clientAt = (socket: WebSocket) => clientOf(socket.deserializeAttachment(), this.#pool);
      this.#clients = new Map(sockets.map((socket) => [socket, clientAt(socket)] as const));
      for (const [socket, client] of this.#clients) {
        count(socket, client.owed, () => client.keep(socket));
        for (const sub of client.subs.values()) this.#thaw.find(socket, client, sub);
      }
    }
    return this.#clients;
  }

  message(socket: WebSocket, text: string | ArrayBuffer): void {
    const client = this.clients.get(socket);
    const { log } = this.host;
    // Its database was lost meanwhile: whoever connects has it made anew.
    if (log === undefined) leave(socket, "the partition is not there any more");
    if (client === undefined || log === undefined) return;
    if (isOver(client.hello.until, Date.now())) {
      this.#expel(socket, ticketOver);
      return;
    }
    const { recordBytesMax = limits.recordBytesMax, batchBytesMax = limits.batchBytesMax, ...spec } = log.spec;
    const refuse = (id: number, refusal: Refusal) => this.#appends.refuse(socket, id, refusal);
    readMessages(text, { ...spec, recordBytesMax, batchBytesMax }, Date.now(), (read) => {
      const fault = understand(client, read, (message) => this.#obey(socket, client, message, log), refuse);
      if (fault !== undefined) this.#expel(socket, fault);
      return fault === undefined;
    });
    if (client.owed?.isDeaf) this.#giveUp(socket);
    this.#keeping.later(socket, client);
  }

  /** Something was appended, or the partition was sealed. */
  appended(): void {
    if (this.#running) {
      this.#again = true;
      return;
    }
    if (this.clients.size > 0) void this.#run();
  }

  /** Those who follow hear of a new snapshot: it costs them no credits. */
  snapshot(snapshot: Snapshot): void {
    const { log } = this.host;
    if (log === undefined) return;
    for (const [socket, client] of this.clients) {
      if (client.owed?.isDeaf) this.#giveUp(socket);
      else if (client.subs.size > 0) sayNew(socket, log, snapshot);
    }
  }

  /** The alarm: ends the sockets whose tickets are over, and sees to the next ones. */
  expire(): void {
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [socket, { hello }] of this.clients) {
      if (isOver(hello.until, now)) this.#expel(socket, ticketOver);
      else next = Math.min(next, hello.until ?? next);
    }
    if (Number.isFinite(next)) this.alarms.by(next);
  }

  closed(socket: WebSocket): void {
    this.clients.get(socket)?.owed?.end();
    this.clients.delete(socket);
  }

  closeAll(reason: string): void {
    for (const socket of this.clients.keys()) socket.close(4001, reason);
    this.clients.clear();
  }

  #obey(socket: WebSocket, client: Client, message: Message, log: Log): Refusal | undefined {
    if (message.type === "append") return this.#appends.take(socket, client, message, log);
    if (message.type === "subscribe") {
      const refusal = subscribe(socket, client, message, log);
      if (refusal !== undefined) return refusal;
      this.#thaw.find(socket, client, client.subs.get(message.id) as Subscription);
    } else if (message.type !== "confirm") {
      const sub = client.subs.get(message.id);
      if (sub === undefined) return undefined;
      if (message.type === "unsubscribe") client.subs.delete(message.id);
      else {
        const account = sub.sought ?? sub;
        account.credits = Math.min(limits.creditsMax, account.credits + message.credits);
      }
    }
    client.keep(socket);
    this.appended();
    return undefined;
  }

  /** A client that does not keep to the protocol, or whose ticket is over, is told why, and closed; the others notice nothing. */
  #expel(socket: WebSocket, refusal: Refusal): void {
    expel(socket, refusal);
    this.closed(socket);
  }

  /** Serves subscriptions in turn until none has anything to come. */
  async #run(): Promise<void> {
    this.#running = true;
    try {
      if (this.clients.size > fewClients) await scheduler.wait(0);
      do {
        this.#again = false;
        if (await this.#round()) this.#again = true;
      } while (this.#again);
    } finally {
      this.#running = false;
    }
  }

  /** Gives each subscription its next portion. True where one may have more. */
  async #round(): Promise<boolean> {
    let more = false;
    const shown = new Shown();
    const now = Date.now();
    let [bytes, served] = [0, 0];
    // Clients and subscriptions may come and go meanwhile: a map lets them.
    for (const [socket, client] of this.clients) {
      if (isOver(client.hello.until, now)) this.#expel(socket, ticketOver);
      for (const sub of client.subs.values()) {
        const { log } = this.host;
        if (log === undefined || !this.clients.has(socket)) break;
        const sent = this.#tryServe(socket, client, sub, log, shown);
        if (sent < 0) continue;
        // What is appended meanwhile has another round of its own; a partition that is sealed has its end to tell.
        if ((sub.next < log.span.tail && canTake(sub)) || log.sealed) more = true;
        bytes += sent;
        if (++served < turnServed && bytes < turnBytes) continue;
        [bytes, served] = [0, 0];
        shown.clear();
        await scheduler.wait(0);
      }
      if (this.host.log?.sealed && this.clients.has(socket)) this.#hasGrown(socket, client);
    }
    return more;
  }

  /** A socket that breaks while it is written to takes nobody with it. */
  #tryServe(socket: WebSocket, client: Client, sub: Subscription, log: Log, shown: Shown): number {
    try {
      return this.#serve(socket, client, sub, log, shown);
    } catch (error) {
      console.error("a follower's socket:", (error as Error).message);
      this.closed(socket);
      return -1;
    }
  }

  /** Bytes sent, or -1 where there was nothing to do. */
  #serve(socket: WebSocket, client: Client, sub: Subscription, log: Log, shown: Shown): number {
    if (sub.sought !== undefined) return -1;
    const { id } = sub;
    const { tail } = log.span;
    const { partition, logId } = log.spec;
    const cursor = () => writeCursor({ logId, offsets: new Map([[partition, sub.next]]) });
    if (sub.next < tail && canTake(sub)) {
      const room = this.#roomFor(socket, client);
      if (room <= 0) return -1;
      if (!log.segments.isHot(Math.max(sub.next, log.span.head))) {
        this.#thaw.read(socket, client, sub);
        return -1;
      }
      const filter = client.filterOf(sub);
      const made = shown.at(sub, room, () => portionOf(log, sub.next, sub.credits, filter, room));
      const sent = sendPortion(log, { socket, client, sub }, made, shown);
      if (sent > 0) return sent;
    } else if (sub.next < tail || (sub.current && sub.next === tail && !log.sealed)) return -1;
    const current = sub.next >= tail;
    // The database may be another than it was when it began.
    const place = current ? log.place({ at: "offset", offset: sub.next }) : undefined;
    if (place?.ok === false) return client.end(socket, id, place.refusal);
    if (mustSay(sub, current)) {
      sub.current = current;
      sub.said = sub.next;
      say(socket, { type: "heartbeat", id, cursor: cursor(), upToDate: current });
      client.keep(socket);
    }
    if (current && log.sealed) {
      client.subs.delete(id);
      say(socket, { type: "end", id, cursor: cursor() });
      client.keep(socket);
    }
    return 0;
  }

  /** Bytes that a client may be sent. One that was asked long ago what it has read is given up. */
  #roomFor(socket: WebSocket, { owed }: Client): number {
    const room = roomOf(socket);
    if (room > 0 || owed === undefined) return room;
    if (owed.isLate(Date.now())) this.#giveUp(socket);
    else if (this.#pool.crowded) void this.#crowd.lookLater();
    return room;
  }

  #giveUp(socket: WebSocket): void {
    giveUp(socket);
    this.closed(socket);
  }

  /** The partition was split: a client that is here because there was no other is wanted elsewhere, once it has read it. */
  #hasGrown(socket: WebSocket, client: Client): void {
    if (client.hello.pinned || client.subs.size > 0) return;
    say(socket, { type: "split" } satisfies StreamMessage);
    leave(socket, "the stream has grown");
    this.closed(socket);
  }
}
