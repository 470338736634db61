/**
 * The client of Millrace: browsers, Node 20 and later, Workers, Deno. It depends on nothing.
 */
import { Http, type MillraceOptions } from "./http.ts";
import { Stream } from "./stream.ts";
import type { StreamInfo } from "./types.ts";

export { type ConsumeOptions, Consumer, type Handler, type HandlerContext } from "./consumer.ts";
export { type Code, MillraceError } from "./error.ts";
export { Follower, type FollowOptions } from "./follower.ts";
export { type DeadLetters, Group, type GroupStatus, type Received, type ReceiveOptions } from "./group.ts";
export type { MillraceOptions, SocketLike } from "./http.ts";
export {
  type Damage,
  type LostRange,
  Partition,
  type PartitionFacts,
  type RepairOptions,
  type Verification,
} from "./partition.ts";
export type { SnapshotBody } from "./parts.ts";
export { Producer } from "./producer.ts";
export type { Closed, ProducerOptions, Settled } from "./producing.ts";
export { Reader, type ReadOptions } from "./reader.ts";
export type { RetryOptions } from "./retry.ts";
export { type FetchedSnapshot, type OfPartition, type PutSnapshotOptions, Snapshots } from "./snapshots.ts";
export { type AppendOptions, type OfSpool, type OpenSpool, type Restored, Stream } from "./stream.ts";
export type * from "./types.ts";

/**
 * A namespace of a service.
 *
 * @example
 * const client = new Millrace({ url: "http://localhost:8787", token: "secret" });
 * await client.stream("orders").append({ key: "customer-7", data: { total: 12.5 } });
 */
export class Millrace {
  readonly http: Http;

  constructor(options: MillraceOptions) {
    this.http = new Http(options);
  }

  /**
   * A stream, by its name. Nothing is asked yet.
   *
   * @example
   * interface Order {
   *   total: number;
   * }
   * const orders = millrace.stream<Order>("orders");
   * for await (const { data } of orders.read()) console.log(data.total);
   */
  stream<Data = unknown>(name: string): Stream<Data> {
    return new Stream(this.http, name);
  }

  /**
   * The streams of the namespace, by name.
   *
   * @example
   * for await (const { stream, config } of millrace.streams({ prefix: "orders-" })) {
   *   console.log(stream, config.partitions);
   * }
   */
  streams(options: { prefix?: string } = {}): AsyncGenerator<StreamInfo, void, undefined> {
    return this.http.list<StreamInfo>("/streams", "streams", options);
  }
}
