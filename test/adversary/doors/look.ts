/** What one way out has shown: that it is all of it, and what went in. */
import { sleep } from "../frame/time.ts";
import type { Kept, Store } from "./feed.ts";
import { words } from "./feed.ts";
import type { Out } from "./plan.ts";
import { altered, type Manner, type Seen } from "./seen.ts";

const boundMs = 40_000;

export class Look {
  readonly seen = new Set<string>();

  constructor(
    readonly store: Store,
    readonly out: Out,
    readonly manner: Manner = {},
    readonly wanted: ReadonlyMap<string, Kept> = store.byPlace,
  ) {}

  /** A record. `again`: this way out may show one more than once. */
  take(seen: Seen, again = false): void {
    const { round } = this.store;
    const kept = this.wanted.get(seen.place) ?? this.store.byPlace.get(seen.place);
    const unknown = () => `${this.out}: a record of which nobody was told lies at ${seen.place}`;
    const one = round.checks.found("nothing-else", kept, unknown, [seen.place]);
    const about = [`${one.draft.n}`];
    const told = () => `${this.out}: ${seen.place}, ${words(one.draft)}`;
    round.checks.that("asked-for", this.wanted.has(seen.place), () => `${told()}, should not be there`, about);
    round.checks.that("once", again || !this.seen.has(seen.place), () => `${told()}, comes again`, about);
    this.seen.add(seen.place);
    const wrong = altered(one, seen, this.manner);
    round.checks.that(`same-${this.out}`, wrong === undefined, () => `${told()}: ${wrong}`, about);
  }

  get missing(): Kept[] {
    return [...this.wanted.values()].filter(({ place }) => !this.seen.has(place));
  }

  /** Waits until everything was seen. */
  async whole(): Promise<void> {
    const { round } = this.store;
    const end = performance.now() + round.patient(boundMs);
    while (this.missing.length > 0 && performance.now() < end && !round.stopped.aborted) await sleep(10);
    this.complete();
  }

  complete(): void {
    const { missing } = this;
    const [first] = missing;
    const lacking = () =>
      `${this.out}: ${missing.length} of ${this.wanted.size} are missing, the first ${first && words(first.draft)}`;
    this.store.round.checks.that(
      "complete",
      missing.length === 0,
      lacking,
      missing.slice(0, 3).map(({ draft }) => `${draft.n}`),
    );
  }
}
