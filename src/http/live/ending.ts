/** What a Worker holds for somebody with a ticket is over with that. */
export class Ending {
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(until: number | undefined, over: () => void) {
    if (until !== undefined) this.#timer = setTimeout(over, Math.max(0, until - Date.now()));
  }

  /** It is over before. */
  drop(): void {
    clearTimeout(this.#timer);
  }
}
