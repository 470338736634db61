/**
 * A client's socket on a stream of several partitions: this Worker holds it, fans its subscriptions in and sends its
 * appends where their keys belong. It looks as a partition's own socket does.
 */
import type { ErrorCode, Refusal } from "../../../schemas/errors.ts";
import type { Subscribe } from "../../../schemas/frames.ts";
import { type Message, readMessages } from "../../intake/message.ts";
import { itemsOf } from "../../log/follow.ts";
import { JsonWriter } from "../../log/json.ts";
import { addressTo, recordsHeaderBytes, setUpToDate } from "../../log/message.ts";
import { Client, expel, giveUp, type Hello, say, sayError, understand } from "../../objects/clients.ts";
import { Crowd } from "../../objects/owed.ts";
import { recordsText } from "../../objects/shown.ts";
import { closeBack, count, post, roomOf, ticketOver, ticketOverCode } from "../../objects/socket.ts";
import type { Env } from "../../objects/stubs.ts";
import type { Route } from "../lookup.ts";
import { Appending } from "./appending.ts";
import { Ending } from "./ending.ts";
import { Fan } from "./fan.ts";
import type { NewSnapshot } from "./news.ts";
import { type Pooled, poolOf } from "./pools.ts";
import type { Part, Sink } from "./sink.ts";

/** Where a client is told that what it followed is gone, where its ticket is over, and where it is to connect again. */
const codes: Partial<Record<ErrorCode, number>> = { "stream-not-found": 4001, "ticket-expired": ticketOverCode };
const again = 4002;
/** Bytes of binary records after which a follower that is behind is told a cursor. */
const placeEveryBytes = 65_536;

export class Relay implements Sink {
  readonly #fan: Fan;
  readonly #appending: Appending;
  readonly #client: Client;
  readonly #writer = new JsonWriter();
  readonly #ending: Ending;
  readonly #pooled: Pooled;
  readonly #crowd = new Crowd(() => this.#closed || this.#fan.goOn());
  /** Bytes that are held for all of its subscriptions. */
  #promised = 0;
  /** Bytes of binary records since the last cursor, by subscription. */
  readonly #unplaced = new Map<number, number>();
  #closed = false;

