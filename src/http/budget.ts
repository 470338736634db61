/**
 * Bytes that requests hold in this isolate, all together. A request that is broken off may never be heard of again: what was not
 * touched for some time counts no more.
 */
export interface Hold {
  /** Takes so many more; false where there is no room. */
  grow(bytes: number, now: number): boolean;
  /** Has so many from now on, whether there is room or not: what is there already. */
  set(bytes: number, now: number): void;
  /** It is still there. */
  touch(now: number): void;
  release(): void;
}

/** Those that wait for room have taken some of it: each gives way at another time, so that not all of them do. */
const roomMs = 5_000;
/** Less than after which any budget gives up what is not touched. */
const keepMs = 5_000;
/** How often those who only ask what is held look for such. */
const usedLookMs = 1_000;

/** Takes more as soon as there is room, looking now and then; false where there was none for too long. */
export async function growLater(hold: Hold, bytes: number, lookMs: number): Promise<boolean> {
  for (const until = Date.now() + roomMs * (0.5 + Math.random()); Date.now() < until; ) {
    await scheduler.wait(lookMs * (0.5 + Math.random()));
    hold.touch(Date.now());
    if (hold.grow(bytes, Date.now())) return true;
  }
  return false;
}

/** What is held while the work goes on is not given up meanwhile, however long it takes: a request that is over looks no more. */
export async function keeping<T>(hold: Hold, work: Promise<T>): Promise<T> {
  const timer = setInterval(() => hold.touch(Date.now()), keepMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

export class Budget {
  readonly #holds = new Set<{ bytes: number; at: number }>();
  #bytes = 0;
  #lookedAt = 0;

  constructor(
    readonly bytesMax: number,
    readonly idleMs: number,
  ) {}

  hold(): Hold {
    const one = { bytes: 0, at: 0 };
    return {
      grow: (bytes, now) => {
        if (this.#bytes + bytes > this.bytesMax) this.#forget(now);
        if (this.#bytes + bytes > this.bytesMax) return false;
        // It may have been given up meanwhile: then it begins anew.
        if (!this.#holds.has(one)) one.bytes = 0;
        this.#holds.add(one);
        this.#bytes += bytes;
        one.bytes += bytes;
        one.at = now;
        return true;
      },
      set: (bytes, now) => {
        this.#drop(one);
        one.bytes = bytes;
        one.at = now;
        this.#bytes += bytes;
        this.#holds.add(one);
      },
      touch: (now) => {
        one.at = now;
      },
      release: () => this.#drop(one),
    };
  }

  /** Bytes that are held; those who were silent are looked for only where that makes a difference. */
  used(now: number): number {
    if (this.#bytes * 2 >= this.bytesMax && now - this.#lookedAt >= usedLookMs) this.#forget(now);
    return this.#bytes;
  }

  #forget(now: number): void {
    this.#lookedAt = now;
    for (const one of this.#holds) if (now - one.at > this.idleMs) this.#drop(one);
  }

  #drop(one: { bytes: number; at: number }): void {
    if (this.#holds.delete(one)) this.#bytes -= one.bytes;
  }
}
