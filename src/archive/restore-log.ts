/**
 * A log that is being restored. It takes no appends and answers no reads; the blocks of a dump come in their order, as
 * often as need be, and what is there is passed over. Nothing of it counts until it is finished.
 *
 *     keys … marks │ producers … ids … │ chunk chunk chunk … │ close │ finish
 */
import { type CloseDump, countedMax, type KeysDump, type MarksDump } from "../../schemas/dump.ts";
import type { RestoreStand } from "../../schemas/dump-routes.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { defaults } from "../../schemas/limits.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { Marks } from "../log/facts.ts";
import { flags } from "../log/frame.ts";
import type { Log } from "../log/log.ts";
import { setBrought } from "../log/notice.ts";
import { isFull, retentionOf } from "../log/retention.ts";
import type { InheritedRow, ProducerRow } from "../log/store.ts";
import { eachKey } from "./chunk-keys.ts";

/** What is written down of a restore, in `meta`. */
interface Restore {
  readonly marks: MarksDump;
  /** Rows of each kind that have come. */
  readonly producers: number;
  readonly ids: number;
  /** Records below it went while they were dumped. */
  readonly head: number;
  readonly closed: boolean;
  /** Compaction, or a request to forget, came while it was dumped: a chunk has holes of which the marks do not say. */
  readonly thinned?: boolean;
}

/** A block, checked and unpacked. */
export type Part =
  | { readonly keys: KeysDump }
  | { readonly marks: MarksDump }
  | { readonly producers: readonly ProducerRow[] }
  | { readonly ids: InheritedRow }
  | { readonly chunk: ChunkRow }
  | { readonly head: number }
  | { readonly close: CloseDump };

const name = "restore";
/** An archive that does not keep up is waited for, behind so much more than the stream keeps in the database. */
const behindBytes = 134_217_728;

export function restoreOf({ segments }: Log): Restore | undefined {
  const text = segments.meta.meta(name);
  return text === undefined ? undefined : JSON.parse(text);
}

const save = ({ segments }: Log, restore: Restore) => segments.meta.setMeta(name, JSON.stringify(restore));

/** The offset behind the last chunk; that of the first one where there is none. */
export function endOf(log: Log): number {
  const { open, newest } = log.segments;
  return open.next ?? newest?.next ?? restoreOf(log)?.marks.head ?? 0;
}

const chunksOf = ({ segments }: Log) => segments.open.chunks + segments.store.sums().chunks;

/** Where it stands. One that is finished, or never was, has everything. */
export function standOf(log: Log): RestoreStand {
  const restore = restoreOf(log);
  return {
    partition: log.spec.partition,
    marks: restore !== undefined,
    producers: restore?.producers ?? 0,
    ids: restore?.ids ?? 0,
    next: endOf(log),
    tail: log.restoring ? restore?.marks.tail : log.span.tail,
    chunks: chunksOf(log),
    closed: !log.restoring || restore?.closed === true,
  };
}