  constructor(
    env: Env,
    readonly route: Route,
    readonly socket: WebSocket,
    readonly hello: Hello,
  ) {
    const { namespace, stream } = route;
    this.#pooled = poolOf(route.stream.logId);
    this.#client = new Client(hello, this.#pooled.pool);
    this.#ending = new Ending(hello.until, () => this.failed(ticketOver));
    count(socket, this.#client.owed);
    this.#fan = new Fan(env, namespace, stream.name, this);
    this.#appending = new Appending(
      env,
      namespace,
      stream.name,
      (answers) => {
        if (!this.#closed) post(socket, JSON.stringify({ type: "verdicts", answers }));
      },
      (id, refusal) => this.#refuse(id, refusal),
    );
  }

  start(): void {
    const { socket } = this;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#take(data as string | ArrayBuffer));
    socket.addEventListener("close", ({ code, reason }) => {
      this.#end();
      closeBack(socket, code, reason);
    });
    socket.addEventListener("error", () => this.#end());
    socket.accept();
    say(socket, { type: "ready", logId: this.route.stream.logId });
  }

  #take(data: string | ArrayBuffer): void {
    if (this.#closed) return;
    if (data === "ping") {
      post(this.socket, "pong");
      return;
    }
    const { config } = this.route.stream;
    readMessages(data, config, Date.now(), (read) => {
      const refuse = (id: number, refusal: Refusal) => this.#appending.refuse(id, refusal);
      const fault = understand(this.#client, read, (message) => this.#obey(message), refuse);
      if (fault !== undefined) this.#expel(fault);
      return fault === undefined;
    });
    if (!this.#closed && this.#client.owed?.isDeaf) this.#giveUp();
  }

  #obey(message: Message): Refusal | undefined {
    if (message.type === "confirm") {
      this.#fan.goOn();
      return undefined;
    }
    if (message.type === "append") return this.#appending.take(message, this.route.stream.config);
    if (message.type === "subscribe") return this.#subscribe(message);
    if (message.type === "credit") this.#fan.credit(message.id, message.credits);
    else {
      this.#forget(message.id);
      this.#fan.unsubscribe(message.id);
    }
    return undefined;
  }

  #subscribe(message: Subscribe): Refusal | undefined {
    const { id, credits, filter } = message;
    const place = { next: 0, said: 0, credits, current: false };
    const refusal = this.#client.add({ id, ...place, ...(filter === undefined ? {} : { filter }) });
    if (refusal === undefined) void this.#fan.subscribe(message);
    return refusal;
  }

  /** What is on its way to the client is bounded by what it has read, and not only by what it says that it takes. */
  get room(): number {
    const room = roomOf(this.socket);
    if (room <= 0 && this.#client.owed?.isLate(Date.now())) this.#giveUp();
    else if (room <= 0 && this.#pooled.pool.crowded) void this.#crowd.lookLater();
    return room;
  }

  promise(bytes: number): void {
    this.#promised += bytes;
    if (!this.#closed) this.#client.owed?.promise(this.#promised);
  }

  /** What is held for it comes to as much as it may be sent, in even shares of its subscriptions. */
  get heldMax(): number {
    const { owed, subs } = this.#client;
    return owed === undefined ? Number.POSITIVE_INFINITY : owed.heldMax / Math.max(1, subs.size);
  }

  records(id: number, { message, partition, cost, upToDate, cursor }: Part): void {
    if (this.#closed) return;
    if (this.hello.binary) {
      addressTo(message, id);
      setUpToDate(message, upToDate);
      post(this.socket, message);
      this.#place(id, message.length, cursor, upToDate);
    } else {
      const items = itemsOf(message.subarray(recordsHeaderBytes));
      const { text, bytes } = recordsText(this.#writer, { items, cost, upToDate }, cursor, partition);
      post(this.socket, `{"type":"records","id":${id},${text}`, bytes);
    }
  }

  /** Binary records name a place in their own partition only: where to go on in all of them is said after some. */
  #place(id: number, bytes: number, cursor: string, upToDate: boolean): void {
    const unplaced = (this.#unplaced.get(id) ?? 0) + bytes;
    const due = upToDate || unplaced >= placeEveryBytes;
    this.#unplaced.set(id, due ? 0 : unplaced);
    if (due) this.heartbeat(id, cursor, upToDate);
  }

  heartbeat(id: number, cursor: string, upToDate: boolean): void {
    if (!this.#closed) say(this.socket, { type: "heartbeat", id, cursor, upToDate });
  }

  lost(id: number, lost: Parameters<Sink["lost"]>[1], cursor: string): void {
    if (!this.#closed) say(this.socket, { type: "lost", id, cursor, lost });
  }

  snapshot(snapshot: NewSnapshot): void {
    if (!this.#closed) say(this.socket, snapshot);
  }

  end(id: number, cursor: string): void {
    this.#forget(id);
    if (!this.#closed) say(this.socket, { type: "end", id, cursor });
  }

  refused(id: number, refusal: Refusal): void {
    this.#forget(id);
    this.#refuse(id, refusal);
  }

  #forget(id: number): void {
    this.#client.subs.delete(id);
    this.#unplaced.delete(id);
  }

  failed(refusal: Refusal): void {
    if (this.#closed) return;
    this.#end();
    sayError(this.socket, refusal, undefined, true);
    this.socket.close(codes[refusal.code] ?? again, refusal.detail.slice(0, 100));
  }

  #refuse(id: number, refusal: Refusal): void {
    if (!this.#closed) sayError(this.socket, refusal, id);
  }

  #expel(refusal: Refusal): void {
    this.#end();
    expel(this.socket, refusal);
  }

  #giveUp(): void {
    this.#end();
    giveUp(this.socket);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ending.drop();
    this.#fan.close();
    this.#client.owed?.end();
    this.#pooled.leave();
  }
}
