/** What is asserted of a group for what it is about, when a habit of its receiver ends. */
import { eventually } from "../frame/time.ts";
import { wayMs } from "./judge.ts";
import type { Phase } from "./plan.ts";
import type { Pushed } from "./records.ts";
import type { Request, Watch } from "./watch.ts";

/** A record whose key nothing stands in the way of is confirmed within this time, however many others fail. */
const healthyMs = 6000;
/** After a crash a push goes on by itself within this time, and at once where a record is appended. */
const resumesMs = 10_000;

export async function afterPhase(watch: Watch, { habit }: Phase): Promise<void> {
  const { theme } = watch.plan;
  // Where there is no order each of the poisoned records has its two first turns, and each may take all of the time.
  const endless = habit.kind === "poisoned" && habit.by === "hang" && watch.plan.order === "none";
  if (theme === "poison" && habit.kind === "poisoned" && !endless) healthy(watch, habit.keys, hangsFor(watch, habit));
  if (theme === "capped" && habit.kind === "busy") await leftAlone(watch);
  if (theme === "gone" && habit.kind === "gone") await pausedByReceiver(watch);
  if (theme === "down" && habit.kind === "down") await pausedAfterFailures(watch);
  if (theme === "handshake" && habit.kind === "no-handshake") notAsked(watch);
}

const placeOf = ({ partition, offset }: Pushed) => `${partition}.${offset}`;

const confirmed = (watch: Watch, record: Pushed) =>
  (watch.sightings.get(placeOf(record)) ?? []).some(({ outcome }) => outcome === "ok" || outcome === "unsure");

/** Each poisoned record that a batch holds is found by halves, and each part with it may take all of the time. */
function hangsFor({ plan }: Watch, { by, keys }: Extract<Phase["habit"], { kind: "poisoned" }>): number {
  if (by !== "hang") return 0;
  if (plan.format === "batch") return keys * (1 + Math.ceil(Math.log2(plan.batch))) * plan.timeoutMs;
  // Each takes a request for the first time, and one of them again, where there is none for the others.
  return plan.concurrency > keys ? 0 : (keys + 1) * plan.timeoutMs;
}

/** When the group's push on a partition was surely awake again after the last kill. */
function awakeAt({ stream: { kills, records } }: Watch, partition: number): number {
  if (kills.length === 0) return 0;
  const up = Math.max(...kills);
  const wakes = [...records.values()].filter((one) => one.partition === partition && one.appendedAt > up);
  return Math.min(up + resumesMs, ...wakes.map(({ appendedAt }) => appendedAt));
}

function healthy(watch: Watch, keys: number, hangsMs: number): void {
  const { round, records } = watch.stream;
  const now = round.now();
  // A batch that a kill or a pause has broken off begins anew.
  const since = Math.max(watch.habitSince, watch.updatedAt);
  const free = [...records.values()].filter(({ keyNumber }) => keyNumber === null || keyNumber >= keys);
  // Ten records that fail one after another, each for itself where there is no order, say something of the receiver; for
  // long enough in one partition, and the group pauses in all of them.
  const partitions = new Set([...records.values()].map(({ partition }) => partition));
  const doubtful = [...partitions].some((one) => inDoubt(watch, one));
  for (const record of doubtful ? [] : free) {
    const from = Math.max(record.appendedAt, since, awakeAt(watch, record.partition));
    if (now - from < round.patient(healthyMs + hangsMs)) continue;
    round.checks.that(
      "healthy",
      confirmed(watch, record),
      () =>
        `${placeOf(record)} (${record.key}) is not confirmed after ${healthyMs + hangsMs} ms, though only other keys fail`,
      [placeOf(record)],
    );
  }
  turns(watch, free);
}

/** Whether ten different records of a partition have failed without a success between. */
function inDoubt({ requests }: Watch, partition: number): boolean {
  const failed = new Set<string>();
  for (const { outcome, events, partition: of } of requests) {
    if (of !== partition) continue;
    if (outcome === "ok" || outcome === "unsure") failed.clear();
    else for (const { place } of events) failed.add(place);
    if (failed.size >= 10) return true;
  }
  return false;
}

/** While fresh records wait, those that failed more than once get one turn in ten at most. */
function turns(watch: Watch, fresh: readonly Pushed[]): void {
  const { round } = watch.stream;
  const waits = fresh.map((record) => {
    const first = watch.sightings.get(placeOf(record))?.[0];
    return { of: record.partition, from: record.appendedAt + 100, to: first?.at ?? round.now() };
  });
  // Each partition by itself: one that has nothing fresh gives every turn to what failed.
  const counted = watch.requests.filter(({ at, partition }) =>
    waits.some(({ of, from, to }) => of === partition && at > from && at < to),
  );
  // A connection that was lost is followed by the same request at once, up to twice, which is the same turn.
  const turnsOf = (list: readonly Request[]) =>
    list.reduce((sum, { outcome }) => sum + (outcome === "lost" ? 1 / 3 : 1), 0);
  const again = turnsOf(counted.filter(({ attempt }) => attempt > 2));
  const partitions = new Set(counted.map(({ partition }) => partition)).size;
  const allowed = turnsOf(counted) / 10 + 4 * partitions;
  round.checks.that(
    "turns",
    again <= allowed,
    () => `of ${turnsOf(counted)} turns while fresh records waited ${again} were for old failures`,
  );
}

