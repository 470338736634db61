/** One alarm for several who have something to do later. An object has only one. */
export class Alarms {
  #armed = Number.POSITIVE_INFINITY;
  /** What was set before this object came to be is known, or has fired. */
  #known = false;

  constructor(readonly storage: DurableObjectStorage) {}

  /** Makes sure that the object wakes at a time, in ms since 1970, or before it. One with the writes of the same run. */
  by(at: number): void {
    if (at >= this.#armed) return;
    this.#armed = at;
    if (!this.#known) void this.#keep();
    this.storage.setAlarm(at);
  }

  /** The alarm has fired: everybody looks, and says anew when. */
  fired(): void {
    this.#armed = Number.POSITIVE_INFINITY;
    this.#known = true;
  }

  /** The database was deleted, and the alarm with it. */
  deleted(): void {
    this.fired();
  }

  /** To be called before the first one is set: an earlier one, of the object that was here before, stays. */
  async #keep(): Promise<void> {
    this.#known = true;
    const before = await this.storage.getAlarm();
    if (before !== null) this.by(before);
  }
}
