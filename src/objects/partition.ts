import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Inheritance } from "../log/inheritance.ts";
import type { Facts } from "../log/log.ts";
import { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Batch, Spec } from "../log/spec.ts";
import { objectSql } from "../platform/sql.ts";
import type { Growing } from "./appends.ts";
import { GroupCommit } from "./commit.ts";
import { Followers } from "./followers.ts";
import { Hibernating } from "./hibernating.ts";
import { Live } from "./live.ts";
import { readWaiting } from "./reading.ts";
import type { Answer, Appended, Moved, PageAnswer, PartitionRpc, ReadCall } from "./rpc.ts";
import { delivery, type Env } from "./stubs.ts";
import { Waiters } from "./waiters.ts";

/** A batch, or one that is made when it is committed. */
type Ask = Batch | Growing;

/** One partition: the log's shell. It gathers appends, wakes readers, and holds no rule of its own. */
export class Partition extends Hibernating<Env> implements PartitionRpc {
  log: Log | undefined;
  readonly commit = new GroupCommit(
    (asks: readonly Ask[]) => this.#append(asks),
    () => this.ctx.storage.sync(),
    (ask) => ("bytes" in ask ? ask.bytes.length : 0),
    (ask) => ("batch" in ask ? ask.count : 0),
  );
  readonly #waiters = new Waiters();
  readonly #followers: Followers;
  override readonly doorman = new Live(this.ctx, this);

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.log = Log.open(objectSql(ctx.storage), Date.now());
    this.#followers = new Followers(
      ctx.storage,
      () => this.log,
      (id) => delivery(env, id, this.log?.spec.partition as number),
    );
  }

  async configure(spec: Spec, inheritance?: Inheritance | null): Promise<boolean> {
    if (this.log !== undefined) this.log.configure(spec, Date.now());
    else if (spec.continues && inheritance === undefined) return false;
    else this.log = Log.create(objectSql(this.ctx.storage), spec, Date.now(), inheritance ?? undefined);
    return true;
  }

  async handOn(): Promise<Answer<Inheritance>> {
    return this.#with((log) => ok(log.handOn(Date.now())));
  }

  async append(version: number, bytes: Uint8Array, hashes: Uint32Array, terms: Terms = {}): Promise<Appended> {
    const log = this.log;
    if (log === undefined || log.spec.version !== version) return this.#moved();
    const answer = await this.commit.add({ bytes, hashes, terms });
    if (!answer.ok) return answer.refusal.code === "sealed" ? this.#moved() : answer;
    const [run, ...others] = answer.value;
    return others.length === 0 && run.verdict === "appended" ? run.offset : answer;
  }

  async read(call: ReadCall): Promise<Answer<PageAnswer>> {
    const page = await readWaiting(() => this.log, call, this.#waiters);
    if (page === undefined) return this.#moved();
    if (page.ok && call.follower !== undefined) {
      this.#followers.read(call.follower, page.value.to, page.value.upToDate);
    }
    return page;
  }

  async facts(): Promise<Answer<Facts>> {
    return this.#with((log) => ok(log.facts()));
  }

  async locate(position: Position): Promise<Answer<number>> {
    return this.#with((log) => log.locate(position));
  }

  async follow(id: string, start: Position): Promise<Answer<number>> {
    const started = this.#with((log) => log.follow(id, start));
    if (started.ok) this.#followers.add(id);
    return started;
  }

  async unfollow(id: string): Promise<void> {
    this.log?.unfollow(id);
    this.#followers.remove(id);
  }

  override async alarm(): Promise<void> {
    await this.#followers.repeat();
  }

  async trim(before: Extract<Position, { at: "offset" | "time" }>): Promise<Answer<Facts>> {
    return this.#with((log) => (before.at === "offset" ? log.trim(before.offset) : log.trimTime(before.time)));
  }

  async fence(token: string | null, expected?: string | null): Promise<Answer<Facts>> {
    return this.#with((log) => log.fence(token ?? undefined, expected));
  }

  async seal(): Promise<Answer<Facts>> {
    const facts = this.#with((log) => ok(log.seal()));
    this.#changed();
    return facts;
  }

  async verify(from: number, bytesMax: number) {
    return this.#with((log) => ok(log.verify(from, bytesMax)));
  }

  async destroy(logId: string): Promise<void> {
    if (this.log !== undefined && this.log.spec.logId !== logId) return;
    this.log = undefined;
    this.#waiters.wake();
    this.doorman.closeAll("the stream was deleted");
    await this.ctx.storage.deleteAll();
  }

  #append(asks: readonly Ask[]): Result<readonly Run[]>[] {
    const { log } = this;
    if (log === undefined) return asks.map(() => refuse("stream-not-found", "the stream was deleted"));
    const answers = log.append(
      asks.map((ask) => ("batch" in ask ? ask.batch() : ask)),
      Date.now(),
    );
    this.#changed();
    return answers;
  }

  /** There is more to read, or there will be none. */
  #changed(): void {
    this.#waiters.wake();
    this.#followers.appended();
    this.doorman.appended();
  }

  #with<T>(ask: (log: Log) => Result<T>): Answer<T> {
    return this.log === undefined ? this.#moved() : ask(this.log);
  }

  /** A sealed log points past its version: what replaces it is in the next map. */
  #moved(): Moved {
    const log = this.log;
    return { ok: false, moved: log === undefined ? 0 : log.spec.version + (log.sealed ? 1 : 0) };
  }
}
