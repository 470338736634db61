/** `import`: what a file holds, into a stream: every row once, in order, however often it is stopped and begun again. */

import { type StreamConfig, streamDefaults } from "../../../schemas/stream.ts";
import { type Millrace, MillraceError, type Stream, type StreamInfo } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import { readCursor } from "../../log/cursor.ts";
import { fileOf } from "../arguments.ts";
import { attemptOf, type Run } from "../numbered.ts";
import { Usage } from "../output.ts";
import { BadPacking } from "../unpacking.ts";
import { none, plus, type Tails, tally, there } from "./counts.ts";
import { showFirst } from "./dry-run.ts";
import { type Batch, gather } from "./gather.ts";
import { Input, markOf, statOf } from "./input.ts";
import { formatOf, type ImportOptions, mapOf, optionsOf, rowsOf, shapeOf } from "./options.ts";
import { recordOf } from "./record.ts";
import { Report } from "./report.ts";
import type { Place } from "./row.ts";
import { pathFor, producerOf, type Saved, State } from "./state.ts";

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
  const path = pathOf(args);
  if (path === undefined && process.stdin.isTTY) throw new Usage("give a file, or rows on the standard input");
  // Before a delimiter is taken from the name.
  const isSaid = args.delimiter !== undefined;
  const format = { name: formatOf(args.format, path, args), isSaid };
  const stream = millrace.stream(args.stream);
  const info = await stream.info();
  // Said before anything of a state is.
  if (path !== undefined) statOf(path);
  // From now on: a pipe may send nothing for long.
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stop.abort(new Error("stopped")));
  }
  if (args.dryRun) return work(stream, info, format, args, undefined, stop.signal);
  const place = args.state ?? (path === undefined ? undefined : pathFor(path, args.stream, info.logId));
  const unlock = State.lock(place);
  try {
    await work(stream, info, format, args, place, stop.signal);
  } finally {
    unlock();
  }
}

/** None: the standard input. */
const pathOf = ({ file }: ImportArgs) => fileOf(file);

/** `place`: where the progress is kept, if it is. */
async function work(
  stream: Stream,
  info: StreamInfo,
  { name: format, isSaid }: { readonly name: ReturnType<typeof formatOf>; readonly isSaid: boolean },
  args: ImportArgs,
  place: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const path = pathOf(args);
  const config = { ...streamDefaults, ...info.config } as StreamConfig;
  const input = await unless(signal, Input.open(path, args.encoding));
  const { begin, ...shape } = shapeOf(format, input, args, isSaid);
  const read = { ...args, ...shape };
  if (args.dryRun) {
    await unless(signal, check(input, format, args, begin));
    const rows = rowsOf(format, input.from(begin), begin, read);
    return unless(signal, showFirst(rows, mapOf(format, args, config, false), config));
  }
  const options = optionsOf(format, args);
  const named = args.producer === undefined ? input.identity : [args.producer, input.stats?.size];
  // Another input that begins alike must not be taken for this one: without a file and a name, nobody could tell.
  const producer =
    named.length === 0
      ? `import-${crypto.randomUUID()}`
      : producerOf(info.logId, named, input.head, options, args.onError, bytesMaxOf(config));
  const state = State.open(place, {
    namespace: info.namespace,
    stream: args.stream,
    logId: info.logId,
    options,
    producer,
    sequence: 0,
    startedAt: Date.now(),
    bytesMax: bytesMaxOf(config),
    place: begin,
    head: input.headBefore(begin.bytes),
    before: markOf(new Uint8Array(0)),
    counts: none,
    done: false,
  });
  const report = new Report(input, state, args);
  try {
    await unless(signal, check(input, format, args, state.saved.place));
    if (state.saved.tails === undefined) state.saved = { ...state.saved, tails: await tailsOf(stream) };
    await new Import(stream, input, state, report, config, signal).run(format, read, begin);
    report.end();
  } catch (error) {
    throw report.failed(error);
  }
  if (report.rejected > 0) process.exitCode = 1;
}

/** A batch that is one record has room for that record, whatever the stream's limits. */
const bytesMaxOf = (config: StreamConfig) => Math.min(batchBytesMax, Math.floor(config.batchBytesMax / 2));

/**
 * Rows that cannot be decoded are bad ones in NDJSON, or where UTF-8 was said; else all of them are looked at before. Of a file
 * that is cut off, lines are imported as far as they go, and CSV is not.
 */
