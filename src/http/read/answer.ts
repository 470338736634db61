/** A read's answer as JSON or NDJSON: a page that is made before it is sent, or a stream that is made while it is. */

import type { SnapshotNote } from "../../../schemas/snapshot.ts";
import { media } from "../../intake/intake.ts";
import { encodeText } from "../../lib/bytes.ts";
import { murmur3 } from "../../lib/hash.ts";
import { writeCursor } from "../../log/cursor.ts";
import { JsonWriter } from "../../log/json.ts";
import { problem } from "../problem.ts";
import type { Merge } from "./merge.ts";
import type { Reading } from "./reading.ts";
import { snapshotHeader, snapshotsOf } from "./snapshots.ts";
import type { Damaged, Entry, Source } from "./source.ts";

/** Header lines above this are left out: common clients accept 16 KiB of them in all. */
const headerCharsMax = 4_096;
/** Bytes made at a time by a streamed answer. */
const pieceBytes = 262_144;

const year = 31_536_000;

/** Where a read stands: what an answer says besides the records. */
interface Ends {
  readonly partition?: number;
  readonly head?: number;
  readonly tail?: number;
  /** Offsets for one partition, cursors for more; null where nothing lies in that direction. */
  readonly next: number | string | null;
  readonly prev: number | string | null;
  /** Goes on in the direction of the read, whatever the form of `next`. */
  readonly cursor: string;
  readonly back: string;
  readonly upToDate: boolean;
  readonly snapshot?: SnapshotNote | null;
  readonly snapshots?: readonly SnapshotNote[];
}

export async function pageAnswer(reading: Reading, merge: Merge, request: Request): Promise<Response> {
  const { format, query } = reading;
  const lines = format === "ndjson";
  const writer = new JsonWriter(lines);
  const damaged: (Damaged & { partition: number })[] = [];
  let count = 0;
  if (!lines) writer.text('{"records":[');
  const start = writer.length;
  const shown = await merge.run((entry, partition) => {
    if (count === query.limit || (count > 0 && writer.length - start >= (query.maxBytes as number))) return false;
    if ("damaged" in entry) damaged.push({ partition, ...entry.damaged });
    if (lines) showLine(writer, entry, partition);
    else if (!("damaged" in entry)) {
      if (writer.length > start) writer.text(",");
      writer.record(entry, partition);
    }
    count++;
    return true;
  });
  if (!shown.ok) return problem(shown.refusal);
  const ends = endsOf(reading, merge.upToDate);
  const headers: Record<string, string> = {
    ...headersOf(reading, ends),
    "content-type": lines ? media.ndjson : media.json,
  };
  const etag = damaged.length === 0 ? sealedTag(reading, ends, request) : undefined;
  if (etag !== undefined) {
    headers.etag = etag;
    headers["cache-control"] = `private, max-age=${year}, immutable`;
    if (request.headers.get("if-none-match")?.includes(etag)) return new Response(null, { status: 304, headers });
  } else headers["cache-control"] = "no-store";
  if (!lines) writer.text(`],${tailOf(ends, damaged)}}\n`);
  return new Response(writer.take(), { headers });
}

/** Everything up to the tail as it stood. The records are in memory a piece at a time. */
export function streamAnswer(reading: Reading, merge: Merge): Response {
  const lines = reading.format === "ndjson";
  const writer = new JsonWriter(lines);
  const damaged: (Damaged & { partition: number })[] = [];
  let begun = lines;
  let first = true;
  const show = (entry: Entry, partition: number) => {
    if (writer.length >= pieceBytes) return false;
    if ("damaged" in entry) damaged.push({ partition, ...entry.damaged });
    if (lines) showLine(writer, entry, partition);
    else if (!("damaged" in entry)) {
      if (!first) writer.text(",");
      first = false;
      writer.record(entry, partition);
    }
    return true;
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!begun) writer.text('{"records":[');
        begun = true;
        // A pull that brings nothing would not be repeated: it goes on until there is something to send.
        for (let done = false; !done && writer.length < pieceBytes; ) {
          const shown = await merge.run(show);
          // Cut off rather than closed: the reader must see that it did not get everything.
          if (!shown.ok) return controller.error(new Error(shown.refusal.detail));
          done = merge.upToDate || merge.held;
          if (done && !lines) writer.text(`],${tailOf(endsOf(reading, merge.upToDate), damaged)}}\n`);
          if (done) {
            if (writer.length > 0) controller.enqueue(writer.take());
            return controller.close();
          }
        }
        controller.enqueue(writer.take());
      },
    },
    { highWaterMark: 0 },
  );
  const headers = {
    "cache-control": "no-store",
    "content-type": lines ? media.ndjson : media.json,
    ...snapshotHeader(snapshotsOf(reading)),
  };
  return new Response(body, { headers });
}

