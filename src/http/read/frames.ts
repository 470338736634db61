/** A read's answer as packed frames: the chunks' bytes as they are stored. */
import type { Result } from "../../../schemas/errors.ts";
import { media } from "../../intake/intake.ts";
import { concat } from "../../lib/bytes.ts";
import { type Filter, matches } from "../../log/filter.ts";
import { damagedFrame, flags, readHeaders, stampFrame } from "../../log/frame.ts";
import type { Piece, Position } from "../../log/read.ts";
import { decodeFrame, FrameWriter } from "../../log/record.ts";
import type { PageAnswer } from "../../objects/answer.ts";
import { problem } from "../problem.ts";
import type { Made } from "./endless.ts";
import { type Ends, endedBy, headersOf, placesOf } from "./ends.ts";
import type { Reading } from "./reading.ts";
import { snapshotsOf } from "./snapshots.ts";
import type { Source } from "./source.ts";
import { uncached } from "./tag.ts";
import { severalPartitions } from "./terms.ts";
import { refused } from "./trimmed.ts";
import { firstOf } from "./wait.ts";

/**
 * A frame that begins before the place of the read, or goes beyond the limit, is sent whole: readers skip what lies below
 * `Millrace-From`. Under a filter the matching records are packed anew, each with its offset.
 */
export async function framesAnswer(reading: Reading): Promise<Response> {
  const { toTail, only } = reading;
  const [source] = reading.sources;
  const first = await firstPage(reading, source);
  if (!first.ok) {
    if (first.refusal.code === "trimmed") source.refused(first.refusal);
    return refused(reading, first.refusal);
  }
  const page = cutAt(source.bound, first.value);
  const { head, tail, from, to, upToDate, sealed, pieces, snapshot } = page;
  if (sealed && first.value.upToDate && pieces.length === 0) {
    source.sealed = sealed;
    const grown = await reading.grow();
    if (grown.ok && grown.value === "grown") return problem({ code: "not-acceptable", detail: severalPartitions });
  }
  const { partition } = source;
  const place = { partition, head, tail, start: from, next: toTail ? (source.bound ?? tail) : to };
  const ends: Ends = {
    ...placesOf([place], false, reading.route.stream.logId),
    ...endedBy(reading, toTail || upToDate),
    upToDate: toTail || upToDate,
    ...(only !== undefined && sealed && (toTail || upToDate) && place.next >= tail ? { ended: true } : {}),
    ...snapshotsOf(reading, [snapshot]),
  };
  const headers: Record<string, string> = {
    ...uncached,
    // Read backward they could not be had.
    ...headersOf(reading, { ...ends, prev: null }),
    "content-type": media.frames,
    "millrace-from": String(from),
  };
  if (toTail) return new Response(reading.endlessOf(pagesOf(reading, source, page)), { headers });
  return new Response(reading.bodyOf(concat(bodies(page, source.terms.filter))), { headers });
}

async function firstPage(reading: Reading, source: Source): Promise<Result<PageAnswer>> {
  const waitMs = reading.until - Date.now();
  if (reading.query.wait === 0 || waitMs <= 0) return fetched(source, source.from);
  const call = (source: Source, wait: string) => fetched(source, source.from, waitMs, wait);
  const [answer] = await firstOf([source], call, (source, wait) => source.asks.end(wait), reading.signal);
  return answer;
}

const fetched = (source: Source, from: Position, waitMs = 0, wait?: string) =>
  source.asks.read({ ...source.terms, from, waitMs, ...(wait === undefined ? {} : { wait }) });

/** A page of a read that ends: up to there, and no further. */
interface Cut extends PageAnswer {
  /** Its frames go on behind it, and are packed anew. */
  readonly cut?: boolean;
}

function cutAt(bound: number | undefined, page: PageAnswer): Cut {
  if (bound === undefined || page.to < bound) return page;
  return { ...page, to: Math.max(page.from, bound), upToDate: true, cut: page.to > bound };
}

/** Everything up to the tail as it stood, a page at a time. What is trimmed meanwhile is a hole, as what is damaged. */
function pagesOf(reading: Reading, source: Source, first: Cut): (share: number) => Promise<Made> {
  const { filter } = source.terms;
  const tail = Math.min(first.tail, source.bound ?? first.tail);
  let page: Cut | undefined = first;
  let at = 0;
  return async (share) => {
    reading.fetchAtMost(share);
    for (const parts: Uint8Array[] = []; ; ) {
      if (page === undefined) {
        const next: Result<PageAnswer> = await fetched(source, { at: "offset", offset: at });
        if (!next.ok && next.refusal.code === "trimmed") {
          const head = Number(next.refusal.facts?.head);
          parts.push(damagedFrame(at, Math.min(head, tail)));
          if (head >= tail) return { parts, kept: 0, last: true };
          at = head;
          continue;
        }
        if (!next.ok) return { parts, kept: 0, last: next.refusal.detail };
        page = cutAt(source.bound, next.value);
      }
      const { to, upToDate } = page;
      parts.push(...bodies(page, filter));
      page = undefined;
      at = to;
      if (upToDate || to >= tail) return { parts, kept: 0, last: true };
      if (parts.length > 0) return { parts, kept: 0 };
    }
  };
}

const bodies = (page: Cut, filter: Filter | undefined): Uint8Array[] =>
  page.pieces.map((piece) => bodyOf(piece, page, filter)).filter((body) => body.length > 0);

function bodyOf(piece: Piece, page: Cut, filter: Filter | undefined): Uint8Array {
  if ("damaged" in piece) {
    const { from, to } = piece.damaged;
    return page.cut && from >= page.to ? new Uint8Array(0) : damagedFrame(from, to);
  }
  if (filter === undefined && !page.cut) return piece.body;
  const frames = readHeaders(piece.body);
  if (!frames.ok) return new Uint8Array(0);
  return concat(
    frames.value.flatMap((frame) => {
      const writer = new FrameWriter();
      decodeFrame(frame, (record, offset, timestamp) => {
        if (offset >= page.from && offset < page.to && (filter === undefined || matches(filter, record)))
          writer.add({ ...record, offset, timestamp });
      });
      const packed = writer.finish(frame.flags & flags.checked);
      for (const bytes of packed) stampFrame(bytes, 0, bytes[3], frame.base, frame.timestamp);
      return packed;
    }),
  );
}
