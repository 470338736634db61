/** What objects, and the Worker, may ask of each other. Interfaces only. */
import type { Result } from "../../schemas/errors.ts";
import type { ListQuery, StreamConfig } from "../../schemas/stream.ts";
import type { Listed, Stream } from "../catalog/catalog.ts";
import type { Inheritance } from "../log/inheritance.ts";
import type { Facts } from "../log/log.ts";
import type { Page, Position, ReadTerms } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Spec } from "../log/spec.ts";
import type { Report } from "../log/verify.ts";

/** The caller's idea of the stream is not the partition's: its version, or 0 where the partition does not exist. */
export interface Moved {
  readonly ok: false;
  readonly moved: number;
}

export type Answer<T> = Result<T> | Moved;

export interface ReadCall extends ReadTerms {
  readonly waitMs: number;
  /** Ask that later records be stamped no earlier than this, in ms; see `Log.promise`. */
  readonly promise?: number;
}

export interface PageAnswer extends Page {
  readonly head: number;
  readonly tail: number;
  readonly sealed: boolean;
  /** No later record of the partition will have a timestamp below this. */
  readonly promise: number;
}

export interface PartitionRpc {
  /**
   * Creates the partition, or brings it up to date. False where it is yet to be created and must first inherit: call again
   * with what its parent hands over, or with null where that never held anything.
   */
  configure(spec: Spec, inheritance?: Inheritance | null): Promise<boolean>;
  /** What the children of a sealed partition take over. */
  handOn(): Promise<Answer<Inheritance>>;
  /**
   * Appends a `Batch`, whose parts travel flat. A number says the common answer, and costs a fraction of an object on its way: every
   * record was appended, the first at that offset, the others after it.
   */
  append(
    version: number,
    bytes: Uint8Array,
    hashes: Uint32Array,
    terms?: Terms,
  ): Promise<Answer<readonly Run[]> | number>;
  read(call: ReadCall): Promise<Answer<PageAnswer>>;
  facts(): Promise<Answer<Facts>>;
  /** `before`: an offset, or a time. */
  trim(before: Extract<Position, { at: "offset" | "time" }>): Promise<Answer<Facts>>;
  fence(token: string | null, expected?: string | null): Promise<Answer<Facts>>;
  seal(): Promise<Answer<Facts>>;
  verify(from: number, bytesMax: number): Promise<Answer<Report>>;
  /** Frees all storage. */
  destroy(logId: string): Promise<void>;
}

/** The catalog object of one namespace; the object named `registry` knows the namespaces. */
export interface CatalogRpc {
  /** When the namespace was created, in ms. */
  describe(): Promise<Result<number>>;
  create(): Promise<{ created: boolean; since: number }>;
  destroyNamespace(force: boolean): Promise<Result<undefined>>;
  stream(name: string): Promise<Result<Stream>>;
  streams(query: ListQuery): Promise<Result<Listed<Stream>>>;
  put(name: string, change: Partial<StreamConfig>): Promise<Result<{ stream: Stream; created: boolean }>>;
  drop(name: string): Promise<Result<undefined>>;
  /** Makes sure that a partition exists and knows the newest version, and answers the stream. */
  open(name: string, partition: number): Promise<Result<Stream>>;
  register(name: string): Promise<void>;
  unregister(name: string): Promise<void>;
  namespaces(query: ListQuery): Promise<Listed<{ name: string; created: number }>>;
}
