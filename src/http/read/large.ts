/**
 * Large pages: what one of them holds is several times its bytes, from the partition's rows to the socket of a client that may not
 * read. A few of them are made at a time; who comes meanwhile waits for a moment, and is given a page of the usual size then.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import { defaults, limits } from "../../../schemas/limits.ts";
import { Budget, growLater, type Hold } from "../budget.ts";
import { countedAs, type Later, stalledMs } from "../sending.ts";
import { counted, makingOf, pageShare, Untaken } from "../untaken.ts";

const pages = new Budget(limits.largePagesBytesMax, stalledMs * 2);

/** How often a page that waits for room looks. */
const lookMs = 50;

/** The bytes that a page may have, and what it holds, where it is large. */
export interface PageRoom {
  readonly bytes: number;
  readonly hold?: Hold;
  /** What a page of the usual size holds until its body is made. */
  readonly making?: Hold;
  /** Of a read without an end. */
  readonly untaken?: Untaken;
}

/**
 * What a read without an end fetches at a time, to begin with. Each partition gives a record, however long it is: `most` bytes of all.
 * Refused where too much waits for others for too long.
 */
export async function endlessRoom(most: number): Promise<Result<PageRoom>> {
  const untaken = new Untaken();
  const share = await untaken.shareSoon(most);
  return share.ok ? ok({ bytes: share.value, untaken }) : share;
}

/** What one that `waits` for records would hold meanwhile, others could use: it is never large. */
export function pageRoom(asked: number, waits: boolean): PageRoom | Promise<PageRoom> {
  if (waits) return { bytes: pageShare(Math.min(asked, defaults.pageBytes)) };
  if (asked <= defaults.pageBytes) return usual(asked);
  const hold = pages.hold();
  return hold.grow(asked, Date.now()) ? { bytes: asked, hold } : roomLater(asked, hold);
}

async function roomLater(asked: number, hold: Hold): Promise<PageRoom> {
  return (await growLater(hold, asked, lookMs)) ? { bytes: asked, hold } : usual(defaults.pageBytes);
}

function usual(asked: number): PageRoom {
  const bytes = pageShare(asked);
  const making = makingOf(bytes);
  return making === undefined ? { bytes } : { bytes, making };
}

/** To be told when a page was taken costs a tenth of the page: one in so many is watched, and counts for all of them. */
const watchedOneIn = 8;
let made = 0;

/** A page of the usual size. */
export function pageBody(bytes: Uint8Array, later: Later): BodyInit {
  if (counted(bytes.length) === 0 || ++made % watchedOneIn !== 0) return bytes;
  return countedAs(bytes.length * watchedOneIn, bytes, later);
}
