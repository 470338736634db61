import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Inheritance } from "../log/inheritance.ts";
import { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Snapshot } from "../log/snapshot-store.ts";
import type { Batch, Spec } from "../log/spec.ts";
import { objectSql } from "../platform/sql.ts";
import { Alarms } from "./alarms.ts";
import type { Answer, Moved, PageAnswer, ReadCall } from "./answer.ts";
import type { Growing } from "./appends.ts";
import { GroupCommit } from "./commit.ts";
import { bury, remainsIn } from "./emptying.ts";
import { Followers } from "./followers.ts";
import { Hibernating } from "./hibernating.ts";
import { History } from "./history.ts";
import { Live } from "./live.ts";
import { orders, type PartitionOrder, type PartitionOrderArgs, type PartitionOrderValue } from "./orders.ts";
import { Around } from "./outside.ts";
import type { Desk } from "./past.ts";
import { readWaiting } from "./reading.ts";
import type { Appended, PartitionRpc } from "./rpc.ts";
import { archive, delivery, type Env } from "./stubs.ts";
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
  readonly #alarms: Alarms;
  readonly history: History;
  override readonly doorman = new Live(this.ctx, this);

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.log = Log.open(objectSql(ctx.storage), Date.now());
    const alarms = new Alarms(ctx.storage);
    const log = () => this.log;
    this.#followers = new Followers(alarms, log, (id) => delivery(env, id, this.log?.spec.partition as number));
    this.history = new History(log, archive(env), alarms, new Around(env, this.#followers));
    this.#alarms = alarms;
  }

  async configure(spec: Spec, inheritance?: Inheritance | null): Promise<boolean> {
    if (this.log !== undefined) this.log.configure(spec, Date.now());
    else if (spec.continues && inheritance === undefined) return false;
    else this.log = Log.create(objectSql(this.ctx.storage), spec, Date.now(), inheritance ?? undefined);
    this.history.kick();
    return true;
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

  async order<N extends PartitionOrder>(
    name: N,
    ...args: PartitionOrderArgs<N>
  ): Promise<Answer<PartitionOrderValue<N>>> {
    const { log, history } = this;
    if (log === undefined) return this.#moved();
    const obey = orders[name] as (desk: Desk, ...args: unknown[]) => Promise<Result<PartitionOrderValue<N>>>;
    const told = (snapshot: Snapshot) => this.doorman.snapshot(snapshot);
    return obey({ log, history, changed: () => this.#changed(), told }, ...args);
  }

  async follow(id: string, start: Position): Promise<Answer<number>> {
    const place = await this.order("locate", start);
    if (!place.ok) return place;
    if (this.log === undefined) return this.#moved();
    const offset = this.log.followers.add(id, place.value);
    this.#followers.add(id);
    return ok(offset);
  }

  async unfollow(id: string): Promise<void> {
    this.log?.followers.drop(id);
    this.#followers.remove(id);
  }

  override async alarm(): Promise<void> {
    this.#alarms.fired();
    await Promise.all([this.#followers.repeat(), this.history.run()]);
  }

  async destroy(logId: string, number: number): Promise<boolean> {
    if (this.log !== undefined && this.log.spec.logId !== logId) return true;
    if (this.log !== undefined) bury(this.log);
    this.log = undefined;
    this.#waiters.wake();
    this.doorman.closeAll("the stream was deleted");
    const { storage } = this.ctx;
    if (!(await this.history.emptied(remainsIn(objectSql(storage), logId, number)))) return false;
    await storage.deleteAll();
    return true;
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
    this.history.appended();
    this.#waiters.wake();
    this.#followers.appended();
    this.doorman.appended();
  }

  /** A sealed log points past its version: what replaces it is in the next map. */
  #moved(): Moved {
    const log = this.log;
    return { ok: false, moved: log === undefined ? 0 : log.spec.version + (log.sealed ? 1 : 0) };
  }
}
