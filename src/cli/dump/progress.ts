/** A bar on a terminal, and nothing anywhere else. */
import { Presets, SingleBar } from "cli-progress";

export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #startedAt = performance.now();
  #done = 0;
  #total = 0;

  constructor(what: string, total: number) {
    this.#total = total;
    if (!process.stderr.isTTY) return;
    const format = `${what} {bar} {percentage} %  {megabytes} MB  {rate} MB/s  {eta_formatted}`;
    const options = { format, stream: process.stderr, hideCursor: true, gracefulExit: false };
    this.#bar = new SingleBar(options, Presets.shades_classic);
    this.#bar.start(total, 0, { megabytes: 0, rate: 0 });
  }

  /** So many bytes more are to be expected. */
  expect(bytes: number): void {
    this.#total += bytes;
    this.#bar?.setTotal(this.#total);
  }

  add(bytes: number): void {
    this.#done += bytes;
    const megabytes = this.#done / 1e6;
    const rate = megabytes / Math.max(0.001, (performance.now() - this.#startedAt) / 1_000);
    this.#bar?.update(Math.min(this.#done, this.#total), { megabytes: megabytes.toFixed(1), rate: rate.toFixed(1) });
  }

  end(): void {
    this.#bar?.stop();
  }
}
