/** Steps that begin and end followers. */
import { sleep } from "../frame/time.ts";
import { EventFollower } from "./events.ts";
import type { Follower, Start } from "./follower.ts";
import type { Snapshot } from "./model.ts";
import type { Step } from "./plan.ts";
import { PollFollower } from "./polling.ts";
import { placeOf } from "./read.ts";
import type { ScriptRun } from "./script.ts";
import { newestSnapshot } from "./snapshots.ts";
import { SocketFollower } from "./stream-socket.ts";
import { inTarget, type Target, targetOf } from "./target.ts";
import { readTruth } from "./truth.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const readyMs = 60_000;

const kinds = { events: EventFollower, socket: SocketFollower, frames: SocketFollower, poll: PollFollower } as const;

/** The snapshots that it begins with; a key lies in some of the partitions alone. */
function beginnings({ model, script }: ScriptRun, { partition, filter }: Target): Snapshot[] {
  if (filter.key !== undefined || script.terms.retention !== undefined) return [];
  const numbers = partition === null ? model.numbers : [partition];
  return numbers.map((number) => newestSnapshot(model, number)).filter((one) => one !== undefined);
}

function startOf(run: ScriptRun, target: Target): Start {
  const due = new Set(target.records.map(placeOf));
  const there = [...run.model.stored.values()].filter((one) => inTarget(target, one));
  // A place below the head is told as lost, from that place on; what comes before it is nobody's.
  const from = new Map(target.gone.map(({ partition, from }) => [partition, from]));
  const skipped = there.filter(
    (one) => !due.has(placeOf(one)) && one.offset < (from.get(one.partition) ?? Number.POSITIVE_INFINITY),
  );
  return {
    partition: target.partition,
    from: target.from ?? "earliest",
    skipped: new Set(skipped.map(placeOf)),
    floor: new Map(
      target.gone.length > 0 && target.perhapsGone ? target.gone.map(({ partition, to }) => [partition, to]) : [],
    ),
    gone: target.perhapsGone ? [] : target.gone,
    snapshots: target.from === "snapshot" ? beginnings(run, target) : [],
  };
}

export async function follow(run: ScriptRun, { follow: plan }: Of<"follow">): Promise<void> {
  await readTruth(run);
  const target = targetOf(run, { ...plan, backward: false });
  if (target === undefined || target.past || run.followers.has(plan.name)) return;
  const filter = plan.from.at === "bookmark" ? target.filter : plan.filter;
  const follower: Follower = new kinds[plan.kind](run, { ...plan, filter }, startOf(run, target));
  const before = new Set(run.model.stored.keys());
  run.note([], () => `${follower.name} begins`);
  follower.begin();
  run.followers.set(plan.name, follower);
  await Promise.race([follower.ready.promise, sleep(readyMs, run.round.stopped)]);
  run.rethrow();
  await readTruth(run);
  for (const place of run.model.stored.keys()) if (!before.has(place)) follower.doubtful.add(place);
  if (run.script.terms.retention === undefined) return;
  // The head may have passed them before it began.
  for (const [place, one] of run.model.stored) {
    if (one.offset < run.model.head(one.partition)) follower.doubtful.add(place);
  }
}

/** Every follower loses its connection, and comes back. */
export async function shake(run: ScriptRun): Promise<void> {
  run.note([], () => "followers lose their connections");
  for (const follower of run.followers.values()) follower.shake();
}

/** It goes away for good, after it has got what is there. */
export async function drop(run: ScriptRun, { name }: Of<"drop">): Promise<void> {
  const follower = run.followers.get(name);
  if (follower === undefined) return;
  run.followers.delete(name);
  follower.leave();
  await follower.over;
}
