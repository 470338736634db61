import { DurableObject } from "cloudflare:workers";
import { ok, type Result } from "../../schemas/errors.ts";
import type { GroupConfig } from "../../schemas/group.ts";
import type { ListQuery, StreamConfig } from "../../schemas/stream.ts";
import { Catalog as Core } from "../catalog/catalog.ts";
import type { Stream } from "../catalog/stream.ts";
import { objectSql } from "../platform/sql.ts";
import { type CatalogOrder, type CatalogOrderArgs, obey } from "./catalog-orders.ts";
import { lookAfter } from "./endings.ts";
import { free } from "./freeing.ts";
import type { CatalogRpc } from "./rpc.ts";
import { type Env, partition } from "./stubs.ts";
import { newId, Telling } from "./telling.ts";
import { arm, runDue } from "./worker-loop.ts";

/** One namespace: definitions. It is asked when a Worker's cache has nothing, never on the path of a record. */
export class Catalog extends DurableObject<Env> implements CatalogRpc {
  readonly #core: Core;
  readonly telling: Telling;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#core = new Core(objectSql(ctx.storage), ctx.id.name ?? "");
    this.telling = new Telling(env, this.#core);
  }

  async describe(): Promise<Result<number>> {
    return this.#core.describe();
  }

  async create() {
    return this.#core.create(Date.now());
  }

  async destroyNamespace(force: boolean) {
    return this.#worked(this.#core.destroy(force, Date.now()));
  }

  async stream(name: string) {
    return this.#core.stream(name);
  }

  async streams(query: ListQuery) {
    return this.#core.streams(query);
  }

  async put(name: string, change: Partial<StreamConfig>) {
    const put = this.#core.put(name, change, newId(), Date.now());
    await arm(this.ctx.storage, this.#core);
    if (!put.ok || put.value.created) return put;
    await this.#grow();
    // The answer shows what is in effect now, not what was before the growth.
    const stream = this.#core.stream(name);
    if (!stream.ok) return stream;
    await this.telling.all(stream.value);
    return ok({ stream: stream.value, created: false });
  }

  async drop(name: string) {
    return this.#worked(this.#core.drop(name, Date.now()));
  }

  async open(name: string, number: number) {
    const opened = this.#core.open(name, number, Date.now());
    if (!opened.ok) return opened;
    const stream = opened.value;
    const told = await this.telling.partition(stream, number);
    if (!told.ok) return told;
    await this.#work();
    const after = this.#core.stream(name);
    // Deleted meanwhile: what was just created would be found by nobody.
    if (!after.ok || after.value.logId !== stream.logId)
      await this.telling.stub(stream, number).destroy(stream.logId, number, this.#core.namespace);
    return after;
  }

  async group(stream: string, name: string) {
    return this.#ofStream(stream, (of) => this.#core.groups.get(of, name));
  }

  async groups(stream: string, query: ListQuery) {
    return this.#ofStream(stream, (of) => ok(this.#core.groups.list(of, query)));
  }

  async putGroup(stream: string, name: string, change: Partial<GroupConfig>) {
    const put = (of: Stream) => this.#core.groups.put(of, name, change, newId(), Date.now());
    return this.#worked(this.#ofStream(stream, put));
  }

  async setPaused(stream: string, name: string, paused: boolean) {
    const set = (of: Stream) => this.#core.groups.setPaused(of, name, paused, Date.now());
    return this.#worked(this.#ofStream(stream, set));
  }

  async dropGroup(stream: string, name: string) {
    return this.#worked(this.#ofStream(stream, (of) => this.#core.groups.drop(of, name, Date.now())));
  }

  async leaveGroup(stream: string, name: string, groupId: string) {
    if (await this.telling.deserted(stream, name, groupId)) await this.dropGroup(stream, name);
  }

  /** What was decided is put into effect before it is answered. */
  async #worked<T>(done: Result<T>): Promise<Result<T>> {
    if (done.ok) await this.#work();
    return done;
  }

  #ofStream<T>(name: string, ask: (stream: Stream) => Result<T>): Result<T> {
    const stream = this.#core.stream(name);
    return stream.ok ? ask(stream.value) : stream;
  }

  async order<N extends CatalogOrder>(name: N, ...args: CatalogOrderArgs<N>) {
    return this.#worked(await obey(name, { core: this.#core, telling: this.telling, newId }, ...args));
  }

  async register(name: string) {
    this.#core.register(name, Date.now());
  }

  async unregister(name: string) {
    this.#core.unregister(name);
  }

  async namespaces(query: ListQuery) {
    return this.#core.namespaces(query);
  }

  override async alarm() {
    await this.#grow();
    await this.#work();
  }

  /** Frees what is to be freed. What fails now is tried again by the alarm. */
  async #work(): Promise<void> {
    for (const job of this.#core.lifetimes.due(Date.now())) await lookAfter(this.#core, this.telling, job);
    await runDue(this.ctx.storage, this.#core, (job) => free(this.env, this.#core.namespace, job));
    await runDue(this.ctx.storage, this.#core.telling, (job) => this.telling.delivery(job));
  }

  /** Seals the parents of every stream that grows, and puts the new map into effect. */
  async #grow(): Promise<void> {
    for (const { name, logId, parents } of this.#core.growing()) {
      await arm(this.ctx.storage, this.#core);
      await Promise.all(parents.map((parent) => partition(this.env, logId, parent, undefined).order("seal")));
      this.#core.grown(name, logId, Date.now());
    }
  }
}
