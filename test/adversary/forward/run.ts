/** One round: logs grow and are rotated, the forwarder and the service die and come back, and at last everything is there. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { onAbort, sleep } from "../frame/time.ts";
import { conclude } from "./conclusion.ts";
import { Forwarder } from "./forwarder.ts";
import { forwardInput } from "./input.ts";
import { Log } from "./log.ts";
import { befall } from "./log-beats.ts";
import type { Beat, ForwardPlan } from "./plan.ts";
import { probe } from "./probes.ts";
import { Stream } from "./stream.ts";
import { keyOf, Watch } from "./watch.ts";

export async function runForward(plan: ForwardPlan, round: Round): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-forward-"));
  const { options } = plan;
  const logs = plan.logs.map((log, number) => new Log(number, log, folder, options.relative));
  const files = logs.flatMap((log) => (log.plan.twice ? [log.typed, log.again] : [log.typed]));
  const flags = [options.text && "--text", options.quiet && "--quiet", options.json && "--json"].filter(
    (one) => one !== false,
  );
  const name = keyOf(plan);
  const key = name === undefined ? [] : ["--key", name];
  const forwarder = new Forwarder(round, folder, ["s", ...files, ...flags, ...key], folder);
  const stream = new Stream(round);
  const watch = new Watch(plan, round, stream, forwarder, logs);
  const unwatched = onAbort(round.stopped, () => forwarder.close());
  try {
    if (plan.input !== undefined) await forwardInput(plan.input, watch);
    else await new ForwardRun(watch).run();
  } finally {
    unwatched();
    forwarder.close();
    for (const log of logs) log.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class ForwardRun {
  #partitions: number;
  #service: Promise<void> = Promise.resolve();

  constructor(readonly watch: Watch) {
    this.#partitions = watch.plan.partitions;
  }

  async run(): Promise<void> {
    const { watch } = this;
    const { plan, logs } = watch;
    for (const log of logs) for (const line of log.plan.first) log.write(line);
    await watch.put(this.#partitions, plan.recordBytes, plan.batchBytes);
    await watch.start();
    // Of a file that it has never read it cannot know what becomes of it.
    for (const log of logs) if (log.lines.length > 0) await watch.settle(log);
    for (const beat of plan.beats) {
      await sleep(beat.afterMs, watch.round.stopped);
      if (watch.round.stopped.aborted) return;
      watch.stands();
      await this.#beat(beat);
    }
    for (const log of logs) await Promise.all([log.busy, log.late]);
    await this.#service;
    await conclude(watch);
  }

  async #beat(beat: Beat): Promise<void> {
    const { watch } = this;
    switch (beat.do) {
      case "stop":
        return watch.stop(beat.how, beat.amid);
      case "start":
        return watch.start();
      case "service":
        await this.#service;
        this.#service = watch.round.kill(beat.how);
        this.#service.catch(() => {});
        return;
      case "grow":
        this.#partitions++;
        return this.#patiently(() => watch.put(this.#partitions, watch.recordBytes, watch.batchBytes));
      case "limit":
        return this.#patiently(() => watch.put(this.#partitions, beat.recordBytes, beat.batchBytes));
      case "probe":
        return this.#patiently(() => probe(watch, beat.what));
      default:
        return befall(watch, beat);
    }
  }

  /** While the service is away nobody can be asked. */
  async #patiently(ask: () => Promise<void>): Promise<void> {
    await this.#service;
    try {
      await ask();
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      await this.watch.round.service.settled();
      await ask();
    }
  }
}
