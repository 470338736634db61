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
import { type Ends, endedBy, headersOf, placesOf } from "./ends.ts";
import type { Reading } from "./reading.ts";
import { snapshotsOf } from "./snapshots.ts";
import type { Source } from "./source.ts";
import { uncached } from "./tag.ts";
import { severalPartitions } from "./terms.ts";
import { refused } from "./trimmed.ts";
import { firstOf } from "./wait.ts";

const streamedPageBytes = 4_194_304;

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
  if (toTail) return new Response(streamed(source, page), { headers });
  return new Response(reading.bodyOf(concat(bodies(page, source.terms.filter))), { headers });
}

async function firstPage(reading: Reading, source: Source): Promise<Result<PageAnswer>> {
  const { query, toTail } = reading;
  const waitMs = query.wait * 1_000;
  if (waitMs === 0) return fetched(source, toTail, source.from);
  const call = (source: Source, wait: string) => fetched(source, toTail, source.from, waitMs, wait);
  const [answer] = await firstOf([source], call, (source, wait) => source.asks.end(wait), reading.signal);
  return answer;
}

const fetched = (source: Source, toTail: boolean, from: Position, waitMs = 0, wait?: string) =>
  source.asks.read({
    ...source.terms,
    bytesMax: toTail ? streamedPageBytes : source.terms.bytesMax,
    from,
    waitMs,
    ...(wait === undefined ? {} : { wait }),
  });

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
function streamed(source: Source, first: Cut): ReadableStream<Uint8Array> {
  const { filter } = source.terms;
  const tail = Math.min(first.tail, source.bound ?? first.tail);
  let page: Cut | undefined = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        while (page !== undefined) {
          const parts = bodies(page, filter);
          const { to, upToDate }: PageAnswer = page;
          for (const part of parts) controller.enqueue(part);
          page = undefined;
          if (upToDate || to >= tail) return controller.close();
          let next = await fetched(source, true, { at: "offset", offset: to });
          if (!next.ok && next.refusal.code === "trimmed") {
            const head = Number(next.refusal.facts?.head);
            controller.enqueue(damagedFrame(to, Math.min(head, tail)));
            if (head >= tail) return controller.close();
            next = await fetched(source, true, { at: "offset", offset: head });
          }
          if (!next.ok) return controller.error(new Error(next.refusal.detail));
          page = cutAt(source.bound, next.value);
          if (parts.length > 0) return;
        }
      },
    },
    { highWaterMark: 0 },
  );
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
