/**
 * One partition: the ordered log. Every method is one synchronous run, so that a decision and its write are one thing, and
 * a commit of many callers' batches is one transaction. The clock is an argument.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { ChunkBuilder } from "./chunk.ts";
import { type Inheritance, rowsOf } from "./inheritance.ts";
import { Intake } from "./intake.ts";
import { firstAtOrAfter, locate, type Page, type Position, type ReadTerms, readPage, type Span } from "./read.ts";
import type { Run } from "./sequence.ts";
import type { Batch, Spec } from "./spec.ts";
import { Store } from "./store.ts";
import { type Report, verifyChunks } from "./verify.ts";

export interface Facts {
  head: number;
  tail: number;
  records: number;
  bytes: number;
  chunks: number;
  firstTimestamp?: number;
  lastTimestamp?: number;
  sealed: boolean;
  fence?: string;
  rowsWritten: number;
}

/** What survives when no chunk is left to tell it. */
interface Marks {
  head: number;
  tail: number;
  last: number;
  sealed: boolean;
  fence?: string;
}

const empty: Marks = { head: 0, tail: 0, last: 0, sealed: false };

export class Log {
  readonly #store: Store;
  #spec: Spec;
  #marks: Marks;
  #intake: Intake;

  private constructor(
    readonly sql: Sql,
    store: Store,
    spec: Spec,
    now: number,
  ) {
    this.#store = store;
    this.#spec = spec;
    this.#marks = this.#load();
    this.#intake = new Intake(store, spec, this.#marks.head, this.#marks.tail, now);
  }

  /** The log that the database holds, or undefined where none was created. */
  static open(sql: Sql, now: number): Log | undefined {
    // Reading before creating: an object that was only asked must not be billed for empty tables.
    if (sql.all("SELECT 1 FROM sqlite_master WHERE name = 'meta'").length === 0) return undefined;
    const store = new Store(sql);
    const spec = store.meta("spec");
    return spec === undefined ? undefined : new Log(sql, store, JSON.parse(spec), now);
  }

  /** Makes the tables and what is in them at first: nothing, or what a split partition hands over. */
  static create(sql: Sql, spec: Spec, now: number, inheritance?: Inheritance): Log {
    const store = new Store(sql);
    sql.transaction(() => {
      store.setMeta("format", "1");
      store.setMeta("spec", JSON.stringify(spec));
      if (inheritance === undefined) return;
      store.setMeta("marks", JSON.stringify({ ...empty, last: inheritance.last }));
      for (const { id, epoch, seen, batches } of inheritance.producers) store.setProducer(id, epoch, seen, batches);
      for (const row of inheritance.ids.flatMap(rowsOf)) store.addInherited(row);
    });
    const log = new Log(sql, store, spec, now);
    if (spec.sealed) log.seal();
    return log;
  }

  get spec(): Spec {
    return this.#spec;
  }

