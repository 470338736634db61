/** A read's answer as packed frames: the chunks' bytes as they are stored. */
import type { Result } from "../../../schemas/errors.ts";
import { media } from "../../intake/intake.ts";
import { concat } from "../../lib/bytes.ts";
import { type Filter, matches } from "../../log/filter.ts";
import { damagedFrame, flags, readHeaders, stampFrame } from "../../log/frame.ts";
import type { Piece } from "../../log/read.ts";
import { decodeFrame, FrameWriter } from "../../log/record.ts";
import type { PageAnswer } from "../../objects/answer.ts";
import { problem } from "../problem.ts";
import type { Reading } from "./reading.ts";
import { snapshotHeader, snapshotsOf } from "./snapshots.ts";

const streamedPageBytes = 4_194_304;

/**
 * A frame that begins before `from`, or goes beyond the limit, is sent whole: readers skip by offset. Under a filter the
 * matching records are packed anew, each with its offset.
 */
export async function framesAnswer(reading: Reading): Promise<Response> {
  const { sources, query, toTail } = reading;
  const [source] = sources;
  const { filter } = source.terms;
  const fetch = (from: typeof source.from, waitMs: number): Promise<Result<PageAnswer>> =>
    source.read({ ...source.terms, bytesMax: toTail ? streamedPageBytes : source.terms.bytesMax, from, waitMs });
  const first = await fetch(source.from, query.wait * 1_000);
  if (!first.ok) return problem(first.refusal);
  const { head, tail, to, upToDate } = first.value;
  const headers: Record<string, string> = {
    "content-type": media.frames,
    "cache-control": "no-store",
    "millrace-head": String(head),
    "millrace-tail": String(tail),
    "millrace-next": String(toTail ? tail : to),
    "millrace-up-to-date": String(toTail || upToDate),
    ...snapshotHeader(snapshotsOf(reading, [first.value.snapshot])),
  };
  if (!toTail) return new Response(concat(bodies(first.value, filter)), { headers });
  let page: PageAnswer | undefined = first.value;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        while (page !== undefined) {
          const parts = bodies(page, filter);
          const { to, upToDate } = page;
          for (const part of parts) controller.enqueue(part);
          page = undefined;
          if (upToDate || to >= tail) return controller.close();
          const next = await fetch({ at: "offset", offset: to }, 0);
          if (!next.ok) return controller.error(new Error(next.refusal.detail));
          page = next.value;
          if (parts.length > 0) return;
        }
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers });
}

const bodies = (page: PageAnswer, filter: Filter | undefined): Uint8Array[] =>
  page.pieces.map((piece) => bodyOf(piece, page, filter)).filter((body) => body.length > 0);

function bodyOf(piece: Piece, page: PageAnswer, filter: Filter | undefined): Uint8Array {
  if ("damaged" in piece) return damagedFrame(piece.damaged.from, piece.damaged.to);
  if (filter === undefined) return piece.body;
  const frames = readHeaders(piece.body);
  if (!frames.ok) return new Uint8Array(0);
  return concat(
    frames.value.flatMap((frame) => {
      const writer = new FrameWriter();
      decodeFrame(frame, (record, offset, timestamp) => {
        if (offset >= page.from && offset < page.to && matches(filter, record))
          writer.add({ ...record, offset, timestamp });
      });
      const packed = writer.finish(frame.flags & flags.checked);
      for (const bytes of packed) stampFrame(bytes, 0, bytes[3], frame.base, frame.timestamp);
      return packed;
    }),
  );
}
