/** A read's answer as JSON or NDJSON: a page that is made before it is sent, or a stream that is made while it is. */
import { media } from "../../intake/intake.ts";
import { JsonWriter } from "../../log/json.ts";
import type { Made } from "./endless.ts";
import { type Ends, endsOf, headersOf } from "./ends.ts";
import type { Merge } from "./merge.ts";
import type { Reading } from "./reading.ts";
import { snapshotHeader, snapshotsOf } from "./snapshots.ts";
import type { Damaged, Entry } from "./source.ts";
import { cachingOf, isKnown, uncached } from "./tag.ts";
import { type Lost, passOver, refused } from "./trimmed.ts";

/** Bytes made at a time by a streamed answer. */
const pieceBytes = 262_144;
/** A streamed answer waits no longer for what is held back. */
const heldMsMax = 10_000;

export async function pageAnswer(reading: Reading, merge: Merge, request: Request): Promise<Response> {
  const { query } = reading;
  const lines = reading.terms.format === "ndjson";
  const writer = new JsonWriter(lines);
  const damaged: (Damaged & { partition: number })[] = [];
  let count = 0;
  if (!lines) writer.text('{"records":[');
  const start = writer.length;
  const show = (entry: Entry, partition: number) => {
    if (count === query.limit || (count > 0 && writer.length - start >= reading.bytesMax)) return false;
    if ("damaged" in entry) damaged.push({ partition, ...entry.damaged });
    if (lines) showLine(writer, entry, partition);
    else if (!("damaged" in entry)) {
      if (writer.length > start) writer.text(",");
      writer.record(entry, partition);
    }
    count++;
    return true;
  };
  let shown = await merge.run(show);
  // What is held back is waited for as what is not there yet.
  for (let ms = merge.heldMs; shown.ok && count === 0 && ms !== undefined; ms = merge.heldMs) {
    const left = reading.until - Date.now();
    if (left <= 0) break;
    await scheduler.wait(Math.min(left, ms));
    shown = await merge.run(show);
  }
  // A partition that is trimmed below the page ends it: the next one is refused, and says what is missing.
  if (!shown.ok && (shown.refusal.code !== "trimmed" || count === 0)) return refused(reading, shown.refusal);
  const ends = endsOf(reading, merge.upToDate);
  const headers: Record<string, string> = {
    ...headersOf(reading, ends),
    ...(damaged.length > 0 ? uncached : cachingOf(reading, ends, request.headers.get("accept"))),
    "content-type": lines ? media.ndjson : media.json,
  };
  if (isKnown(headers.etag, request.headers.get("if-none-match"))) return new Response(null, { status: 304, headers });
  if (!lines) writer.text(`],${tailOf(ends, damaged)}}\n`);
  return new Response(reading.bodyOf(writer.take()), { headers });
}

/** Everything up to the tail as it stood. The records are in memory a piece at a time. */
export function streamAnswer(reading: Reading, merge: Merge): Response {
  const lines = reading.terms.format === "ndjson";
  const writer = new JsonWriter(lines);
  const damaged: (Damaged & { partition: number })[] = [];
  const lost: Lost[] = [];
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
  const made = (last?: Made["last"]): Made => {
    const parts = writer.length > 0 ? [writer.take()] : [];
    const kept = merge.sources.reduce((sum, { bytes }) => sum + bytes, 0);
    return { parts, kept, ...(last === undefined ? {} : { last }) };
  };
  const make = async (share: number): Promise<Made> => {
    reading.fetchAtMost(share);
    if (!begun) writer.text('{"records":[');
    begun = true;
    const until = Date.now() + heldMsMax;
    // A pull that brings nothing would not be repeated: it goes on until there is something to send.
    while (writer.length < pieceBytes) {
      const shown = await merge.run(show);
      if (!shown.ok && shown.refusal.code === "trimmed") {
        const passed = passOver(reading);
        lost.push(...passed);
        if (lines) for (const { partition, ...range } of passed) writer.text(lineOf({ partition, lost: range }));
        continue;
      }
      if (!shown.ok) return made(shown.refusal.detail);
      if (merge.heldMs !== undefined) {
        // What is there goes out before the rest is waited for.
        if (writer.length > 0) break;
        if (Date.now() + merge.heldMs > until) return made(stampedAhead);
        await scheduler.wait(merge.heldMs);
      }
      if (!merge.upToDate) continue;
      if (!lines) writer.text(`],${tailOf(endsOf(reading, true), damaged, lost)}}\n`);
      return made(true);
    }
    return made();
  };
  const headers = {
    ...uncached,
    "content-type": lines ? media.ndjson : media.json,
    ...snapshotHeader(snapshotsOf(reading)),
  };
  return new Response(reading.endlessOf(make), { headers });
}

const stampedAhead =
  "what is next cannot be shown yet: it is stamped too far ahead of the clock, or the stream is growing; read pages";

function showLine(writer: JsonWriter, entry: Entry, partition: number): void {
  if ("damaged" in entry) writer.text(lineOf({ partition, damaged: entry.damaged }));
  else writer.record(entry, partition).text("\n");
}

const lineOf = (value: object) => `${JSON.stringify(value)}\n`;

function tailOf(ends: Ends, damaged: readonly Damaged[], lost: readonly Lost[] = []): string {
  const { back: _, ...shown } = ends;
  const missing = { ...(damaged.length === 0 ? {} : { damaged }), ...(lost.length === 0 ? {} : { lost }) };
  return JSON.stringify({ ...shown, ...missing }).slice(1, -1);
}
