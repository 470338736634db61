import { DurableObject } from "cloudflare:workers";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { ListQuery, StreamConfig } from "../../schemas/stream.ts";
import { Catalog as Core, type Stream } from "../catalog/catalog.ts";
import type { Inheritance } from "../log/inheritance.ts";
import { objectSql } from "../platform/sql.ts";
import type { CatalogRpc } from "./rpc.ts";
import { type Env, partition } from "./stubs.ts";
import { arm, runDue } from "./worker-loop.ts";

/** One namespace: definitions. It is asked when a Worker's cache has nothing, never on the path of a record. */
export class Catalog extends DurableObject<Env> implements CatalogRpc {
  readonly #core: Core;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#core = new Core(objectSql(ctx.storage), ctx.id.name ?? "");
  }

  async describe(): Promise<Result<number>> {
    const since = this.#core.created;
    if (since !== undefined) return ok(since);
    return refuse("namespace-not-found", `the namespace '${this.ctx.id.name}' does not exist; create it with PUT`);
  }

  async create() {
    return this.#core.create(Date.now());
  }

  async destroyNamespace(force: boolean) {
    const done = this.#core.destroy(force, Date.now());
    if (done.ok) await this.#work();
    return done;
  }

  async stream(name: string) {
    return this.#core.stream(name);
  }

  async streams(query: ListQuery) {
    return this.#core.streams(query);
  }

  async put(name: string, change: Partial<StreamConfig>) {
    const put = this.#core.put(name, change, newId(), Date.now());
    if (!put.ok || put.value.created) return put;
    await this.#grow();
    // The answer shows what is in effect now, not what was before the growth.
    const stream = this.#core.stream(name);
    if (!stream.ok) return stream;
    await this.#tellAll(stream.value);
    return ok({ stream: stream.value, created: false });
  }

  async drop(name: string) {
    const done = this.#core.drop(name, Date.now());
    if (done.ok) await this.#work();
    return done;
  }

  async open(name: string, number: number) {
    const opened = this.#core.open(name, number);
    if (!opened.ok) return opened;
    const stream = opened.value;
    await this.#tell(stream, number);
    const after = this.#core.stream(name);
    // Deleted meanwhile: what was just created would be found by nobody.
    if (!after.ok || after.value.logId !== stream.logId) await this.#partition(stream, number).destroy(stream.logId);
    return after;
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
    await runDue(this.ctx.storage, this.#core, async (job) => {
      await partition(this.env, job.id, job.partition, undefined).destroy(job.id);
    });
  }

  /** Seals the parents of every stream that grows, and puts the new map into effect. */
  async #grow(): Promise<void> {
    for (const { name, logId, parents } of this.#core.growing()) {
      await arm(this.ctx.storage, this.#core);
      await Promise.all(parents.map((parent) => partition(this.env, logId, parent, undefined).seal()));
      this.#core.grown(name, logId, Date.now());
    }
  }

  /** Brings a stream's partitions up to date. One that cannot be reached is told by the next append that it gets. */
  async #tellAll(stream: Stream): Promise<void> {
    await Promise.allSettled(this.#core.opened(stream.logId).map((number) => this.#tell(stream, number)));
  }

  async #tell(stream: Stream, number: number): Promise<void> {
    const { deduplicationWindowMs, timestamps, offsets, keyIndex } = stream.config;
    const { logId, version, map } = stream;
    const { sealed, parent } = map[number];
    const spec = {
      logId,
      partition: number,
      version,
      deduplicationWindowMs,
      timestamps,
      offsets,
      keyIndex,
      sealed,
      continues: parent !== undefined,
    };
    if (await this.#partition(stream, number).configure(spec)) return;
    await this.#partition(stream, number).configure(spec, await this.#inheritance(stream, number));
  }

  /** From the nearest ancestor that ever held anything: it has its own inheritance to hand on. */
  async #inheritance(stream: Stream, number: number): Promise<Inheritance | null> {
    const opened = this.#core.opened(stream.logId);
    let ancestor = stream.map[number].parent;
    while (ancestor !== undefined && !opened.includes(ancestor)) ancestor = stream.map[ancestor].parent;
    if (ancestor === undefined) return null;
    const answer = await this.#partition(stream, ancestor).handOn();
    if (answer.ok) return answer.value;
    // It was noted as opened, and the call that should have created it never came through.
    if ("moved" in answer && answer.moved === 0) return null;
    throw new Error(`partition ${ancestor} does not hand on what partition ${number} inherits`);
  }

  #partition(stream: Stream, number: number) {
    return partition(this.env, stream.logId, number, stream.config.placement);
  }
}

/** 80 random bits: a log's identity, unique over all deployments. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
