/** What objects, and the Worker, may ask of each other. Interfaces only. */
import type { Target } from "../../schemas/erasure.ts";
import type { Refusal, Result } from "../../schemas/errors.ts";
import type { GroupConfig } from "../../schemas/group.ts";
import type { ListQuery, StreamConfig } from "../../schemas/stream.ts";
import type { Group, Match, Pause } from "../catalog/group.ts";
import type { Listed, Stream } from "../catalog/stream.ts";
import type { Change, How } from "../catalog/writing.ts";
import type { OrderArgs, OrderName, OrderValue } from "../delivery/admin.ts";
import type { Placed, PlacePage, PlacePart } from "../delivery/dump.ts";
import type { Unfinished } from "../delivery/heritage.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import type { Lost } from "../delivery/told.ts";
import type { Inheritance } from "../log/inheritance.ts";
import type { Position } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Spec } from "../log/spec.ts";
import type { Answer, PageAnswer, ReadCall } from "./answer.ts";
import type { CatalogOrder, CatalogOrderArgs, CatalogOrderValue } from "./catalog-orders.ts";
import type { PartitionOrder, PartitionOrderArgs, PartitionOrderValue } from "./orders.ts";

/** Verdicts, or the offset of the first record where all were appended one after another. */
export type Appended = Answer<readonly Run[]> | number;

export type Configured = boolean | "foreign" | "deleting";

export interface PartitionRpc {
  /**
   * Creates the partition, or brings it up to date. False where it is yet to be created and must first inherit: call again
   * with what its parent hands over, or with null where that never held anything. `foreign`: it is another namespace's.
   * `again`: it was told before, so that what has no log has lost it, or was not reached.
   */
  configure(spec: Spec, inheritance?: Inheritance | null, again?: boolean): Promise<Configured>;
  /**
   * Appends a `Batch`, whose parts travel flat. A number says the common answer, and costs a fraction of an object on its way: every
   * record was appended, the first at that offset, the others after it.
   */
  append(version: number, bytes: Uint8Array, hashes: Uint32Array, terms?: Terms): Promise<Appended>;
  read(call: ReadCall): Promise<Answer<PageAnswer>>;
  /** Anything else, by name; see `orders`. */
  order<N extends PartitionOrder>(name: N, ...args: PartitionOrderArgs<N>): Promise<Answer<PartitionOrderValue<N>>>;
  /** Notes a delivery that is to be told of appends; answers where it begins, the same however often it is asked. */
  follow(id: string, start: Position): Promise<Answer<number>>;
  unfollow(id: string): Promise<void>;
  /** Creates the partition as one that is restored. Refuses where it is in use. */
  prepare(spec: Spec): Promise<Result<undefined>>;
  /**
   * Frees all storage, objects in the bucket first, unless it is that of another log, or of another namespace. False where
   * there is more than one call deletes: call again. Fails where the bucket does.
   */
  destroy(logId: string, number: number, owner: string): Promise<boolean>;
}

/** Records under lease, flat: a call between objects pays for every object in its answer. */
export interface Leases {
  readonly partition: number;
  readonly era: number;
  /** The records' bytes, one after another; `ends` says where each ends. */
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly offsets: Float64Array;
  readonly timestamps: Float64Array;
  readonly generations: Float64Array;
  /** The proofs of their receipts. */
  readonly tags: Float64Array;
  readonly attempts: Uint32Array;
  /** 1 where the data are known to be what their kind says. */
  readonly checked: Uint8Array;
  /** The partition was split; and the group has finished it. */
  readonly sealed: boolean;
  readonly over: boolean;
  /** Nothing is here, but now there is something to be had: whoever is still there comes and takes it. */
  readonly ready: boolean;
  /** What the group has lost since it was last told. */
  readonly lost: readonly Lost[];
  /** Refusals of the acks that came with the call, by their place. */
  readonly refused: readonly Refused[];
}

/** A receipt that could not be honoured. */
export interface Refused {
  readonly place: number;
  readonly refusal: Refusal;
}

/** A member that waits. `call`: a name of its own, by which it says that it waits no longer. */
export interface WaitCall {
  readonly call: string;
  readonly member: string;
  readonly max: number;
  readonly waitMs: number;
  /** It knows that the partition was split; otherwise it is to learn it. */
  readonly knowsSealed: boolean;
}

export interface ReceiveCall extends WaitCall {
  readonly bytesMax: number;
  readonly ack: readonly string[];
}

/** What a partition that continues another one asks of that one's delivery. */
export interface HeritageCall {
  /** The partition that asks: it is told of changes. */
  readonly heir: number;
  /** Which of these are finished; without them, which keys have unfinished records. */
  readonly held?: readonly string[];
  readonly after?: string;
}

/** One request of a push, as the attempts log keeps it. */
export interface Attempt {
  /** Of its partition: higher than those before it. After a crash that forgot some, theirs are given anew. */
  readonly number: number;
  readonly at: number;
  readonly deliveryId: string;
  readonly records: number;
  readonly attempt: number;
  readonly status: number | undefined;
  readonly error: string | undefined;
  readonly durationMs: number;
  /** The first bytes of the answer. */
  readonly answer: string;
}

