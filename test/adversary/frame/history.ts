/**
 * What was done and answered. A line is a time, what it is about, and a function that writes it: thousands are noted, and
 * only those that explain a failure are ever written.
 */
export interface Line {
  readonly at: number;
  /** Empty: it concerns everything, as a kill does. */
  readonly subjects: readonly string[];
  readonly text: () => string;
}

const linesMax = 100_000;

export class History {
  #lines: Line[] = [];
  readonly #started = performance.now();

  now(): number {
    return performance.now() - this.#started;
  }

  note(subjects: readonly string[], text: () => string): void {
    this.#lines.push({ at: this.now(), subjects, text });
    if (this.#lines.length > linesMax) this.#lines = this.#lines.slice(linesMax / 2);
  }

  /** The lines about these, and about everything; of many, the first few and the last. */
  about(subjects: readonly string[] | "all", most: number): string[] {
    const wanted = new Set(subjects);
    const chosen = this.#lines.filter(
      (line) => subjects === "all" || line.subjects.length === 0 || line.subjects.some((one) => wanted.has(one)),
    );
    const first = Math.min(10, Math.floor(most / 4));
    const cut = chosen.length > most;
    const shown = cut ? [...chosen.slice(0, first), ...chosen.slice(first - most)] : chosen;
    const lines = shown.map((line) => `${(line.at / 1000).toFixed(3).padStart(8)}  ${line.text()}`);
    if (cut) lines.splice(first, 0, `       …  ${chosen.length - most} lines are left out`);
    return lines;
  }
}
