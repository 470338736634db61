/** Runs a script: one stream, step by step, with the model beside it. */
import { Violation } from "../frame/checks.ts";
import type { Gate } from "../frame/gate.ts";
import { type Answer, type Call, type Json, Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { eventually, sleep } from "../frame/time.ts";
import type { Batch } from "./batch.ts";
import type { Follower } from "./follower.ts";
import { Model } from "./model.ts";
import type { Filter, Script } from "./plan.ts";
import { carryOut } from "./steps.ts";
import { readTruth } from "./truth.ts";

/** A place in the middle of the stream that a reader kept. */
export interface Bookmark {
  readonly cursor: string;
  readonly partition: number | null;
  readonly filter: Filter;
  /** The next offset of each partition; one that is not named came later. */
  readonly places: ReadonlyMap<number, number>;
}

export interface Producer {
  epoch: number;
  next: number;
}

const steadyMs = 45_000;
const followMs = 20_000;

export class ScriptRun {
  readonly model: Model;
  readonly stream: string;
  readonly followers = new Map<string, Follower>();
  readonly bookmarks: Bookmark[] = [];
  readonly producers = new Map<string, Producer>();
  #failure: unknown;

  constructor(
    readonly round: Round,
    readonly script: Script,
    readonly number: number,
  ) {
    this.model = new Model(round);
    this.stream = `/v1/${round.name}/streams/s${number}`;
  }

  async run(gate: Gate): Promise<void> {
    const { terms, steps } = this.script;
    const { retention, stamps, ...rest } = terms;
    this.model.trimmed = retention !== undefined;
    await this.steady("PUT", this.stream, {
      ...rest,
      ...(stamps && { timestamps: "client" }),
      // Retention waits for the ids.
      ...(retention === undefined
        ? { deduplicationWindowMs: 3_600_000 }
        : { deduplicationWindowMs: 0, retentionRecords: retention }),
    });
    for (const [number, step] of steps.entries()) {
      this.note([], () => `step ${number}: ${step.do}`);
      await gate.step(
        number,
        () => carryOut(this, step),
        async () => {},
      );
      this.rethrow();
    }
    await gate.rest(steps.length, async () => {});
    await this.end();
  }

  /** Nothing is written any more: followers get the rest, and everything is looked at once more. */
  async end(): Promise<void> {
    await readTruth(this);
    for (const follower of this.followers.values()) {
      const whole = await eventually(
        async () => {
          this.rethrow();
          if (this.round.stopped.aborted) return true;
          return follower.missing().length === 0;
        },
        followMs,
        50,
      );
      // What an unanswered request did late is due as well, but may still be on its way.
      if (!whole) await readTruth(this);
      follower.check();
      follower.leave();
      await follower.over;
    }
    this.rethrow();
  }

  now(): number {
    return this.round.now();
  }

  /** About some records, or about all of the script. */
  note(subjects: readonly string[], text: () => string): void {
    const scoped =
      subjects.length === 0 ? [`s${this.number}`] : subjects.map((subject) => `s${this.number}:${subject}`);
    this.round.history.note(scoped, text);
  }

  /** What happens to followers happens outside of any step; it fails the next one. */
  failed(error: unknown): void {
    this.#failure ??= error;
  }

  rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A request that may be repeated until it is answered with success. */
  async steady(method: string, path: string, body?: Json, call: Call = {}): Promise<Answer> {
    const answer = await this.answered(method, path, {
      ...call,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const words = () => `${method} ${path} was answered ${answer.status}: ${answer.body.toString().slice(0, 1000)}`;
    // Deleted by a request whose answer a kill took.
    const gone = method === "DELETE" && answer.status === 404;
    this.round.checks.that("accepted", answer.status < 300 || gone, words);
    return answer;
  }

  /** The first answer that is one, over deaths of the service. */
  async answered(method: string, path: string, call: Call = {}): Promise<Answer> {
    const end = performance.now() + steadyMs;
    for (;;) {
      try {
        const answer = await this.round.call(method, path, call);
        if (answer.status !== 503 || performance.now() > end) return answer;
      } catch (error) {
        if (!(error instanceof Lost) || call.signal?.aborted || performance.now() > end) throw error;
      }
      if (this.round.stopped.aborted) throw new Error("the round was stopped");
      await sleep(100, this.round.stopped);
    }
  }

  /** A share of a list, by place. */
  share<T>(list: readonly T[], share: number): T | undefined {
    return list[Math.min(list.length - 1, Math.floor(share * list.length))];
  }

  /** Batches that were answered, and are remembered. */
  answeredBatches(which: (batch: Batch) => boolean): Batch[] {
    return this.model.batches.filter((batch) => batch.places !== undefined && which(batch));
  }
}

/** Whose violation it is, so that the history is about it, and the others can be left out. */
export function blame(error: unknown, number: number): unknown {
  if (!(error instanceof Violation)) return error;
  const subjects = error.subjects.map((subject) => `s${number}:${subject}`);
  return new Violation(error.invariant, error.words, [`s${number}`, ...subjects]);
}
