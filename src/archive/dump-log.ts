/** What a log puts into a dump: its state as of one tail, in one run; then its chunks up to that tail, a page at a time. */
import type { KeysDump, MarksDump } from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../lib/bytes.ts";
import type { Marks } from "../log/facts.ts";
import type { Log } from "../log/log.ts";
import type { ColdSegment } from "../log/read.ts";
import type { ProducerRow, Store } from "../log/store.ts";
import { chunkBlock, idsBlock, jsonBlock } from "./dump.ts";
import type { Erasure } from "./erasure.ts";
import { endOf, restoreOf } from "./restore-log.ts";

/** Bytes of a block of small rows, about. */
const rowsBytes = 262_144;
/** Bytes of a page, about: the chunk that goes beyond it still goes with it. */
export const pageBytes = limits.dumpBodyBytesMax / 2;
const rowsPerQuery = 256;

/** Marks, producers and ids: what the log knows besides its records, as of its tail. One run, so that they agree. */
export function* stateBlocks(log: Log): Generator<Uint8Array> {
  const { meta } = log.segments;
  const known = restoreOf(log)?.marks;
  yield jsonBlock("marks", known ?? marksOf(log));
  let rows: ProducerRow[] = [];
  let bytes = 0;
  for (const row of producers(meta)) {
    const length = row.batches.length + row.id.length;
    if (rows.length > 0 && bytes + length > rowsBytes) {
      yield jsonBlock("producers", rows);
      rows = [];
      bytes = 0;
    }
    rows.push(row);
    bytes += length;
  }
  if (rows.length > 0) yield jsonBlock("producers", rows);
  let part = 0;
  for (const row of meta.inherited()) yield idsBlock({ ...row, part: part++ });
}

/** As it is stored: what was merely promised to readers is of the moment. */
function marksOf({ segments, span, spec }: Log): MarksDump {
  const { meta, open, newest } = segments;
  const stored: Partial<Marks> = JSON.parse(meta.meta("marks") ?? "{}");
  const { head = 0, sealed = false, fence, thinned } = stored;
  const erasures = meta.metaLike("erasure:").map(({ value }): Erasure => JSON.parse(value));
  return {
    partition: spec.partition,
    head,
    tail: span.tail,
    last: Math.max(stored.last ?? 0, open.last ?? newest?.last ?? 0),
    sealed,
    ...(fence === undefined ? {} : { fence }),
    ...(thinned === undefined ? {} : { thinned }),
    producers: meta.countProducers(),
    ids: meta.countInherited(),
    // Those that are done are done in the chunks, too.
    erasures: erasures.flatMap(({ id, state, target, to, requested }) =>
      state === "rewriting" && target !== undefined ? [{ id, target, to, requested }] : [],
    ),
  };
}

function* producers(store: Store): Generator<ProducerRow> {
  for (let after = ""; ; ) {
    const rows = store.producersAfter(after, rowsPerQuery);
    yield* rows;
    if (rows.length < rowsPerQuery) return;
    after = rows[rows.length - 1].id;
  }
}

/** A page of blocks; `after`, where there is more. */
export interface KeysPage {
  readonly blocks: Uint8Array;
  readonly after?: string;
}

/**
 * The key index, some of it. It is read before the state: what is appended meanwhile is told by the records, and of what
 * is trimmed meanwhile the index says no less than it did.
 */
export function keysPage({ segments }: Log, after: string): KeysPage {
  const keys: KeysDump = [];
  let bytes = 0;
  let from = after;
  for (;;) {
    const rows = segments.meta.lastOfKeysAfter(from, rowsPerQuery);
    for (const { key, offset } of rows) {
      keys.push([key, offset]);
      bytes += key.length + 16;
      // Where a block ends must not depend on the page that it was fetched with.
      if (bytes >= rowsBytes) return { blocks: jsonBlock("keys", keys), after: key };
    }
    if (rows.length < rowsPerQuery) {
      return { blocks: keys.length === 0 ? new Uint8Array(0) : jsonBlock("keys", keys) };
    }
    from = rows[rows.length - 1].key;
  }
}

/** Chunks of `[from, next)`, whole, as blocks; or the archived segment in which they are found. */
export interface ChunksPage {
  readonly blocks: Uint8Array;
  readonly next: number;
  readonly dense: boolean;
  readonly cold?: ColdSegment;
}

/** The chunks that hold the records from an offset on, as far as one answer goes. */
export function chunksPage(log: Log, from: number, to: number): Result<ChunksPage> {
  const { segments, spec } = log;
  const dense = spec.offsets === "assigned";
  const restore = restoreOf(log);
  const known = restore?.marks;
  const head = known?.head ?? log.span.head;
  const tail = Math.min(to, known === undefined ? log.span.tail : endOf(log));
  if (from < head) return refuse("trimmed", `offset ${from} has been trimmed; the first is ${head}`, { head });
  if (from >= tail && restore !== undefined && from < Math.min(to, restore.marks.tail)) {
    // Behind the last chunk of what is being restored, and before its tail: all of that went while it was dumped.
    if (restore.head > from) return went(from, restore.head);
    if (!dense) return ok({ blocks: new Uint8Array(0), next: Math.min(to, restore.marks.tail), dense });
  }
  if (from >= tail) return ok({ blocks: new Uint8Array(0), next: from, dense });
  const run = segments.run(from);
  if (run === undefined) {
    const found = segments.store.before(from);
    if (found === undefined) return missing(from, head);
    const { n, base, next, size, indexBytes } = found;
    return ok({ blocks: new Uint8Array(0), next: from, dense, cold: { n, base, next, size, indexBytes } });
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  let next = from;
  const first = segments.chunkAt(from);
  for (const chunk of segments.chunksFrom(first === undefined || first.next <= from ? from : first.base)) {
    if (chunk.base >= Math.min(tail, run.to) || bytes >= pageBytes) break;
    if (dense && chunk.base > next) {
      if (parts.length > 0) break;
      // What went while it was dumped is missing in what is being restored, too.
      const { head: later = 0 } = restore ?? {};
      if (later > from) return went(from, Math.min(later, chunk.base));
      return missing(next, chunk.base);
    }
    const block = chunkBlock({ ...chunk, body: segments.body(chunk.base) });
    parts.push(block);
    bytes += block.length;
    next = chunk.next;
  }
  if (parts.length === 0 && dense) return missing(from, tail);
  // Offsets may have holes, up to the tail.
  const ended = bytes < pageBytes && !dense;
  const blocks = parts.length === 0 ? new Uint8Array(0) : concat(parts);
  return ok({ blocks, next: ended ? Math.max(next, Math.min(tail, run.to)) : next, dense });
}

const went = (from: number, head: number) => refuse("trimmed", `offset ${from} went while it was dumped`, { head });
const missing = (from: number, to: number) =>
  refuse("damaged", `the chunk of the offsets ${from} to ${to} is missing; repair the partition first`, { from, to });
