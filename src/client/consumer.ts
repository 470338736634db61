import type { GroupMessage } from "../../schemas/frames.ts";
import { known, MillraceError } from "./error.ts";
import type { Http } from "./http.ts";
import { type Ended, Link } from "./link.ts";
import { Backoff } from "./retry.ts";
import type { Delivery, GroupInfo } from "./types.ts";

/** How a member works. */
export interface ConsumeOptions {
  /** Handlers at a time. Default 1. */
  concurrency?: number;
  /** Name of the member, in the group's status. */
  member?: string;
  /** Stops it, as `stop` does. */
  signal?: AbortSignal;
  /** `http` asks by long-poll. Default: a socket where there is one. */
  transport?: "socket" | "http";
}

/** What a handler is given besides the delivery. */
export interface HandlerContext {
  /** Aborted when the lease is lost: another member will get the record. */
  readonly signal: AbortSignal;
}

/** Done when it returns. Where it throws the record is delivered again, after `retryAfterMs` of the error if it has one. */
export type Handler<Data> = (delivery: Delivery<Data>, context: HandlerContext) => unknown;

interface Running {
  readonly since: number;
  readonly abort: AbortController;
}

/** How answers and requests for more reach the group. */
interface Line {
  ack(receipts: string[]): void;
  nack(receipt: string, delayMs: number | undefined, reason: string): void;
  extend(receipts: string[]): void;
  /** A handler has ended: there is room for another delivery. */
  room(): void;
}

const [pullWaitSeconds, ackDelayMs] = [5, 20];

/** A member of a group at work. */
export class Consumer<Data = unknown> {
  /** Resolves when it has stopped, and throws where it cannot go on: the group is gone, the token is not valid. */
  readonly done: Promise<void>;
  readonly #running = new Map<string, Running>();
  readonly #backoff: Backoff;
  readonly #concurrency: number;
  #line: Line | undefined;
  #stopping = false;
  #wake = () => {};

  constructor(
    readonly http: Http,
    readonly path: string,
    readonly handler: Handler<Data>,
    readonly options: ConsumeOptions = {},
  ) {
    this.#backoff = new Backoff({ ...http.options.retry, attempts: Number.POSITIVE_INFINITY });
    this.#concurrency = options.concurrency ?? 1;
    const stop = () => void this.stop();
    options.signal?.addEventListener("abort", stop, { once: true });
    if (options.signal?.aborted) this.#stopping = true;
    this.done = this.#run().finally(() => options.signal?.removeEventListener("abort", stop));
    // Whoever asks for it is told.
    this.done.catch(() => {});
  }

