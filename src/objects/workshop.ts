/** Rewriting a log's past, a step at a time: compaction, and the forgetting of keys. */

import type { LostRange, RepairCall, Target } from "../../schemas/erasure.ts";
import { ok, type Result } from "../../schemas/errors.ts";
import { Compaction } from "../archive/compaction.ts";
import { Erasures } from "../archive/erasure.ts";
import { fillGap, Repair, sealOpen } from "../archive/repair.ts";
import { Rewriter } from "../archive/rewrite.ts";
import { giveUpUnreadable, reachOf, unreadable } from "../archive/unreadable.ts";
import { assert } from "../lib/assert.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { Log } from "../log/log.ts";
import { missingSegment } from "../log/missing-segment.ts";
import { decodeFrame } from "../log/record.ts";
import { retentionOf } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import {
  findRow,
  hasObject,
  joinChain,
  joinCopies,
  leftToObject,
  makeAgain,
  mendBehind,
  writeRowAgain,
} from "./copies.ts";
import { giveUpLeft, leftBehind } from "./left-behind.ts";
import { Rebuilding } from "./rebuilding.ts";
import { coldRows, hotRows, Lost } from "./segment-rows.ts";

/** How often a full database is looked at. */
const fullMs = 60_000;
/** Bytes that are worked through before others have a turn. */
const turnBytes = 524_288;

/** The segment was replaced, or dropped, while it was read. */
class Gone extends Error {}

/** What a repair made holes, where it is to go on, and where it ends. */
export interface Repaired {
  readonly lost: LostRange[];
  readonly next?: number;
  readonly to?: number;
}

export class Workshop {
  readonly erasures: Erasures;
  readonly #compaction: Compaction;
  readonly #rebuilding: Rebuilding;

  constructor(
    readonly log: Log,
    readonly blobs: Blobs | undefined,
    /** Groups are to forget what they keep of a target below an offset, of which the log has nothing any more. */
    readonly forget: (target: Target, to: number) => Promise<void>,
    readonly now: () => number,
  ) {
    this.erasures = new Erasures(log);
    this.#rebuilding = new Rebuilding(log, blobs, now);
    this.#compaction = new Compaction(log, () => blobs !== undefined && retentionOf(log.spec).archive);
  }

  /** When there is something to do, in ms since 1970. */
  wakeAt(now: number): number | undefined {
    const begun = this.#compaction.begun || this.erasures.begun;
    return begun ? now + (this.#full ? fullMs : 0) : this.#compaction.heldUntil;
  }

  /** Archived segments would become hot, and those that are wait for a bucket that takes nothing. */
  get #full(): boolean {
    const { hotBytesMax, segments, spec } = this.log;
    if (!retentionOf(spec).archive || segments.hotBytes <= hotBytesMax / 2) return false;
    return segments.store.unarchived() !== undefined;
  }

