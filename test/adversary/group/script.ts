/** Runs a script: one group, step by step, with the model beside it. */
import { Violation } from "../frame/checks.ts";
import type { Gate } from "../frame/gate.ts";
import { type Answer, type Json, Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { drain } from "./drain.ts";
import { partitionOf } from "./knowledge.ts";
import type { Member } from "./member.ts";
import { Model } from "./model.ts";
import type { Pick, Script } from "./plan.ts";
import { readLog } from "./records.ts";
import { carryOut } from "./steps.ts";
import { holds, type Lease, mayHold, type Tracked } from "./tracked.ts";

/** Scripts run side by side, and each has a record 0.0. */
export const scoped = (script: number, subjects: readonly string[]) =>
  subjects.length === 0 ? [`s${script}`] : subjects.map((subject) => `s${script}:${subject}`);

export class ScriptRun {
  readonly model: Model;
  readonly stream: string;
  readonly group: string;
  readonly members = new Map<string, Member>();
  /** Long polls that are waiting; their answers are taken as they come. */
  readonly polls = new Set<Promise<void>>();
  /** What was appended by a request that was not answered, by its number. */
  readonly unknown = new Map<number, number>();
  /** An append that is not answered yet: what it appended may come to members that wait before its answer does. */
  appending: Promise<void> = Promise.resolve();
  /** Of the service, that the model has been told. */
  deaths = 0;
  partitions: number;
  appended = 0;
  /** Who was told last that there is nothing: once is enough. */
  lastSaid = "";
  /** How many letters were listed last. */
  lettersSeen = 0;
  #failure: unknown;

  constructor(
    readonly round: Round,
    readonly script: Script,
    readonly number: number,
  ) {
    this.stream = `/streams/s${number}`;
    this.group = `${this.stream}/groups/g`;
    this.partitions = script.partitions;
    this.model = new Model(round.checks, script.group, () => round.now());
  }

  async run(gate: Gate): Promise<void> {
    const { partitions, steps } = this.script;
    await this.round.must("PUT", this.stream, { body: { partitions } });
    await this.createGroup();
    for (const [number, step] of steps.entries()) {
      await gate.step(
        number,
        () => carryOut(this, step),
        () => this.died(),
      );
      this.rethrow();
    }
    await gate.rest(steps.length, () => this.died());
    await drain(this);
    this.rethrow();
  }

  async createGroup(): Promise<void> {
    const { filter, ...config } = this.model.config;
    await this.round.must("PUT", this.group, { body: { start: "earliest", ...config, ...(filter && { filter }) } });
  }

  now(): number {
    return this.round.now();
  }

  /** About some records or keys, or about all of the script. */
  note(subjects: readonly string[], text: () => string): void {
    const partitions = subjects.filter((subject) => subject.includes(".")).map(partitionOf);
    this.round.history.note(scoped(this.number, [...subjects, ...partitions]), text);
  }

  /** What happens to members happens outside of any step; it fails the next one. */
  failed(error: unknown): void {
    this.#failure ??= error;
  }

  rethrow(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  /** A request to the group; undefined where nobody knows what became of it. */
  async try(method: string, path: string, body?: Json, signal?: AbortSignal): Promise<Answer | undefined> {
    try {
      return await this.round.ask(method, path, { body, ...(signal && { signal }) });
    } catch (error) {
      if (error instanceof Lost) return undefined;
      throw error;
    }
  }

  /** A request that may be repeated until it is answered: what it does twice it does once. */
  async certainly(method: string, path: string, body?: Json): Promise<Json> {
    const answer = (await this.try(method, path, body)) ?? (await this.round.ask(method, path, { body }));
    if (answer.status < 300) return answer.json;
    throw new Violation("accepted", `${method} ${path} was answered ${answer.status}: ${answer.body.toString()}`);
  }

  /** The service was killed, and is back. */
  async died(): Promise<void> {
    this.deaths++;
    await Promise.all(this.polls);
    for (const member of this.members.values()) member.gone();
    this.members.clear();
    this.model.killed(this.round.killedAt, this.now());
    if (this.unknown.size > 0) await readLog(this);
  }

  /** Leases that a step is about: each of another record. */
  pick({ of, from, count }: Pick): Lease[] {
    const now = this.now();
    const classes = {
      live: (lease: Lease) => holds(lease, now),
      past: (lease: Lease) => !holds(lease, now) && lease.end !== "acked" && lease.end !== "deleted",
      done: (lease: Lease) => lease.end === "acked",
      any: (lease: Lease) => lease.end !== "deleted",
    };
    const all = [...this.model.receipts.values()].filter(classes[of]);
    const chosen = new Map<Tracked, Lease>();
    for (let i = 0; i < all.length && chosen.size < count; i++) {
      const lease = all[(Math.floor(from * all.length) + i) % all.length] as Lease;
      if (!chosen.has(lease.record)) chosen.set(lease.record, lease);
    }
    return [...chosen.values()];
  }

  /** A share of a list, by place. */
  some<T>(list: readonly T[], from: number, count: number): T[] {
    const start = Math.floor(from * list.length);
    return Array.from({ length: Math.min(count, list.length) }, (_, i) => list[(start + i) % list.length] as T);
  }

  /** An answer that nobody got may have taken whatever might go; until when, nobody knows. */
  maybeReceived(member: string, from: number, to: number, timeoutMs = this.model.config.ackTimeoutMs): void {
    for (const record of this.model.matching) {
      if (!this.model.mightGo(record, to)) continue;
      const [floor, high] = this.model.failuresPossible(record, to);
      // Where it has not taken it, he who may have it still does.
      const held = mayHold(record.lease, from) ? (record.lease?.runsOut[1] ?? 0) : 0;
      const lease: Lease = {
        record,
        receipt: undefined,
        member,
        attempt: high + 1,
        floor,
        from,
        to,
        runsOut: [from, Math.max(to + timeoutMs, held)],
      };
      record.leases.push(lease);
      record.lease = lease;
    }
  }
}
