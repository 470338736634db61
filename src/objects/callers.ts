/**
 * Members that pull, and wait. When there is something for them, as many are woken as it may be enough for, first come first
 * served; whoever was woken comes and takes it. One that does not come, because its member has gone, makes room for the next.
 */
interface Caller {
  readonly member: string;
  readonly max: number;
  readonly wake: () => void;
}

/** How long somebody who was woken is waited for. */
const comesMs = 100;

export class Callers {
  /** By the name of the call, in the order in which they came. */
  readonly #waiting = new Map<string, Caller>();
  /** Calls that are under way, and whether their members have gone. */
  readonly #begun = new Map<string, boolean>();
  /** Woken, and not here yet. */
  readonly #woken = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** They were told that it was. */
  #split = false;

  constructor(
    /** Whether a member could take something now. */
    readonly mayTake: (member: string) => boolean,
    /** How many records there are to take, about. */
    readonly there: () => number,
    readonly isSplit: () => boolean,
  ) {}

  get size(): number {
    return this.#waiting.size;
  }

  begin(call: string): void {
    this.#begun.set(call, false);
  }

  end(call: string): void {
    this.#begun.delete(call);
  }

  /** Whether its member has gone meanwhile. */
  hasGone(call: string): boolean {
    return this.#begun.get(call) ?? false;
  }

  /** Resolves when it is worth to look, or after a time; false where another waits under its name: nobody waits for this one. */
  wait(call: string, member: string, max: number, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        const own = this.#waiting.get(call)?.wake === end;
        if (own) this.#waiting.delete(call);
        resolve(own);
      };
      const timer = setTimeout(end, ms);
      const before = this.#waiting.get(call);
      this.#waiting.set(call, { member, max, wake: end });
      before?.wake();
    });
  }

  /** Somebody who was woken has come, or says that he does not come. */
  came(call: string): void {
    this.#woken.delete(call);
  }

  /** Its member has gone. */
  cancel(call: string): void {
    if (this.#begun.has(call)) this.#begun.set(call, true);
    this.#waiting.get(call)?.wake();
    this.came(call);
  }

  /** Wakes as many as there is something for; all of them when the partition was split: they wait for what continues it, too. */
  offer(): void {
    const split = this.isSplit();
    if (split && !this.#split) this.wakeAll();
    this.#split = split;
    if (this.#waiting.size === 0) return;
    let left = this.there();
    for (const max of this.#woken.values()) left -= max;
    for (const [call, { member, max, wake }] of this.#waiting) {
      if (left <= 0) break;
      if (!this.mayTake(member)) continue;
      left -= max;
      this.#woken.set(call, max);
      wake();
    }
    if (this.#woken.size > 0) this.#timer ??= setTimeout(() => this.#forget(), comesMs);
  }

  wakeAll(): void {
    for (const { wake } of [...this.#waiting.values()]) wake();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.wakeAll();
  }

  #forget(): void {
    this.#timer = undefined;
    this.#woken.clear();
    this.offer();
  }
}
