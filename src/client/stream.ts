import { known } from "./error.ts";
import { Follower, type FollowOptions } from "./follower.ts";
import { Group } from "./group.ts";
import type { Http } from "./http.ts";
import { Partition } from "./partition.ts";
import { Producer } from "./producer.ts";
import type { ProducerOptions } from "./producing.ts";
import { Reader, type ReadOptions } from "./reader.ts";
import { bodyOf } from "./record.ts";
import { streamShape } from "./shapes.ts";
import { type FetchedSnapshot, type OfPartition, Snapshots } from "./snapshots.ts";
import type {
  Erasure,
  GroupInfo,
  NewRecord,
  Placed,
  Right,
  StreamConfig,
  StreamInfo,
  StreamPut,
  Verdict,
} from "./types.ts";

/** What an append asks for besides its records. */
export interface AppendOptions {
  partition?: number;
  /** All or nothing; the records must belong to one partition. */
  atomic?: boolean;
  /** The tail must be there. */
  expectedOffset?: number;
  /** The last record of the key must be there; `none`: the key must be new. The stream keeps a key index. */
  expectedKeyOffset?: number | "none";
  fence?: string;
  signal?: AbortSignal;
}

/** Where a consumer of a partition begins that knows nothing yet. */
export interface Restored<Data> {
  /** The state to begin with; none: begin with an empty one. */
  readonly snapshot: FetchedSnapshot | undefined;
  /** The records after it, up to the tail as it is then. */
  readonly records: Reader<Data>;
  /** Where they begin: for `follow`, if you do not read them first. */
  readonly from: number | "earliest";
}

/** What `spool` of `millrace/node` gives. */
export type OpenSpool<Spooled> = (stream: OfSpool, options: ProducerOptions) => Spooled;
export type OfSpool = Pick<Stream, "http" | "name" | "path">;

const erasureShape = { id: "", done: true };

/** A stream: an ordered, durable log of records. */
export class Stream<Data = unknown> {
  readonly path: string;
  readonly snapshots: Snapshots;

  constructor(
    readonly http: Http,
    readonly name: string,
  ) {
    this.path = `/streams/${encodeURIComponent(name)}`;
    this.snapshots = new Snapshots(http, this.path);
  }

  /**
   * Appends one record, or several together; resolves when they are durable. One is answered with its place, and throws
   * where it was rejected; several with a verdict for each. It is sent again after a failure where nothing was written for
   * certain, or where every record has an `id`: the service answers those as duplicates.
   *
   * @example
   * const orders = millrace.stream("orders");
   * const { offset } = await orders.append({ key: "customer-7", data: { total: 12.5 } });
   * const verdicts = await orders.append([{ key: "a" }, { key: "b" }], { atomic: true });
   * console.log(offset, verdicts[1].verdict);
   */
  append(record: NewRecord<Data>, options?: AppendOptions): Promise<Placed>;
  append(records: readonly NewRecord<Data>[], options?: AppendOptions): Promise<Verdict[]>;
  async append(
    given: NewRecord<Data> | readonly NewRecord<Data>[],
    { signal, ...query }: AppendOptions = {},
  ): Promise<Placed | Verdict[]> {
    const several = Array.isArray(given);
    const records = (several ? given : [given]) as readonly NewRecord<Data>[];
    const each = records.map((record, index) => bodyOf(record, several ? `records.${index}` : "record"));
    const safe = records.every(({ id }) => id !== undefined);
    const call = {
      json: `{"records":[${each}]}`,
      query,
      safe,
      signal,
      records: records.length,
    };
    const shape = { verdicts: [{}] };
    const { verdicts } = await this.http.json<{ verdicts: Verdict[] }>("POST", `${this.path}/records`, shape, call);
    if (several) return verdicts;
    const [verdict] = verdicts;
    if (verdict.verdict === "rejected") throw known(verdict.reason, verdict.detail);
    return verdict;
  }

  /**
   * Records up to the tail as it is now.
   *
   * @example
   * for await (const record of millrace.stream("orders").read({ from: "earliest", filter: { key: "customer-7" } })) {
   *   console.log(record.offset, record.data);
   * }
   */
  read(options: ReadOptions = {}): Reader<Data> {
    return new Reader(this.http, `${this.path}/records`, options);
  }

  /**
   * Records as they come. Connects again by itself, and goes on where it was: no gap, no repetition.
   *
   * @example
   * const follower = millrace.stream("orders").follow({ from: "earliest" });
   * for await (const record of follower) {
   *   console.log(record.key, record.data, follower.cursor);
   *   if (follower.upToDate) break;
   * }
   */
  follow(options: FollowOptions = {}): Follower<Data> {
    return new Follower(this.http, this.path, options);
  }

