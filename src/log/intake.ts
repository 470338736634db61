/**
 * What decides over each record of a batch: the producer's memory, ids seen before, producer-given offsets, the key index.
 * `place` decides and adds to the commit's chunks; `save` writes what it remembered, in the same transaction as the chunks.
 */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import type { Arrivals } from "./arrivals.ts";
import type { ChunkBuilder } from "./chunk.ts";
import { Duplicates } from "./duplicates.ts";
import { type Frame, flags, readHeader, readHeaders } from "./frame.ts";
import { identityHash, identityOf } from "./identity.ts";
import { handOnProducers, IdsBuilder, type Inheritance, Inherited } from "./inheritance.ts";
import { KeyIndex } from "./key-index.ts";
import { Producers } from "./producers.ts";
import type { Span } from "./read.ts";
import { eachId } from "./recent-ids.ts";
import { decodeFrame, eachPlaced, FrameWriter, type Rec } from "./record.ts";
import { RecordAt } from "./record-at.ts";
import type { Segments } from "./segments.ts";
import { addRun, barred, follow, type Gate, type ProducerTerms, type Run } from "./sequence.ts";
import type { Batch, Spec } from "./spec.ts";
import type { Store } from "./store.ts";

/** A frame that goes into the log, whole or what was picked from it. */
interface Chosen {
  readonly frame: Frame;
  readonly hashes: Uint32Array;
}

/** What a batch comes to before it is written. */
interface Choice {
  readonly chosen: Chosen[];
  readonly runs: Run[];
  /** Ids that its records bring, with the offsets they get. */
  ids: Map<string, number> | undefined;
  /** None of them is compared with those that were seen. */
  readonly alone: boolean;
  /** Where it begins, and how far it has come. */
  readonly tail: number;
  next: number;
}

/** Records of a batch. What does not read is refused when it is placed. */
function recordsOf({ bytes }: Batch): number {
  const frames = readHeaders(bytes);
  return frames.ok ? frames.value.reduce((sum, { count }) => sum + count, 0) : 0;
}

export class Intake {
  readonly #producers: Producers;
  readonly #duplicates: Duplicates | undefined;
  /** Ids of this commit, which no chunk holds yet. */
  readonly #fresh = new Map<string, number>();
  readonly #keys: KeyIndex;
  /** Producer-given offsets of this commit. */
  readonly #pending = new Set<number>();
  readonly #stored: RecordAt;
  readonly inherited: Inherited;
  #swept = false;
  changed = false;

  constructor(
    readonly store: Store,
    readonly chunks: Segments,
    readonly arrivals: Arrivals,
    public spec: Spec,
    /** The first offset from which everything is at hand: records before it cannot be looked at. */
    public head: number,
    tail: number,
    now: number,
  ) {
    this.#producers = new Producers(store);
    this.#keys = new KeyIndex(store, chunks);
    this.#stored = new RecordAt(chunks, spec.offsets === "assigned");
    this.inherited = new Inherited(store.inherited(), spec.deduplicationWindowMs);
    if (spec.deduplicationWindowMs > 0) {
      this.#duplicates = new Duplicates(spec.deduplicationWindowMs, now);
      this.#relearn(this.#duplicates, tail, now - spec.deduplicationWindowMs);
    }
  }

