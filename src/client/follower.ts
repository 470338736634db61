import type { StreamMessage } from "../../schemas/frames.ts";
import { known, otherwise } from "./error.ts";
import { type Http, queryText } from "./http.ts";
import { nothing } from "./json.ts";
import { type Ended, Link, lost } from "./link.ts";
import { isStuck, Progress, pageOf, queryOf } from "./reader.ts";
import { Backoff, endless } from "./retry.ts";
import type { Filter, From, Lost, StoredRecord } from "./types.ts";

/** What to follow. */
export interface FollowOptions {
  /** Default `latest`. */
  from?: From;
  partition?: number;
  filter?: Filter;
  /** Ends it: the iteration throws the signal's reason. */
  signal?: AbortSignal;
  /** Credits: records on their way to a reader who is busy. A large record counts once for each KiB. Default 1 000, at most 10 000. */
  window?: number;
  /** Told of records that were trimmed before they were read, or are damaged. By default they are passed over. */
  onLost?: (lost: readonly Lost[]) => void;
  /** Told of new snapshots, while it follows by socket. */
  onSnapshot?: (snapshot: { partition: number; offset: number; bytes: number }) => void;
  /** `http` asks by long-poll. Default: a socket where there is one. */
  transport?: "socket" | "http";
}

interface Batch<Data> {
  readonly records: StoredRecord<Data>[];
  readonly cursor: string;
  readonly upToDate: boolean;
}

/** Of what has led to another place. */
interface Moved {
  readonly id: number;
  readonly cursor: string;
  readonly records?: unknown[];
  readonly cost?: number;
  readonly lost?: readonly Lost[];
}

const subscription = 1;
const creditsMax = 10_000;
const waitSeconds = 25;
/** The stream was deleted. */
const goneCode = 4001;

/**
 * Records as they come, for ever: iterate over it. It connects again by itself, as often as it takes, and goes on where it
 * was.
 */
export class Follower<Data = unknown> implements AsyncIterable<StoredRecord<Data>> {
  /** Nothing was behind the last record when it was sent. */
  upToDate = false;
  readonly #progress = new Progress();
  /** Where to connect again: behind all that has arrived. */
  #next: From;
  /** Credits of the socket that are to be given back. */
  #owed = 0;
  readonly #window: number;
  readonly #backoff: Backoff;

  constructor(
    readonly http: Http,
    readonly path: string,
    readonly options: FollowOptions,
  ) {
    const {
      from = "latest",
      window = 1_000,
      partition,
      filter,
      signal,
      onLost,
      onSnapshot,
      transport,
      ...left
    } = options;
    nothing(left);
    this.#next = from;
    this.#window = Math.min(window, creditsMax);
    this.#backoff = new Backoff({ ...http.options.retry, attempts: endless });
  }

  /** Goes on after the record that was given last: store it, and give it to `from`. Undefined while nothing has come. */
  get cursor(): string | undefined {
    return this.#progress.cursor;
  }

  [Symbol.asyncIterator](): AsyncGenerator<StoredRecord<Data>, void, undefined> {
    return this.#progress.each(this.batches());
  }

  /** The same, as many at a time as came together. */
  async *batches(): AsyncGenerator<StoredRecord<Data>[], void, undefined> {
    const { signal } = this.options;
    for (;;) {
      signal?.throwIfAborted();
      // One that was left amid a batch has not given out the rest of it.
      this.#next = this.cursor ?? this.#next;
      try {
        for await (const { records, cursor, upToDate } of this.#connection()) {
          this.#backoff.reset();
          this.#progress.begin(cursor, records);
          this.upToDate = upToDate;
          if (records.length > 0) yield records;
        }
        return;
      } catch (error) {
        signal?.throwIfAborted();
        await this.#backoff.pause(error, signal, this.http.mayPass);
      }
    }
  }

  async *#connection(): AsyncGenerator<Batch<Data>, void, undefined> {
    if (this.options.transport === "http") return yield* this.#byHttp();
    const inbox: (StreamMessage | Ended)[] = [];
    let wake = () => {};
    const { partition, filter, signal } = this.options;
    const path = `${this.path}/live${queryText({ partition })}`;
    const link = await Link.open(
      this.http,
      path,
      (message) => {
        inbox.push(message);
        wake();
      },
      signal,
    );
    if (link === undefined) return yield* this.#byHttp();
    const stop = () => wake();
    signal?.addEventListener("abort", stop);
    this.#owed = 0;
    link.send({ type: "subscribe", id: subscription, from: this.#next, credits: this.#window, filter });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const message = inbox.shift();
        if (message === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else {
          yield* this.#obey(message, link);
          if (message.type === "end" && partition !== undefined) return;
        }
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      link.close();
    }
  }

  *#obey(message: StreamMessage | Ended, link: Link): Generator<Batch<Data>, void, undefined> {
    const { id, cursor, records = [], cost = 0, lost: gone } = message as Partial<Moved>;
    if (gone || cursor !== undefined) {
      // It has no other subscription; and where records have led to, others do not lead.
      if (id !== subscription || typeof cursor !== "string" || (records.length > 0 && cursor === this.#next))
        throw lost(otherwise);
      if (gone) this.options.onLost?.(gone);
      this.#next = cursor;
      yield { upToDate: this.upToDate, ...message, cursor, records: records as StoredRecord<Data>[] };
      // In lumps: credits that trickle would be answered by ever smaller messages.
      this.#owed += cost;
      if (this.#owed * 4 < this.#window) return;
      link.send({ type: "credit", id, credits: Math.min(this.#owed, creditsMax) });
      this.#owed = 0;
    } else if (message.type === "snapshot") {
      const { type: _, ...snapshot } = message;
      this.options.onSnapshot?.(snapshot);
    } else if (message.type === "error") {
      throw known(message.code, message.detail, message);
    } else if (message.type === "ended") {
      // Whether it is to be followed by another.
      const { code, reason } = message;
      throw code === goneCode ? known("stream-not-found", reason || "the stream was deleted") : lost(reason || code);
    }
  }

  async *#byHttp(): AsyncGenerator<Batch<Data>, void, undefined> {
    const { partition, filter, signal } = this.options;
    for (let wait = 0; ; ) {
      const query = { from: this.#next, wait, partition, ...queryOf(filter) };
      const call = { query, signal };
      const page = await pageOf<Data>(this.http, `${this.path}/records`, call, this.options.onLost);
      wait = page.upToDate || isStuck(page, this.#next) ? waitSeconds : 0;
      this.#next = page.cursor;
      yield page;
      if (page.ended) return;
    }
  }
}
