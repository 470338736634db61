/** A partition whose database is lost becomes what its objects in the bucket say. */
import type { LostRange } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { DraftStore } from "../archive/draft-store.ts";
import { chosen, type Found, foundIn, learnKeys, rebuild, rebuiltFrom, segmentOf } from "../archive/rebuild.ts";
import { parquetPrefix, segmentPrefix } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import type { Blobs } from "../platform/blobs.ts";
import { endBytes, listed, readEnd } from "./object-ends.ts";
import { coldRows, Lost } from "./segment-rows.ts";

/** Bytes that a step reads: the calls in between let others in. */
const stepBytes = 33_554_432;

type Outcome = Result<LostRange[]>;

export class Rebuilding {
  readonly #draft: DraftStore;
  #steps: AsyncGenerator<undefined, Outcome> | undefined;
  /** Bytes that were read since the last step. */
  #read = 0;
  /** Names of objects that are no segment of this partition, whatever they are called, or cannot be read. */
  #unread: string[] = [];

  constructor(
    readonly log: Log,
    readonly blobs: Blobs | undefined,
    readonly now: () => number,
  ) {
    this.#draft = new DraftStore(log.sql);
  }

  /**
   * Answers the offsets that are lost; objects that cannot be read have none. undefined: there is more to do, by another call. Once
   * it is done it says what it said. Refuses where something was appended since the database was lost: the offsets of that are
   * those of what is in the bucket.
   */
  async step(): Promise<Outcome | undefined> {
    const before = rebuiltFrom(this.log);
    if (before !== undefined) return ok(before);
    const { blobs } = this;
    if (blobs === undefined) return refuse("archive-off", "the deployment has no archive from which to rebuild");
    const steps = this.#steps ?? this.#run(blobs);
    this.#steps = steps;
    try {
      const { done, value } = await steps.next();
      if (done) this.#steps = undefined;
      return value;
    } catch (error) {
      if (this.#steps !== steps) return refuse("conflict", "what was learnt was forgotten meanwhile; begin anew");
      this.#steps = undefined;
      throw error;
    }
  }

  /** Nobody may go on with it: what it has learnt is not kept, as there are keys in it. */
  abandon(): void {
    this.#steps = undefined;
    this.#draft.drop();
  }

  async *#run(blobs: Blobs): AsyncGenerator<undefined, Outcome> {
    const { log } = this;
    if (this.#occupied) return this.#refused();
    this.#draft.begin();
    this.#unread = [];
    const found: Found[] = [];
    for await (const one of this.#objects(blobs)) {
      found.push(one);
      if (this.#turn()) yield;
      if (this.#occupied) return this.#refused();
    }
    for (const one of log.spec.keyIndex ? chosen(found) : []) {
      for await (const _ of this.#learn(one)) {
        if (this.#turn()) yield;
        if (this.#occupied) return this.#refused();
      }
    }
    if (this.#occupied) return this.#refused();
    const others = { unread: this.#unread, parquet: await this.#parquet(blobs) };
    // What can be read no more tells all the same which offsets may have been given out.
    const nothing = found.length + others.unread.length + others.parquet.length === 0;
    if (this.#occupied || nothing) return this.#refused();
    return ok(rebuild(log, found, others, this.#draft, this.now()));
  }

  get #occupied(): boolean {
    return this.log.span.tail > 0;
  }

  #turn(): boolean {
    const over = this.#read >= stepBytes;
    if (over) this.#read = 0;
    return over;
  }

  #refused(): Result<never> {
    this.#draft.drop();
    const { tail } = this.log.span;
    if (tail === 0) return refuse("conflict", "the bucket has nothing of this partition; nothing was rebuilt");
    const detail = `the partition has given out the offsets up to ${tail}, and a rebuild is for one that is empty; nothing was changed`;
    return refuse("conflict", detail, { tail });
  }

  /** The partition's objects; their fingerprints go where there is room for all of them. */
  async *#objects(blobs: Blobs): AsyncGenerator<Found> {
    const { logId, partition } = this.log.spec;
    for await (const { key, size } of listed(blobs, segmentPrefix(logId, partition))) {
      const index = await readEnd(blobs, key, size);
      this.#read += endBytes;
      if (index?.footer.logId !== logId || index.footer.partition !== partition) {
        this.#unread.push(key);
        continue;
      }
      this.#draft.setPrint(index.footer.n, index.print);
      yield foundIn(size, index);
    }
  }

  async #parquet(blobs: Blobs): Promise<string[]> {
    const { logId, partition, names } = this.log.spec;
    const keys: string[] = [];
    if (names === undefined) return keys;
    for await (const { key } of listed(blobs, parquetPrefix({ logId, partition, names }))) keys.push(key);
    return keys;
  }

  /** Learns an object's keys, a chunk at a time. */
  async *#learn(one: Found): AsyncGenerator<undefined> {
    try {
      for await (const row of coldRows(this.log, this.blobs, segmentOf(one))) {
        learnKeys(this.log, this.#draft, row);
        this.#read += row.bytes;
        yield;
      }
    } catch (error) {
      // Readers are told which of its records are missing.
      if (!(error instanceof Lost)) throw error;
    }
  }
}
