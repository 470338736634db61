/**
 * A log that is being restored. It takes no appends and answers no reads; the blocks of a dump come in their order, as
 * often as need be, and what is there is passed over. Nothing of it counts until it is finished.
 *
 *     keys … marks │ producers … ids … │ chunk chunk chunk … │ close │ finish
 */
import type { KeysDump, MarksDump } from "../../schemas/dump.ts";
import type { RestoreStand } from "../../schemas/dump-routes.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { defaults } from "../../schemas/limits.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { Marks } from "../log/facts.ts";
import { flags } from "../log/frame.ts";
import type { Log } from "../log/log.ts";
import { setBrought } from "../log/notice.ts";
import { isFull, retentionOf } from "../log/retention.ts";
import type { ProducerRow } from "../log/store.ts";
import { eachKey } from "./chunk-keys.ts";
import { following, type Part, partProblem, type Standing } from "./dump-order.ts";

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

const name = "restore";
const everything = { from: 0, to: 2 ** 32 };
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

const isEmpty = ({ segments }: Log) => segments.open.next === undefined && segments.newest === undefined;

/** What there is of the log, looked up when it is asked for. */
function standingOf(log: Log, restore: Restore | undefined): Standing {
  const { segments } = log;
  const { meta, open, newest, store } = segments;
  return {
    marks: restore?.marks,
    get key() {
      return meta.lastKey() ?? "";
    },
    get producer() {
      return meta.lastProducer() ?? "";
    },
    producers: restore?.producers ?? 0,
    ids: restore?.ids ?? 0,
    head: restore?.head ?? 0,
    next: endOf(log),
    last: open.last ?? newest?.last ?? 0,
    empty: isEmpty(log),
    get chunks() {
      return chunksOf(log);
    },
    get records() {
      return open.records + store.sums().records;
    },
  };
}

function takeOne(log: Log, part: Part, now: number): Problem {
  const { partition, offsets } = log.spec;
  const terms = { partition, dense: offsets === "assigned", range: everything };
  // The Worker has looked at the records, whose keys it knows the range of.
  const problem = partProblem(part, terms, false);
  if (problem !== undefined) return problem;
  const restore = restoreOf(log);
  const order = following(standingOf(log, restore), part, terms);
  if (order === "before")
    return isThere(log, restore, part) ? undefined : bad("what came before stands there otherwise");
  if (order !== "next") return order.refusal.code === "restore-gap" ? gap(log, order.refusal.detail) : order;
  if ("keys" in part) return takeKeys(log, part.keys);
  if ("marks" in part) return takeMarks(log, part.marks);
  return takeBehindMarks(log, restore as Restore, part, now);
}

type Behind = Exclude<Part, { readonly keys: KeysDump } | { readonly marks: MarksDump }>;

function takeBehindMarks(log: Log, restore: Restore, part: Behind, now: number): Problem {
  if ("producers" in part) return takeProducers(log, restore, part.producers);
  if ("ids" in part) {
    log.segments.meta.addInherited(part.ids);
    save(log, { ...restore, ids: restore.ids + 1 });
  } else if ("head" in part) save(log, { ...restore, head: part.head.head });
  else if ("chunk" in part) return takeChunk(log, restore, part.chunk, now);
  else save(log, { ...restore, closed: true });
  return undefined;
}

/** Rows that lie before what is there are the same once more: what would be passed over is not lost. */
function isThere({ segments: { meta } }: Log, restore: Restore | undefined, part: Part): boolean {
  if ("keys" in part) {
    // Records that came since may have raised them.
    const holds = (known: number, offset: number) => (restore === undefined ? known === offset : known >= offset);
    return part.keys.every(([key, offset]) => holds(meta.lastOfKey(key) ?? -1, offset));
  }
  if (!("producers" in part)) return true;
  return part.producers.every(({ id, epoch, seen, batches }) => {
    const known = meta.producer(id);
    return known?.epoch === epoch && known.seen === seen && known.batches === batches;
  });
}

function takeKeys({ segments: { meta } }: Log, keys: KeysDump): Problem {
  for (const [key, offset] of keys) meta.setLastOfKey(key, offset);
  return undefined;
}

function takeMarks(log: Log, marks: MarksDump): Problem {
  save(log, { marks, producers: 0, ids: 0, head: marks.head, closed: false });
  setBrought(log.segments, marks.tail);
  return undefined;
}

function takeProducers(log: Log, restore: Restore, rows: readonly ProducerRow[]): Problem {
  for (const { id, epoch, seen, batches } of rows) log.segments.meta.setProducer(id, epoch, seen, batches);
  save(log, { ...restore, producers: restore.producers + rows.length });
  return undefined;
}

function takeChunk(log: Log, restore: Restore, row: ChunkRow, now: number): Problem {
  const { segments, spec } = log;
  const full = room(log);
  if (full !== undefined) return full;
  if (isEmpty(log)) begin(log, restore.marks.head, now);
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