/** A group on one partition. Named by the catalog's name for the group's deliveries, and the partition. */
export interface DeliveryRpc {
  /** Creates it, or brings it up to date. */
  configure(spec: DeliverySpec): Promise<Answer<undefined>>;
  /**
   * Records `[from, to)` were appended, or, with -1, something was. Answers where it stands and waits to be told more, or
   * -1: it reads on by itself.
   */
  wake(from: number, to: number, tail: number, sealed: boolean, bodies: readonly Uint8Array[]): Promise<number>;
  receive(call: ReceiveCall): Promise<Answer<Leases>>;
  /** Resolves when something may be received, or after a time; says whether it may. */
  wait(call: WaitCall): Promise<Answer<boolean>>;
  /** Whoever made the call has gone, or needs nothing any more. */
  cancel(call: string): Promise<void>;
  /**
   * Takes leases back, and no attempt is counted: those of a member that will not work on them; or, with what was to be told of
   * losses, those that could not be handed over, which nobody had.
   */
  release(receipts: readonly string[], lost?: readonly Lost[]): Promise<Answer<readonly Refused[]>>;
  ack(receipts: readonly string[]): Promise<Answer<readonly Refused[]>>;
  nack(receipts: readonly string[], delayMs?: number, reason?: string): Promise<Answer<readonly Refused[]>>;
  extend(receipts: readonly string[], ackTimeoutMs?: number): Promise<Answer<readonly Refused[]>>;
  /** What an operator asks; see `Admin`. */
  admin<N extends OrderName>(order: N, ...args: OrderArgs<N>): Promise<Answer<OrderValue<N>>>;
  /** Forgets all that it has of a target's records below an offset. `last`: the log has nothing of them any more. */
  forget(target: Target, to: number, last: boolean): Promise<Answer<number>>;
  /** Moves its place, and answers the offset. */
  seek(position: Position, heirs?: readonly number[]): Promise<Answer<number>>;
  attempts(): Promise<Answer<readonly Attempt[]>>;
  unfinished(call: HeritageCall): Promise<Answer<Unfinished>>;
  /** The partition that this one continues has finished something, or has begun anew. */
  inherit(again: boolean): Promise<void>;
  /** The lowest offset that it may still want to read. */
  floor(): Promise<number>;
  /** True where no member has been here for some time. */
  idle(): Promise<boolean>;
  /** Its place, for a dump; `after` as the page before said. */
  dump(after?: string): Promise<Answer<PlacePage>>;
  /** Takes parts of a place, and says whether all is there. It becomes a delivery when it is configured. `owner`: the namespace. */
  restore(owner: string, parts: readonly PlacePart[]): Promise<Answer<Placed>>;
  /** Frees all storage, unless it is that of another group, or of another namespace. */
  destroy(groupId: string, owner: string): Promise<void>;
}

/** `drops`: records that the stream's bounds kept before, and keep no more; undefined where a partition could not be asked. */
interface StreamWritten {
  readonly stream: Stream;
  readonly created: boolean;
  readonly drops: number | undefined;
}

interface GroupWritten {
  readonly group: Group;
  readonly created: boolean;
}

/** The catalog object of one namespace; the object named `registry` knows the namespaces. */
export interface CatalogRpc {
  /** When the namespace was created, in ms. */
  describe(): Promise<Result<number>>;
  create(): Promise<{ created: boolean; since: number }>;
  destroyNamespace(force: boolean): Promise<Result<undefined>>;
  stream(name: string): Promise<Result<Stream>>;
  streams(query: ListQuery): Promise<Result<Listed<Stream>>>;
  put(name: string, change: Partial<StreamConfig>): Promise<Result<StreamWritten>>;
  /** As a `put`, or in another way: an object of before there were any does not take it for one. */
  write(name: string, change: Change<StreamConfig>, how: How): Promise<Result<StreamWritten>>;
  drop(name: string): Promise<Result<undefined>>;
  /** Makes sure that a partition exists and knows the newest version, and answers the stream. */
  open(name: string, partition: number): Promise<Result<Stream>>;
  group(stream: string, name: string): Promise<Result<Group>>;
  groups(stream: string, query: ListQuery): Promise<Result<Listed<Group>>>;
  putGroup(stream: string, name: string, change: Partial<GroupConfig>): Promise<Result<GroupWritten>>;
  writeGroup(
    stream: string,
    name: string,
    change: Change<GroupConfig>,
    how: How,
    match?: Match,
  ): Promise<Result<GroupWritten>>;
  /**
   * `because`: why, since when; without it the group goes on. `groupId`, `version`: only if it is still this one, and as the
   * delivery that asks knows it.
   */
  setPaused(stream: string, name: string, because?: Pause, groupId?: string, version?: number): Promise<Result<Group>>;
  dropGroup(stream: string, name: string): Promise<Result<undefined>>;
  /** A group that is not durable has no member left on a partition: it goes, if that is so on all of them. */
  leaveGroup(stream: string, name: string, groupId: string): Promise<void>;
  /** What dumps and restores ask, by name; see `catalogOrders`. */
  order<N extends CatalogOrder>(name: N, ...args: CatalogOrderArgs<N>): Promise<Result<CatalogOrderValue<N>>>;
  /** The registry's side: lists a namespace, or does not, as its catalog says. */
  relist(name: string): Promise<void>;
  namespaces(query: ListQuery): Promise<Listed<{ name: string; created: number }>>;
}
