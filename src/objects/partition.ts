import { DurableObject } from "cloudflare:workers";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Inheritance } from "../log/inheritance.ts";
import type { Facts } from "../log/log.ts";
import { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Batch, Spec } from "../log/spec.ts";
import { objectSql } from "../platform/sql.ts";
import { GroupCommit } from "./commit.ts";
import type { Answer, Moved, PageAnswer, PartitionRpc, ReadCall } from "./rpc.ts";
import type { Env } from "./stubs.ts";

const noTerms: Terms = {};

/** One partition: the log's shell. It gathers appends, wakes readers, and holds no rule of its own. */
export class Partition extends DurableObject<Env> implements PartitionRpc {
  #log: Log | undefined;
  readonly #commit = new GroupCommit(
    (batches) => this.#append(batches),
    () => this.ctx.storage.sync(),
  );
  readonly #waiting = new Set<() => void>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#log = Log.open(objectSql(ctx.storage), Date.now());
  }

  async configure(spec: Spec, inheritance?: Inheritance | null): Promise<boolean> {
    if (this.#log !== undefined) this.#log.configure(spec, Date.now());
    else if (spec.continues && inheritance === undefined) return false;
    else this.#log = Log.create(objectSql(this.ctx.storage), spec, Date.now(), inheritance ?? undefined);
    return true;
  }

  async handOn(): Promise<Answer<Inheritance>> {
    return this.#with((log) => ok(log.handOn(Date.now())));
  }

  async append(
    version: number,
    bytes: Uint8Array,
    hashes: Uint32Array,
    terms?: Terms,
  ): Promise<Answer<readonly Run[]> | number> {
    const log = this.#log;
    if (log === undefined || log.spec.version !== version) return this.#moved();
    const answer = await this.#commit.append({ bytes, hashes, terms: terms ?? noTerms });
    if (!answer.ok) return answer.refusal.code === "sealed" ? this.#moved() : answer;
    const [run, ...others] = answer.value;
    return others.length === 0 && run.verdict === "appended" ? run.offset : answer;
  }

  async read(call: ReadCall): Promise<Answer<PageAnswer>> {
    const until = Date.now() + call.waitMs;
    let terms = call;
    for (;;) {
      const log = this.#log;
      if (log === undefined) return this.#moved();
      const promise = call.promise === undefined ? 0 : log.promise(call.promise);
      const page = log.read(terms);
      if (!page.ok) return page;
      const left = until - Date.now();
      if (page.value.pieces.length > 0 || !page.value.upToDate || left <= 0 || log.sealed) {
        const { head, tail } = log.span;
        return ok({ ...page.value, head, tail, sealed: log.sealed, promise });
      }
      if (this.#waiting.size >= limits.waitersMax) {
        return refuse("too-many", `the partition holds ${limits.waitersMax} waiting readers; read without wait`);
      }
      terms = { ...terms, from: { at: "offset", offset: page.value.to } };
      await this.#arrival(left);
    }
  }

  async facts(): Promise<Answer<Facts>> {
    return this.#with((log) => ok(log.facts()));
  }

  async trim(before: Extract<Position, { at: "offset" | "time" }>): Promise<Answer<Facts>> {
    return this.#with((log) => (before.at === "offset" ? log.trim(before.offset) : log.trimTime(before.time)));
  }

  async fence(token: string | null, expected?: string | null): Promise<Answer<Facts>> {
    return this.#with((log) => log.fence(token ?? undefined, expected));
  }

  async seal(): Promise<Answer<Facts>> {
    const facts = this.#with((log) => ok(log.seal()));
    this.#wake();
    return facts;
  }

  async verify(from: number, bytesMax: number) {
    return this.#with((log) => ok(log.verify(from, bytesMax)));
  }

  async destroy(logId: string): Promise<void> {
    if (this.#log !== undefined && this.#log.spec.logId !== logId) return;
    this.#log = undefined;
    this.#wake();
    await this.ctx.storage.deleteAll();
  }

  #append(batches: readonly Batch[]): Result<readonly Run[]>[] {
    const log = this.#log;
    if (log === undefined) return batches.map(() => refuse("stream-not-found", "the stream was deleted"));
    const answers = log.append(batches, Date.now());
    this.#wake();
    return answers;
  }

  #with<T>(ask: (log: Log) => Result<T>): Answer<T> {
    return this.#log === undefined ? this.#moved() : ask(this.#log);
  }

  /** A sealed log points past its version: what replaces it is in the next map. */
  #moved(): Moved {
    const log = this.#log;
    return { ok: false, moved: log === undefined ? 0 : log.spec.version + (log.sealed ? 1 : 0) };
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves at the next commit, or after a time. The timer is cleared: a pending one keeps the object awake. */
  #arrival(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        resolve();
      }, ms);
      this.#waiting.add(wake);
    });
  }
}
