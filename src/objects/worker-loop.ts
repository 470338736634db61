/** Background work of any core: what is due, do it, say how it went; then the alarm is armed. */
export interface Worklist<Job> {
  due(now: number): Job[];
  settle(job: Job, done: boolean, now: number): void;
}

/** Jobs of one kind that one run does at the same time: the platform opens six connections at most. */
const jobsAtOnce = 6;

/**
 * Runs what is due, each job once at a time, whoever asks: a second run of one that is done would do it to what came after.
 * A job that fails is settled as not done: it comes back after its backoff.
 */
export class Jobs<Job extends { readonly id: string; readonly partition: number }> {
  readonly #running = new Map<string, Promise<void>>();

  constructor(
    readonly list: Worklist<Job>,
    readonly act: (job: Job) => Promise<void>,
  ) {}

  /** Somebody is at work. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** Works until nothing is due, until the work itself says to wait, or until a time. What others are at work on is theirs. */
  async runDue(until: number): Promise<void> {
    while (Date.now() < until) if (!(await this.#few(this.list.due(Date.now())))) return;
  }

  /** Works until there is none of these any more. What others are at work on is waited for. */
  async runThese(these: () => readonly Job[]): Promise<void> {
    for (let jobs = these(); jobs.length > 0; jobs = these()) {
      if (!(await this.#few(jobs))) await Promise.race(jobs.map((job) => this.#running.get(keyOf(job))));
    }
  }

  /** Does a few of them, which are looked up for each time: others settle some meanwhile. False where none was to be done. */
  async #few(jobs: readonly Job[]): Promise<boolean> {
    const few = jobs.filter((job) => !this.#running.has(keyOf(job))).slice(0, jobsAtOnce);
    await Promise.all(few.map((job) => this.#run(job)));
    return few.length > 0;
  }

  #run(job: Job): Promise<void> {
    const run = this.act(job)
      .then(
        () => true,
        () => false,
      )
      .then((done) => {
        this.#running.delete(keyOf(job));
        this.list.settle(job, done, Date.now());
      });
    this.#running.set(keyOf(job), run);
    return run;
  }
}

const keyOf = ({ id, partition }: { readonly id: string; readonly partition: number }): string => `${id}/${partition}`;

/**
 * Arms the alarm for what is left to do, but not before `from`, in ms since 1970. One that is set for sooner stays: who asks
 * again and again must not put it off.
 */
export async function arm(
  storage: Pick<DurableObjectStorage, "getAlarm" | "setAlarm">,
  list: { wakeAt(now: number): number | undefined },
  from = 0,
): Promise<void> {
  const at = list.wakeAt(Date.now());
  if (at === undefined) return;
  const set = await storage.getAlarm();
  if (set === null || Math.max(at, from) < set) await storage.setAlarm(Math.max(at, from));
}