  /** Takes no more, waits for the handlers that are at work, and acknowledges what they have done. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.done.catch(() => {});
  }

  async #run(): Promise<void> {
    let extending: ReturnType<typeof setInterval> | undefined;
    try {
      while (!this.#stopping) {
        try {
          if (extending === undefined) {
            const { config } = await this.http.json<GroupInfo>("GET", this.path);
            const third = (config.ackTimeoutMs ?? 30_000) / 3;
            extending = setInterval(() => this.#extend(third), third);
          }
          if (this.options.transport === "http" || !(await this.#bySocket())) await this.#byPull();
        } catch (error) {
          await this.#backoff.pause(error, undefined, (error) => this.http.mayPass(error));
        }
      }
    } finally {
      clearInterval(extending);
    }
  }

  #extend(third: number): void {
    const long = [...this.#running].filter(([, { since }]) => Date.now() - since >= third);
    if (long.length > 0) this.#line?.extend(long.map(([receipt]) => receipt));
  }

  #start(delivery: Delivery<Data>): void {
    const { receipt } = delivery;
    const abort = new AbortController();
    this.#running.set(receipt, { since: Date.now(), abort });
    const work = async () => this.handler(delivery, { signal: abort.signal });
    void work()
      .then(
        () => this.#line?.ack([receipt]),
        (error: unknown) => {
          const { message, retryAfterMs } = (error ?? {}) as { message?: string; retryAfterMs?: number };
          this.#line?.nack(receipt, retryAfterMs, String(message ?? error).slice(0, 1_000) || "the handler threw");
        },
      )
      .finally(() => {
        this.#running.delete(receipt);
        this.#line?.room();
        this.#wake();
      });
  }

  /** Tells a handler that its record is another's by now. */
  #lose(receipt: string): void {
    this.#running.get(receipt)?.abort.abort(new Error("the lease was lost"));
  }

  /** Resolves when `wake` is called next: something came, a handler ended, or it is to stop. */
  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** False where this place has no sockets. */
  async #bySocket(): Promise<boolean> {
    let failed: MillraceError | undefined;
    let again = false;
    const { member } = this.options;
    const path = `${this.path}/live${member === undefined ? "" : `?member=${encodeURIComponent(member)}`}`;
    const probe = () => this.http.once("GET", `${this.path}/status`, {});
    const link = await Link.open(this.http, path, ["millrace.v1"], probe, (message: GroupMessage) => {
      this.#backoff.reset();
      if (message.type === "deliveries") {
        for (const one of message.deliveries) this.#start(one as unknown as Delivery<Data>);
      } else if (message.type === "split") again = true;
      else if (message.type === "error" && message.fatal) failed = known(message.code, message.detail);
      else if (message.type === "refused") {
        for (const { receipt } of message.refused) this.#lose(receipt);
      }
      this.#wake();
    });
    if (link === undefined) return false;
    let ended: Ended | undefined;
    void link.ended.then((end) => {
      ended = end;
      this.#wake();
    });
    const acks = new Gather((receipts) => link.send({ type: "ack", receipts }));
    let [freed, given] = [0, false];
    this.#line = {
      ack: (receipts) => acks.add(receipts),
      nack: (receipt, delayMs, reason) => link.send({ type: "nack", receipts: [receipt], delayMs, reason }),
      extend: (receipts) => link.send({ type: "extend", receipts }),
      room: () => {
        freed++;
        if (given || this.#stopping) return;
        given = true;
        // Handlers that end together make room together.
        queueMicrotask(() => {
          given = false;
          if (!this.#stopping) link.send({ type: "credit", credits: freed });
          freed = 0;
        });
      },
    };
    const credits = this.#concurrency - this.#running.size;
    if (credits > 0) link.send({ type: "credit", credits });
    while (ended === undefined && !this.#stopping) await this.#woken();
    while (ended === undefined && this.#running.size > 0) await this.#woken();
    acks.flush();
    if (this.#stopping) {
      // The socket keeps its order: the acks are read before its close.
      link.close();
      return true;
    }
    // Leases of a socket end with it.
    this.#line = undefined;
    for (const receipt of this.#running.keys()) this.#lose(receipt);
    if (failed !== undefined) throw failed;
    if (!again)
      throw new MillraceError("network", `the socket was closed: ${ended?.reason || ended?.code}`, 0, true, true);
    return true;
  }

  async #byPull(): Promise<void> {
    const settle = (what: "ack" | "nack" | "extend", body: object) =>
      this.http.json("POST", `${this.path}/${what}`, { body, safe: true }).catch(() => {
        // The lease will run out, and the record comes again.
      });
    let pending: Promise<unknown> = Promise.resolve();
    const acks = new Gather((receipts) => {
      pending = Promise.all([pending, settle("ack", { receipts })]);
    }, ackDelayMs);
    this.#line = {
      ack: (receipts) => acks.add(receipts),
      nack: (receipt, delayMs, reason) => void settle("nack", { receipts: [receipt], delayMs, reason }),
      extend: (receipts) => void settle("extend", { receipts }),
      room: () => {},
    };
    while (!this.#stopping) {
      const max = Math.min(1_000, this.#concurrency - this.#running.size);
      if (max <= 0) {
        await this.#woken();
        continue;
      }
      // It is asked again when a handler ends: more may be wanted then.
      const waitSeconds = this.#running.size > 0 ? 1 : pullWaitSeconds;
      const body = { max, waitSeconds, ack: acks.take(), member: this.options.member };
      const got = await this.http.json<{ deliveries: Delivery<Data>[] }>("POST", `${this.path}/receive`, {
        body,
        safe: true,
      });
      this.#backoff.reset();
      for (const delivery of got.deliveries) {
        if (this.#stopping) this.#line.nack(delivery.receipt, 0, "the member stops");
        else this.#start(delivery);
      }
    }
    while (this.#running.size > 0) await this.#woken();
    acks.flush();
    await pending;
  }
}

/** Receipts that are sent together. */
class Gather {
  #receipts: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly send: (receipts: string[]) => void,
    readonly delayMs = 0,
  ) {}

  add(receipts: string[]): void {
    this.#receipts.push(...receipts);
    if (this.#receipts.length >= 1_000) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.delayMs);
  }

  take(): string[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#receipts.splice(0);
  }

  flush(): void {
    const receipts = this.take();
    if (receipts.length > 0) this.send(receipts);
  }
}
