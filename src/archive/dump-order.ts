/**
 * Whether a part of a partition is one, and follows what there is of the partition. A restore that takes parts and whoever
 * only looks a file through ask here, so that they cannot differ. Pure.
 *
 *     keys … marks │ producers … ids … │ chunk, head … │ close
 */
import { type CloseDump, countedMax, type HeadDump, type KeysDump, type MarksDump } from "../../schemas/dump.ts";
import type { Refused } from "../../schemas/dump-rules.ts";
import { refuse } from "../../schemas/errors.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { InheritedRow, ProducerRow } from "../log/store.ts";
import { checkChunk, type Range } from "./dump-chunk.ts";

/** A block of a partition, unpacked. */
export type Part =
  | { readonly keys: KeysDump }
  | { readonly marks: MarksDump }
  | { readonly producers: readonly ProducerRow[] }
  | { readonly ids: InheritedRow }
  | { readonly chunk: ChunkRow }
  | { readonly head: HeadDump }
  | { readonly close: CloseDump };

/** The partition that a part is to be one of. */
export interface Terms {
  readonly partition: number;
  /** Its offsets have no holes. */
  readonly dense: boolean;
  readonly range: Range;
}

/** What there is of a partition. */
export interface Standing {
  readonly marks?: MarksDump | undefined;
  /** The last key of the index, and the last producer; empty where there is none. */
  readonly key: string;
  readonly producer: string;
  readonly producers: number;
  readonly ids: number;
  /** Records below it went while they were dumped; the marks' head before. */
  readonly head: number;
  /** The offset behind the last chunk, and that one's last time. */
  readonly next: number;
  readonly last: number;
  /** There is no chunk yet. */
  readonly empty: boolean;
  readonly chunks: number;
  readonly records: number;
}

/** `before`: it lies before what is there, and may be the same once more. */
export type Following = "next" | "before" | Refused;

const bad = (detail: string): Refused => refuse("bad-dump", detail);
const gap = (detail: string): Refused => refuse("restore-gap", detail);

/** Why it is no part of the partition, whatever comes before, if so. `deep`: every record is looked at. */
export function partProblem(part: Part, { partition, dense, range }: Terms, deep = true): Refused | undefined {
  if ("chunk" in part) {
    const checked = deep ? checkChunk(part.chunk, dense, range) : undefined;
    return checked?.ok === false ? checked : undefined;
  }
  if ("keys" in part) return rises(part.keys.map(([key]) => key)) ? undefined : bad("keys are out of order");
  if ("producers" in part)
    return rises(part.producers.map(({ id }) => id))
      ? undefined
      : bad("producers are out of order, or one stands twice");
  if ("ids" in part) return undefined;
  const named = "marks" in part ? part.marks : "head" in part ? part.head : part.close;
  if (named.partition !== partition) return bad(`the block is of partition ${named.partition}`);
  // Behind it there would be no room for what is appended; where clients choose the offsets, that is theirs to know.
  if ("marks" in part && dense && part.marks.tail > countedMax)
    return bad(`tail: no log that gives out its offsets itself has come to ${part.marks.tail}`);
  return undefined;
}

/** Whether it comes next. */
export function following(at: Standing, part: Part, { dense }: Terms): Following {
  const { marks } = at;
  if ("keys" in part) return marks === undefined ? behind(at.key, part.keys[0]?.[0]) : "before";
  if ("marks" in part) return marks === undefined ? "next" : again(marks, part.marks);
  if (marks === undefined) return gap("the marks come first");
  if ("producers" in part) {
    const order = behind(at.producer, part.producers[0]?.id);
    if (order === "next" && at.producers + part.producers.length > marks.producers)
      return bad("there are more producers than the marks say");
    return order;
  }
  if ("ids" in part) return afterIds(at.ids, part.ids.part, marks);
  if (at.producers < marks.producers) return gap("producers are missing");
  if (at.ids < marks.ids) return gap("ids are missing");
  if ("head" in part) {
    if (part.head.head > marks.tail) return bad("the head is past the tail");
    return part.head.head > Math.max(at.head, at.next) ? "next" : "before";
  }
  if ("chunk" in part) return afterChunks(at, part.chunk, marks, dense);
  return closes(at, part.close, marks, dense);
}

/** The same as before, or of another dump. */
function again(marks: MarksDump, other: MarksDump): Following {
  if (JSON.stringify(marks) === JSON.stringify(other)) return "before";
  return refuse("conflict", "another dump is being restored here; delete the stream, and restore this one");
}

function afterIds(ids: number, part: number, marks: MarksDump): Following {
  if (part < ids) return "before";
  if (part > ids) return gap(`ids come in order: row ${ids} is next, not ${part}`);
  return part < marks.ids ? "next" : bad("there are more ids than the marks say");
}

function afterChunks(at: Standing, row: ChunkRow, marks: MarksDump, dense: boolean): Following {
  if (!at.empty && row.next <= at.next) return "before";
  // Behind what went while it was dumped, the log goes on at the new head.
  const from = Math.max(at.next, at.head);
  if (dense ? row.base !== from : row.base < from)
    return gap(`the chunk that is next begins at offset ${from}, not ${row.base}`);
  if (row.next > marks.tail) return bad(`the chunk at offset ${row.base} goes beyond the tail ${marks.tail}`);
  if (row.first < at.last || row.last > marks.last)
    return bad(`the chunk at offset ${row.base} is out of order in time`);
  return "next";
}

function closes(at: Standing, { chunks, records }: CloseDump, marks: MarksDump, dense: boolean): Following {
  if (at.chunks !== chunks) return gap(`there are ${at.chunks} chunks, and ${chunks} were dumped`);
  if (at.records !== records) return gap(`there are ${at.records} records, and ${records} were dumped`);
  const end = Math.max(at.next, at.head);
  return dense && end !== marks.tail ? gap(`the offsets from ${end} to ${marks.tail} are missing`) : "next";
}

const behind = (last: string, first: string | undefined): Following =>
  first === undefined || isAfter(first, last) ? "next" : "before";

/** Whether texts go up, each once. */
const rises = (texts: readonly string[]): boolean =>
  texts.every((text, at) => at === 0 || isAfter(text, texts[at - 1]));

/** As the database has them: by their bytes in UTF-8, which is not how `<` has them. */
function isAfter(text: string, other: string): boolean {
  const end = Math.min(text.length, other.length);
  let at = 0;
  while (at < end && text.charCodeAt(at) === other.charCodeAt(at)) at++;
  return at === end ? text.length > end : rank(text.charCodeAt(at)) > rank(other.charCodeAt(at));
}

/** Halves of a pair stand for what is beyond all that needs none. */
const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
