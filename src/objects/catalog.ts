import { DurableObject } from "cloudflare:workers";
import { ok, type Result } from "../../schemas/errors.ts";
import type { GroupConfig } from "../../schemas/group.ts";
import type { ListQuery, StreamConfig } from "../../schemas/stream.ts";
import { Catalog as Core } from "../catalog/catalog.ts";
import type { Match, Pause } from "../catalog/group.ts";
import type { Stream } from "../catalog/stream.ts";
import type { Change, How } from "../catalog/writing.ts";
import { objectSql } from "../platform/sql.ts";
import { type CatalogOrder, type CatalogOrderArgs, obey } from "./catalog-orders.ts";
import { Chores } from "./chores.ts";
import { Registry } from "./registry.ts";
import type { CatalogRpc } from "./rpc.ts";
import type { Env } from "./stubs.ts";
import { newId, Telling } from "./telling.ts";

/** One namespace: definitions. It is asked when a Worker's cache has nothing, never on the path of a record. */
export class Catalog extends DurableObject<Env> implements CatalogRpc {
  readonly #core: Core;
  readonly telling: Telling;
  readonly #chores: Chores;
  readonly #registry: Registry;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#core = new Core(objectSql(ctx.storage), ctx.id.name ?? "");
    this.telling = new Telling(env, this.#core);
    this.#chores = new Chores(ctx.storage, env, this.#core, this.telling);
    this.#registry = new Registry(env, this.#core);
  }

  async describe(): Promise<Result<number>> {
    return this.#core.describe();
  }

  async create() {
    return this.#core.create(Date.now());
  }

  async destroyNamespace(force: boolean) {
    return this.#chores.worked(() => this.#core.destroy(force, Date.now()));
  }

  async stream(name: string) {
    return this.#core.stream(name);
  }

  async streams(query: ListQuery) {
    return this.#core.streams(query);
  }

  async put(name: string, change: Partial<StreamConfig>) {
    return this.write(name, change, "put");
  }

  async write(name: string, change: Change<StreamConfig>, how: How) {
    const planned = this.#core.planned(name, change, how);
    // Whoever cannot be asked is told all the same: it may be in need of just that.
    const drops = planned.ok ? await this.telling.drops(planned.value).catch(() => undefined) : 0;
    const put = this.#core.put(name, change, newId(), Date.now(), how);
    await this.#chores.arm();
    if (!put.ok) return put;
    if (put.value.created) return ok({ ...put.value, drops: 0 });
    await this.#chores.grow();
    // The answer shows what is in effect now, not what was before the growth.
    const stream = this.#core.stream(name);
    if (!stream.ok) return stream;
    await this.telling.all(stream.value);
    return ok({ stream: stream.value, created: false, drops });
  }

  async drop(name: string) {
    return this.#chores.worked(() => this.#core.drop(name, Date.now()));
  }

  async open(name: string, number: number) {
    const known = this.#core.stream(name);
    const again = known.ok && this.#core.opened(known.value.logId).includes(number);
    const opened = this.#core.open(name, number, Date.now());
    if (!opened.ok) return opened;
    const stream = opened.value;
    await this.#chores.arm();
    const told = await this.telling.partition(stream, number, again);
    if (!told.ok) return told;
    await this.#chores.opened(stream.logId, number);
    if (!this.#core.restores.lives(stream.logId)) {
      // Deleted meanwhile: what was just created would be found by nobody.
      this.#core.purges.stray(stream.logId, number, Date.now());
      await this.#chores.arm();
    }
    return this.#core.stream(name);
  }

  async group(stream: string, name: string) {
    return this.#ofStream(stream, (of) => this.#core.groups.get(of, name));
  }

  async groups(stream: string, query: ListQuery) {
    return this.#ofStream(stream, (of) => ok(this.#core.groups.list(of, query)));
  }

  async putGroup(stream: string, name: string, change: Partial<GroupConfig>) {
    return this.writeGroup(stream, name, change, "put");
  }

  async writeGroup(stream: string, name: string, change: Change<GroupConfig>, how: How, match?: Match) {
    const put = (of: Stream) => this.#core.groups.put(of, name, change, newId(), Date.now(), how, match);
    return this.#chores.worked(() => this.#ofStream(stream, put));
  }

  async setPaused(stream: string, name: string, because?: Pause, groupId?: string, version?: number) {
    const set = (of: Stream) => this.#core.groups.setPaused(of, name, because, groupId, Date.now(), version);
    return this.#chores.worked(() => this.#ofStream(stream, set));
  }

  async dropGroup(stream: string, name: string) {
    return this.#chores.worked(() => this.#ofStream(stream, (of) => this.#core.groups.drop(of, name, Date.now())));
  }

  async leaveGroup(stream: string, name: string, groupId: string) {
    if (await this.telling.deserted(stream, name, groupId)) await this.dropGroup(stream, name);
  }

  #ofStream<T>(name: string, ask: (stream: Stream) => Result<T>): Result<T> {
    const stream = this.#core.stream(name);
    return stream.ok ? ask(stream.value) : stream;
  }

  async order<N extends CatalogOrder>(name: N, ...args: CatalogOrderArgs<N>) {
    const { telling } = this;
    const chores = this.#chores;
    const arm = () => chores.arm();
    const tell = (logId: string, partition: number) => chores.opened(logId, partition);
    return chores.worked(() => obey(name, { core: this.#core, telling, newId, arm, tell }, ...args));
  }

  async relist(name: string) {
    return this.#registry.relist(name);
  }

  async namespaces(query: ListQuery) {
    return this.#core.namespaces(query);
  }

  override alarm() {
    return this.#chores.alarm();
  }
}
