import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Inheritance } from "../log/inheritance.ts";
import { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Snapshot } from "../log/snapshot-store.ts";
import type { Spec } from "../log/spec.ts";
import { objectSql } from "../platform/sql.ts";
import { Alarms } from "./alarms.ts";
import type { Answer, Moved, PageAnswer, ReadCall } from "./answer.ts";
import type { Ask } from "./appends.ts";
import { GroupCommit } from "./commit.ts";
import { Deletion } from "./deletion.ts";
import { begin, buried, configured, dumpOrders, prepared } from "./dump-orders.ts";
import { Followers } from "./followers.ts";
import { Hibernating } from "./hibernating.ts";
import { History } from "./history.ts";
import { Live } from "./live.ts";
import { orders, type PartitionOrder, type PartitionOrderArgs, type PartitionOrderValue } from "./orders.ts";
import { Around } from "./outside.ts";
import type { Desk } from "./past.ts";
import { ReadWaits } from "./read-waits.ts";
import { readWaiting } from "./reading.ts";
import type { Appended, Configured, PartitionRpc } from "./rpc.ts";
import { archive, delivery, type Env } from "./stubs.ts";

/** One partition: the log's shell. It gathers appends, wakes readers, and holds no rule of its own. */
export class Partition extends Hibernating<Env> implements PartitionRpc {
  #log: Log | undefined;
  readonly commit = new GroupCommit(
    (asks: readonly Ask[]) => this.#append(asks),
    () => this.ctx.storage.sync(),
    (ask) => ("bytes" in ask ? ask.bytes.length : 0),
    (ask) => ("batch" in ask ? ask.count : 0),
  );
  readonly waits = new ReadWaits();
  readonly #followers: Followers;
  readonly #alarms = new Alarms(this.ctx.storage);
  readonly history: History;
  readonly #deletion: Deletion;
  override readonly doorman = new Live(this.ctx, this, this.#alarms);

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#log = Log.open(objectSql(ctx.storage), Date.now());
    const log = () => this.log;
    this.#followers = new Followers(this.#alarms, log, (id) => delivery(env, id, log()?.spec.partition as number));
    this.history = new History(() => this.#log, archive(env), this.#alarms, new Around(env, this.#followers));
    this.#deletion = new Deletion(objectSql(ctx.storage), this.history, this.#alarms, () => ctx.storage.deleteAll());
  }

  /** The log, for everybody. One that is being restored is there for its restore, and goes into the archive meanwhile. */
  get log(): Log | undefined {
    return this.#log?.restoring ? undefined : this.#log;
  }

  async configure(spec: Spec, inheritance?: Inheritance | null, again?: boolean): Promise<Configured> {
    if (this.#log === undefined && this.#deletion.isDue) return "deleting";
    if (this.#log === undefined && spec.continues && inheritance === undefined) return false;
    this.#log ??= Log.create(objectSql(this.ctx.storage), spec, Date.now(), inheritance ?? undefined);
    const done = await configured(this.#log, spec, Date.now(), again ? this.history.blobs : undefined);
    this.history.kick();
    this.doorman.appended();
    return done;
  }

  async prepare(spec: Spec): Promise<Result<undefined>> {
    this.#log ??= begin(objectSql(this.ctx.storage), spec, Date.now(), this.#deletion);
    return prepared(this.#log, spec);
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
    const page = await readWaiting(() => this.log, call, this.waits);
    if (page === undefined) return this.#moved();
    if (call.follower !== undefined) this.#followers.read(call.follower, page);
    return page;
  }

  async order<N extends PartitionOrder>(
    name: N,
    ...args: PartitionOrderArgs<N>
  ): Promise<Answer<PartitionOrderValue<N>>> {
    const log = name in dumpOrders ? this.#log : this.log;
    if (log === undefined) return this.#moved();
    const obey = orders[name] as (desk: Desk, ...args: unknown[]) => Promise<Result<PartitionOrderValue<N>>>;
    const told = (snapshot: Snapshot) => this.doorman.snapshot(snapshot);
    return obey({ log, history: this.history, waits: this.waits, changed: () => this.#changed(), told }, ...args);
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
    this.doorman.expire();
    await Promise.all([this.#followers.repeat(), this.history.run(), this.#deletion.late()]);
  }

  destroy(logId: string, number: number, owner: string): Promise<boolean> {
    return this.#deletion.run(logId, number, owner, () => {
      if (this.#log !== undefined && !buried(this.#log, logId, owner)) return false;
      this.#log = undefined;
      this.waits.wake();
      this.doorman.closeAll("the stream was deleted");
      return true;
    });
  }

  #append(asks: readonly Ask[]): Result<readonly Run[]>[] {
    const { log } = this;
    if (log === undefined) return asks.map(() => refuse("stream-not-found", "the stream was deleted"));
    const batches = asks.map((ask) => ("batch" in ask ? ask.batch() : ask));
    const answers = log.append(batches, Date.now());
    this.#changed();
    return answers;
  }

  /** There is more to read, or there will be none. */
  #changed(): void {
    this.history.appended();
    this.waits.wake();
    this.#followers.appended();
    this.doorman.appended();
  }

  /** A sealed log points past its version: what replaces it is in the next map. */
  #moved(): Moved {
    return { ok: false, moved: this.log === undefined ? 0 : this.log.spec.version + (this.log.sealed ? 1 : 0) };
  }
}
