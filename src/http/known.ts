/**
 * What this Worker knows of the catalog's. It is used however old it is: what has become old is asked for anew behind the request
 * that met it, and stays in use where the catalog does not answer. Nobody waits but who asks first.
 */
import type { Result } from "../../schemas/errors.ts";
import { behind } from "../platform/behind.ts";

/** A Worker serves few streams; the bound only keeps a flood of names from filling its memory. */
const entriesMax = 10_000;
const freshMs = 30_000;
/** After so long it is asked again, where there was no answer: the request that asked may have been cut off. */
const askAgainMs = 5_000;

interface Entry<T> {
  readonly value: T;
  readonly at: number;
  askAt: number;
}

export class Known<T> {
  readonly #entries = new Map<string, Entry<T>>();

  /** What is known; `ask` is called where that is old, and what it answers is known from then on. */
  get(id: string, ask: () => Promise<Result<T>>): T | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const now = Date.now();
    if (now - entry.at >= freshMs && now >= entry.askAt) {
      entry.askAt = now + askAgainMs;
      behind(this.#refresh(id, entry, ask));
    }
    return entry.value;
  }

  set(id: string, value: T): void {
    this.#entries.delete(id);
    if (this.#entries.size >= entriesMax) this.#entries.delete(this.#entries.keys().next().value as string);
    this.#entries.set(id, { value, at: Date.now(), askAt: 0 });
  }

  delete(id: string): void {
    this.#entries.delete(id);
  }

  async #refresh(id: string, entry: Entry<T>, ask: () => Promise<Result<T>>): Promise<void> {
    const answer = await ask();
    // What was learnt meanwhile is newer.
    if (this.#entries.get(id) !== entry) return;
    if (answer.ok) this.set(id, answer.value);
    else this.delete(id);
  }
}
