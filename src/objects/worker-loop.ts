/** Background work of any core: what is due, do it, say how it went; then the alarm is armed. */
export interface Worklist<Job> {
  due(now: number): Job[];
  settle(job: Job, done: boolean, now: number): void;
}

/** Jobs of one kind that run at the same time: the platform opens six connections at most. */
const jobsAtOnce = 6;

/**
 * Runs what is due until nothing is, or until the work itself says to wait. A job that fails is settled as not done: it
 * comes back after its backoff.
 */
export async function runDue<Job>(list: Worklist<Job>, act: (job: Job) => Promise<void>): Promise<void> {
  for (let jobs = list.due(Date.now()); jobs.length > 0; jobs = list.due(Date.now())) {
    for (let at = 0; at < jobs.length; at += jobsAtOnce) {
      const some = jobs.slice(at, at + jobsAtOnce);
      const done = await Promise.allSettled(some.map(act));
      for (const [index, job] of some.entries()) list.settle(job, done[index].status === "fulfilled", Date.now());
    }
  }
}

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
