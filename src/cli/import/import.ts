/** `import`: what a file holds, into a stream: every row once, in order, however often it is stopped and begun again. */

import { type StreamConfig, streamDefaults } from "../../../schemas/stream.ts";
import { type Millrace, MillraceError, type Stream } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import { attemptOf, type Run } from "../numbered.ts";
import { Usage } from "../output.ts";
import { showFirst } from "./dry-run.ts";
import { type Batch, gather } from "./gather.ts";
import { Input, markOf } from "./input.ts";
import { formatOf, type ImportOptions, mapOf, optionsOf, rowsOf } from "./options.ts";
import { recordOf } from "./record.ts";
import { Report } from "./report.ts";
import { producerOf, State } from "./state.ts";

export interface ImportArgs extends ImportOptions {
  stream: string;
  file?: string;
  producer?: string;
  state?: string;
  onError: "stop" | "skip";
  dryRun?: boolean;
  json?: boolean;
}

const batchBytesMax = 1_048_576;
const batchRecordsMax = 10_000;
/** Some minutes: as long as a service may be away without anybody having to come back to this. */
const patience = { attempts: 30, initialMs: 200, maxMs: 10_000 };

export async function importRows(millrace: Millrace, args: ImportArgs): Promise<void> {
  const path = args.file === "-" ? undefined : args.file;
  if (path === undefined && process.stdin.isTTY) throw new Usage("give a file, or rows on the standard input");
  const format = formatOf(args.format, path, args);
  const stream = millrace.stream(args.stream);
  const info = await stream.info();
  const config = { ...streamDefaults, ...info.config } as StreamConfig;
  const input = await Input.open(path);
  if (args.dryRun)
    return showFirst(
      rowsOf(format, input.from(undefined), { bytes: 0, lines: 0 }, args),
      mapOf(format, args, config, false),
      config,
    );
  const options = optionsOf(format, args);
  const named = args.producer === undefined ? input.identity : [args.producer, input.stats?.size];
  // Another input that begins alike must not be taken for this one: without a file and a name, nobody could tell.
  const producer =
    named.length === 0
      ? `import-${crypto.randomUUID()}`
      : producerOf(info.logId, named, input.head, options, args.onError, bytesMaxOf(config));
  const state = State.open(args.state ?? (path === undefined ? undefined : `${path}.millrace-import`), {
    stream: args.stream,
    logId: info.logId,
    options,
    producer,
    sequence: 0,
    startedAt: Date.now(),
    bytesMax: bytesMaxOf(config),
    place: { bytes: input.start, lines: 0 },
    head: input.head,
    before: markOf(new Uint8Array(0)),
    counts: { imported: 0, duplicates: 0, rejected: 0, skipped: 0, ignored: 0 },
    done: false,
  });
  const report = new Report(input, state, args);
  try {
    await new Import(stream, input, state, report, config).run(format, args);
    report.end();
  } catch (error) {
    throw report.failed(error);
  } finally {
    state.close();
  }
  if (report.rejected > 0) process.exitCode = 1;
}

/** A batch that is one record has room for that record, whatever the stream's limits. */
const bytesMaxOf = (config: StreamConfig) => Math.min(batchBytesMax, Math.floor(config.batchBytesMax / 2));

class Import {
  readonly #stop = new AbortController();
  /** The next batch may be one whose answer was not heard. */
  #repeats: boolean;