/** A Retry-After of centuries is one of an hour: nothing else comes, and nobody is charged. */
async function leftAlone(watch: Watch): Promise<void> {
  const { round, kills } = watch.stream;
  // Who changes the group means to try again.
  if (watch.updatedAt > watch.habitSince) return;
  const partitions = new Set(watch.requests.map(({ partition }) => partition)).size;
  // What was under way when the service was killed is asked anew; a kill is two times.
  const most = partitions * watch.plan.concurrency * (1 + Math.ceil(kills.length / 2));
  round.checks.that(
    "retry-after",
    watch.requests.length <= most,
    () => `${watch.requests.length} requests were made of a receiver that asks for centuries; ${most} may cross`,
  );
  const status = await round.surely("GET", `${watch.path}/status`);
  const none = status.deadLetters === 0;
  round.checks.that("own-failures", none, () => `${status.deadLetters} died of a Retry-After`);
}

/** The group is paused everywhere it is asked, and nothing comes any more. */
async function isPaused(watch: Watch, why: string): Promise<void> {
  const { round } = watch.stream;
  const told = async () => {
    const definition = await round.surely("GET", watch.path);
    const status = await round.surely("GET", `${watch.path}/status`);
    return { definition: definition.paused, status: status.paused };
  };
  let last = await told();
  const agree = await eventually(async () => {
    last = await told();
    return last.definition === true && last.status === true;
  }, round.patient(10_000));
  const words = () => `${why}; GET of the group says paused: ${last.definition}, its status: ${last.status}`;
  round.checks.that("told-paused", agree === true, words);
}

async function resume(watch: Watch): Promise<void> {
  watch.pausedAt = undefined;
  watch.updatedAt = watch.stream.round.now();
  await watch.stream.round.surely("POST", `${watch.path}/resume`, { body: {} });
  watch.note([], () => "resumed");
}

async function pausedByReceiver(watch: Watch): Promise<void> {
  // Who resumes the group means to ask once more.
  const since = Math.max(watch.habitSince, watch.updatedAt);
  const first = watch.requests.find(({ outcome, at }) => outcome === "gone" && at > since);
  if (first !== undefined) {
    await isPaused(watch, "the receiver answered 410");
    const late = watch.requests.filter((request) => request.at > first.at + wayMs);
    watch.stream.round.checks.that(
      "gone",
      late.length === 0,
      () => `${late.length} requests came after a 410, the first ${wordsOf(first, late[0] as Request)}`,
    );
  }
  watch.change({ kind: "good" });
  await resume(watch);
}

const wordsOf = (first: Request, late: Request) =>
  `of partition ${late.partition} ${Math.round(late.at - first.at)} ms after that of partition ${first.partition}`;

/** Ten records of a partition failed, and it went on for long enough: the group pauses by itself. */
async function pausedAfterFailures(watch: Watch): Promise<void> {
  for (const partition of new Set(watch.requests.map((request) => request.partition))) {
    const failed = failuresInARow(watch, partition);
    if (failed !== undefined) {
      await isPaused(watch, `${failed} records of partition ${partition} have failed for longer than pauseAfterMs`);
    }
  }
  watch.change({ kind: "good" });
  await resume(watch);
}

/** How many records of a partition failed without a success between, where that went on for longer than it may. */
function failuresInARow({ requests, plan, stream, updatedAt }: Watch, partition: number): number | undefined {
  // A kill forgets failures of before there was doubt, and a change of the group may mean another receiver.
  let since = Math.max(updatedAt + wayMs, ...stream.kills.map((kill) => kill + wayMs));
  const here = requests.filter((request) => request.partition === partition);
  for (const { outcome, answeredAt, at } of here) if (outcome !== "fail") since = Math.max(since, answeredAt ?? at);
  const alone = here.filter(({ events, at }) => events.length === 1 && at > since);
  const first = new Map<string, number>();
  for (const { events, at } of alone) for (const { place } of events) if (!first.has(place)) first.set(place, at);
  const tenth = [...first.values()].sort((a, b) => a - b)[9];
  // Where every record has died before, there is nothing left to fail.
  const wentOn = tenth !== undefined && alone.some(({ at }) => at > tenth + plan.pauseAfterMs);
  return wentOn ? first.size : undefined;
}

/** A receiver that does not agree is not pushed to, and nobody is charged. */
function notAsked(watch: Watch): void {
  const { round } = watch.stream;
  const none = watch.requests.length === 0;
  round.checks.that("handshake", none, () => `${watch.requests.length} requests were made without consent`);
}