  /** Does the next piece. False where there is none. */
  async step(): Promise<boolean> {
    if (this.log.restoring) return false;
    // What was rewritten is yet to leave the database: there must be room for appends.
    if (this.#full) return false;
    try {
      return (await this.#erase()) || (await this.#compact());
    } catch (error) {
      if (error instanceof Gone) return true;
      throw error;
    }
  }

  /** Something is to be forgotten: a rebuild that somebody left, and a compaction, have learnt keys, and may not keep them. */
  forgetting(): void {
    this.#rebuilding.abandon();
    this.#compaction.relearn();
  }

  /**
   * Makes holes of what cannot be read in `[from, to)`, or of everything from `from` on. One segment at a time: `next` says
   * where to go on.
   */
  async repair({ mode, from, to }: RepairCall): Promise<Result<Repaired>> {
    const { log } = this;
    if (mode === "rebuild") {
      const lost = await this.#rebuilding.step();
      // It keeps its place itself; whoever asks counts the steps.
      if (lost === undefined) return ok({ lost: [], next: from + 1 });
      return lost.ok ? ok({ lost: lost.value }) : lost;
    }
    const { head, tail } = log.span;
    const start = Math.max(from, head);
    // What comes after it was asked for is not concerned.
    const end = Math.min(to ?? tail, tail);
    const left = mode === "isolate" && start === head ? await giveUpLeft(log, this.blobs, this.now()) : ok(undefined);
    if (!left.ok) return left;
    if (left.value !== undefined) {
      const { from: first, to: next, reason } = left.value;
      const rest = await this.repair({ mode, from, to });
      return rest.ok ? ok({ ...rest.value, lost: [{ from: first, to: next, reason }, ...rest.value.lost] }) : rest;
    }
    // Where there is no segment, nothing else stands for what a rebuild could not read.
    if (mode === "isolate" && head === tail && start === head && end === tail) this.#giveUp({ base: head, next: tail });
    if (start >= end) return ok({ lost: [], to: end });
    const onwards = (next: number) => (next < end ? { next, to: end } : { to: end });
    // Only what is sealed is rewritten. Not before its turn: what was sealed before would leave the database for it.
    const gap = missingSegment(log.segments, head, start);
    if (gap !== undefined) await mendBehind(log, this.blobs, { next: gap.to }, this.now);
    const hole = start >= log.segments.open.base ? sealOpen(log, this.now()) : fillGap(log, start, this.now());
    if (hole !== undefined) {
      this.#compaction.relearn();
      return ok({ lost: [hole], ...onwards(hole.to) });
    }
    const segment = log.segments.store.before(start);
    assert(segment !== undefined && segment.next > start, "segments lie side by side");
    if (segment.broken && (await findRow(log, this.blobs, segment, this.now))) return this.repair({ mode, from, to });
    await mendBehind(log, this.blobs, segment, this.now);
    const repair = new Repair(log, segment, mode === "truncate" ? from : Number.POSITIVE_INFINITY, end);
    // What lies in the archive alone is read once, where nothing is wrong with it.
    const alone = mode === "isolate" && segment.hot === 0 && segment.size > 0 && this.blobs !== undefined;
    const sound = alone ? await hasObject(log, this.blobs, segment) : undefined;
    if (sound !== true) {
      if (await this.#each([segment], (row) => repair.add(row))) repair.complete();
      else repair.missing();
    }
    // What the database has is damaged, and the bucket has it: nothing is lost.
    if (repair.damaged && (await this.#mended(segment))) return this.repair({ mode, from, to });
    const lost = repair.finish(this.now()) ? repair.lost : [];
    this.#giveUp(segment);
    if (lost.length > 0) this.#compaction.relearn();
    else if (!(sound ?? (await hasObject(log, this.blobs, segment)))) makeAgain(log, segment, repair.rows, this.now());
    else await writeRowAgain(log, this.blobs, segment, this.now);
    if (mode === "isolate") joinChain(log, segment.base, this.now());
    return ok({ lost, ...onwards(segment.next) });
  }

  /** Chunks of which the database's copy is damaged are had from the object. False where that has no more of them. */
  async #mended(segment: Segment): Promise<boolean> {
    const { log, blobs, now } = this;
    if (segment.broken && (await findRow(log, blobs, segment, now))) return true;
    return (await leftToObject(log, blobs, segment, now)) || joinCopies(log, blobs, segment, now);
  }

  /** What a rebuild could not read, and a repair has come by, goes; what could not be searched there is searched now. */
  #giveUp(place: Pick<Segment, "base" | "next">): void {
    const reach = reachOf(this.log, place);
    giveUpUnreadable(this.log, reach, this.now());
    this.erasures.repaired(reach);
  }

  /** The chunks of a segment, wherever they lie; throws where they are not to be had. */
  async *rowsOf(segment: Segment): AsyncGenerator<ChunkRow> {
    const { log } = this;
    let turn = 0;
    for await (const row of segment.hot === 1 ? hotRows(log, segment) : coldRows(log, this.blobs, segment)) {
      yield row;
      turn += row.bytes;
      if (turn < turnBytes) continue;
      turn = 0;
      await scheduler.wait(0);
      if (log.segments.store.at(segment.base)?.n !== segment.n) throw new Gone("the segment went away");
    }
  }

  async #erase(): Promise<boolean> {
    const due = this.erasures.due(this.now());
    if (due === undefined) return false;
    const { erasure } = due;
    if (due.step === "groups") {
      if (erasure.target !== undefined) await this.forget(erasure.target, erasure.to);
      const unread = [...unreadable(this.log), ...(await leftBehind(this.log, this.blobs))];
      // A pass of before may have learnt the key again meanwhile.
      this.#compaction.relearn();
      this.erasures.finish(erasure, this.now(), unread);
      return true;
    }
    const { segment } = due;
    const rewriter = new Rewriter(this.log.span.dense, (...found) => this.erasures.fate(erasure, ...found));
    const unread = await this.#rewrite([segment], rewriter);
    if (this.log.segments.store.at(segment.base)?.n !== segment.n) return true;
    // What the object has whole is not to be lost for what is damaged here, nor to come back with it later: it is searched there.
    if (unread?.length !== 0 && (await this.#mended(segment))) return true;
    const found = unread ?? [segment.base];
    // What could not be had at all is left as it is.
    const empty = new Rewriter(true, () => "keep");
    this.erasures.searched(erasure, segment, unread === undefined ? empty : rewriter, found, this.now());
    return true;
  }

  async #compact(): Promise<boolean> {
    const now = this.now();
    const compaction = this.#compaction;
    const due = compaction.due(now);
    if (due === undefined) return false;
    if ("learn" in due) {
      let sound = true;
      const whole = await this.#each([due.learn], (row) => {
        const frames = openChunk(row, this.log.span.dense);
        sound &&= frames.ok;
        if (!frames.ok) return;
        for (const frame of frames.value) decodeFrame(frame, (record, offset) => compaction.learn(record, offset));
      });
      compaction.learnt(due.learn, whole && sound);
      return true;
    }
    const rewriter = new Rewriter(this.log.span.dense, compaction.fates(now));
    const unread = await this.#rewrite(due.rewrite, rewriter);
    // What cannot be read now may be read later: it is not copied as it seems to be.
    if (unread === undefined || unread.length > 0) compaction.failed(due.rewrite);
    else compaction.rewritten(due.rewrite, rewriter, now);
    return true;
  }

  /**
   * The first offsets of chunks that are damaged, and of segments of which some are missing; undefined where not even that can be
   * said.
   */
  async #rewrite(inputs: readonly Segment[], rewriter: Rewriter): Promise<number[] | undefined> {
    const unread: number[] = [];
    await mendBehind(this.log, this.blobs, inputs[inputs.length - 1], this.now);
    for (const input of inputs) {
      let missing = input.chunks;
      const whole = await this.#each([input], (row) => {
        missing--;
        if (!rewriter.add(row)) unread.push(row.base);
      });
      if (!whole) return undefined;
      if (missing > 0) unread.push(input.base);
    }
    return unread;
  }

  async #each(inputs: readonly Segment[], visit: (row: ChunkRow) => void): Promise<boolean> {
    try {
      for (const input of inputs) for await (const row of this.rowsOf(input)) visit(row);
      return true;
    } catch (error) {
      if (error instanceof Lost) return false;
      throw error;
    }
  }
}