  get span(): Span {
    return { head: this.#marks.head, tail: this.#marks.tail, dense: this.#spec.offsets === "assigned" };
  }

  get sealed(): boolean {
    return this.#marks.sealed;
  }

  /** Takes a newer version of its configuration. An older one changes nothing. */
  configure(spec: Spec, now: number): void {
    assert(spec.logId === this.#spec.logId, "a partition keeps its log");
    if (spec.version <= this.#spec.version) return;
    this.#store.setMeta("spec", JSON.stringify(spec));
    const rebuild = spec.deduplicationWindowMs !== this.#spec.deduplicationWindowMs;
    this.#spec = spec;
    if (rebuild) this.#intake = new Intake(this.#store, spec, this.#marks.head, this.#marks.tail, now);
    else this.#intake.spec = spec;
    if (spec.sealed) this.seal();
  }

  /** Appends batches as one transaction, and answers each: its records' verdicts in order, or why none was looked at. */
  append(batches: readonly Batch[], now: number): Result<readonly Run[]>[] {
    const marks = this.#marks;
    const time = Math.max(now, marks.last);
    // Client timestamps begin where the last one was; the partition's clock has no say.
    const start = this.#spec.timestamps === "client" ? marks.last : time;
    const chunks = new ChunkBuilder(marks.tail, start);
    try {
      const answers = batches.map((batch) => this.#intake.place(batch, chunks, marks, time));
      const rows = chunks.finish();
      if (rows.length > 0 || this.#intake.changed) {
        this.sql.transaction(() => {
          for (const row of rows) this.#store.insertChunk(row);
          this.#intake.save(time);
        });
      }
      if (rows.length > 0) {
        marks.tail = chunks.next;
        marks.last = chunks.last;
      }
      return answers;
    } catch (error) {
      // Nothing was written, so nothing may be remembered.
      this.#marks = this.#load();
      this.#intake = new Intake(this.#store, this.#spec, this.#marks.head, this.#marks.tail, now);
      throw error;
    }
  }

  read(terms: ReadTerms): Result<Page> {
    const start = locate(this.#store, this.span, terms.from, terms.backward === true);
    if (!start.ok) return start;
    return ok(readPage(this.#store, this.span, terms, start.value));
  }

  /**
   * Promises that records appended from now on have a timestamp of at least the answer, so that a merged read may show
   * what other partitions have before it. Client timestamps promise only not to go back.
   */
  promise(time: number): number {
    if (this.#marks.sealed) return Number.MAX_SAFE_INTEGER;
    if (this.#spec.timestamps === "arrival") this.#marks.last = Math.max(this.#marks.last, time);
    return this.#marks.last;
  }

  facts(): Facts {
    const totals = this.#store.totals();
    const last = this.#store.lastChunk();
    const { head, tail, sealed, fence } = this.#marks;
    return {
      head,
      tail,
      records: totals.records,
      bytes: totals.bytes,
      chunks: totals.chunks,
      ...(totals.first === null ? {} : { firstTimestamp: totals.first }),
      ...(last === undefined ? {} : { lastTimestamp: last.last }),
      sealed,
      ...(fence === undefined ? {} : { fence }),
      rowsWritten: this.sql.rowsWritten(),
    };
  }

  /** Makes every record before an offset unreadable, and drops the chunks that hold nothing else. Never goes back. */
  trim(before: number): Result<Facts> {
    const { head, tail } = this.#marks;
    if (before > tail) {
      return refuse("past-tail", `offset ${before} is past the tail ${tail}; trim at most up to it`, { head, tail });
    }
    if (before > head) {
      this.sql.transaction(() => {
        this.#mark({ head: before });
        this.#store.dropBefore(before);
      });
      this.#intake.head = before;
    }
    return ok(this.facts());
  }

  trimTime(before: number): Result<Facts> {
    return this.trim(firstAtOrAfter(this.#store, this.span, before));
  }

  /** Sets the fencing token that writers must name; `undefined` lifts it. With `expected`, only where that one is set. */
  fence(token: string | undefined, expected?: string | null): Result<Facts> {
    const current = this.#marks.fence;
    if (expected !== undefined && (expected ?? undefined) !== current && token !== current) {
      return refuse("fenced", "another token is set; read the partition's facts and decide anew", {
        fence: current ?? null,
      });
    }
    if (token !== current) this.#mark({ fence: token });
    return ok(this.facts());
  }

  /** Those that are to be told of appends. */
  followers(): readonly string[] {
    return this.#store.followers().map(({ id }) => id);
  }

  /** Notes a follower, and answers the offset that it begins at: the same one however often it asks. */
  follow(id: string, start: Position): Result<number> {
    const known = this.#store.followers().find((follower) => follower.id === id);
    if (known !== undefined) return ok(known.start);
    const offset = this.locate(start);
    if (offset.ok) this.#store.addFollower(id, offset.value);
    return offset;
  }

  unfollow(id: string): void {
    this.#store.dropFollower(id);
  }

  /** The offset that a position names; one that was trimmed, the first one that was not. */
  locate(position: Position): Result<number> {
    const { head } = this.#marks;
    if (position.at === "offset" && position.offset < head) return ok(head);
    return locate(this.#store, this.span, position, false);
  }

  /** Takes no more appends. */
  seal(): Facts {
    if (!this.#marks.sealed) this.#mark({ sealed: true });
    return this.facts();
  }

  /** What the partitions that continue this one take over. It must be sealed: nothing may come after. */
  handOn(now: number): Inheritance {
    assert(this.#marks.sealed, "a partition that is split is sealed");
    return this.#intake.handOn(this.#marks.tail, this.#marks.last, now);
  }

  /** Reads everything from an offset on, up to a number of bytes, and names what cannot be trusted. */
  verify(from: number, bytesMax: number): Report {
    return verifyChunks(this.#store, this.span, from, bytesMax);
  }

  /** Asserts that the log is whole and that memory agrees with it. For tests and operators. */
  check(): void {
    const report = this.verify(this.#marks.head, Number.MAX_SAFE_INTEGER);
    assert(report.damaged.length === 0, `chunks are damaged: ${JSON.stringify(report.damaged)}`);
    const stored = this.#load();
    assert(stored.tail === this.#marks.tail && stored.head === this.#marks.head, "head and tail agree with the rows");
    assert(stored.last <= this.#marks.last, "the last timestamp agrees with the rows");
  }

  #mark(change: Partial<Marks>): void {
    const marks = { ...this.#marks, ...change };
    this.#store.setMeta("marks", JSON.stringify(marks));
    this.#marks = marks;
  }

  #load(): Marks {
    const text = this.#store.meta("marks");
    const marks: Marks = text === undefined ? { ...empty } : JSON.parse(text);
    const last = this.#store.lastChunk();
    if (last !== undefined) {
      marks.tail = Math.max(marks.tail, last.next);
      marks.last = Math.max(marks.last, last.last);
    }
    return marks;
  }
}
