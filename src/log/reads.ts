/**
 * Reading a log of which a part is in the archive. What is hot is read here; of what is cold the reader is told where it
 * lies, so that the partition is not on the way of its bytes.
 */
import { ok, type Result } from "../../schemas/errors.ts";
import { bereftOf } from "./bereft.ts";
import { chunkMayMatch, type Filter } from "./filter.ts";
import { missingSegment } from "./missing-segment.ts";
import {
  type Cold,
  lastRecords,
  locate,
  type Page,
  type Position,
  type ReadTerms,
  readPage,
  type Span,
} from "./read.ts";
import type { Segment } from "./segment-store.ts";
import type { Segments } from "./segments.ts";

/** A place in the log: an offset, or a position in a segment that only its object can tell. */
export type Place = { readonly offset: number } | { readonly cold: Segment; readonly at: Position };

/** Archived segments that one answer names, and that it passes over because they hold no match. */
const coldSegmentsMax = 8;
const coldPassedMax = 512;

export class Reads {
  constructor(
    readonly segments: Segments,
    /** `exact`: every offset from the head on has a record. */
    readonly span: () => Span & { readonly exact: boolean },
  ) {}

  read(terms: ReadTerms): Result<Page> {
    const backward = terms.backward === true;
    const place = this.locate(terms.from, backward);
    if (!place.ok) return place;
    if ("cold" in place.value) return ok(this.#cold(place.value.cold, place.value.at, terms));
    const { offset } = place.value;
    const { head, tail, dense } = this.span();
    if (backward && offset <= head) return ok({ from: head, to: offset, pieces: [], upToDate: true });
    const wanted = backward ? offset - 1 : offset;
    const run = this.segments.run(wanted);
    if (run === undefined) {
      const missing = missingSegment(this.segments, head, wanted);
      if (missing !== undefined) return ok(missingPage(missing, offset, backward));
      const at: Position = { at: backward ? "before" : "offset", offset };
      return ok(this.#cold(this.segments.store.before(wanted) as Segment, at, terms));
    }
    const span = { head: Math.max(head, run.from), tail: Math.min(tail, run.to), dense };
    const page = readPage(this.segments, span, terms, offset);
    const whole = backward ? span.head === head : span.tail === tail;
    return ok(page.upToDate && !whole ? { ...page, upToDate: false } : page);
  }

  /**
   * The place that a position names, as `locate` of read.ts has it. There is none in an empty log that is in the place of one
   * whose database was lost: nobody reads, follows or begins there.
   */
  locate(from: Position, backward: boolean): Result<Place> {
    const { head, tail, dense, exact } = this.span();
    const lost = tail === 0 ? bereftOf(this.segments.meta) : undefined;
    if (lost !== undefined) return { ok: false, refusal: lost };
    if (from.at === "snapshot") {
      const offset = this.segments.snapshots.usable(head)?.offset;
      return this.locate(offset === undefined ? { at: "earliest" } : { at: "offset", offset }, backward);
    }
    if (from.at === "last") {
      const place: Place = exact ? { offset: Math.max(head, tail - from.count) } : this.#last(from.count);
      return ok("offset" in place && backward ? { offset: Math.min(place.offset + 1, tail) } : place);
    }
    if (from.at !== "time") {
      const offset = locate(this.segments, { head, tail, dense }, from, backward);
      return offset.ok ? ok({ offset: offset.value }) : offset;
    }
    const segment = this.#segmentAt(from.time);
    if (segment !== undefined && segment.hot === 0) return ok({ cold: segment, at: from });
    const span =
      segment === undefined
        ? { head: Math.max(head, this.segments.open.base), tail, dense }
        : { head: Math.max(head, segment.base), tail: segment.next, dense };
    const offset = locate(this.segments, span, from, backward);
    return offset.ok ? ok({ offset: offset.value }) : offset;
  }

  /** The first sealed segment that has a record of a time or later: binary search over their bases. */
  #segmentAt(time: number): Segment | undefined {
    let low = this.span().head;
    let high = this.segments.open.base;
    let found: Segment | undefined;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const segment = this.segments.store.before(middle);
      if (segment === undefined) low = middle + 1;
      else if (segment.last >= time) {
        found = segment;
        high = segment.base;
      } else low = Math.max(middle + 1, segment.next);
    }
    return found;
  }

  /** The last `count` records, counted: offsets have holes. */
  #last(count: number): Place {
    const { head, tail } = this.span();
    const { open, store } = this.segments;
    let left = count;
    const inside = (base: number, next: number): Place => ({
      offset: lastRecords(this.segments, { head: Math.max(base, head), tail: next, dense: false }, left),
    });
    if (open.records >= left) return inside(open.base, tail);
    left -= open.records;
    for (const segment of store.back(open.base)) {
      if (segment.next <= head) break;
      if (segment.records < left) left -= segment.records;
      else if (segment.hot === 1) return inside(segment.base, segment.next);
      else return { cold: segment, at: { at: "last", count: left } };
    }
    return { offset: head };
  }

  /** The archived segments that the read goes through, as far as nothing hot lies between. */
  #cold(first: Segment, at: Position, { backward, filter }: ReadTerms): Page {
    const segments: Cold["segments"][number][] = [];
    // What is not an offset is looked for in the first segment, whether or not the filter finds anything there.
    const start = "offset" in at ? at.offset : undefined;
    const { head, dense } = this.span();
    let on = backward ? first.next : first.base;
    let passed = 0;
    const { store } = this.segments;
    for (const segment of backward ? store.back(first.base) : store.from(first.base)) {
      if (segment.hot === 1 || segment.next <= head || passed >= coldPassedMax) break;
      if (segments.length >= coldSegmentsMax) break;
      on = backward ? Math.max(segment.base, head) : segment.next;
      passed++;
      const sought = start === undefined && segments.length === 0;
      if (filter !== undefined && !sought && !this.#mayMatch(segment, filter)) continue;
      const { n, base, next, size, indexBytes } = segment;
      segments.push({ n, base, next, size, indexBytes });
    }
    const [from] = segments;
    // A position counts in the first segment; where the filter has passed over that one, the read begins with another.
    const inside: Position = from === undefined || from.base === first.base ? at : edge(from, backward === true);
    const here = start ?? first.base;
    const cold = { segments, at: inside, on, dense, ...(start === undefined ? {} : { start }) };
    return { from: here, to: here, pieces: [], upToDate: false, cold };
  }

  #mayMatch(segment: Segment, filter: Filter): boolean {
    // A number that is not what was written may be another's.
    const print = segment.broken ? undefined : this.segments.store.print(segment.n);
    return print === undefined || chunkMayMatch(filter, print);
  }
}

/** What is said of offsets whose segment is missing. */
function missingPage(missing: { readonly from: number; readonly to: number }, at: number, backward: boolean): Page {
  const [from, to] = backward ? [missing.from, at] : [at, missing.to];
  const damaged = { chunk: missing.from, from, to, reason: "the segment is missing" };
  return { from, to, pieces: [{ damaged }], upToDate: false };
}

const edge = (segment: { base: number; next: number }, backward: boolean): Position =>
  backward ? { at: "before", offset: segment.next } : { at: "offset", offset: segment.base };
