/**
 * Following a log. A follower is a cursor with credits: catching up and following the tail are one path, a portion after
 * another, so that there is no gap and no repetition where the one becomes the other.
 *
 *     next ──▶ portion: what lies there, as far as the credits go ──▶ next
 *
 * A record costs a credit, a large one a credit for each begun KiB: what is on its way to a slow reader is bounded in
 * bytes.
 */
import type { Result } from "../../schemas/errors.ts";
import type { Filter } from "./filter.ts";
import { flags, stampFrame } from "./frame.ts";
import { eachItem } from "./items.ts";
import type { Item } from "./json.ts";
import { missed, type Page, type Position, type Range, type ReadTerms } from "./read.ts";
import { bits, FrameWriter } from "./record.ts";

/** What a follower needs of a log. */
export interface Followable {
  readonly span: { readonly head: number; readonly tail: number };
  read(terms: ReadTerms): Result<Page>;
}

/** Where a follower stands. Plain, because it lies in a socket's attachment while the object sleeps. */
export interface Following {
  readonly id: number;
  next: number;
  /** The next that it was last told. */
  said: number;
  credits: number;
  /** It was told that it is up to date. */
  current: boolean;
  /** Its place is looked for: by what, and the credits that it has when it is found. Until then it has none. */
  sought?: { readonly position: Position; credits: number };
  readonly filter?: Filter;
}

export interface Hole extends Range {
  readonly why: string;
}

export interface Portion {
  readonly from: number;
  readonly next: number;
  readonly cost: number;
  readonly items: readonly Item[];
  readonly holes: readonly Hole[];
  /** Nothing was behind it when it was read. */
  readonly upToDate: boolean;
  /** Of its records, as they are stored. */
  readonly bytes: number;
}

const portionBytes = 262_144;
const portionRecords = 4_000;
/** What a credit goes for, at most. */
export const creditBytes = 1_024;
/** Offsets that a filter passes over before the follower is told where it stands. */
const sayEvery = 10_000;

/**
 * What lies before a follower, as far as its credits go, and `room` in bytes; a record that costs more than are left goes with
 * the last one.
 */
export function portionOf(
  log: Followable,
  next: number,
  credits: number,
  filter: Filter | undefined,
  room?: number,
): Portion {
  const page = log.read(portionTerms(log, next, credits, filter, room));
  // It is neither before the head nor past the tail.
  if (!page.ok) throw new Error(page.refusal.detail);
  return portionOfPage(page.value, next, credits, filter, room);
}

/** The read that brings a portion. */
export function portionTerms(
  { span }: Followable,
  next: number,
  credits: number,
  filter: Filter | undefined,
  room = portionBytes,
): ReadTerms {
  const from: Position = { at: "offset", offset: Math.max(next, span.head) };
  const limit = Math.min(credits, portionRecords);
  return { from, limit, bytesMax: Math.min(portionBytes, room), ...(filter === undefined ? {} : { filter }) };
}

/**
 * A page that was read for it as a portion. What was trimmed before the page was read is missing; what is trimmed while it is
 * on its way is in it.
 */
export function portionOfPage(
  page: Page,
  from: number,
  credits: number,
  filter: Filter | undefined,
  room = Number.POSITIVE_INFINITY,
): Portion {
  const lost = missed({ at: "offset", offset: from }, page.from, false);
  const holes: Hole[] = lost === undefined ? [] : [{ ...lost, why: "trimmed" }];
  const items: Item[] = [];
  let [cost, bytes] = [0, 0];
  let stop: number | undefined;
  for (const piece of page.pieces) {
    if (stop !== undefined) break;
    if ("damaged" in piece) {
      const { from, to, reason } = piece.damaged;
      holes.push({ from, to, why: reason });
      continue;
    }
    eachItem(piece.body, { from: page.from, to: page.to, filter }, (item) => {
      if (stop !== undefined) return;
      const one = Math.max(1, Math.ceil((item.to - item.from) / creditBytes));
      // A page has whole chunks, and may have more than was asked for.
      if (cost > 0 && (cost + one > credits || bytes + item.to - item.from > room)) {
        stop = item.offset;
        return;
      }
      cost += one;
      bytes += item.to - item.from;
      items.push(item);
    });
  }
  const next = stop ?? page.to;
  return { from, next, cost, items, holes, upToDate: stop === undefined && page.upToDate, bytes };
}

/** Where a follower stands when it has been told of holes: behind those that begin at its place. */
export function behind(holes: readonly Range[], place: number): number {
  return holes.reduce((next, { from, to }) => (from <= next ? Math.max(next, to) : next), place);
}

/** True where a follower is to be told its place though there is nothing to show. */
export function mustSay(follower: Following, upToDate: boolean): boolean {
  return (upToDate && !follower.current) || follower.next - follower.said >= sayEvery;
}

/** A portion's records as frames, without decoding: a frame for each run of records that follow each other. */
export function framesOf(items: readonly Item[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < items.length; ) {
    const first = items[at];
    let to = at + 1;
    while (to < items.length && follows(items[to - 1], items[to])) to++;
    const set = first.checked ? flags.checked : 0;
    const writer = new FrameWriter();
    for (const item of items.slice(at, to)) writer.copy(item.bytes, item.from, item.to);
    let { offset } = first;
    for (const bytes of writer.finish(set)) {
      stampFrame(bytes, 0, bytes[3], offset, first.timestamp);
      offset += new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
      frames.push(bytes);
    }
    at = to;
  }
  return frames;
}

/** The records of such frames. */
export function itemsOf(body: Uint8Array): Item[] {
  const items: Item[] = [];
  eachItem(body, { from: 0, to: Number.POSITIVE_INFINITY }, (item) => items.push(item));
  return items;
}

/** In one frame offsets count up, and the timestamp is the first record's, unless a record brings its own. */
function follows(a: Item, b: Item): boolean {
  const ownTime = (b.bytes[b.from] & bits.timestamp) !== 0;
  return b.offset === a.offset + 1 && b.checked === a.checked && (ownTime || b.timestamp === a.timestamp);
}