  constructor(
    readonly stream: Stream,
    readonly input: Input,
    readonly state: State,
    readonly report: Report,
    readonly config: StreamConfig,
  ) {
    this.#repeats = state.resumed && !state.saved.done;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => this.#stop.abort(new Error("stopped")));
    }
  }

  async run(format: ReturnType<typeof formatOf>, args: ImportArgs): Promise<void> {
    const { input, state, report } = this;
    const { columns, place, bytesMax, sending } = state.saved;
    const map = mapOf(format, args, this.config, state.resumed);
    const known = { ...args, ...(columns === undefined ? {} : { columns: [...columns] }) };
    let named = columns;
    const onColumns = (names: readonly string[]) => {
      named = names;
    };
    const rows = rowsOf(format, input.from(state.marked), place, known, onColumns);
    const batches = gather(rows, {
      bytesMax,
      recordsMax: batchRecordsMax,
      firstMax: state.resumed ? sending : undefined,
      convert: (row) => recordOf(row, map, this.config, state.saved.startedAt),
      bad: (row, why) => report.bad(row, why),
    });
    // One is read while the one before is on its way.
    let next = take(batches);
    const { signal } = this.#stop;
    for (let batch = await unless(signal, next); !batch.done; batch = await unless(signal, next)) {
      next = take(batches);
      if (!state.resumed && state.saved.sequence === 0) state.save({ ...(named && { columns: named }) });
      await this.#append(batch.value);
    }
    if (state.path !== undefined && !state.saved.done) state.save({ done: true });
  }

  /** Appends a batch. How long it is, is written down first: it has to be the same one if it must be sent again. */
  async #append(batch: Batch): Promise<void> {
    if (batch.frames === undefined) return this.#settle(batch, [], false);
    this.state.save({ sending: batch.entries.length });
    this.#settle(batch, await this.#send(batch.frames, batch.entries.length), true);
  }

  #settle({ entries }: Batch, runs: readonly Run[], numbered: boolean): void {
    const { input, state, report } = this;
    const { after, skipped, ignored } = entries[entries.length - 1];
    const counts = { ...state.saved.counts };
    counts.skipped += skipped;
    counts.ignored += ignored;
    let at = 0;
    for (const run of runs) {
      // The answer to a batch that is repeated calls its records duplicates of themselves.
      if (run.verdict === "rejected") {
        counts.rejected += run.count;
        report.reject(entries.slice(at, at + run.count), run);
      } else if (run.verdict === "appended" || this.#repeats) counts.imported += run.count;
      else counts.duplicates += run.count;
      at += run.count;
    }
    this.#repeats = false;
    const sequence = state.saved.sequence + (numbered ? 1 : 0);
    state.save({ sequence, place: after, before: input.before(after.bytes), counts, done: false, sending: undefined });
    input.forget(after.bytes);
    report.progress();
  }

  /**
   * Sends a batch until it is answered. One that is older than what a partition remembers was answered in full before:
   * never is a batch sent before every partition has answered the one ahead of it.
   */
  async #send(frames: Uint8Array, count: number): Promise<readonly Run[]> {
    const { producer, sequence } = this.state.saved;
    const { signal } = this.#stop;
    const attempt = await attemptOf(this.stream, frames, { producer, sequence, signal });
    const there = (count: number): Run => ({ verdict: "duplicate", partition: 0, offset: 0, count });
    try {
      const runs = await retrying(attempt, patience, signal, ({ retryable }) => retryable);
      const refused = runs.find((run) => run.verdict === "rejected" && fatal.has(run.reason));
      if (refused?.verdict === "rejected" && refused.reason === conflict) throw changed(sequence);
      if (refused?.verdict === "rejected") throw new Error(refused.detail);
      return runs.map((run) => (run.verdict === "rejected" && run.reason === stale ? there(run.count) : run));
    } catch (error) {
      if (error instanceof MillraceError && error.code === stale) return [there(count)];
      if (error instanceof MillraceError && error.code === conflict) throw changed(sequence);
      throw error;
    }
  }
}

const stale = "sequence-stale";
const conflict = "sequence-conflict";
const changed = (sequence: number) =>
  new Usage(`the input is not what was being imported: batch ${sequence} had other rows when it was sent first`);
/** Verdicts on the import rather than on a record. */
const fatal = new Set([conflict, "fenced", "sequence-gap", "sealed", "stream-not-found"]);

/** The next batch. That it failed is told when it is asked for. */
function take(batches: AsyncGenerator<Batch, void, undefined>) {
  const next = batches.next();
  next.catch(() => {});
  return next;
}

/** A promise, or the signal's reason where that comes first. It leaves nothing with the signal, which outlives it. */
function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
