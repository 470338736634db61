/** What a catalog does besides answering: it ends streams, frees what was deleted, tells deliveries of their groups, and grows. */
import type { Result } from "../../schemas/errors.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ToTell } from "../catalog/groups.ts";
import type { Job } from "../catalog/store.ts";
import { lookAfter } from "./endings.ts";
import { free } from "./freeing.ts";
import { type Env, partition } from "./stubs.ts";
import type { Telling } from "./telling.ts";
import { arm, Jobs } from "./worker-loop.ts";

/** Whoever is at work has so long before the alarm looks whether it has died. */
const crashMs = 5_000;

export class Chores {
  readonly #purging: Jobs<Job>;
  readonly #telling: Jobs<ToTell>;

  constructor(
    readonly storage: DurableObjectStorage,
    readonly env: Env,
    readonly core: Catalog,
    readonly telling: Telling,
  ) {
    this.#purging = new Jobs(core.purges, (job) => free(env, core.namespace, job));
    this.#telling = new Jobs(core.groups, (job) => telling.delivery(job));
  }

  /** To be called in the run that notes something to be done: a crash takes whoever is about to do it. */
  arm(): Promise<void> {
    return arm(this.storage, this.core, Date.now() + crashMs);
  }

  /** What was decided is put into effect before it is answered. What was refused may have left something to be done, too. */
  async worked<T>(done: Result<T>): Promise<Result<T>> {
    if (done.ok) await this.work();
    else await this.arm();
    return done;
  }

  /** Does what is due. What fails now is tried again by the alarm. */
  async work(): Promise<void> {
    const { core, storage, telling } = this;
    await this.arm();
    for (const job of core.lifetimes.due(Date.now())) await lookAfter(core, telling, job);
    await this.#purging.run();
    await this.#telling.run();
    await arm(storage, core);
  }

  /** Seals the parents of every stream that grows, and puts the new map into effect. One that fails holds up no other. */
  async grow(): Promise<void> {
    const { core, storage } = this;
    const growing = core.growing();
    if (growing.length === 0) return;
    await arm(storage, core);
    const grown = growing.map(async ({ name, logId, parents }) => {
      await Promise.all(parents.map((parent) => partition(this.env, logId, parent, undefined).order("seal")));
      core.grown(name, logId, Date.now());
    });
    const failed = (await Promise.allSettled(grown)).find(({ status }) => status === "rejected");
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  /** A stream that cannot grow yet comes again, and keeps nobody from the rest. */
  async alarm(): Promise<void> {
    await this.grow().catch((error) => console.error("growth:", (error as Error).message));
    await this.work();
  }
}
