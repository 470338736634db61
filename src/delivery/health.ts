/**
 * How a receiver does, judged by what it answers. Failures of one record say nothing about it: such a record may fail for
 * ever. Failures of ten different ones without a success between do, and then it is asked less and less often:
 *
 *     well ── the tenth record fails ──▶ in doubt: one request at a time, with a rest after each further record ── a success ──▶ well
 *
 * In a rest a record that was never tried may be tried, one a rest: a receiver that only refuses what is poisoned agrees to it.
 * One that has too much to do (429) is another thing: it is left alone for a moment, and asked less at a time.
 */
import type { Chance } from "./endings.ts";

/** Different records in a row that fail before the receiver is in doubt, and answers that it is busy. */
const patience = 10;
const [restMsMin, restMsMax] = [500, 30_000];
const [busyMsMin, busyMsMax] = [1_000, 8_000];
/** Offsets that are told apart. */
const failedMax = 20_000;

/** What a rest, or a sleep of the object, must not make forgotten. Times are ms since 1970. */
interface Kept {
  /** Records that failed, as many as bring the receiver into doubt. */
  readonly failed: readonly number[];
  readonly rests: number;
  readonly restUntil: number;
  readonly refused: boolean;
  readonly busies: number;
  readonly busyUntil: number;
  /** Null: as many as the group lets it have. */
  readonly room: number | null;
  readonly since: number | null;
}

export class Health {
  readonly #failed = new Set<number>();
  #rests = 0;
  #restUntil = 0;
  /** A record that was never tried has been, in this rest. */
  #probed = false;
  #refused = false;
  #busies = 0;
  #busyUntil = 0;
  /** Requests at a time that it has agreed to, after it was busy. */
  #room = Number.POSITIVE_INFINITY;
  /** Nothing has succeeded since then, in ms since 1970. */
  #since: number | undefined;

  /** As it was kept. */
  static of(text: string | undefined): Health {
    const health = new Health();
    if (text === undefined) return health;
    const { failed, rests, restUntil, refused, busies, busyUntil, room, since } = JSON.parse(text) as Kept;
    for (const offset of failed) health.#failed.add(offset);
    health.#rests = rests;
    health.#restUntil = restUntil;
    health.#probed = true;
    health.#refused = refused;
    health.#busies = busies;
    health.#busyUntil = busyUntil;
    health.#room = room ?? Number.POSITIVE_INFINITY;
    health.#since = since ?? undefined;
    return health;
  }

  /** What is to be kept; undefined where nothing is held against the receiver. */
  get kept(): string | undefined {
    if (!this.inDoubt && this.#busies === 0) return undefined;
    const kept: Kept = {
      failed: [...this.#failed].slice(0, patience),
      rests: this.#rests,
      restUntil: this.#restUntil,
      refused: this.#refused,
      busies: this.#busies,
      busyUntil: this.#busyUntil,
      room: Number.isFinite(this.#room) ? this.#room : null,
      since: this.#since ?? null,
    };
    return JSON.stringify(kept);
  }

  get inDoubt(): boolean {
    return this.#refused || this.#failed.size >= patience;
  }

  /** Requests at a time. */
  slots(concurrency: number): number {
    return this.inDoubt ? 1 : Math.min(concurrency, this.#room);
  }

  /** When any record may be sent again, in ms since 1970. */
  get askAt(): number {
    return Math.max(this.#busyUntil, this.#restUntil);
  }

  /** Whether a record may be sent now; in a rest, one that was never tried. */
  mayAsk(now: number, untried: boolean): boolean {
    if (now < this.#busyUntil) return false;
    return now >= this.#restUntil || (untried && !this.#probed && !this.#refused);
  }

  /** A request is on its way. */
  asked(now: number): void {
    if (now < this.#restUntil) this.#probed = true;
  }

  succeeded(): void {
    this.#failed.clear();
    this.#rests = 0;
    this.#restUntil = 0;
    this.#busies = 0;
    this.#refused = false;
    this.#room++;
    this.#since = undefined;
  }

  /** The record at an offset failed, alone. */
  failed(offset: number, now: number): void {
    this.#since ??= now;
    if (this.#failed.size < failedMax) this.#failed.add(offset);
    // What fails in a rest was under way before it, or was the one that may be tried in it.
    if (this.inDoubt && now >= this.#restUntil) this.#rest(now);
  }

  /** It did not agree to be pushed to. */
  refused(now: number): void {
    this.#since ??= now;
    this.#refused = true;
    this.#rest(now);
  }

  /** It has too much to do; `afterMs`: for so long, where it says that. */
  busy(afterMs: number | undefined, now: number, chance: Chance): void {
    this.#since ??= now;
    const own = Math.min(busyMsMax, busyMsMin * 2 ** this.#busies++);
    // Partitions that were refused together must not come back together.
    this.#busyUntil = Math.max(this.#busyUntil, now + (afterMs ?? Math.round(own * (1 + chance()))));
    this.#room = Number.isFinite(this.#room) ? Math.max(1, Math.floor(this.#room / 2)) : 1;
  }

  /** Whether it has gone on like this for too long. */
  isLost(now: number, afterMs: number): boolean {
    const bad = this.inDoubt || this.#busies >= patience;
    return bad && this.#since !== undefined && now - this.#since >= afterMs;
  }

  #rest(now: number): void {
    this.#restUntil = Math.max(this.#restUntil, now + Math.min(restMsMax, restMsMin * 2 ** this.#rests++));
    this.#probed = false;
  }
}