/** Takes parts in their order, all or none. */
export function take(log: Log, parts: readonly Part[], now: number): Result<RestoreStand> {
  if (!log.restoring) return refuse("conflict", "the partition is not being restored; it is finished, or never was");
  let problem: ReturnType<typeof refuse> | undefined;
  try {
    log.change(now, () => {
      for (const part of parts) {
        problem = takeOne(log, part, now);
        if (problem !== undefined) throw new Undone();
      }
    });
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
  return problem ?? ok(standOf(log));
}

/** Takes back what was written of a body before the part that was refused. */
class Undone extends Error {}

type Problem = ReturnType<typeof refuse> | undefined;

function takeOne(log: Log, part: Part, now: number): Problem {
  if ("keys" in part) return takeKeys(log, part.keys);
  const restore = restoreOf(log);
  if ("marks" in part) return takeMarks(log, restore, part.marks);
  if (restore === undefined) return gap(log, "the marks come first");
  if ("producers" in part) return takeProducers(log, restore, part.producers);
  if ("ids" in part) return takeIds(log, restore, part.ids);
  if ("head" in part) return takeHead(log, restore, part.head);
  if ("chunk" in part) return takeChunk(log, restore, part.chunk, now);
  return takeClose(log, restore, part.close);
}

function takeKeys({ segments: { meta } }: Log, keys: KeysDump): Problem {
  for (const [key, offset] of keys) if ((meta.lastOfKey(key) ?? -1) < offset) meta.setLastOfKey(key, offset);
  return undefined;
}

function takeMarks(log: Log, restore: Restore | undefined, marks: MarksDump): Problem {
  // Behind it there would be no room for what is appended; where clients choose the offsets, that is theirs to know.
  if (log.spec.offsets === "assigned" && marks.tail > countedMax) {
    return bad(`tail: no log that gives out its offsets itself has come to ${marks.tail}`);
  }
  if (restore === undefined) {
    save(log, { marks, producers: 0, ids: 0, head: marks.head, closed: false });
    setBrought(log.segments, marks.tail);
  } else if (JSON.stringify(restore.marks) !== JSON.stringify(marks)) {
    return refuse("conflict", "another dump is being restored here; delete the stream, and restore this one");
  }
  return undefined;
}

function takeProducers(log: Log, restore: Restore, rows: readonly ProducerRow[]): Problem {
  const { meta } = log.segments;
  for (const { id, epoch, seen, batches } of rows) meta.setProducer(id, epoch, seen, batches);
  const producers = meta.countProducers();
  if (producers > restore.marks.producers) return bad("there are more producers than the marks say");
  save(log, { ...restore, producers });
  return undefined;
}

function takeIds(log: Log, restore: Restore, row: InheritedRow): Problem {
  if (row.part < restore.ids) return undefined;
  if (row.part > restore.ids) return gap(log, `ids come in order: row ${restore.ids} is next, not ${row.part}`);
  if (row.part >= restore.marks.ids) return bad("there are more ids than the marks say");
  log.segments.meta.addInherited(row);
  save(log, { ...restore, ids: restore.ids + 1 });
  return undefined;
}

function takeHead(log: Log, restore: Restore, head: number): Problem {
  if (head > restore.marks.tail) return bad("the head is past the tail");
  if (head > restore.head) save(log, { ...restore, head });
  return undefined;
}

function takeChunk(log: Log, restore: Restore, row: ChunkRow, now: number): Problem {
  const { segments, spec } = log;
  const { marks, head } = restore;
  const empty = segments.open.next === undefined && segments.newest === undefined;
  const end = endOf(log);
  if (!empty && row.next <= end) return undefined;
  const dense = spec.offsets === "assigned";
  // Behind what went while it was dumped, the log goes on with the chunk that holds the new head.
  const onwards = empty || (dense && end < head) ? row.next > head && (!dense || row.base <= head) : false;
  if (!onwards && (dense ? row.base !== end : row.base < end)) {
    return gap(log, `the chunk that is next begins at offset ${end}, not ${row.base}`);
  }
  if (!empty && row.base < end) return gap(log, `the chunk that is next begins at offset ${end}, not ${row.base}`);
  const last = segments.open.last ?? segments.newest?.last ?? 0;
  if (row.next > marks.tail) return bad(`the chunk at offset ${row.base} goes beyond the tail ${marks.tail}`);
  if (row.first < last || row.last > marks.last) return bad(`the chunk at offset ${row.base} is out of order in time`);
  const full = room(log);
  if (full !== undefined) return full;
  if (empty) begin(log, Math.min(row.base, marks.head), now);
  segments.insert(row);
  if ((row.flags & flags.thinned) !== 0 && restore.thinned === undefined) save(log, { ...restore, thinned: true });
  if (spec.keyIndex) learn(log, row);
  if (isFull(segments.open, spec)) segments.cut(row.next, now);
  return undefined;
}

/**
 * The first segment begins where the log does. Its number is none that a log of this id had before it was deleted: readers may
 * still know objects of that by their names.
 */
function begin({ segments }: Log, base: number, now: number): void {
  const fresh = { open: now, next: now + 1, tables: { [now]: 0 } };
  const known = JSON.parse(segments.meta.meta("segments") ?? JSON.stringify(fresh));
  segments.meta.setMeta("segments", JSON.stringify({ ...known, base }));
  segments.reload();
}

function learn({ segments: { meta } }: Log, row: ChunkRow): void {
  eachKey(row, false, (key, offset) => {
    if ((meta.lastOfKey(key) ?? -1) < offset) meta.setLastOfKey(key, offset);
  });
}

function room({ segments, spec, hotBytesMax }: Log): Problem {
  const { archive, retentionBytes } = retentionOf(spec);
  const max = Math.min(hotBytesMax, archive ? (retentionBytes ?? defaults.hotBytes) + behindBytes : hotBytesMax);
  if (segments.hotBytes < max) return undefined;
  if (archive) return refuse("overloaded", "the archive has yet to take what was restored; go on in a moment");
  const detail = `a partition keeps at most ${hotBytesMax} bytes in its database, and the stream has no archive`;
  return refuse("too-many", detail, { limit: hotBytesMax });
}

function takeClose(log: Log, restore: Restore, { chunks, records }: CloseDump): Problem {
  const { marks, head } = restore;
  const end = Math.max(endOf(log), head);
  if (restore.producers < marks.producers) return gap(log, "producers are missing");
  if (restore.ids < marks.ids) return gap(log, "ids are missing");
  const { segments, spec } = log;
  if (chunksOf(log) !== chunks || segments.open.records + segments.store.sums().records !== records) {
    return gap(log, `there are ${chunksOf(log)} chunks, and ${chunks} were dumped`);
  }
  if (spec.offsets === "assigned" && end !== marks.tail) return gap(log, `the offsets from ${end} on are missing`);
  save(log, { ...restore, closed: true });
  return undefined;
}

/** Makes of what was restored the log that it was. */
export function finish(log: Log, now: number): void {
  const restore = restoreOf(log);
  if (!log.restoring || restore?.closed !== true) return;
  const { meta } = log.segments;
  const { head, tail, last, fence, erasures } = restore.marks;
  const thinned = restore.thinned ?? restore.marks.thinned;
  if (log.segments.open.next === undefined && log.segments.newest === undefined) begin(log, tail, now);
  const marks: Marks = {
    head,
    tail,
    last,
    // It may have been split since the map was dumped: what the map says takes appends does.
    sealed: log.spec.sealed,
    ...(fence === undefined ? {} : { fence }),
    ...(thinned === undefined ? {} : { thinned }),
  };
  log.sql.transaction(() => {
    meta.setMeta("marks", JSON.stringify(marks));
    for (const { id, target, to, requested } of erasures) {
      const erasure = {
        id,
        state: "rewriting",
        target,
        to,
        at: head,
        records: 0,
        segments: 0,
        objects: [],
        unread: [],
      };
      meta.setMeta(`erasure:${id}`, JSON.stringify({ ...erasure, requested }));
    }
    meta.dropMeta(name);
  });
  log.reload(now);
  // What went while it was dumped was there no more when the dump ended.
  if (restore.head > head) log.trim(restore.head, now);
}

const bad = (detail: string) => refuse("bad-dump", detail);
const gap = (log: Log, detail: string) => refuse("restore-gap", detail, { ...standOf(log) });
