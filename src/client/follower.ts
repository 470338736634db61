import type { StreamMessage } from "../../schemas/frames.ts";
import { known, type MillraceError } from "./error.ts";
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

const subscription = 1;
const creditsMax = 10_000;
const waitSeconds = 25;

/**
 * Records as they come, for ever: iterate over it. It connects again by itself, as often as it takes, and goes on where it
 * was.
 */
export class Follower<Data = unknown> implements AsyncIterable<StoredRecord<Data>> {
  /** Nothing was behind the last record when it was sent. */
  upToDate = false;
  readonly #progress = new Progress();
  /** Where it begins. From then on it goes on at its cursor: one that was left amid a batch has not given out the rest of it. */
  readonly #from: From;
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
    this.#from = from;
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
    const inbox: StreamMessage[] = [];
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
    let ended: Ended | undefined;
    void link.ended.then((end) => {
      ended = end;
      wake();
    });
    const stop = () => wake();
    signal?.addEventListener("abort", stop);
    this.#owed = 0;
    link.send({ type: "subscribe", id: subscription, from: this.cursor ?? this.#from, credits: this.#window, filter });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const message = inbox.shift();
        if (message === undefined) {
          if (ended !== undefined) throw endOf(ended);
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else if (message.type === "end" && partition !== undefined) return;
        else yield* this.#obey(message, link);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      link.close();
    }
  }

  *#obey(message: StreamMessage, link: Link): Generator<Batch<Data>, void, undefined> {
    if (message.type === "records") {
      yield message as Batch<Data>;
      // In lumps: credits that trickle would be answered by ever smaller messages.
      this.#owed += message.cost;
      if (this.#owed * 4 < this.#window) return;
      link.send({ type: "credit", id: subscription, credits: Math.min(this.#owed, creditsMax) });
      this.#owed = 0;
    } else if (message.type === "snapshot") {
      const { type: _, ...snapshot } = message;
      this.options.onSnapshot?.(snapshot);
    } else if (message.type === "error") {
      throw known(message.code, message.detail, message);
    } else if ("cursor" in message) {
      if (message.type === "lost") this.options.onLost?.(message.lost);
      yield { upToDate: this.upToDate, ...message, records: [] };
    }
  }

  async *#byHttp(): AsyncGenerator<Batch<Data>, void, undefined> {
    const { partition, filter, signal } = this.options;
    for (let wait = 0; ; ) {
      const from = this.cursor ?? this.#from;
      const query = { from, wait, partition, ...queryOf(filter) };
      const call = { query, signal };
      const page = await pageOf<Data>(this.http, `${this.path}/records`, call, this.options.onLost);
      wait = page.upToDate || isStuck(page, from) ? waitSeconds : 0;
      yield page;
      if (page.ended) return;
    }
  }
}

/** Why a socket that ended is to be followed by another, or not. */
function endOf({ code, reason }: Ended): MillraceError {
  if (code === 4001) return known("stream-not-found", reason);
  return lost(reason || code);
}