  /** Answers a batch, and adds what it appends to `chunks`. A refusal has added nothing. */
  place(
    batch: Batch,
    chunks: ChunkBuilder,
    gate: Omit<Gate, "tail"> & Pick<Span, "head">,
    now: number,
  ): Result<readonly Run[]> {
    const { producer } = batch.terms;
    // A retry is answered before anything else: what was true for the first attempt need not be true any more.
    if (producer !== undefined) {
      const repeated = follow(this.#producers.get(producer.id), producer, recordsOf(batch));
      if (!repeated.ok) return repeated;
      if (repeated.value !== undefined) return ok(repeated.value);
    }
    const { sealed, fence, shut, head } = gate;
    const choice = this.#judge(batch, { sealed, fence, shut, tail: chunks.next }, head, now);
    if (!choice.ok) return this.#known(batch, choice.refusal, chunks.next, now) ?? choice;
    const { chosen, runs, ids } = choice.value;
    for (const { frame, hashes } of chosen) {
      const base = chunks.add(frame, hashes);
      if (this.spec.keyIndex) this.#keys.learn({ ...frame, base });
      if (this.spec.offsets === "producer") decodeFrame({ ...frame, base }, (_, offset) => this.#pending.add(offset));
    }
    if (ids !== undefined) for (const [identity, offset] of ids) this.#fresh.set(identity, offset);
    if (producer !== undefined) this.#producers.answer(producer, runs);
    this.changed ||= producer !== undefined;
    return ok(runs);
  }

  /** What comes of a batch that is not the repeat of a producer's. */
  #judge(batch: Batch, gate: Gate, head: number, now: number): Result<Choice> {
    const { producer } = batch.terms;
    const refused = barred(gate, batch.terms);
    if (refused !== undefined) return refused;
    if (producer !== undefined && this.#producers.full(producer.id, now)) {
      return refuse(
        "too-many",
        "the partition remembers as many producers as it can; use fewer ids, or wait for idle ones",
      );
    }
    const span = { head, dense: this.spec.offsets === "assigned" };
    return this.#keys.refusal(batch, this.spec.keyIndex, span) ?? this.#choose(batch, gate.tail, now);
  }

  /**
   * The verdicts of a refused batch all of which is here by its ids, or at its offsets: it is a retry, too, and what refuses
   * new records is not about it. Not of a partition that was split: those that continue it know. Nor under a producer's
   * number, which would have to be remembered.
   */
  #known(batch: Batch, { code }: Refusal, tail: number, now: number): Result<readonly Run[]> | undefined {
    const frames = code === "sealed" || batch.terms.producer !== undefined ? undefined : readHeaders(batch.bytes);
    if (!frames?.ok) return undefined;
    const choice: Choice = { chosen: [], runs: [], ids: undefined, alone: false, tail, next: tail };
    let known = true;
    for (const frame of frames.value) {
      known &&= (frame.flags & (flags.ids | flags.offsets)) !== 0;
      if (!known) return undefined;
      decodeFrame(frame, (record) => {
        const run = known ? this.#decide(record, choice, now) : undefined;
        if (run?.verdict === "duplicate") addRun(choice.runs, run);
        else known = false;
      });
    }
    return known ? ok(choice.runs) : undefined;
  }

