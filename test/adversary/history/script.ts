/** Runs a script: a stream and its copies, step by step, with a model of each beside it. */
import { Violation } from "../frame/checks.ts";
import type { Gate } from "../frame/gate.ts";
import { type Answer, type Call, type Json, Lost } from "../frame/http.ts";
import type { Mishap, Operation, Spoiler } from "../frame/mishap.ts";
import type { Round } from "../frame/round.ts";
import { sleep } from "../frame/time.ts";
import { ended } from "./ended.ts";
import { Model } from "./model.ts";
import type { Script, StoreFault } from "./plan.ts";
import { carryOut } from "./steps.ts";

const steadyMs = 45_000;

export class ScriptRun {
  readonly logs: Model[] = [];
  /** Namespaces besides the round's. */
  readonly elsewhere = new Set<string>();
  /** What ails the store. */
  fault: StoreFault | undefined;
  /** Since the store was ill, or the service died, it was not seen that everything is archived. */
  unsettled = false;
  /** An upload may have been cut off: for ten minutes, which is longer than a script, it may come yet, and receipts wait for that. */
  cutOff = false;
  records = 0;
  erasures = 0;
  copies = 0;
  #requests = 0;

  constructor(
    readonly round: Round,
    readonly script: Script,
    readonly number: number,
  ) {}

  /** Of its streams and secrets. */
  get name(): string {
    return `s${this.number}`;
  }

  get secret(): string {
    return `${this.round.name}-${this.name}`;
  }

  async run(gate: Gate): Promise<void> {
    const died = async () => {
      this.unsettled = true;
      this.cutOff = true;
    };
    try {
      await this.#begin();
      for (const [number, step] of this.script.steps.entries()) {
        this.note([], () => `step ${number}: ${JSON.stringify(step).slice(0, 300)}`);
        await gate.step(number, () => carryOut(this, step), died);
      }
      await gate.rest(this.script.steps.length, died);
      await ended(this);
    } finally {
      this.ail(undefined);
      for (const namespace of this.elsewhere) await this.#remove(namespace);
    }
  }

  async #begin(): Promise<void> {
    const { partitions, settings } = this.script;
    const path = `/v1/${this.round.name}/streams/${this.name}`;
    const { json } = await this.steady("PUT", path, { partitions, deduplicationWindowMs: 0, ...settings });
    this.logs.push(new Model(path, json.logId, { deduplicationWindowMs: 0, ...settings }));
    const group = { start: "earliest", maxDeliveries: 1, onFailure: "skip" };
    await this.steady("PUT", `${path}/groups/g`, group);
  }

  async #remove(namespace: string): Promise<void> {
    try {
      await this.round.http.call("DELETE", `/v1/${namespace}?force=true`, { timeoutMs: 10_000 });
    } catch (error) {
      if (!(error instanceof Lost)) throw error; // The data go with the soak.
    }
  }

  /** The stream that a step is about. */
  log(on = 0): Model {
    return this.logs[on % this.logs.length] as Model;
  }

  /** From now on the store ails so, for what is the script's. */
  ail(fault: StoreFault | undefined): void {
    this.fault = fault;
    if (fault !== undefined) this.unsettled = true;
    for (const log of this.logs) this.ailing(log.logId);
  }

  ailing(logId: string): void {
    const { fault } = this;
    const { bucket } = this.round.service;
    const spoiler: Spoiler | undefined = fault && ((operation) => this.#mishap(fault, operation));
    bucket.spoil(logId, spoiler);
  }

  #mishap({ on, every, mishap }: StoreFault, operation: Operation): Mishap | undefined {
    if (!on.includes(operation) || this.#requests++ % every !== 0) return undefined;
    this.cutOff ||= operation === "write";
    return mishap;
  }

  note(subjects: readonly string[], text: () => string): void {
    const scoped = subjects.length === 0 ? [this.name] : subjects.map((subject) => `${this.name}:${subject}`);
    this.round.history.note(scoped, text);
  }

  that(invariant: string, kept: boolean, words: () => string, subjects: readonly string[] = []): void {
    this.round.checks.that(invariant, kept, words, subjects);
  }

  /** A request that may be repeated until it is answered with success. */
  async steady(method: string, path: string, body?: Json, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await this.answered(method, path, {
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const words = () => `${method} ${path} was answered ${answer.status}: ${answer.body.toString().slice(0, 1000)}`;
    this.that("accepted", answer.status < 300, words);
    return answer;
  }

  /** The first answer that is one, over deaths of the service; 503 is none, unless it is wanted. */
  async answered(method: string, path: string, call: Call = {}, wanted = false): Promise<Answer> {
    const end = performance.now() + this.round.patient(steadyMs);
    for (;;) {
      try {
        const answer = await this.round.call(method, path, call);
        if (answer.status !== 503 || wanted || performance.now() > end) return answer;
      } catch (error) {
        if (!(error instanceof Lost) || performance.now() > end) throw error;
      }
      if (this.round.stopped.aborted) throw new Error("the round was stopped");
      await sleep(100, this.round.stopped);
    }
  }

  /** A share of a list, by place. */
  share<T>(list: readonly T[], share: number): T | undefined {
    return list[Math.min(list.length - 1, Math.floor(share * list.length))];
  }
}

/** Whose violation it is, so that the history is about it, and the others can be left out. */
export function blame(error: unknown, number: number): unknown {
  if (!(error instanceof Violation)) return error;
  const subjects = error.subjects.map((subject) => `s${number}:${subject}`);
  return new Violation(error.invariant, error.words, [`s${number}`, ...subjects]);
}
