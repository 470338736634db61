/** Places in a stream, as texts. */

import { momentOf, momentProblem } from "../../schemas/time.ts";
import { type Cursor, readCursor } from "./cursor.ts";
import type { Position } from "./read.ts";

/** A place in one log, or in each partition of a stream. */
export type From = { readonly position: Position } | { readonly cursor: Cursor };

/** The tail of a log that is full. */
const offsetMax = Number.MAX_SAFE_INTEGER;

/**
 * `earliest`, `latest`, `snapshot`, an offset, `-n`, a time (see `momentOf`), or a cursor; undefined where the text is none of
 * them. A number is never a cursor, however long it is, though a log's id may look like one.
 */
export function readFrom(text: string, now?: number): From | undefined {
  if (text === "earliest" || text === "latest" || text === "snapshot") return { position: { at: text } };
  if (isNumber(text)) {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number > offsetMax) return undefined;
    return { position: text.startsWith("-") ? { at: "last", count: -number } : { at: "offset", offset: number } };
  }
  const cursor = readCursor(text);
  if (cursor !== undefined) return { cursor };
  const time = momentOf(unescaped(text), now);
  return time === undefined ? undefined : { position: { at: "time", time } };
}

/** Why a text is no place. */
export function noPlace(text: string): string {
  const shown = text.slice(0, 64);
  if (isNumber(text)) return `'${shown}' is beyond the largest offset, ${offsetMax}`;
  if (/^\d{4}-\d\d-\d\d/.test(text)) return `'${shown}' ${momentProblem(unescaped(text))}`;
  return `'${shown}' is no offset, earliest, latest, snapshot, -n, time (RFC 3339, a day, or 90m for so long ago) or cursor`;
}

/** A plus sign that was not escaped arrives as a space. */
const unescaped = (text: string): string => text.replace(/ (?=\d\d:\d\d$)/, "+");

const isNumber = (text: string): boolean => /^(\d+|-[1-9]\d*)$/.test(text);

/**
 * The place of one partition. One that a cursor does not name came to be after it: everything that the partition ever had is
 * ahead of a reader, and nothing is behind.
 */
export function positionOf(from: From, partition: number, backward: boolean): Position {
  if ("position" in from) return from.position;
  return { at: backward ? "before" : "offset", offset: from.cursor.offsets.get(partition) ?? 0 };
}
