/** Background work of any core: what is due, do it, say how it went; the alarm is armed last. */
export interface Worklist<Job> {
  due(now: number): Job[];
  settle(job: Job, done: boolean, now: number): void;
  wakeAt(now: number): number | undefined;
}

/** Jobs of one kind that run at the same time: the platform opens six connections at most. */
const jobsAtOnce = 6;

/**
 * Runs what is due until nothing is, or until the work itself says to wait. A job that fails is settled as not done: it
 * comes back after its backoff. The platform's own retries are left for crashes.
 */
export async function runDue<Job>(
  storage: DurableObjectStorage,
  list: Worklist<Job>,
  act: (job: Job) => Promise<void>,
): Promise<void> {
  for (let jobs = list.due(Date.now()); jobs.length > 0; jobs = list.due(Date.now())) {
    for (let at = 0; at < jobs.length; at += jobsAtOnce) {
      const some = jobs.slice(at, at + jobsAtOnce);
      const done = await Promise.allSettled(some.map(act));
      for (const [index, job] of some.entries()) list.settle(job, done[index].status === "fulfilled", Date.now());
    }
  }
  await arm(storage, list);
}

/** Arms the alarm for what is left to do. Never earlier than needed, and not at all when it stands already. */
export async function arm<Job>(storage: DurableObjectStorage, list: Worklist<Job>): Promise<void> {
  const at = list.wakeAt(Date.now());
  if (at !== undefined && (await storage.getAlarm()) !== at) await storage.setAlarm(at);
}
