/**
 * The next thing that must happen though nobody asks: by a timer where it is soon, which costs nothing, and by the alarm, which
 * costs a row, where it is not, or where a crash would take the timer with it.
 */
import { lastingMs } from "../delivery/leases.ts";

/** What a timer sees to is looked after by an alarm, so long after: a push that lags, whatever was lost. */
export const watchMs = 10_000;

export class Arming {
  #alarmed = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timed = Number.POSITIVE_INFINITY;
  readonly #awake: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly storage: Pick<DurableObjectStorage, "setAlarm">,
    readonly tick: () => Promise<void>,
    /** Without: what is in memory alone lasts as long as the object does, and something that is pending keeps it. */
    durable = true,
  ) {
    if (!durable) this.#awake = setInterval(() => {}, watchMs);
  }

  /** `at`: what must happen whatever crashes; `waitersAt`: what is for somebody who waits, and goes with the object. */
  by(at: number, waitersAt: number, now: number): void {
    const soon = at - now < lastingMs;
    this.#timeAt(Math.min(soon ? at : Number.POSITIVE_INFINITY, waitersAt), now);
    if (!Number.isFinite(at)) return;
    const alarmAt = soon ? now + watchMs : at;
    if (alarmAt >= this.#alarmed) return;
    this.#alarmed = alarmAt;
    this.storage.setAlarm(alarmAt);
  }

  fired(): void {
    this.#alarmed = Number.POSITIVE_INFINITY;
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#awake);
  }

  #timeAt(at: number, now: number): void {
    if (at >= this.#timed) return;
    clearTimeout(this.#timer);
    this.#timed = at;
    this.#timer = setTimeout(
      () => {
        this.#timed = Number.POSITIVE_INFINITY;
        void this.tick();
      },
      Math.max(1, at - now),
    );
  }
}
