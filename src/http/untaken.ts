/**
 * What was fetched for clients that have yet to take it, and may not for as long as they like: of answers without an end (event
 * streams, `maxBytes=all`), and of every other that is not small. All of an isolate share a budget. Where half of it is used
 * each goes on in small pieces, and pages are small; where all of it is, what has no end goes on when there is room again, what must
 * be whole is not begun before, and a client that has taken nothing for a while is left.
 */
import { ok, type Refusal, type Result } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { Budget, growLater, type Hold } from "./budget.ts";

/** How often one that holds something says that it is still there; the platform ends requests without a word. */
const lookMs = 5_000;
/** In a crowd a client that takes nothing for so long is left. */
const stalledMs = 60_000;
/** What may be fetched at a time, and in a crowd. */
const wideBytes = 1_048_576;
const narrowBytes = 65_536;
export const smallBytes = 262_144;
/** What is begun counts for no more than this, whatever may come: many are begun at a time. */
const beginsBytesMax = limits.untakenBytesMax / 4;
/** How often one that waits for room looks. */
const roomLookMs = 100;

const untaken = new Budget(limits.untakenBytesMax, lookMs * 4);
const isCrowded = () => untaken.used(Date.now()) >= limits.untakenBytesMax / 2;
const isFull = () => untaken.used(Date.now()) >= limits.untakenBytesMax;

const full: Refusal = {
  code: "too-many",
  detail: `${limits.untakenBytesMax} bytes wait here for clients that are slow to take them; try again in a moment`,
  facts: { limit: limits.untakenBytesMax },
};

/** What an answer of so many bytes counts for that is given out whole: a small one for nothing. */
export const counted = (bytes: number) => (bytes > smallBytes ? bytes : 0);

/** Of the bytes that a page may have those that it has now: what counts for nothing, or even less, where much waits for others. */
export function pageShare(bytes: number): number {
  return isCrowded() ? Math.min(bytes, isFull() ? narrowBytes : smallBytes) : bytes;
}

/** What a page holds until its body is made. */
export function makingOf(bytes: number): Hold | undefined {
  if (counted(bytes) === 0) return undefined;
  const hold = untaken.hold();
  hold.set(bytes, Date.now());
  return hold;
}

/** Room for an answer of so many bytes, about, until it is made and counts as what it is. Refused where there is none for too long. */
export async function roomFor(bytes: number): Promise<Result<Hold>> {
  const hold = untaken.hold();
  if (hold.grow(bytes, Date.now()) || (await growLater(hold, bytes, roomLookMs))) return ok(hold);
  return { ok: false, refusal: full };
}

/** What an answer holds. */
export class Untaken {
  readonly #hold: Hold;
  #bytes = 0;
  #tookAt = Date.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  #over = false;

  /** With room that was taken before, where it was. */
  constructor(hold: Hold = untaken.hold()) {
    this.#hold = hold;
  }

  /** Called, once, where its client has stopped, and others have little room. */
  leave: () => void = () => {};

  /** Nothing more should be fetched now. */
  get full(): boolean {
    return isFull();
  }

  /** Of the bytes that somebody would fetch at a time those that he may fetch now: few, where others have many. */
  share(bytes: number = wideBytes): number {
    return isCrowded() ? Math.min(bytes, narrowBytes) : bytes;
  }

  /**
   * The same, as soon as there is room for what the first of it may have, and held until it is known. Refused where
   * there is none for too long.
   */
  async shareSoon(mayHave: number): Promise<Result<number>> {
    const most = Math.min(mayHave, beginsBytesMax);
    const later = !this.#hold.grow(most, Date.now());
    if (later && !(await growLater(this.#hold, most, roomLookMs))) return { ok: false, refusal: full };
    this.holds(most);
    return ok(later ? narrowBytes : this.share());
  }

  /** The client has taken something. */
  took(): void {
    this.#tookAt = Date.now();
  }

  /** It holds so many bytes from now on. */
  holds(bytes: number): void {
    if (this.#over || (bytes === 0 && this.#bytes === 0)) return;
    const now = Date.now();
    if (this.#bytes === 0) this.#tookAt = now;
    this.#bytes = bytes;
    this.#hold.set(bytes, now);
    if (bytes > 0) this.#timer ??= setInterval(() => this.#look(), lookMs);
  }

  end(): void {
    this.#over = true;
    clearInterval(this.#timer);
    this.#hold.release();
  }

  #look(): void {
    const now = Date.now();
    this.#hold.touch(now);
    if (this.#bytes === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else if (now - this.#tookAt >= stalledMs && isCrowded()) {
      this.end();
      this.leave();
    }
  }
}
