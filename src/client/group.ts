import { type ConsumeOptions, Consumer, type Handler } from "./consumer.ts";
import type { Http } from "./http.ts";
import { groupShape, placed, receivedShape, type Shape, settledShape } from "./shapes.ts";
import type { Delivery, From, GroupConfig, GroupInfo } from "./types.ts";

/** What one `receive` asks for. */
export interface ReceiveOptions {
  /** Records at most. Default 100. */
  max?: number;
  maxBytes?: number;
  /** Long-poll, at most 30. Default 0. */
  waitSeconds?: number;
  member?: string;
  /** Receipts that are acknowledged before anything is received. */
  ack?: readonly string[];
  partition?: number;
  signal?: AbortSignal;
}

export interface Received<Data> {
  readonly deliveries: Delivery<Data>[];
  readonly refused?: readonly { receipt: string; code: string; detail: string }[];
  readonly lost?: readonly { partition: number; from: number; to: number; why: string }[];
}

/** A consumer group: each record to one member, again until it is acknowledged, in order of each key. */
export class Group<Data = unknown> {
  readonly path: string;

  constructor(
    readonly http: Http,
    stream: string,
    readonly name: string,
  ) {
    this.path = `${stream}/groups/${encodeURIComponent(name)}`;
  }

  /**
   * Creates the group, or changes what is named.
   *
   * @example
   * await millrace.stream("orders").group("billing").put({ order: "key", maxDeliveries: 10 });
   */
  put(config: GroupConfig = {}): Promise<GroupInfo> {
    return this.http.json("PUT", this.path, groupShape, { body: config });
  }

  /**
   * What the group is.
   *
   * @example
   * const { config, paused } = await millrace.stream("orders").group("billing").info();
   * console.log(config.order, paused);
   */
  info(): Promise<GroupInfo> {
    return this.http.json("GET", this.path, groupShape);
  }

  /**
   * Lag, leases, lanes, dead letters: see `GET …/status` in the reference.
   *
   * @example
   * const { lag } = await millrace.stream("orders").group("billing").status();
   * console.log(lag);
   */
  status(): Promise<GroupStatus> {
    return this.http.json("GET", `${this.path}/status`, { lag: 0 });
  }

  /**
   * Deletes the group. That it is not there is no error.
   *
   * @example
   * await millrace.stream("orders").group("billing").delete();
   */
  delete(): Promise<void> {
    return this.http.gone(this.path, "group-not-found");
  }

  /**
   * Works as a member of the group: the handler is called for each delivery. Returns, it is acknowledged; throws, it is
   * delivered again. Long work keeps its lease.
   *
   * @example
   * const group = millrace.stream<{ total: number }>("orders").group("billing");
   * const consumer = group.consume(
   *   async (delivery) => {
   *     console.log(delivery.key, delivery.data.total, delivery.attempt);
   *   },
   *   { concurrency: 10 },
   * );
   * // Later: takes no more, and waits for the handlers that are at work.
   * await consumer.stop();
   */
  consume(handler: Handler<Data>, options?: ConsumeOptions): Consumer<Data> {
    return new Consumer(this.http, this.path, handler, options);
  }

  /**
   * Takes deliveries by hand; each is to be acknowledged before its lease runs out.
   *
   * @example
   * const group = millrace.stream("orders").group("billing");
   * const { deliveries } = await group.receive({ max: 10, waitSeconds: 20 });
   * await group.ack(deliveries.map(({ receipt }) => receipt));
   */
  receive({ signal, ...body }: ReceiveOptions = {}): Promise<Received<Data>> {
    return this.http.json("POST", `${this.path}/receive`, receivedShape, { body, signal });
  }

  /**
   * Acknowledges deliveries; durable when it resolves.
   *
   * @example
   * const group = millrace.stream("orders").group("billing");
   * for (const { receipt } of (await group.receive()).deliveries) await group.ack([receipt]);
   */
  ack(receipts: readonly string[]): Promise<Pick<Received<Data>, "refused">> {
    return this.#post("ack", settledShape, { receipts });
  }

  /**
   * Gives deliveries back as failed.
   *
   * @example
   * const group = millrace.stream("orders").group("billing");
   * const { deliveries } = await group.receive();
   * await group.nack(deliveries.map(({ receipt }) => receipt), { delayMs: 5_000, reason: "the bank is closed" });
   */
  nack(
    receipts: readonly string[],
    options: { delayMs?: number; reason?: string } = {},
  ): Promise<Pick<Received<Data>, "refused">> {
    return this.#post("nack", settledShape, { receipts, ...options });
  }

  /**
   * Moves the group to another place: its leases are void, its dead letters from there on are dropped.
   *
   * @example
   * await millrace.stream("orders").group("billing").seek("2026-11-20T10:00:00Z");
   */
  seek(to: From, options: { partition?: number } = {}): Promise<unknown> {
    return this.#post("seek", { partitions: [placed] }, { to, ...options });
  }

  /**
   * Stops delivering.
   *
   * @example
   * await millrace.stream("orders").group("billing").pause("the bank is closed");
   */
  pause(reason?: string): Promise<GroupInfo> {
    return this.#post("pause", groupShape, { reason });
  }

  /**
   * Goes on delivering.
   *
   * @example
   * await millrace.stream("orders").group("billing").resume();
   */
  resume(): Promise<GroupInfo> {
    return this.#post("resume", groupShape, {});
  }

  /**
   * A page of dead letters.
   *
   * @example
   * const { letters } = await millrace.stream("orders").group("billing").deadLetters();
   * console.log(letters.length);
   */
  deadLetters(options: { partition?: number; after?: string; limit?: number } = {}): Promise<DeadLetters> {
    return this.http.json("GET", `${this.path}/dead-letters`, { letters: [{ letter: "" }] }, { query: options });
  }

  /**
   * Delivers dead letters again.
   *
   * @example
   * await millrace.stream("orders").group("billing").redrive("all");
   */
  redrive(letters: "all" | readonly string[]): Promise<unknown> {
    return this.#post("dead-letters/redrive", { redriven: 0 }, letters === "all" ? { all: true } : { letters });
  }

  /**
   * Drops dead letters.
   *
   * @example
   * await millrace.stream("orders").group("billing").discard(["0.17"]);
   */
  discard(letters: "all" | readonly string[]): Promise<unknown> {
    return this.#post("dead-letters/discard", { discarded: 0 }, letters === "all" ? { all: true } : { letters });
  }

  /** These orders twice are as once. */
  #post<T>(path: string, shape: Shape, body: object): Promise<T> {
    return this.http.json("POST", `${this.path}/${path}`, shape, { body, safe: true });
  }
}

export interface GroupStatus {
  /** Records that are not finished. */
  readonly lag: number;
  readonly lagSeconds: number;
  readonly inFlight: number;
  readonly deadLetters: number;
  readonly paused: boolean;
  readonly pausedBecause?: { readonly reason: string; readonly at: string };
  readonly [field: string]: unknown;
}

export interface DeadLetters {
  readonly letters: readonly { readonly letter: string; readonly [field: string]: unknown }[];
  readonly after?: string;
}
