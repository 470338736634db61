/** One import: over its deaths to its end, and what comes after. Everything is asserted by what the guide to clients says. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Round } from "../frame/round.ts";
import { sleep } from "../frame/time.ts";
import type { Read } from "../log/read.ts";
import { after } from "./after.ts";
import { counted, deathsSince, isEnd, judgeEnd } from "./ending.ts";
import { type Counts, type Ended, Importer } from "./importer.ts";
import { holds, idsTellApart } from "./model.ts";
import type { JobPlan, Mishap, RowPlan, RunPlan } from "./plan.ts";
import { openQuote } from "./rows.ts";
import { bytesOf, expectedOf, rowsBefore, type Source, sourceOf } from "./source.ts";
import { Filled } from "./stream.ts";
import { Wire } from "./wire.ts";

const endMs = 90_000;
const triesMax = 8;

/** The input as it is for the time being. */
export interface Phase {
  readonly rows: readonly RowPlan[];
  readonly source: Source;
  readonly bytes: Buffer;
  /** Why it cannot come to its end, and how that is told. */
  readonly until?: { readonly count: number; readonly says: RegExp };
}

export interface Outcome {
  readonly ended: Ended;
  /** It was killed, or the service was. */
  readonly disturbed: boolean;
  readonly before: readonly Read[];
  readonly now: readonly Read[];
}

export class Job {
  readonly stream: Filled;
  readonly piped: boolean;
  readonly path: string;
  readonly statePath: string | undefined;
  phase!: Phase;
  /** The file is as it was when the import began. */
  untouched = true;
  /** What the counts of all its runs are to be. */
  total!: Counts;
  /** Records that were there before what its state tells of. */
  already = 0;
  /** Some run did not come to its end. */
  broken = false;
  #wire!: Wire;
  runs = 0;

  constructor(
    readonly round: Round,
    readonly plan: JobPlan,
    readonly name: string,
    readonly folder: string,
  ) {
    const { batchBytesMax } = plan;
    const recordBytesMax = Math.floor(batchBytesMax / 4);
    const offsets = plan.source.offsets && { offsets: "producer" };
    this.stream = new Filled(round, name, plan.partitions, { batchBytesMax, recordBytesMax, ...offsets });
    this.piped = plan.door.startsWith("pipe");
    this.path = join(folder, name, this.#source(plan.source.rows).name);
    this.statePath = plan.door.endsWith("-state") ? join(folder, name, "progress") : undefined;
  }

  get subjects(): readonly string[] {
    return [this.name];
  }

  note(text: () => string): void {
    this.round.history.note(this.subjects, () => `${this.name}: ${text()}`);
  }

  #source(rows: readonly RowPlan[]): Source {
    return sourceOf({ ...this.plan.source, rows }, this.piped);
  }

  /** Makes the input what rows say. */
  write(rows: readonly RowPlan[], cut?: number): Phase {
    const source = this.#source(rows);
    const whole = bytesOf(source, this.plan.source);
    const bytes = cut === undefined ? whole : whole.subarray(0, Math.max(20, Math.floor((whole.length * cut) / 1000)));
    const isOpen = rows.at(-1)?.shape === openQuote;
    const stops = source.rows.findIndex(({ fate }) => fate === "bad");
    const bad = this.plan.onError === "stop" ? stops : isOpen ? rows.length - 1 : -1;
    this.phase = {
      rows,
      source,
      bytes,
      ...(bad >= 0 && {
        until: { count: bad, says: saying(source.lines[bad] as number, rows[bad]?.shape === openQuote) },
      }),
      ...(cut !== undefined && { until: { count: rowsBefore(source, this.plan.source, bytes), says: /cut off/ } }),
    };
    if (!this.piped) writeFileSync(this.path, bytes);
    return this.phase;
  }