function showLine(writer: JsonWriter, entry: Entry, partition: number): void {
  if ("damaged" in entry) writer.text(JSON.stringify({ partition, damaged: entry.damaged }));
  else writer.record(entry, partition);
  writer.text("\n");
}

function endsOf(reading: Reading, upToDate: boolean): Ends {
  return { ...placesOf(reading, upToDate), ...snapshotsOf(reading) };
}

function placesOf({ sources, backward, route }: Reading, upToDate: boolean): Ends {
  const { logId } = route.stream;
  const at = (place: (source: Source) => number) =>
    writeCursor({ logId, offsets: new Map(sources.map((source) => [source.partition, place(source)])) });
  const cursor = at((source) => source.next);
  const back = at((source) => source.start);
  const [only] = sources;
  const { head, tail } = only;
  if (sources.length > 1) {
    const started = sources.some((source) => source.start > source.head);
    const left = sources.some((source) => source.next > source.head);
    if (backward) return { next: left ? cursor : null, prev: back, cursor, back, upToDate };
    return { next: cursor, prev: started ? back : null, cursor, back, upToDate };
  }
  const before = (offset: number) => (offset > head ? offset - 1 : null);
  if (backward) {
    return { partition: only.partition, head, tail, next: before(only.next), prev: only.start, cursor, back, upToDate };
  }
  return { partition: only.partition, head, tail, next: only.next, prev: before(only.start), cursor, back, upToDate };
}

function tailOf(ends: Ends, damaged: readonly Damaged[]): string {
  const { back: _, ...shown } = ends;
  return JSON.stringify({ ...shown, ...(damaged.length === 0 ? {} : { damaged }) }).slice(1, -1);
}

function headersOf({ url, backward }: Reading, ends: Ends): Record<string, string> {
  const link = (cursor: string, direction: string, rel: string) => {
    const target = new URL(url);
    target.searchParams.set("from", cursor);
    if (direction === "backward") target.searchParams.set("direction", "backward");
    else target.searchParams.delete("direction");
    return `<${target.pathname}${target.search}>; rel="${rel}"`;
  };
  const [onward, backwards] = backward ? ["backward", "forward"] : ["forward", "backward"];
  const links = [
    ...(ends.next === null ? [] : [link(ends.cursor, onward, "next")]),
    ...(ends.prev === null ? [] : [link(ends.back, backwards, "prev")]),
  ].join(", ");
  return {
    "millrace-up-to-date": String(ends.upToDate),
    ...(ends.tail === undefined ? {} : { "millrace-tail": String(ends.tail), "millrace-head": String(ends.head) }),
    ...(ends.next === null || String(ends.next).length > headerCharsMax ? {} : { "millrace-next": String(ends.next) }),
    ...(ends.cursor.length > headerCharsMax ? {} : { "millrace-cursor": ends.cursor }),
    ...snapshotHeader(ends),
    ...(links === "" || links.length > headerCharsMax ? {} : { link: links }),
  };
}

/**
 * The tag of a page that can never change: a fixed start, and an end below the tail. Weak, because the answer also says
 * where the tail is by now.
 */
function sealedTag(reading: Reading, ends: Ends, request: Request): string | undefined {
  const { from, sources, backward, route, url } = reading;
  const fixed = "cursor" in from || from.position.at === "offset";
  // What is compacted loses records between others.
  if (route.stream.config.compact) return undefined;
  if (!fixed || backward || sources.length > 1 || ends.upToDate || sources[0].next >= sources[0].tail) return undefined;
  const asked = murmur3(encodeText(`${url.search} ${request.headers.get("accept")}`)).toString(36);
  return `W/"${route.stream.logId}.${sources[0].partition}.${sources[0].start}-${sources[0].next}.${asked}"`;
}
