import type { GroupMessage } from "../../schemas/frames.ts";
import { failureOf, Gather, type Say } from "./answers.ts";
import { known, type MillraceError } from "./error.ts";
import { type Call, type Http, queryText } from "./http.ts";
import { nothing } from "./json.ts";
import { type Ended, Link, lost } from "./link.ts";
import { Backoff, endless, onAbort } from "./retry.ts";
import { groupShape, receivedShape, settledShape } from "./shapes.ts";
import type { Delivery, GroupInfo } from "./types.ts";

/** How a member works. */
export interface ConsumeOptions {
  /** Handlers at a time. Default 1, at most 10 000. */
  concurrency?: number;
  /** Name of the member, in the group's status: 128 bytes at most. */
  member?: string;
  /** Stops it, as `stop` does. */
  signal?: AbortSignal;
  /** `http` asks by long-poll. Default: a socket where there is one. */
  transport?: "socket" | "http";
  /**
   * Told the receipt of each lease that was lost: while its handler was at work, or where what the handler came to was not
   * taken any more.
   */
  onLost?: (receipt: string) => void;
}

/** What a handler is given besides the delivery. */
export interface HandlerContext {
  /** Aborted when the lease is lost: another member will get the record. */
  readonly signal: AbortSignal;
}

/**
 * Done when it returns. Where it throws the record is delivered again, after `retryAfterMs` of the error if it has one (at
 * most seven days); the error's message is kept with it, up to 1 KiB.
 */
export type Handler<Data> = (delivery: Delivery<Data>, context: HandlerContext) => unknown;

interface Running {
  readonly since: number;
  readonly abort: AbortController;
}

/** What the service says by HTTP. */
interface Told<Data> {
  readonly deliveries: readonly Delivery<Data>[];
  readonly refused?: readonly { readonly receipt: string }[];
}

/** How answers and requests for more reach the group. */
interface Line {
  readonly say: Say;
  readonly acks: Gather;
  /** A handler has ended: there is room for another delivery. */
  room?(): void;
  /** Nothing follows. */
  end?(): void;
}

const receiptsOf = ({ refused }: Pick<Told<unknown>, "refused">) => (refused ?? []).map(({ receipt }) => receipt);

const pullWaitSeconds = 5;
const ackDelayMs = 20;
/** What was asked for before it was to stop may have been sent already: so long its answer is waited for. */
const answerMs = 500;
/** What has begun is waited for so many times as long: there are leases in it. */
const answersMax = 30;
/** The member has said what it did; nothing else that it was sent was begun. */
const doneCode = 4005;
const creditsMax = 10_000;

/** A member of a group at work. */
export class Consumer<Data = unknown> {
  /** Resolves when it has stopped, and throws where it cannot go on: the group is gone, the token is not valid. */
  readonly done: Promise<void>;
  readonly #running = new Map<string, Running>();
  readonly #backoff: Backoff;
  readonly #concurrency: number;
  /** Cuts off what it waits for when it is to stop. */
  readonly #halt = new AbortController();
  /** Cuts off the last question. */
  readonly #cut = new AbortController();
  /** The question that is on its way. */
  #call: Call | undefined;
  #line: Line | undefined;
  #extending: ReturnType<typeof setInterval> | undefined;
  /** What is on its way to the group by HTTP. */
  #pending: Promise<unknown> = Promise.resolve();
  #wake = () => {};