  /**
   * The newest snapshot of a partition, and the records after it: together as good as all records.
   *
   * @example
   * const { snapshot, records } = await millrace.stream("orders").restore({ partition: 0 });
   * const state = snapshot === undefined ? { count: 0 } : await new Response(snapshot.body).json();
   * for await (const _ of records) state.count++;
   * await millrace.stream("orders").follow({ partition: 0, from: records.cursor ?? "earliest" });
   */
  async restore(options: OfPartition = {}): Promise<Restored<Data>> {
    const snapshot = await this.snapshots.get("latest", options).catch((error): undefined => {
      if (error.code !== "snapshot-not-found") throw error;
    });
    const from = snapshot?.offset ?? "earliest";
    return { snapshot, records: this.read({ ...options, from }), from };
  }

  /**
   * For many records: batches, retries that never duplicate, back-pressure. With a `spool` of `millrace/node`, what could not
   * be sent yet lies in a folder, and outlives the process.
   *
   * @example
   * const producer = millrace.stream("orders").producer({ id: "importer" });
   * await producer.push({ key: "a", data: 1 });
   * await producer.close();
   */
  producer<Spooled>(options: ProducerOptions & { spool: OpenSpool<Spooled> }): Spooled;
  producer(options?: ProducerOptions): Producer;
  producer(options: ProducerOptions & { spool?: OpenSpool<Producer> } = {}): Producer {
    const { spool, ...others } = options;
    return spool?.(this, others) ?? new Producer(this.http, this.path, others);
  }

  /**
   * A group of the stream.
   *
   * @example
   * const billing = millrace.stream("orders").group("billing");
   * await billing.put();
   */
  group(name: string): Group<Data> {
    return new Group(this.http, this.path, name);
  }

  /**
   * The groups of the stream, by name.
   *
   * @example
   * for await (const { group, paused } of millrace.stream("orders").groups()) console.log(group, paused);
   */
  groups(): AsyncGenerator<GroupInfo, void, undefined> {
    return this.http.list<GroupInfo>(`${this.path}/groups`, "groups");
  }

  /**
   * One of its partitions.
   *
   * @example
   * console.log((await millrace.stream("orders").partition(0).facts()).records);
   */
  partition(number: number): Partition {
    return new Partition(this.http, this.path, number);
  }

  /**
   * Forgets every record of a key, or of a subject: tombstones stay at their offsets. In the background; the same `id`
   * again is the same request.
   *
   * @example
   * const orders = millrace.stream("orders");
   * const { id } = await orders.erase({ key: "customer-7" });
   * console.log((await orders.erasure(id)).done);
   */
  erase(target: ({ key: string } | { subject: string }) & { id?: string }): Promise<Erasure> {
    return this.http.json("POST", `${this.path}/erasures`, erasureShape, {
      body: target,
      safe: target.id !== undefined,
    });
  }

  /**
   * How a request to forget stands; its receipt, once it is done.
   *
   * @example
   * console.log((await millrace.stream("orders").erasure("request-7")).partitions);
   */
  erasure(id: string): Promise<Erasure> {
    return this.http.json("GET", `${this.path}/erasures/${encodeURIComponent(id)}`, erasureShape);
  }

  /**
   * Creates the stream, or changes what is named. With `dryRun` nothing is changed: the answer says what a stream that is
   * there would be, and in `drops` how many of its records it would lose.
   *
   * @example
   * await millrace.stream("orders").put({ partitions: 4 });
   * const { drops = 0 } = await millrace.stream("orders").put({ retentionRecords: 1_000 }, { dryRun: true });
   */
  put(config: StreamConfig = {}, query: { dryRun?: boolean } = {}): Promise<StreamPut> {
    return this.http.json("PUT", this.path, streamShape, { body: config, query });
  }

  /**
   * What the stream is.
   *
   * @example
   * console.log((await millrace.stream("orders").info()).config.partitions);
   */
  info(): Promise<StreamInfo> {
    return this.http.json("GET", this.path, streamShape);
  }

  /**
   * Deletes the stream and its records. That it is not there is no error.
   *
   * @example
   * await millrace.stream("orders").delete();
   */
  delete(): Promise<void> {
    return this.http.gone(this.path, "stream-not-found");
  }

  /**
   * A ticket for a browser: for this stream, a short time, and no more than these rights.
   *
   * @example
   * const { ticket } = await millrace.stream("orders").ticket(["read"], { expiresInSeconds: 60 });
   * console.log(ticket);
   */
  ticket(
    rights: readonly Right[] = ["read"],
    options: { expiresInSeconds?: number } = {},
  ): Promise<{ ticket: string; expiresAt: string }> {
    const path = `${this.path}/tickets`;
    return this.http.json("POST", path, { ticket: "" }, { body: { rights, ...options }, safe: true });
  }
}
