/** Programs, one after another, for their share of the time; what each did, and what it found. */
import { attempt } from "./attempt.ts";
import { Checks, common } from "./checks.ts";
import type { Program, Scale } from "./program.ts";
import { Random } from "./random.ts";
import { type Found, failureText, progressText, summaryText } from "./report.ts";
import { Service } from "./service.ts";
import { follow, type Shrunk, shrink } from "./shrink.ts";

export interface SoakOptions {
  // biome-ignore lint/suspicious/noExplicitAny: programs of different plans stand in one list.
  readonly programs: readonly Program<any>[];
  readonly seed: string;
  /** In all; each program has an equal share. */
  readonly minutes: number;
  /** Rounds of each program at most. */
  readonly rounds?: number;
  /** Only this round, and of its plan what is left at the end of this path. */
  readonly round?: number;
  readonly path?: readonly string[];
  readonly scale: Scale;
  readonly shrinkSeconds: number;
  /** The repository whose service is tried; this one where it is left out. */
  readonly folder?: string;
  /** Ends the soak where it stands. */
  readonly stopped?: AbortSignal;
  say(line: string): void;
}

export interface Summary {
  readonly program: Program;
  readonly seed: string;
  rounds: number;
  operations: number;
  kills: number;
  readonly checks: Checks;
  /** By invariant: its first failure, and how often it failed. */
  readonly found: Map<string, Found>;
  /** Why it could not go on, where it could not. */
  untried?: string;
}

const progressMs = 20_000;

export async function soak(options: SoakOptions): Promise<Summary[]> {
  const summaries: Summary[] = [];
  for (const program of options.programs) {
    if (options.stopped?.aborted) break;
    const one = new Soak(program, options);
    try {
      await one.run();
    } catch (error) {
      // What was found before stands, and the next program has a service of its own.
      one.summary.untried = reasonOf(error);
      options.say(`${program.name}: it could not be tried: ${one.summary.untried}`);
    }
    summaries.push(one.summary);
  }
  return summaries;
}

/** A fault of the program's own is looked for in its code; any other is told in words. */
const reasonOf = (error: unknown): string => {
  const isOwn = error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
  return (isOwn ? error.stack : (error as Error)?.message) || String(error);
};

/** 1: a promise was broken, whatever else came of it; 2: one could not be tried; 0: all were kept. */
export function codeOf(summaries: readonly Summary[]): 0 | 1 | 2 {
  if (summaries.some(({ found }) => found.size > 0)) return 1;
  return summaries.some(({ untried }) => untried !== undefined) ? 2 : 0;
}

class Soak<Plan> {
  readonly summary: Summary;
  #service: Service | undefined;
  #killsBefore = 0;

  constructor(
    readonly program: Program<Plan>,
    readonly options: SoakOptions,
  ) {
    const { seed } = options;
    this.summary = { program, seed, rounds: 0, operations: 0, kills: 0, checks: new Checks(), found: new Map() };
    for (const name of Object.keys({ ...common, ...program.invariants })) this.summary.checks.counts.set(name, 0);
  }

  async run(): Promise<void> {
    const { options, program } = this;
    options.say(`${program.name}: ${program.summary}; seed ${options.seed}`);
    const end = performance.now() + (options.minutes * 60_000) / options.programs.length;
    let told = performance.now();
    try {
      for (let round = options.round ?? 0; !options.stopped?.aborted; round++) {
        await this.#round(round);
        if (options.round !== undefined || performance.now() > end || this.summary.rounds === options.rounds) break;
        if (performance.now() - told < progressMs) continue;
        told = performance.now();
        options.say(progressText(this.#counted()));
      }
    } finally {
      options.say(summaryText(this.#counted()));
      await this.#service?.stop();
    }
  }

  async #round(round: number): Promise<void> {
    const { options, program } = this;
    const plan = program.plan(new Random(`${options.seed}/${program.name}/${round}`), options.scale);
    const chosen = follow(program, plan, options.path ?? []);
    const { failure, operations, checks } = await attempt(program, chosen, await this.#alive(), options.scale);
    this.summary.rounds++;
    this.summary.operations += operations;
    this.summary.checks.add(checks);
    if (failure === undefined || options.stopped?.aborted) return;
    const known = this.summary.found.get(failure.violation.invariant);
    if (known !== undefined) {
      known.times++;
      return;
    }
    options.say(`${program.name}: round ${round} failed; looking for a shorter history`);
    const work = { program, service: () => this.#alive(), scale: options.scale, boundMs: options.shrinkSeconds * 1000 };
    const of = { program, seed: options.seed, round, given: options.path ?? [], whole: plan, times: 1 };
    let shrunk: Shrunk<Plan> = { plan: chosen, failure, path: [], again: [0, 0] };
    try {
      shrunk = await shrink(work, chosen, failure);
    } finally {
      const found = { ...of, shrunk } as Found;
      this.summary.found.set(failure.violation.invariant, found);
      options.say(failureText(found, options.scale));
    }
  }

  /** The service, and another one where it ended by itself. */
  async #alive(): Promise<Service> {
    await this.#service?.settled();
    if (this.#service?.died !== undefined) {
      this.#counted();
      await this.#service.stop();
      this.#service = undefined;
      this.#killsBefore = this.summary.kills;
    }
    this.#service ??= await Service.start(this.options.folder);
    return this.#service;
  }

  #counted(): Summary {
    this.summary.kills = this.#killsBefore + (this.#service?.kills ?? 0);
    return this.summary;
  }
}