  async run(): Promise<void> {
    const { plan } = this;
    this.#wire = await Wire.to(this.round);
    try {
      await this.stream.make();
      mkdirSync(dirname(this.path), { recursive: true });
      const first = plan.after.includes("added") ? Math.ceil(plan.source.rows.length * 0.7) : plan.source.rows.length;
      let rows = plan.source.rows.slice(0, first);
      this.write(rows, plan.cut);
      for (const run of plan.runs) await this.#disturbed(run);
      if (plan.twins) await this.#twins();
      for (let { until } = this.phase; until !== undefined; { until } = this.phase) {
        await this.#toEnd();
        rows = mended(rows, plan.onError === "skip");
        this.untouched = false;
        this.write(rows);
      }
      await this.#toEnd();
      for (const act of plan.after) await after(this, act);
    } finally {
      this.#wire.end();
    }
  }

  /** One run with what befalls it; what is there afterwards is a beginning of what has to be. */
  async #disturbed(run: RunPlan): Promise<void> {
    const { ended, now } = await this.start(run);
    if (ended.code !== 0) this.broken = true;
    this.held(now, false);
  }

  async #twins(): Promise<void> {
    await this.#wire.quiet();
    this.#wire.expect([], () => {});
    const both = [this.importer(), this.importer()];
    this.note(() => "two at once");
    const [one, other] = await Promise.all(both.map((importer) => this.#ended(importer)));
    const codes = [one?.code, other?.code];
    this.note(() => `they ended with ${codes}`);
    const allowed = codes.every((code) => code === 0 || code === 1 || code === 2);
    this.round.checks.that(
      "exit",
      allowed || this.round.deaths > 0,
      () => `two at once ended with ${codes}`,
      this.subjects,
    );
    this.broken = true;
    this.held(await this.stream.read(), false);
  }

  /** Runs it until it says that it is done, or what is wrong with its input. */
  async #toEnd(): Promise<void> {
    const { until } = this.phase;
    for (let tries = 0; tries < triesMax; tries++) {
      const outcome = await this.start({ mishaps: [] });
      const { ended, disturbed, now } = outcome;
      if (isEnd(this, ended)) return until === undefined ? this.done(outcome) : this.held(now, true, "bad-rows");
      this.held(now, false);
      const words = () => `the same command again ended with ${ended.code}: ${ended.out}${ended.err}`;
      const promise = this.broken ? "resumes" : "exit";
      this.round.checks.that(promise, disturbed, words, this.subjects);
      this.broken = true;
    }
    this.round.checks.that("resumes", false, () => `it is not done after ${triesMax} runs`, this.subjects);
  }

  /** It has said that it is done. */
  done({ ended, before, now }: Outcome): void {
    const { checks } = this.round;
    this.held(now, true);
    if (this.broken) checks.that("resumes", true, () => "");
    const { wants, duplicates, ignored, skipped, rejected } = expectedOf(this.phase.source);
    const imported = wants.length - this.already;
    this.total = { imported, duplicates: duplicates + this.already, rejected: rejected.length, skipped, ignored };
    counted(this, ended, before, now);
  }

  /** Asserts that the stream has what the rows say, or a beginning of it. */
  held(now: readonly Read[], whole: boolean, promise?: string): void {
    const { source, until } = this.phase;
    const count = until?.count ?? source.rows.length;
    const { wants } = expectedOf(source, count);
    const { onePartition } = this.stream;
    const { checks } = this.round;
    if (promise !== undefined) {
      const words = () => `there are ${now.length} records, of ${wants.length} rows before it`;
      checks.that(promise, now.length <= wants.length && (!whole || now.length === wants.length), words, this.subjects);
    }
    holds(this.round, now, wants, { whole, onePartition, subjects: this.subjects });
    if (this.plan.source.form === "changes") idsTellApart(this.round, now, this.subjects);
  }

  importer(more: readonly string[] = []): Importer {
    const { plan, phase, piped, path, statePath, name } = this;
    const args = [
      "import",
      name,
      ...(piped ? [] : [path]),
      ...phase.source.args,
      ...(statePath === undefined ? [] : ["--state", statePath]),
      ...(plan.door === "pipe-name" ? ["--producer", `of-${name}`] : []),
      ...(plan.onError === "skip" ? ["--on-error", "skip"] : []),
      ...(plan.json ? ["--json"] : []),
      ...more,
    ];
    this.round.operations += phase.rows.length;
    this.runs++;
    this.note(() => `millrace ${args.join(" ")}${piped ? ` < ${phase.bytes.length} bytes` : ""}`);
    return new Importer(this.round, this.#wire.origin, args, piped ? phase.bytes : undefined);
  }

  /** Runs it once. */
  async start({ mishaps, killMs }: RunPlan, more: readonly string[] = []): Promise<Outcome> {
    const { round } = this;
    if (round.stopped.aborted) throw new Error("the round was stopped");
    await this.#wire.quiet();
    const before = await this.stream.read();
    const since = deathsSince(round);
    const begun: Promise<void>[] = [];
    let importer: Importer | undefined;
    this.#wire.expect(mishaps, (mishap) => {
      const doing = this.#befall(mishap, importer as Importer);
      if (doing !== undefined) begun.push(doing);
    });
    importer = this.importer(more);
    if (killMs !== undefined) void sleep(killMs, round.stopped).then(() => importer.kill("SIGKILL"));
    const ended = await this.#ended(importer);
    await this.#wire.quiet();
    this.#wire.expect([], () => {});
    await Promise.all(begun);
    const { asked } = importer;
    this.note(() => `it ended with ${ended.code ?? ended.signal}: ${`${ended.out}${ended.err}`.trim().slice(0, 600)}`);
    judgeEnd(this, ended, asked, since());
    const disturbed = asked.length > 0 || since();
    return { ended, disturbed, before, now: await this.stream.read() };
  }

  async #ended(importer: Importer): Promise<Ended> {
    const { round } = this;
    const ended = await Promise.race([
      importer.ended,
      sleep(round.patient(endMs), round.stopped).then(() => undefined),
    ]);
    if (ended === undefined) importer.kill("SIGKILL");
    const words = () => `it had not ended after ${endMs / 1000} s`;
    round.checks.that("ends", ended !== undefined || round.stopped.aborted, words, this.subjects);
    return importer.ended;
  }

  /** Starts what is to happen; what takes a while is waited for when the run is over. */
  #befall({ kind, ms }: Mishap, importer: Importer): Promise<void> | undefined {
    const { round, stream } = this;
    const signals = { kill: "SIGKILL", term: "SIGTERM", interrupt: "SIGINT" } as const;
    switch (kind) {
      case "kill":
      case "term":
      case "interrupt":
        void sleep(ms).then(() => importer.kill(signals[kind]));
        return undefined;
      case "service-kill":
      case "service-term":
        return sleep(ms, round.stopped).then(() => round.kill(kind === "service-kill" ? "kill" : "term"));
      case "grow":
        return stream.grow();
      default:
        return undefined;
    }
  }

  /** What comes next has to be refused, or may be. */
  refusing = false;

  /** The file of its progress, where there is one. */
  get stateFile(): string | undefined {
    if (this.statePath !== undefined) return existsSync(this.statePath) ? this.statePath : undefined;
    if (this.piped) return undefined;
    const start = `${basename(this.path)}.${this.name}-`;
    const found = readdirSync(dirname(this.path)).find(
      (one) => one.startsWith(start) && one.endsWith(".millrace-import"),
    );
    return found && join(dirname(this.path), found);
  }

  forgetState(): void {
    const { stateFile } = this;
    if (stateFile !== undefined) rmSync(stateFile);
  }
}

/** How the row is named, or that with a quote that is not closed, of which only the end is known. */
const saying = (line: number, isOpen: boolean) => (isOpen ? /line \d+.*[Qq]uote/s : new RegExp(`line ${line}\\b`));

/** The first bad row is a good one now; where they are passed over, that which nothing passes. */
function mended(rows: readonly RowPlan[], isSkipping: boolean): RowPlan[] {
  const open = rows.at(-1)?.shape === openQuote ? rows.length - 1 : -1;
  const at = isSkipping ? open : rows.findIndex(({ shape }) => shape < 0);
  return rows.map((row, i) => (i === at ? { ...row, shape: -row.shape } : row));
}
