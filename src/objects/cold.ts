/** Reads of what lies in the archive: the partition says where, and whoever asks fetches it. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type Around, attempt, ColdChunks, coldPage, coldPlace, type Extent } from "../archive/cold.ts";
import { type Index, type Placed, readIndex } from "../archive/segment.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { segmentKey } from "../log/keys.ts";
import type { Cold, ColdSegment, Page, Position, ReadTerms } from "../log/read.ts";
import type { Blobs } from "../platform/blobs.ts";
import { faultTold } from "../platform/fault-told.ts";
import type { Answer, PageAnswer, ReadCall } from "./answer.ts";
import { indexesOf } from "./indexes.ts";
import { surelyGone } from "./out-of-reach.ts";

/** Whose archive. */
export interface Where {
  readonly logId: string;
  readonly partition: number;
  readonly blobs: Blobs | undefined;
}

/** Rounds in which nothing was found, before a filtered read returns with an advanced place. */
const roundsMax = 4;
/** A read of a partition, wherever the records lie. `ask` asks the partition. */
export async function readThrough<Call extends ReadCall>(
  where: Where,
  call: Call,
  ask: (call: Call) => Promise<Answer<PageAnswer>>,
): Promise<Answer<PageAnswer>> {
  let terms = call;
  let first: PageAnswer | undefined;
  let missing = -1;
  for (let round = 0; ; round++) {
    const answer = await ask(terms);
    // What was passed over before a trim came in between is no less read for it.
    if (!answer.ok) return first === undefined ? answer : ok(first);
    const { cold, ...rest } = answer.value;
    const joined = first === undefined ? rest : join(first, rest, call);
    if (cold === undefined) return ok(joined);
    const around = { head: rest.head, tail: rest.tail, dense: cold.dense };
    const page = await coldRead(where, { ...terms, from: cold.at }, cold.segments, around, missing);
    if (!page.ok) return page;
    if ("gone" in page.value) {
      // It was rewritten, or trimmed, since the partition named it; if it is still the one, it is lost.
      missing = page.value.gone;
      continue;
    }
    const found: PageAnswer = { ...rest, ...spanned(page.value, cold, call.backward === true) };
    first = first === undefined ? found : join(first, found, call);
    if (first.pieces.length > 0 || first.upToDate || round >= roundsMax) return ok(first);
    terms = { ...terms, from: onwards(first, call.backward === true) };
  }
}

/** The offset that a position in an archived segment names; undefined where its object is missing or damaged. */
export async function placeIn(
  where: Where,
  segment: ColdSegment,
  at: Position,
  around: Around,
): Promise<Result<number> | undefined> {
  const opened = await indexOf(where, segment);
  if (opened === undefined || (!opened.ok && opened.refusal.code === "damaged")) return undefined;
  if (!opened.ok) return opened;
  const chunks = new ColdChunks(opened.value);
  return run(where, segment, chunks, { from: at, limit: 1, bytesMax: 1 }, () => coldPlace(chunks, around, at));
}

type Found = Page | { readonly gone: number };

/** The first page with anything in it that the segments have. */
async function coldRead(
  where: Where,
  terms: ReadTerms,
  segments: readonly ColdSegment[],
  around: Around,
  missing: number,
): Promise<Result<Found>> {
  let page: Page | undefined;
  for (const segment of segments) {
    const from = page === undefined ? terms.from : within(segment, onwards(page, terms.backward === true));
    const opened = await indexOf(where, segment);
    if (opened?.ok === false && opened.refusal.code !== "damaged") return opened;
    const read = opened?.ok ? await readSegment(where, segment, opened.value, around, { ...terms, from }) : undefined;
    if (opened?.ok !== false && read === undefined && segment.n !== missing) return ok({ gone: segment.n });
    const reason = opened?.ok === false ? opened.refusal.detail : missingOf(segment);
    const next = read ?? ok(lost(segment, from, terms, reason));
    if (!next.ok) return next;
    page = page === undefined ? next.value : joinPages(page, next.value, terms);
    if (page.pieces.length > 0) break;
  }
  return ok(page ?? { from: 0, to: 0, pieces: [], upToDate: false });
}

async function readSegment(
  where: Where,
  segment: ColdSegment,
  index: Index,
  around: Around,
  terms: ReadTerms,
): Promise<Result<Page> | undefined> {
  const chunks = new ColdChunks(index);
  return run(where, segment, chunks, terms, () => coldPage(chunks, around, terms));
}

/** Runs a read over a segment until it misses nothing; undefined where the object is not there. */
async function run<T>(
  where: Where,
  segment: ColdSegment,
  chunks: ColdChunks,
  terms: Extent,
  read: () => Result<T>,
): Promise<Result<T> | undefined> {
  for (;;) {
    const tried = attempt(chunks, terms, read);
    if ("done" in tried) return tried.done;
    const { miss } = tried;
    const bytes = await bytesOf(where, segment, miss.at, miss.length);
    if (!bytes.ok) return bytes;
    if (bytes.value === undefined) return undefined;
    chunks.take(miss, bytes.value);
  }
}