  /** What a producer's number was answered with; refused where it is not known, or was another batch. */
  answered(terms: ProducerTerms, count: number): Result<readonly Run[]> {
    const known = follow(this.#producers.get(terms.id), { ...terms, contiguous: false }, count);
    if (!known.ok || known.value !== undefined) return known as Result<readonly Run[]>;
    return refuse("sequence-stale", `sequence ${terms.sequence} was never answered here`);
  }

  /** Segments have changed; `head`: the first offset from which everything is at hand now. */
  segmentsChanged(head: number): void {
    this.head = head;
    this.#stored.close();
  }

  /** Writes down what the commit changed besides its chunks. */
  save(now: number): void {
    // With a write: a log that is only looked at stays as it is.
    if (!this.#swept) this.store.dropInherited(now - this.spec.deduplicationWindowMs);
    this.#swept = true;
    this.#producers.save(now);
    this.#keys.save();
    this.#pending.clear();
    // Old ids go before new ones come: what is added now must outlive the window.
    this.#duplicates?.advance(now);
    for (const [identity, offset] of this.#fresh) this.#duplicates?.add(identityHash(identity), offset, now);
    this.#fresh.clear();
    this.changed = false;
  }

  #choose(batch: Batch, next: number, now: number): Result<Choice> {
    const alone = batch.terms.producer?.alone === true;
    const choice: Choice = { chosen: [], runs: [], ids: undefined, alone, tail: next, next };
    const frames = readHeaders(batch.bytes);
    if (!frames.ok) return frames;
    let at = 0;
    for (const frame of frames.value) {
      const hashes = batch.hashes.subarray(at + 1, at + 1 + batch.hashes[at]);
      at += 1 + hashes.length;
      const deduplicate = this.#duplicates !== undefined && (frame.flags & flags.ids) !== 0;
      if (!deduplicate && this.spec.offsets === "assigned") {
        choice.chosen.push({ frame, hashes });
        addRun(choice.runs, { verdict: "appended", offset: choice.next, count: frame.count });
        choice.next += frame.count;
        continue;
      }
      // Nothing may have been written for a while: what is old makes room.
      if (this.#duplicates?.full) this.#duplicates.advance(now);
      if (this.#duplicates?.full && !alone) {
        return refuse(
          "deduplication-full",
          "too many ids within the deduplication window; shorten it, or send more slowly",
        );
      }
      this.#pick(frame, hashes, choice, now);
    }
    const rejected = choice.runs.find((run) => run.verdict === "rejected");
    if (batch.terms.atomic && rejected !== undefined) {
      return refuse("atomic-rejected", `nothing was appended: ${rejected.detail}`, { reason: rejected.reason });
    }
    return ok(choice);
  }

  /** Decides record by record, and repacks the frame where some of it stays out. */
  #pick(frame: Frame, hashes: Uint32Array, choice: Choice, now: number): void {
    const keep: [number, number][] = [];
    const bounds: [number, number][] = [];
    eachPlaced(frame, (from, to) => bounds.push([from, to]));
    let index = 0;
    decodeFrame(frame, (record) => {
      const bound = bounds[index++];
      const run = this.#decide(record, choice, now);
      addRun(choice.runs, run);
      if (run.verdict !== "appended") return;
      keep.push(bound);
      choice.next = run.offset + 1;
      if (record.id === undefined || this.#duplicates?.full) return;
      choice.ids ??= new Map();
      choice.ids.set(identityOf(record), run.offset);
    });
    if (keep.length === frame.count) choice.chosen.push({ frame, hashes });
    else if (keep.length > 0) {
      const writer = new FrameWriter();
      for (const [from, to] of keep) writer.copy(frame.bytes, from, to);
      const [bytes] = writer.finish(frame.flags & flags.checked);
      const repacked = readHeader(bytes, 0);
      if (repacked.ok) choice.chosen.push({ frame: repacked.value, hashes });
    }
  }

  #decide(record: Rec, choice: Choice, now: number): Run {
    const asked = record.id !== undefined && !choice.alone;
    const original = asked ? this.#original(record, choice, now) : undefined;
    if (original !== undefined) return { verdict: "duplicate", ...original, count: 1 };
    const { offset } = record;
    if (offset === undefined || offset >= choice.next) {
      return { verdict: "appended", offset: offset ?? choice.next, count: 1 };
    }
    if (this.#holds(offset, choice)) return { verdict: "duplicate", offset, count: 1 };
    // The same words for all of a kind: as many runs are remembered as there are answers that differ.
    const below = offset < choice.tail ? `the tail ${choice.tail}` : "that of a record before it in the batch";
    const detail = `its offset is below ${below} and was never appended; send offsets in order`;
    return { verdict: "rejected", reason: "offset-regressed", detail, count: 1 };
  }

  /** The offset of the record that has this record's source, id and key, within the window. */
  #original(record: Rec, choice: Choice, now: number): { offset: number; partition?: number } | undefined {
    if (this.#duplicates === undefined) return undefined;
    const identity = identityOf(record);
    const fresh = choice.ids?.get(identity) ?? this.#fresh.get(identity);
    if (fresh !== undefined) return { offset: fresh };
    const hash = identityHash(identity);
    const seen = this.#duplicates.find(hash);
    if (seen === undefined) return this.inherited.find(hash, now);
    const { offset } = seen;
    // A record that is not at hand cannot confirm the match: 64 bits of hash must do.
    const found = this.#stored.find(offset);
    if (found === undefined ? offset >= this.head : identityOf(found.record) !== identity) {
      return this.inherited.find(hash, now);
    }
    return seen.time < now - this.spec.deduplicationWindowMs ? undefined : { offset };
  }

  #holds(offset: number, choice: Choice): boolean {
    if (offset < this.head) return true;
    const before = choice.runs.some(
      (run) => run.verdict === "appended" && offset >= run.offset && offset < run.offset + run.count,
    );
    if (before || this.#pending.has(offset) || this.#stored.find(offset) !== undefined) return true;
    // What was taken out from between others had been appended.
    const chunk = this.chunks.chunkAt(offset);
    return chunk !== undefined && chunk.next > offset && (chunk.flags & flags.thinned) !== 0;
  }

  /** What the children of this partition remember with it. */
  handOn(tail: number, now: number): Pick<Inheritance, "producers" | "ids"> {
    const own = new IdsBuilder(this.spec.partition);
    this.#eachId(tail, now - this.spec.deduplicationWindowMs, (record, offset, time) => {
      own.add(identityHash(identityOf(record)), offset, time);
    });
    const ids = this.#duplicates === undefined ? [] : [...this.inherited.handOn(now), own.finish()];
    return { producers: handOnProducers(this.store.producers(), this.spec.partition), ids };
  }

  #relearn(duplicates: Duplicates, tail: number, since: number): void {
    this.#eachId(tail, since, (record, offset, time) => {
      if (!duplicates.full) duplicates.add(identityHash(identityOf(record)), offset, time);
    });
  }

  #eachId(tail: number, since: number, visit: (record: Rec, offset: number, time: number) => void): void {
    eachId(this.chunks, this.arrivals, this.spec.offsets === "assigned", tail, since, visit);
  }
}
