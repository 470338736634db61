/** What an import says of itself: while it runs, and how it ended. */
import { Presets, SingleBar } from "cli-progress";
import { counted, print, Usage } from "../output.ts";
import { type Counts, minus } from "./counts.ts";
import type { Entry } from "./gather.ts";
import type { Input } from "./input.ts";
import type { Row } from "./row.ts";
import type { State } from "./state.ts";

/** Rows that are told of one by one. */
const toldMax = 20;

class Stopped extends Error {}

export class Report {
  /** Of this run. */
  rejected = 0;
  #told = 0;
  readonly #startedAt = performance.now();
  readonly #before: Counts;
  readonly #bar: SingleBar | undefined;

  constructor(
    readonly input: Input,
    readonly state: State,
    readonly args: { onError: "stop" | "skip"; json?: boolean },
  ) {
    const { counts, place } = state.saved;
    this.#before = counts;
    if (state.resumed && place.lines > 0) this.#say(`going on behind line ${place.lines}`);
    if (process.stderr.isTTY && input.stats !== undefined) {
      const format = "{bar} {percentage} %  {records} records  {rate}/s  {eta_formatted}";
      const bar = { format, stream: process.stderr, hideCursor: true, gracefulExit: false };
      this.#bar = new SingleBar(bar, Presets.shades_classic);
      this.#bar.start(input.stats.size, 0, { records: 0, rate: 0 });
    }
  }

  /** A row that becomes no record. Throws where that is to be the end. */
  bad({ line }: Row, why: string): void {
    if (this.args.onError === "stop") throw new Stopped(`line ${line}: ${why}`);
    this.#tell(`line ${line}: skipped: ${why}`);
  }

  reject(entries: readonly Entry[], { reason, detail }: { reason: string; detail: string }): void {
    this.rejected += entries.length;
    for (const { line } of entries) this.#tell(`line ${line}: rejected: ${reason}: ${detail}`);
  }

  progress(): void {
    const records = doneOf(this.state.saved.counts);
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const rate = Math.round((records - doneOf(this.#before)) / Math.max(seconds, 0.001));
    this.#bar?.update(this.input.read, { records, rate });
  }

  end(): void {
    this.#bar?.stop();
    const { saved, resumed } = this.state;
    const { counts } = this;
    if (this.args.json) print(JSON.stringify({ ...counts, ...(resumed && { total: saved.counts }) }));
    else print(`${summary(counts)}${resumed ? `; in all: ${summary(saved.counts)}` : ""}`);
  }

  /** Of this run. */
  get counts(): Counts {
    return minus(this.state.saved.counts, this.#before);
  }

  /** The error as it is told, with what has been done. */
  failed(error: unknown): unknown {
    this.#bar?.stop();
    const { place } = this.state.saved;
    const { path } = this.state;
    if (error instanceof Usage) return error;
    const again = path === undefined ? "" : "; the same command goes on from there";
    this.#say(`${summary(this.counts)}, up to line ${place.lines}${again}`);
    return error;
  }

  #tell(what: string): void {
    if (this.#told++ < toldMax) this.#say(what);
    else if (this.#told === toldMax + 1) this.#say("and more, which are only counted");
  }

  /** A bar that is on the line is drawn anew at its next update. */
  #say(what: string): void {
    console.error(this.#bar === undefined ? what : `\r\u001b[K${what}`);
  }
}

const doneOf = ({ imported, duplicates, rejected }: Counts) => imported + duplicates + rejected;

const summary = ({ imported, duplicates, ...others }: Counts): string =>
  [
    `${imported} imported`,
    ...(duplicates > 0 ? [counted(duplicates, "duplicate")] : []),
    ...Object.entries(others)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${count} ${name}`),
  ].join(", ");
