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
/** Whoever asked for something waits so long until it is in effect. */
const requestMs = 10_000;
/** After so long an alarm begins nothing more: the next one looks after growth, too. */
const alarmMs = 30_000;

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

  /**
   * What a request decides is put into effect before it is answered, as far as that goes in time. What others have left to be
   * done, and what fails now, is the alarm's.
   */
  async worked<T>(decide: () => Result<T> | Promise<Result<T>>): Promise<Result<T>> {
    const { core } = this;
    const since = Date.now();
    const done = await decide();
    await this.arm();
    if (!done.ok) return done;
    await this.#inTime(
      this.#telling.runThese(() => core.groups.untried(since)),
      this.#purging.runThese(() => core.purges.untried(since)),
    );
    return done;
  }

  /** A partition came to be, or lost its list of followers: its groups follow it. */
  async opened(logId: string, partition: number): Promise<void> {
    await this.#inTime(this.#telling.runThese(() => this.core.groups.untriedAt(logId, partition)));
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

  /** Does what is due. A stream that cannot grow yet comes again, and keeps nobody from the rest. */
  async alarm(): Promise<void> {
    const { core, telling } = this;
    await this.grow().catch((error) => console.error("growth:", (error as Error).message));
    await this.arm();
    for (const job of core.lifetimes.due(Date.now())) await lookAfter(core, telling, job);
    const until = Date.now() + alarmMs;
    await Promise.all([this.#purging.runDue(until), this.#telling.runDue(until)]);
    await this.#armRest();
  }

  /** Waits for work, but not for ever: it goes on by itself. */
  async #inTime(...work: Promise<void>[]): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, requestMs);
    });
    await Promise.race([Promise.all(work), over]);
    clearTimeout(timer);
    await this.#armRest();
  }

  /** What is left is due, but for what somebody is at work on. */
  #armRest(): Promise<void> {
    const busy = this.#purging.busy || this.#telling.busy;
    return busy ? this.arm() : arm(this.storage, this.core);
  }
}
