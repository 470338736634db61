/** Promises, how often each was looked at, and the one that was broken. */

/** What every program asserts, whatever else it does. */
export const common = {
  "never-500": "no request is answered 500",
  answered: "every request is answered",
  accepted: "what the documents allow is not refused",
  over: "a round ends",
  alive: "the service does not end by itself",
} as const;

export class Violation extends Error {
  /** `subjects`: the records, keys, groups that the history is to be about. */
  constructor(
    readonly invariant: string,
    readonly words: string,
    readonly subjects: readonly string[] = [],
  ) {
    super(`${invariant}: ${words}`);
    this.name = "Violation";
  }
}

export class Checks {
  readonly counts = new Map<string, number>();
  /** Promises that are known to be broken: it is counted how often they were, and nothing more. */
  readonly tolerated: Map<string, number>;

  constructor(tolerated: Iterable<string> = []) {
    this.tolerated = new Map([...tolerated].map((name) => [name, 0]));
  }

  /** Asserts that a promise was kept. `words` say what was seen instead. */
  that(invariant: string, kept: boolean, words: () => string, subjects: readonly string[] = []): void {
    this.counts.set(invariant, (this.counts.get(invariant) ?? 0) + 1);
    if (kept) return;
    const before = this.tolerated.get(invariant);
    if (before === undefined) throw new Violation(invariant, words(), subjects);
    this.tolerated.set(invariant, before + 1);
  }

  /** Asserts that there is something, and gives it. */
  found<T>(invariant: string, value: T | undefined, words: () => string, subjects: readonly string[] = []): T {
    if (value === undefined) throw new Violation(invariant, words(), subjects);
    this.that(invariant, true, words, subjects);
    return value;
  }

  add(other: Checks): void {
    for (const map of ["counts", "tolerated"] as const) {
      for (const [name, count] of other[map]) this[map].set(name, (this[map].get(name) ?? 0) + count);
    }
  }
}