async function check(input: Input, format: string, { encoding }: ImportArgs, place: Place): Promise<void> {
  const isCsv = format === "csv";
  try {
    if (input.source.encoding !== undefined || (isCsv && encoding === undefined)) await input.check(place);
    else if (isCsv && input.source.packed) await input.readThrough();
  } catch (error) {
    if (!(error instanceof BadPacking)) throw error;
    if (isCsv) throw new Usage(error.message);
  }
}

/** Where the partitions end. */
async function tailsOf({ http, path }: Stream): Promise<Tails> {
  const query = { from: "latest", limit: 1 };
  const { cursor } = await http.json<{ cursor: string }>("GET", `${path}/records`, { cursor: "" }, { query });
  return Object.fromEntries(readCursor(cursor)?.offsets ?? []);
}

class Import {
  #columns: readonly string[] | undefined;

  constructor(
    readonly stream: Stream,
    readonly input: Input,
    readonly state: State,
    readonly report: Report,
    readonly config: StreamConfig,
    /** Aborted when it is to stop. */
    readonly signal: AbortSignal,
  ) {}

  async run(format: ReturnType<typeof formatOf>, args: ImportOptions, begin: Place): Promise<void> {
    const { input, state, report } = this;
    const { columns, place, bytesMax, sending, startedAt } = state.saved;
    // Where nothing is known to be there, the names of the columns are still to be read.
    const isBehind = place.bytes > begin.bytes;
    const map = mapOf(format, args, this.config, isBehind);
    const known = isBehind && columns !== undefined ? { ...args, columns } : args;
    const from = isBehind ? place : begin;
    const rows = rowsOf(format, input.from(from, state.marked), from, known, (names) => {
      this.#columns = names;
    });
    const batches = gather(rows, {
      bytesMax,
      recordsMax: batchRecordsMax,
      firstMax: state.resumed ? sending : undefined,
      convert: (row) => recordOf(row, map, this.config, startedAt),
      bad: (row, why) => report.bad(row, why),
    });
    // One is read while the one before is on its way.
    let next = take(batches);
    const { signal } = this;
    for (let batch = await unless(signal, next); !batch.done; batch = await unless(signal, next)) {
      next = take(batches);
      await this.#append(batch.value);
    }
    if (state.path !== undefined && !state.saved.done) state.save({ done: true });
  }

  /** Appends a batch. How long it is, is written down first: it has to be the same one if it must be sent again. */
  async #append(batch: Batch): Promise<void> {
    if (batch.frames === undefined) return this.#settle(batch, [], false);
    const { after } = batch.entries[batch.entries.length - 1];
    this.#save({ sending: batch.entries.length, head: this.input.headBefore(after.bytes) });
    this.#settle(batch, await this.#send(batch.frames, batch.entries.length), true);
  }

  #settle({ entries }: Batch, runs: readonly Run[], numbered: boolean): void {
    const { input, state, report } = this;
    const { after, skipped, ignored } = entries[entries.length - 1];
    const { saved } = state;
    const { counts, tails } = tally(runs, saved.tails ?? {});
    let at = 0;
    for (const run of runs) {
      if (run.verdict === "rejected") report.reject(entries.slice(at, at + run.count), run);
      at += run.count;
    }
    this.#save({
      sequence: saved.sequence + (numbered ? 1 : 0),
      place: after,
      head: input.headBefore(after.bytes),
      before: input.before(after.bytes),
      counts: plus(saved.counts, { ...counts, skipped, ignored }),
      tails,
      done: false,
      sending: undefined,
    });
    input.forget(after.bytes);
    report.progress();
  }

  /** The names of the columns stand at the start of the input alone. */
  #save(change: Partial<Saved>): void {
    this.state.save({ ...change, ...(this.#columns && { columns: this.#columns }) });
  }

  /**
   * Sends a batch until it is answered. One that is older than what a partition remembers was answered in full before:
   * never is a batch sent before every partition has answered the one ahead of it.
   */
  async #send(frames: Uint8Array, count: number): Promise<readonly Run[]> {
    const { producer, sequence } = this.state.saved;
    const { signal } = this;
    const attempt = await attemptOf(this.stream, frames, { producer, sequence, signal });
    try {
      const runs = await retrying(
        attempt,
        { ...this.stream.http.options.retry, ...patience },
        signal,
        ({ retryable }) => retryable,
      );
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
