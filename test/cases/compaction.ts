/**
 * Compaction against a list. Whatever lay out of reach of a pass, by the bucket or by the stream's configuration, and
 * comes back: a reader of everything finds of each key the last record, or, where that is a deletion that has gone, none.
 * A deletion stays for its grace after what it deleted, so that whoever read that can learn of it.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { Compaction } from "../../src/archive/compaction.ts";
import { Rewriter } from "../../src/archive/rewrite.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { openChunk } from "../../src/log/chunk.ts";
import { headsIn } from "../../src/log/heads.ts";
import { decodeFrame, kinds, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Segment } from "../../src/log/segment-store.ts";
import type { Retention } from "../../src/log/spec.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { share } from "./arbitrary.ts";
import { Machine } from "./archive.ts";
import { chained } from "./chain.ts";
import { type Stored, spec } from "./log.ts";

const keys = ["a", "b", "c", "d"];

const rec: fc.Arbitrary<Rec> = fc
  .record({ key: fc.constantFrom(...keys, undefined), deletes: fc.boolean(), bytes: fc.constantFrom(1, 20, 300) })
  .map(({ key, deletes, bytes }) => ({
    ...(key === undefined ? {} : { key }),
    kind: deletes ? kinds.none : kinds.binary,
    data: new Uint8Array(deletes ? 0 : bytes),
  }));

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ append: fc.array(rec, { minLength: 1, maxLength: 4 }), seals: fc.boolean() }) },
  { weight: 5, arbitrary: fc.constant({ run: true } as const) },
  { weight: 3, arbitrary: fc.record({ hide: share }) },
  { weight: 2, arbitrary: fc.constant({ reveal: true } as const) },
  { weight: 2, arbitrary: fc.record({ archive: fc.boolean(), compact: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ clock: fc.constantFrom(-3_000, -50, 50, 500, 5_000) }) },
  { weight: 1, arbitrary: fc.record({ crash: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 3, arbitrary: fc.record({ revealWithin: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ trim: share }) },
  { weight: 1, arbitrary: fc.constant({ reopen: true } as const) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is at hand is little while there is an archive, and everything while there is none. */
const retained = (archive: boolean, compact: boolean, deleteMarkerGraceMs: number): Partial<Retention> => ({
  archive,
  compact,
  deleteMarkerGraceMs,
  retentionRecords: archive ? 4 : null,
});

let logs = 0;

/** A step by which a pass is worked at: for each time that something is to be read, whether it can be. */
const work = fc.record({ reads: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }) });

/** A log, what was written to it, and since when of a key nothing is there that is older than its last record. */
class Trial {
  readonly machine: Machine;
  readonly model: Stored[] = [];
  readonly gone = new Map<string, number>();
  /** Keys whose deletion has gone. */
  readonly forgotten = new Set<string>();
  /** Deletions that have gone, and objects that were hidden, in all trials. */
  static seen = { gone: 0, hidden: 0 };

  constructor(
    sql: Sql,
    blobs: Blobs,
    readonly graceMs: number,
  ) {
    const logId = (++logs).toString(16).padStart(20, "c");
    const retention = { ...keepAll, ...retained(true, true, graceMs) };
    this.machine = new Machine(sql, blobs, { ...spec, logId, deduplicationWindowMs: 0, retention });
    this.machine.now = 100_000;
  }

  append(records: readonly Rec[]): void {
    const { machine, model } = this;
    // A partition's clock does not go back.
    const timestamp = Math.max(machine.now, model.at(-1)?.timestamp ?? 0);
    machine.append(...records);
    for (const record of records) {
      model.push({ offset: model.length, timestamp, record });
      if (record.key === undefined) continue;
      this.gone.delete(record.key);
      this.forgotten.delete(record.key);
    }
  }

  async take(one: Step): Promise<void> {
    const { machine } = this;
    machine.now += 10;
    if ("append" in one) {
      this.append(one.append);
      if (one.seals) machine.seal();
    } else if ("run" in one) await this.run();
    else if ("crash" in one) await machine.run({ at: one.crash, kind: "crash after" });
    else if ("revealWithin" in one) {
      machine.bucket.meanwhile = () => machine.hidden.clear();
      await machine.run({ at: one.revealWithin, kind: "meanwhile" });
    } else if ("hide" in one) await this.#hide(one.hide);
    else if ("reveal" in one) machine.hidden.clear();
    else if ("clock" in one) machine.now = Math.max(0, machine.now + one.clock);
    else if ("trim" in one) machine.log.trim(Math.floor(one.trim * this.model.length * 0.5), machine.now);
    else if ("reopen" in one) machine.reopen();
    else machine.retain(retained(one.archive, one.compact, this.graceMs));
  }

  run(): Promise<void> {
    return this.machine.run();
  }

  /** Of what readers find, when all that there is is found. */
  async found(): Promise<Stored[]> {
    const { machine } = this;
    const hidden = [...machine.hidden];
    machine.hidden.clear();
    const found = await machine.read({ at: "earliest" });
    for (const key of hidden) machine.hidden.add(key);
    return found;
  }

