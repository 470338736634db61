/** One alarm for several who have something to do later. An object has only one. */
export class Alarms {
  #armed = Number.POSITIVE_INFINITY;

  constructor(readonly storage: DurableObjectStorage) {}

  /** Makes sure that the object wakes at a time, in ms since 1970, or before it. One with the writes of the same run. */
  by(at: number): void {
    if (at >= this.#armed) return;
    this.#armed = at;
    this.storage.setAlarm(at);
  }

  /** The alarm has fired: everybody looks, and says anew when. */
  fired(): void {
    this.#armed = Number.POSITIVE_INFINITY;
  }
}
