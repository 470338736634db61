/** Where a read stands: what an answer says besides the records. */
import type { SnapshotNote } from "../../../schemas/snapshot.ts";
import { writeCursor } from "../../log/cursor.ts";
import type { Reading } from "./reading.ts";
import { snapshotHeader, snapshotsOf } from "./snapshots.ts";
import type { Source } from "./source.ts";

/** Header lines above this are left out: common clients accept 16 KiB of them in all. */
const headerCharsMax = 4_096;

interface Places {
  readonly partition?: number;
  readonly head?: number;
  readonly tail?: number;
  /** Offsets for one partition, cursors for more; null where nothing lies in that direction. */
  readonly next: number | string | null;
  readonly prev: number | string | null;
  /** Goes on in the direction of the read, whatever the form of `next`. */
  readonly cursor: string;
  readonly back: string;
}

export interface Ends extends Places {
  readonly upToDate: boolean;
  /** The partition that was asked for was split, and is read. */
  readonly ended?: true;
  readonly snapshot?: SnapshotNote | null;
  readonly snapshots?: readonly SnapshotNote[];
}

type Placed = Pick<Source, "partition" | "start" | "next" | "head" | "tail">;

/**
 * Where a page lies. Towards older records it is null exactly where the page begins, or ends, at the head of each of its
 * partitions: nothing readable lies there, whatever a filter would let through. Towards newer ones it never is: they may come, but where the read was
 * to end.
 */
export function placesOf(sources: readonly Placed[], backward: boolean, logId: string): Places {
  const at = (place: (source: Placed) => number) =>
    writeCursor({ logId, offsets: new Map(sources.map((source) => [source.partition, place(source)])) });
  const cursor = at((source) => source.next);
  const back = at((source) => source.start);
  const older = sources.some((source) => (backward ? source.next : source.start) > source.head);
  const [{ partition, head, tail, start, next }, ...others] = sources;
  if (others.length > 0) {
    return backward
      ? { next: older ? cursor : null, prev: back, cursor, back }
      : { next: cursor, prev: older ? back : null, cursor, back };
  }
  const about = { partition, head, tail, cursor, back };
  // A backward read begins with the record at `from`, which is the one before the place.
  return backward
    ? { ...about, next: older ? next - 1 : null, prev: start }
    : { ...about, next, prev: older ? start - 1 : null };
}

/** Nothing follows where a read was to end. */
export const endedBy = ({ terms }: Reading, upToDate: boolean): { next?: null } =>
  terms.to !== undefined && upToDate ? { next: null } : {};

export function endsOf(reading: Reading, upToDate: boolean): Ends {
  const { sources, backward, route, only } = reading;
  const [{ sealed, next, tail }] = sources;
  const ended = only !== undefined && !backward && upToDate && sealed && next >= tail;
  const places = placesOf(sources, backward, route.stream.logId);
  return { ...places, ...endedBy(reading, upToDate), upToDate, ...(ended ? { ended } : {}), ...snapshotsOf(reading) };
}

export function headersOf({ terms: { url }, backward }: Reading, ends: Ends): Record<string, string> {
  const link = (cursor: string, direction: string, rel: string) => {
    const target = new URL(url);
    target.searchParams.set("from", cursor);
    if (direction === "backward") target.searchParams.set("direction", "backward");
    else target.searchParams.delete("direction");
    if (direction === "backward") target.searchParams.delete("to");
    return `<${target.pathname}${target.search}>; rel="${rel}"`;
  };
  const [onward, backwards] = backward ? ["backward", "forward"] : ["forward", "backward"];
  const links = [
    ...(ends.next === null ? [] : [link(ends.cursor, onward, "next")]),
    ...(ends.prev === null ? [] : [link(ends.back, backwards, "prev")]),
  ].join(", ");
  return {
    "millrace-up-to-date": String(ends.upToDate),
    ...(ends.ended ? { "millrace-ended": "true" } : {}),
    ...(ends.tail === undefined ? {} : { "millrace-tail": String(ends.tail), "millrace-head": String(ends.head) }),
    ...(ends.next === null || String(ends.next).length > headerCharsMax ? {} : { "millrace-next": String(ends.next) }),
    ...(ends.cursor.length > headerCharsMax ? {} : { "millrace-cursor": ends.cursor }),
    ...snapshotHeader(ends),
    ...(links === "" || links.length > headerCharsMax ? {} : { link: links }),
  };
}
