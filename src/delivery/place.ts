/** What a place says of records that are not at hand. */
import type { Ahead } from "./ahead.ts";
import type { Incident } from "./incident.ts";
import type { Lanes } from "./lanes.ts";
import { Ranges } from "./ranges.ts";
import type { Window } from "./window.ts";

interface Place {
  readonly window: Window;
  readonly lanes: Lanes;
  readonly done: Ranges;
  readonly acked: Ranges;
  readonly cursor: number;
  readonly finishedTo: number;
}

/** What is asked of one record. */
interface Said {
  readonly lanes: Pick<Lanes, "at" | "unread">;
  readonly done: Pick<Ranges, "has">;
  readonly acked: Pick<Ranges, "has">;
  readonly ahead: Pick<Ahead, "has">;
  readonly incident: Pick<Incident, "has" | "mayBeOf">;
  readonly cursor: number;
}

/** What is finished above the floor, or left to lanes. */
export function finishedAbove({ window, done, cursor, finishedTo }: Place, floor: number): Ranges {
  const ranges = new Ranges();
  let at = floor;
  for (const offset of window.items.keys()) {
    if (offset >= finishedTo) break;
    if (offset > at) ranges.add(at, offset);
    at = offset + 1;
  }
  const to = Math.min(finishedTo, cursor);
  if (to > at) ranges.add(at, to);
  for (const [from, to] of done) if (to > cursor) ranges.add(Math.max(from, cursor), to);
  return ranges;
}

/** Whether a lease is over whose record is not at hand. */
export function isOver(place: Said, offset: number, generation: number): boolean {
  const lane = place.lanes.at(offset);
  if (lane === undefined) return isFinished(place, offset, generation);
  // It ended when that was not written down any more, or was redriven since.
  return lane.tries.some((one) => one.generation === generation) || (lane.redriven && generation <= lane.voided);
}

/** What is sure to be said after a restart, whatever becomes of an incident by then. `done`: above the floor. */
export const saidAfter = ({ acked, lanes }: Pick<Place, "acked" | "lanes">, floor: number, done: Ranges): Said => ({
  acked,
  ahead: { has: () => false },
  cursor: floor,
  done,
  incident: { has: () => false, mayBeOf: () => true },
  lanes: { at: (offset) => lanes.at(offset), unread: lanes.adrift },
});

/** Whether a record that was once under lease, is not at hand, and at which no lane stands, is finished. */
export function isFinished(place: Said, offset: number, generation: number): boolean {
  const { acked, ahead, cursor, done, incident, lanes } = place;
  if (acked.has(offset) || ahead.has(offset)) return true;
  // The window has not come to it; a lane has, in an incident.
  if (offset >= cursor && !done.has(offset) && !incident.has(generation)) return false;
  // One that was open before a restart, and has not read since, does not know where its first record is.
  for (const { from, key } of lanes.unread) if (from <= offset && incident.mayBeOf(generation, key)) return false;
  return true;
}
