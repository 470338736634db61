/**
 * One partition: the ordered log. Every method is one synchronous run, so that a decision and its write are one thing, and
 * a commit of many callers' batches is one transaction. The clock is an argument.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import { Arrivals } from "./arrivals.ts";
import { ChunkBuilder } from "./chunk.ts";
import type { ChunkRow } from "./chunk-head.ts";
import { type Facts, factsOf, fenced, type Marks, shutOf } from "./facts.ts";
import { FollowerList } from "./follower-list.ts";
import { type Ids, type Inheritance, rowsOf } from "./inheritance.ts";
import { Intake } from "./intake.ts";
import { discard, notice } from "./notice.ts";
import { missed, type Page, type Position, type ReadTerms, type Span } from "./read.ts";
import { type Place, Reads } from "./reads.ts";
import { isFull } from "./retention.ts";
import type { Segment } from "./segment-store.ts";
import { Segments } from "./segments.ts";
import type { ProducerTerms, Run } from "./sequence.ts";
import type { Batch, Spec } from "./spec.ts";
import { Store } from "./store.ts";
import { checkSegments, type Report, verifyCold, verifyHot } from "./verify.ts";

const empty: Marks = { head: 0, tail: 0, last: 0, sealed: false };

export class Log {
  readonly segments: Segments;
  /** Bytes of chunks in the database beyond which appends are refused. */
  hotBytesMax: number = limits.hotBytesMax;
  readonly followers: FollowerList;
  arrivals!: Arrivals;
  readonly #store: Store;
  readonly #reads: Reads;
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
    this.segments = new Segments(sql, store);
    this.followers = new FollowerList(store);
    this.#reads = new Reads(this.segments, () => ({ ...this.span, exact: this.span.dense && !this.#marks.thinned }));
    this.#marks = this.#load();
    this.#intake = this.#newIntake(now);
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
  static create(sql: Sql, spec: Spec, now: number, inheritance?: Inheritance, restoring = false): Log {
    const store = new Store(sql);
    sql.transaction(() => {
      store.setMeta("format", "1");
      store.setMeta("spec", JSON.stringify(spec));
      if (restoring) store.setMeta("marks", JSON.stringify({ ...empty, restoring }));
      if (inheritance === undefined) return;
      const { last, fence } = inheritance;
      store.setMeta("marks", JSON.stringify({ ...empty, last, fence }));
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

  /** It is being filled from a dump: nobody else may see it. */
  get restoring(): boolean {
    return this.#marks.restoring === true;
  }

  /** Takes a newer version of its configuration. An older one changes nothing. */
  configure(spec: Spec, now: number): void {
    assert(spec.logId === this.#spec.logId, "a partition keeps its log");
    if (spec.version <= this.#spec.version) return;
    this.#store.setMeta("spec", JSON.stringify(spec));
    const rebuild = spec.deduplicationWindowMs !== this.#spec.deduplicationWindowMs;
    this.#spec = spec;
    if (rebuild) this.#intake = this.#newIntake(now);
    else this.#intake.spec = spec;
    if (spec.sealed) this.seal();
  }

  /** Appends batches as one transaction, and answers each: its records' verdicts in order, or why none was looked at. */
  append(batches: readonly Batch[], now: number): Result<readonly Run[]>[] {
    const marks = this.#marks;
    const time = this.arrivals.time(now, marks.last);
    const shut = shutOf(marks, this.segments.hotBytes >= this.hotBytesMax, this.#store, now);
    const gate = shut === undefined ? marks : { ...marks, shut };
    // Client timestamps begin where the last one was; the partition's clock has no say.
    const start = this.#spec.timestamps === "client" ? marks.last : time;
    const chunks = new ChunkBuilder(marks.tail, start);
    try {
      const answers = batches.map((batch) => this.#intake.place(batch, chunks, gate, time));
      const rows = chunks.finish();
      if (rows.length > 0 || this.#intake.changed) {
        this.sql.transaction(() => {
          if (rows.length > 0) this.arrivals.note(rows[0].base, time, this.segments.open);
          for (const row of rows) this.segments.insert(row);
          this.#intake.save(time);
          if (rows.length > 0 && isFull(this.segments.open, this.#spec)) this.segments.cut(chunks.next, time);
        });
      }
      if (rows.length > 0) {
        marks.tail = chunks.next;
        marks.last = chunks.last;
      }
      return answers;
    } catch (error) {
      // Nothing was written, so nothing may be remembered.
      this.reload(now);
      throw error;
    }
  }

  /** What a producer's batch was answered with, in the order of the records that came here. */
  answered = (terms: ProducerTerms, count: number): Result<readonly Run[]> => this.#intake.answered(terms, count);

  read(terms: ReadTerms): Result<Page> {
    return this.#reads.read(terms);
  }

  /** The place that a position names. One below the head is a place too: whoever goes on from it is told what is missing. */
  place(position: Position): Result<Place> {
    if ("offset" in position && missed(position, this.#marks.head, false)) return ok({ offset: position.offset });
    return this.#reads.locate(position, false);
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

  facts = (): Facts => factsOf(this.segments, this.#marks, this.sql.rowsWritten());

  /** Makes every record before an offset unreadable, and drops the segments that hold nothing else. Never goes back. */
  trim(before: number, now: number): Result<Facts> {
    const { head, tail } = this.#marks;
    if (before > tail) {
      return refuse("past-tail", `offset ${before} is past the tail ${tail}; trim at most up to it`, { head, tail });
    }
    if (before > head) {
      this.change(now, () => {
        this.#mark({ head: before });
        if (before === tail) this.segments.cut(tail, now);
        for (const segment of this.segments.store.endedBy(before)) this.drop(segment, now);
        this.segments.dropOpenBefore(before);
      });
    }
    return ok(this.facts());
  }

  /** Runs a change of the segments: all of it, or nothing. */
  change(now: number, work: () => void): void {
    try {
      this.sql.transaction(() => {
        work();
      });
    } catch (error) {
      this.reload(now);
      throw error;
    }
    this.#intake.segmentsChanged(Math.max(this.#marks.head, this.segments.hotFrom));
  }

  /** A segment goes for good; its object is left to be deleted. Within `change`. */
  drop(segment: Segment, now: number): void {
    this.segments.remove(segment);
    discard(this.segments, this.#spec, segment, now);
    notice(this.segments, this.#spec, "dropped", segment, now);
  }

  /** Puts other chunks in the place of segments. False, and nothing done, where one is gone. `forgotten`: ids that stay known. */
  replace(inputs: readonly Segment[], rows: readonly ChunkRow[], now: number, forgotten?: Ids): boolean {
    const { store } = this.segments;
    if (!inputs.every(({ base, n }) => store.at(base)?.n === n)) return false;
    this.change(now, () => {
      this.thin();
      for (const input of inputs) discard(this.segments, this.#spec, input, now);
      this.segments.replace(inputs, rows, now);
      if (forgotten !== undefined) this.#intake.inherited.keep(forgotten, this.#store);
    });
    return true;
  }

  /** Records will be missing between others. Within `change`. */
  thin(): void {
    if (!this.#marks.thinned) this.#mark({ thinned: true });
  }

  reload(now: number): void {
    this.segments.reload();
    this.#marks = this.#load();
    this.#intake = this.#newIntake(now);
  }

  /** Sets the fencing token that writers must name; `undefined` lifts it. With `expected`, only where that one is set. */
  fence(token: string | undefined, expected?: string | null): Result<Facts> {
    const changed = fenced(this.#marks, token, expected);
    if (!changed.ok) return changed;
    if (changed.value) this.#mark({ fence: token });
    return ok(this.facts());
  }

  /** Closes it if it is empty, and nothing came for so long: what is appended then would be lost with the stream. */
  close(idleMs: number, now: number): boolean {
    const { head, tail, last } = this.#marks;
    const idle = head === tail && this.arrivals.by({ next: tail, last }) <= now - idleMs;
    if (idle) this.#mark({ closedAt: now });
    return idle;
  }

  reopen(): void {
    if (this.#marks.closedAt !== undefined) this.#mark({ closedAt: undefined });
  }

  /** Takes no more appends. */
  seal(): Facts {
    if (!this.#marks.sealed) this.#mark({ sealed: true });
    return this.facts();
  }

  /** What the partitions that continue this one take over. It must be sealed: nothing may come after. */
  handOn(now: number): Inheritance {
    assert(this.#marks.sealed, "a partition that is split is sealed");
    const { tail, last, fence } = this.#marks;
    return { last, ...(fence === undefined ? {} : { fence }), ...this.#intake.handOn(tail, now) };
  }

  /** Reads everything from an offset on, up to a number of bytes, and names what cannot be trusted. */
  verify(from: number, bytesMax: number): Report {
    // What lies below the head is missing rightly.
    const start = Math.max(from, this.#marks.head);
    if (this.segments.isHot(start)) return verifyHot(this.segments, this.span, start, bytesMax);
    return verifyCold(this.segments, this.span, start);
  }

  /** Asserts that the log is whole and that memory agrees with it. For tests and operators. */
  check(): void {
    checkSegments(this.segments, this.span);
    const stored = this.#load();
    assert(stored.tail === this.#marks.tail && stored.head === this.#marks.head, "head and tail agree with the rows");
    assert(stored.last <= this.#marks.last, "the last timestamp agrees with the rows");
  }

  #mark(change: Partial<Marks>): void {
    const marks = { ...this.#marks, ...change };
    this.#store.setMeta("marks", JSON.stringify(marks));
    this.#marks = marks;
  }

  #newIntake(now: number): Intake {
    const head = Math.max(this.#marks.head, this.segments.hotFrom);
    this.arrivals = new Arrivals(this.#store, this.#spec);
    return new Intake(this.#store, this.segments, this.arrivals, this.#spec, head, this.#marks.tail, now);
  }

  #load(): Marks {
    const text = this.#store.meta("marks");
    const marks: Marks = text === undefined ? { ...empty } : JSON.parse(text);
    const { open, newest } = this.segments;
    marks.tail = Math.max(marks.tail, open.base, open.next ?? 0);
    marks.last = Math.max(marks.last, open.last ?? newest?.last ?? 0);
    return marks;
  }
}
