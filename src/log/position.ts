/** Places in a stream, as texts. */
import { type Cursor, readCursor } from "./cursor.ts";
import type { Position } from "./read.ts";

/** A place in one log, or in each partition of a stream. */
export type From = { readonly position: Position } | { readonly cursor: Cursor };

/** `earliest`, `latest`, `snapshot`, an offset, `-n`, an RFC 3339 time, or a cursor; undefined where the text is none of them. */
export function readFrom(text: string): From | undefined {
  if (text === "earliest" || text === "latest" || text === "snapshot") return { position: { at: text } };
  if (/^\d{1,16}$/.test(text)) return { position: { at: "offset", offset: Number(text) } };
  if (/^-[1-9]\d{0,15}$/.test(text)) return { position: { at: "last", count: -Number(text) } };
  const cursor = readCursor(text);
  if (cursor !== undefined) return { cursor };
  // A plus sign that was not escaped arrives as a space.
  const time = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text.replace(" ", "+")) : Number.NaN;
  return Number.isNaN(time) ? undefined : { position: { at: "time", time: Math.ceil(time) } };
}

/** The place of one partition. One that a cursor does not name came to be after it. */
export function positionOf(from: From, partition: number, backward: boolean): Position {
  if ("position" in from) return from.position;
  const offset = from.cursor.offsets.get(partition);
  if (offset === undefined) return backward ? { at: "before", offset: 0 } : { at: "earliest" };
  return { at: backward ? "before" : "offset", offset };
}