const keyOf = ({ logId, partition }: Where, segment: ColdSegment) => segmentKey(logId, partition, segment);

/** Bytes of a segment's object; undefined where it is not there. */
async function bytesOf(
  where: Where,
  segment: ColdSegment,
  at: number,
  length: number,
): Promise<Result<Uint8Array | undefined>> {
  return fetched(where.blobs, keyOf(where, segment), at, length);
}

/** Bytes of an object of the archive; undefined where it is not there, and the bucket does not name it either. */
export async function fetched(
  blobs: Blobs | undefined,
  key: string,
  at: number,
  length: number,
): Promise<Result<Uint8Array | undefined>> {
  if (blobs === undefined) return refuse("unavailable", "the deployment has no archive any more; bind it again");
  try {
    const bytes = await blobs.get(key, at, length);
    return bytes === undefined ? surelyGone(blobs, key) : ok(bytes);
  } catch (error) {
    return faultTold("the archive could not be read", error);
  }
}

/** A segment's index, undefined where its object is not there. */
export function indexOf(where: Where, segment: ColdSegment): Promise<Result<Index> | undefined> {
  const { blobs } = where;
  if (blobs === undefined) return load(where, segment);
  return indexesOf(blobs).get(keyOf(where, segment), () => load(where, segment));
}

/**
 * The first of some chunks that lie one after another in a segment's object, as many as come to `bytesMax`, and at least one;
 * undefined where the object is not there.
 */
export async function chunkRows(
  where: Where,
  segment: ColdSegment,
  chunks: readonly Placed[],
  bytesMax: number,
): Promise<Result<ChunkRow[] | undefined>> {
  const start = chunks[0].at;
  const some = chunks.filter(({ at, bytes }, place) => place === 0 || at + bytes - start <= bytesMax);
  const last = some[some.length - 1];
  const read = await bytesOf(where, segment, start, last.at + last.bytes - start);
  if (!read.ok) return read;
  const bytes = read.value;
  if (bytes === undefined) return ok(undefined);
  return ok(some.map(({ at, ...row }) => ({ ...row, body: bytes.subarray(at - start, at - start + row.bytes) })));
}

async function load(where: Where, segment: ColdSegment): Promise<Result<Index> | undefined> {
  const { size, indexBytes } = segment;
  const end = await bytesOf(where, segment, size - indexBytes, indexBytes);
  if (!end.ok) return end;
  if (end.value === undefined) return undefined;
  const index = readIndex(end.value, size);
  if (!index.ok) return index;
  const { footer } = index.value;
  const same =
    footer.logId === where.logId &&
    footer.partition === where.partition &&
    footer.base === segment.base &&
    footer.next === segment.next;
  return same ? index : refuse("damaged", `the object of the segment at offset ${segment.base} is that of another one`);
}

const missingOf = ({ base }: ColdSegment) => `the object of the segment at offset ${base} is missing`;

/** What is said of a segment that cannot be read. */
function lost({ base, next }: ColdSegment, at: Position, { backward }: ReadTerms, reason: string): Page {
  const offset = "offset" in at ? at.offset : backward ? next : base;
  const [from, to] = backward ? [base, Math.min(offset, next)] : [Math.max(offset, base), next];
  return { from, to, pieces: [{ damaged: { chunk: base, from, to, reason } }], upToDate: false };
}

/**
 * A page of cold segments spans what the partition passed over: it begins at the place of the read, and where nothing was
 * found it ends where the partition says that the segments do.
 */
function spanned(page: Page, { start, on }: Cold, backward: boolean): Page {
  const ends = page.pieces.length === 0 && !page.upToDate;
  if (backward) return { ...page, from: ends ? on : page.from, to: start ?? page.to };
  return { ...page, from: start ?? page.from, to: ends ? on : page.to };
}

const onwards = ({ from, to }: Page, backward: boolean): Position =>
  backward ? { at: "before", offset: from } : { at: "offset", offset: to };

/** A place in a segment, where those between it and the one before were passed over. */
function within({ base, next }: ColdSegment, position: Position): Position {
  if (position.at === "before") return { at: "before", offset: Math.min(position.offset, next) };
  return position.at === "offset" ? { at: "offset", offset: Math.max(position.offset, base) } : position;
}

/** Two pages that follow each other, of which the first found nothing. */
function joinPages(first: Page, then: Page, { backward }: ReadTerms): Page {
  return backward ? { ...then, to: first.to } : { ...then, from: first.from };
}

function join(first: PageAnswer, then: PageAnswer, call: ReadCall): PageAnswer {
  const told = first.snapshot === undefined ? {} : { snapshot: first.snapshot };
  return { ...then, ...joinPages(first, then, call), ...told };
}
