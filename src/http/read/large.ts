/**
 * Large pages: what one of them holds is several times its bytes, from the partition's rows to the socket of a client that may not
 * read. A few of them are made at a time; who comes meanwhile waits for a moment, and is given a page of the usual size then.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import { defaults, limits } from "../../../schemas/limits.ts";
import { Budget, growLater, type Hold } from "../budget.ts";
import { counted, makingOf, pageShare, Untaken } from "../untaken.ts";

/** A client that takes nothing for so long is left. */
const stalledMs = 30_000;
const pieceBytes = 262_144;
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

/** What a read without an end fetches at a time, to begin with. Refused where too much waits for others for too long. */
export async function endlessRoom(): Promise<Result<PageRoom>> {
  const untaken = new Untaken();
  const share = await untaken.shareSoon();
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

/** An answer that is no page, and counts with what others have yet to take, where it is not small. */
export function countedBody(bytes: Uint8Array, later: Later): BodyInit {
  return counted(bytes.length) === 0 ? bytes : countedAs(bytes.length, bytes, later);
}

/** To be told when a page was taken costs a tenth of the page: one in so many is watched, and counts for all of them. */
const watchedOneIn = 8;
let made = 0;

/** A page of the usual size. */
export function pageBody(bytes: Uint8Array, later: Later): BodyInit {
  if (counted(bytes.length) === 0 || ++made % watchedOneIn !== 0) return bytes;
  return countedAs(bytes.length * watchedOneIn, bytes, later);
}

function countedAs(held: number, bytes: Uint8Array, later: Later): ReadableStream {
  const untaken = new Untaken();
  untaken.holds(held);
  return heldBody(bytes, { touch: () => untaken.took(), release: () => untaken.end() }, later);
}

export type Later = (work: Promise<unknown>) => void;

/** Bytes that go as the client takes them; what they hold is given back when they have gone. */
export function heldBody(bytes: Uint8Array, hold: Holding, later: Later): ReadableStream {
  const { readable, writable } = new FixedLengthStream(bytes.length);
  later(send(bytes, writable.getWriter(), hold));
  return readable;
}

type Holding = Pick<Hold, "touch" | "release">;

async function send(bytes: Uint8Array, writer: WritableStreamDefaultWriter<Uint8Array>, hold: Holding): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const taken = (work: Promise<unknown>) =>
    new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("the client takes nothing")), stalledMs);
      work.then(resolve, reject);
    }).finally(() => clearTimeout(timer));
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await taken(writer.write(bytes.subarray(at, at + pieceBytes)));
      hold.touch(Date.now());
    }
    await taken(writer.close());
  } catch (error) {
    // It has gone, or is to be cut off: it sees that it did not get everything.
    writer.abort(error).catch(() => {});
  } finally {
    hold.release();
  }
}