  constructor(
    readonly http: Http,
    readonly path: string,
    readonly handler: Handler<Data>,
    readonly options: ConsumeOptions = {},
  ) {
    const { concurrency = 1, signal, member: _, transport: __, onLost: ___, ...left } = options;
    if (typeof handler !== "function") throw new TypeError("handler: must be a function");
    nothing(left);
    if (!(concurrency >= 1)) throw known("invalid", "concurrency: must be 1 or more");
    this.#concurrency = Math.min(Math.floor(concurrency), creditsMax);
    this.#backoff = new Backoff({ ...http.options.retry, attempts: endless });
    let timer: ReturnType<typeof setInterval>;
    const stop = () => this.#halt.abort();
    onAbort(signal, stop);
    onAbort(this.#halt.signal, () => {
      this.#wake();
      let left = answersMax;
      timer = setInterval(() => {
        if (this.#call?.begun && left--) return;
        clearInterval(timer);
        this.#cut.abort();
      }, answerMs);
    });
    this.done = this.#run().finally(() => {
      clearInterval(timer);
      signal?.removeEventListener("abort", stop);
    });
    // Whoever asks for it is told.
    this.done.catch(() => {});
  }

  /**
   * Takes no more, waits for the handlers that are at work, and acknowledges what they have done. What no handler was given goes
   * back untouched.
   */
  async stop(): Promise<void> {
    this.#halt.abort();
    await this.done.catch(() => {});
  }

  get #stopping(): boolean {
    return this.#halt.signal.aborted;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopping) {
        await this.#work()
          .catch((error) => this.#backoff.pause(error, this.#halt.signal, this.http.mayPass))
          .catch((error) => {
            // Otherwise it is only that what it waited for was cut off.
            if (!this.#stopping) throw error;
          });
      }
      while (this.#running.size > 0) await this.#woken();
      this.#line?.acks.flush();
      this.#line?.end?.();
      await this.#pending;
    } finally {
      clearInterval(this.#extending);
    }
  }

  /** Takes and answers deliveries, until it is to stop or cannot go on as it began. */
  async #work(): Promise<void> {
    if (this.#extending === undefined) {
      const { config } = await this.http.json<GroupInfo>("GET", this.path, groupShape, { signal: this.#halt.signal });
      const third = (config.ackTimeoutMs ?? 30_000) / 3;
      this.#extending = setInterval(() => this.#extend(third), third);
    }
    if (this.options.transport === "http" || !(await this.#bySocket())) await this.#byPull();
  }

  #extend(third: number): void {
    const long = [...this.#running].filter(([, { since }]) => Date.now() - since >= third);
    if (long.length > 0) this.#line?.say("extend", { receipts: long.map(([receipt]) => receipt) });
  }

  /** What comes when it is to stop goes back untouched. */
  #take(deliveries: readonly Delivery<Data>[]): void {
    if (!this.#stopping) for (const one of deliveries) this.#start(one);
    else if (deliveries.length > 0) this.#line?.say("release", { receipts: receiptsOf({ refused: deliveries }) });
  }

  #start(delivery: Delivery<Data>): void {
    const { receipt } = delivery;
    // Said twice.
    if (this.#running.has(receipt)) return;
    const abort = new AbortController();
    this.#running.set(receipt, { since: Date.now(), abort });
    const work = async () => this.handler(delivery, { signal: abort.signal });
    void work()
      .then(
        () => this.#line?.acks.add([receipt]),
        (error: unknown) => this.#line?.say("nack", { receipts: [receipt], ...failureOf(error) }),
      )
      .finally(() => {
        this.#running.delete(receipt);
        this.#line?.room?.();
        this.#wake();
      });
  }

  /** Tells handlers that their records are another's by now. */
  #lose(receipts: Iterable<string>): void {
    for (const receipt of receipts) {
      this.options.onLost?.(receipt);
      this.#running.get(receipt)?.abort.abort(new Error("the lease was lost"));
    }
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
    let ended: Ended | undefined;
    let again = false;
    const { signal } = this.#halt;
    const path = `${this.path}/live${queryText({ member: this.options.member || undefined })}`;
    const heard = (message: GroupMessage | Ended) => {
      if (message.type === "ended") {
        ended = message;
        // Leases of a socket end with it.
        this.#line = undefined;
        this.#lose(this.#running.keys());
      } else this.#backoff.reset();
      if (message.type === "deliveries") this.#take(message.deliveries as unknown as Delivery<Data>[]);
      else if (message.type === "split") again = true;
      else if (message.type === "error" && message.fatal) failed = known(message.code, message.detail, message);
      else if (message.type === "refused") this.#lose(receiptsOf(message));
      this.#wake();
    };
    const link = await Link.open(this.http, path, heard, signal);
    if (link === undefined) return false;
    const say: Say = (type, body) => link.send({ type, ...body });
    let freed = 0;
    this.#line = {
      say,
      // The socket keeps its order: the acks are read before its close.
      acks: new Gather(say),
      end: () => {
        link.socket.close(doneCode);
        link.close();
      },
      room: () => {
        // Handlers that end together make room together.
        if (freed++) return;
        queueMicrotask(() => {
          if (!this.#stopping) link.send({ type: "credit", credits: freed });
          freed = 0;
        });
      },
    };
    const credits = this.#concurrency - this.#running.size;
    if (credits > 0) link.send({ type: "credit", credits });
    while (ended === undefined && !this.#stopping) await this.#woken();
    if (failed !== undefined) throw failed;
    if (ended !== undefined && !again) throw lost(ended.reason || ended.code);
    return true;
  }

  async #byPull(): Promise<void> {
    const say: Say = (what, body) => {
      const told = this.http
        .json<Pick<Told<Data>, "refused">>("POST", `${this.path}/${what}`, settledShape, { body, safe: true })
        .then(
          receiptsOf,
          // Of one receipt the refusal is the answer. Else the lease will run out, and the record comes again.
          ({ code }) => (code === "stale-lease" ? body.receipts : []),
        )
        .then((lost) => this.#lose(lost));
      this.#pending = Promise.all([this.#pending, told]).then(() => {});
    };
    const acks = new Gather(say, ackDelayMs);
    this.#line = { say, acks };
    while (!this.#stopping) {
      const max = Math.min(1_000, this.#concurrency - this.#running.size);
      if (max <= 0) {
        await this.#woken();
        continue;
      }
      // It is asked again when a handler ends: more may be wanted then.
      const waitSeconds = this.#running.size > 0 ? 1 : pullWaitSeconds;
      const ack = acks.take();
      const body = { max, waitSeconds, ack, member: this.options.member || undefined };
      this.#call = { body, safe: true, signal: this.#cut.signal };
      const asked = this.http.json<Told<Data>>("POST", `${this.path}/receive`, receivedShape, this.#call);
      const told = await asked.catch((error) => {
        // Nobody knows whether they came there.
        acks.add(ack);
        throw error;
      });
      this.#backoff.reset();
      this.#lose(receiptsOf(told));
      this.#take(told.deliveries);
    }
  }
}
