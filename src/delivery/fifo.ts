/** First in, first out, without moving what is left at each step. */
export class Fifo<T> {
  #items: T[] = [];
  #at = 0;

  get size(): number {
    return this.#items.length - this.#at;
  }

  get first(): T | undefined {
    return this.#items[this.#at];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Puts one before the others. */
  unshift(item: T): void {
    if (this.#at > 0) this.#items[--this.#at] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#at];
    // What has gone is kept in memory by nobody here.
    if (this.#at < this.#items.length) this.#items[this.#at++] = undefined as T;
    if (this.#at === this.#items.length) this.clear();
    else if (this.#at > 1_024 && this.#at * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#at = 0;
  }
}