  async check(): Promise<void> {
    const { gone, machine, model } = this;
    machine.log.check();
    await chained(machine);
    const { head } = machine.log.span;
    const found = await this.found();
    for (const one of found) expect(one).toEqual(model[one.offset]);
    for (const key of keys) {
      const last = model.findLast(({ record }) => record.key === key);
      if (last === undefined || last.offset < head) continue;
      const offsets = found.filter(({ record }) => record.key === key).map(({ offset }) => offset);
      const mayBeGone = this.forgotten.has(key) || (last.record.kind === kinds.none && offsets.length === 0);
      expect(offsets.at(-1), key).toBe(mayBeGone ? undefined : last.offset);
      if (offsets[0] === last.offset || offsets.length === 0) gone.set(key, gone.get(key) ?? machine.now);
      if (offsets.length > 0 || this.forgotten.has(key)) continue;
      this.forgotten.add(key);
      Trial.seen.gone++;
      expect(machine.now - (gone.get(key) as number), `${key} is gone too early`).toBeGreaterThanOrEqual(this.graceMs);
    }
  }

  /** Everything is within reach again: what is new brings passes that leave of each key one record, and no deletion. */
  async settle(): Promise<void> {
    const { machine } = this;
    machine.hidden.clear();
    machine.retain(retained(true, true, this.graceMs));
    machine.now = Math.max(machine.now, 200_000 + machine.now);
    for (let round = 0; round < 4; round++) {
      this.append([{ key: "filler", kind: kinds.binary, data: new Uint8Array(20_000) }]);
      machine.seal();
      await this.run();
      await this.check();
      machine.now += this.graceMs + 10;
    }
    const { head } = machine.log.span;
    const found = await this.found();
    for (const key of keys) {
      const last = this.model.findLast(({ record, offset }) => record.key === key && offset >= head);
      const offsets = found.filter(({ record }) => record.key === key).map(({ offset }) => offset);
      expect(offsets, key).toEqual(last === undefined || last.record.kind === kinds.none ? [] : [last.offset]);
    }
  }

  async #hide(share: number): Promise<void> {
    const { logId } = this.machine.spec;
    const { blobs } = await this.machine.blobs.list(`logs/${logId}/`);
    if (blobs.length === 0) return;
    Trial.seen.hidden++;
    this.machine.hidden.add(blobs[Math.floor(share * (blobs.length - 1))].key);
  }
}

export async function compactedAgainstModel(open: () => Sql, bucket: () => Blobs, runs: number): Promise<void> {
  Trial.seen = { gone: 0, hidden: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
      fc.constantFrom(0, 100, 1_000),
      async (steps, graceMs) => {
        const trial = new Trial(open(), bucket(), graceMs);
        for (const one of steps) {
          await trial.take(one);
          await trial.check();
        }
        await trial.settle();
      },
    ),
    { numRuns: runs },
  );
  // The property says something only where deletions went, and objects were out of reach.
  expect(Trial.seen.gone).toBeGreaterThan(runs / 4);
  expect(Trial.seen.hidden).toBeGreaterThan(runs / 4);
}

/** A trial in which compaction is asked step by step, and each segment may be out of reach each time that it is to be read. */
class Stepwise extends Trial {
  #compaction: Compaction;

  constructor(
    sql: Sql,
    blobs: Blobs,
    graceMs: number,
    readonly bytesMax: number,
  ) {
    super(sql, blobs, graceMs);
    this.#compaction = this.#begin();
  }

  override async run(): Promise<void> {
    while (this.work(true));
  }

  restart(): void {
    this.machine.reopen();
    this.#compaction = this.#begin();
  }

  /** Does the next piece; false where there is none. */
  work(reads: boolean): boolean {
    const { log, now } = this.machine;
    const due = this.#compaction.due(now);
    if (due === undefined) return false;
    const rows = (of: Segment) =>
      headsIn(log.segments, of.base, of.next).map((row) => ({ ...row, body: log.segments.body(row.base) }));
    if ("learn" in due) {
      for (const row of reads ? rows(due.learn) : []) {
        const frames = openChunk(row, true);
        for (const frame of frames.ok ? frames.value : []) {
          decodeFrame(frame, (record, offset) => this.#compaction.learn(record, offset));
        }
      }
      this.#compaction.learnt(due.learn, reads);
    } else if (reads) {
      const rewriter = new Rewriter(true, this.#compaction.fates(now));
      for (const row of due.rewrite.flatMap(rows)) rewriter.add(row);
      this.#compaction.rewritten(due.rewrite, rewriter, now);
    } else this.#compaction.failed(due.rewrite);
    return true;
  }

  #begin(): Compaction {
    return new Compaction(this.machine.log, () => true, this.bytesMax);
  }
}

export async function compactedStepByStep(open: () => Sql, bucket: () => Blobs, runs: number): Promise<void> {
  Trial.seen = { gone: 0, hidden: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 3, arbitrary: step }, { weight: 2, arbitrary: work }), {
        minLength: 5,
        maxLength: 60,
        size: "max",
      }),
      fc.constantFrom(0, 100, 1_000),
      // Room for every key, or for one.
      fc.constantFrom(1_000_000, 1),
      async (steps, graceMs, bytesMax) => {
        const trial = new Stepwise(open(), bucket(), graceMs, bytesMax);
        for (const one of steps) {
          if ("reads" in one) for (const reads of one.reads) trial.work(reads);
          else if ("append" in one || "run" in one || "clock" in one || "trim" in one) await trial.take(one);
          else if ("reopen" in one) trial.restart();
          await trial.check();
        }
        await trial.settle();
      },
    ),
    { numRuns: runs },
  );
  expect(Trial.seen.gone).toBeGreaterThan(runs / 4);
}
