/** The end of a round: receivers are good, and everything must have come to its end. */
import type { Json } from "../frame/http.ts";
import { eventually, sleep } from "../frame/time.ts";
import { counted } from "./judge.ts";
import type { PushGroup } from "./plan.ts";
import type { Pushed } from "./records.ts";
import type { Request, Watch } from "./watch.ts";

/** A receiver is left alone for half a minute at most; twice that without anything happening is too long. */
const stillMs = 60_000;
/** Attempts are written down within this time. */
const writtenMs = 6000;
const attemptsKept = 50;
/** Pages end within a partition, and go over several. */
const pageAttempts = 70;
/** Requests on connections that were closed while idle, among the last ones, at most. */
const unseenMax = 3;

const placeOf = ({ partition, offset }: Pushed) => `${partition}.${offset}`;

export async function ended(watch: Watch, up: () => Promise<void>): Promise<void> {
  await up();
  // Who asked to be left alone for an hour is.
  if (watch.plan.theme === "capped") return;
  await notPausedForNothing(watch);
  await drained(watch);
  watch.judge();
  watch.rethrow();
  await lettersAreRight(watch);
  await attemptsAreTold(watch, "at once");
}

/** Only a 410, or ten records that failed, pause a group. */
async function notPausedForNothing(watch: Watch): Promise<void> {
  const { round } = watch.stream;
  const { paused, partitions } = await round.surely("GET", `${watch.path}/status`);
  const failed = new Set<string>();
  let gone = false;
  for (const { outcome, events } of watch.requests) {
    gone ||= outcome === "gone";
    if (outcome !== "ok" && outcome !== "busy") for (const { place } of events) failed.add(place);
  }
  const may = gone || watch.unseen || failed.size >= 10;
  const reasons = () =>
    JSON.stringify((partitions as Json[]).map((one) => one.paused).filter((one) => one !== undefined));
  round.checks.that("not-paused", !paused || may, () => `paused, and ${failed.size} records failed: ${reasons()}`);
  if (paused) await round.surely("POST", `${watch.path}/resume`, { body: {} });
}

async function drained(watch: Watch): Promise<void> {
  const { round, records } = watch.stream;
  for (let last = round.now(), before = -1; ; ) {
    watch.rethrow();
    const left = [...records.values()].filter((record) => !over(watch, record));
    if (left.length === 0) return;
    if (watch.requests.length !== before) last = round.now();
    before = watch.requests.length;
    if (watch.plan.onFailure !== "block") await redriven(watch, left);
    round.checks.that(
      "drained",
      round.now() - last < round.patient(stillMs),
      () =>
        `${left.length} records do not come, though the receiver is good; the first is ${placeOf(left[0] as Pushed)}`,
      left.slice(0, 3).map(placeOf),
    );
    await sleep(200, round.stopped);
  }
}

const over = (watch: Watch, record: Pushed) =>
  (watch.sightings.get(placeOf(record)) ?? []).some(({ outcome }) => outcome === "ok" || outcome === "unsure");

/** Letters of what did not succeed are looked at, and go out again: the receiver is good now. */
async function redriven(watch: Watch, left: readonly Pushed[]): Promise<void> {
  const letters = (await listed(watch)).filter(({ state }) => state === "dead");
  const wanted = letters.filter(({ letter }) => left.some((record) => placeOf(record) === letter));
  if (wanted.length === 0) return;
  for (const letter of wanted) died(watch, letter);
  const names = wanted.map(({ letter }) => letter);
  await watch.stream.round.surely("POST", `${watch.path}/dead-letters/redrive`, { body: { letters: names } });
  for (const name of names) watch.redriven.set(name, watch.stream.round.now());
  watch.note(names, () => `${names.length} letters were redriven`);
}

async function listed(watch: Watch): Promise<Json[]> {
  const { letters } = await watch.stream.round.surely("GET", `${watch.path}/dead-letters?limit=1000`);
  return letters;
}

async function lettersAreRight(watch: Watch): Promise<void> {
  for (const letter of await listed(watch)) died(watch, letter);
}

/** A record dies of its own failures, as often as it may fail, and each is told. */
function died(watch: Watch, { letter, attempts, tries, state, reason }: Json): void {
  const { checks } = watch.stream.round;
  const [, high] = counted(watch, letter, undefined);
  const { maxDeliveries } = watch.plan as PushGroup;
  const about = [letter];
  const own = attempts <= high && attempts >= maxDeliveries;
  checks.that(
    "own-failures",
    watch.redriven.has(letter) || own,
    () => `${letter} died with ${attempts} attempts (${reason}); the receiver failed it ${high} times`,
    about,
  );
  const told = Math.min(10, attempts);
  const words = () => `${letter} has ${attempts} attempts, and tells of ${tries.length}: ${JSON.stringify(tries)}`;
  checks.that("tries", state !== "dead" || tries.length === told, words, about);
}

/** The last requests of each partition, with what the receiver answered. */
export async function attemptsAreTold(watch: Watch, when: string): Promise<void> {
  if (watch.plan.theme === "capped" || watch.unseen) return;
  const { round } = watch.stream;
  let missing: string | undefined;
  const told = await eventually(async () => {
    missing = untold(watch, await attemptsOf(watch));
    return missing === undefined;
  }, round.patient(3000));
  round.checks.that("attempts-told", told === true, () => `${when}: ${missing}`);
}

async function attemptsOf({ path, stream: { round } }: Watch): Promise<Json[]> {
  const found: Json[] = [];
  for (let after = ""; ; ) {
    const page = await round.surely("GET", `${path}/attempts?limit=${pageAttempts}${after}`);
    found.push(...page.attempts);
    if (page.after === undefined) return found;
    after = `&after=${page.after}`;
  }
}

function untold(watch: Watch, attempts: readonly Json[]): string | undefined {
  for (const partition of new Set(watch.requests.map((request) => request.partition))) {
    const made = watch.requests.filter((request) => request.partition === partition && isPlain(watch, request));
    const listedHere = attempts.filter((attempt) => attempt.partition === partition);
    if (listedHere.length > attemptsKept) return `${listedHere.length} attempts of partition ${partition} are told`;
    // Requests that got no answer may be told or not; each of the others that is among the last is.
    const unclear = watch.requests.filter((request) => request.partition === partition).length - made.length;
    // Those that were under way together ended in any order, and one that never came is told too.
    const sure = Math.max(0, attemptsKept - unclear - watch.plan.concurrency - unseenMax);
    for (const request of sure === 0 ? [] : made.slice(-sure)) {
      const wanted = (one: Json) => one.deliveryId === request.deliveryId && one.status === request.status;
      if (listedHere.some((one) => wanted(one) && one.attempt === request.attempt)) continue;
      const { deliveryId, attempt, status } = request;
      return `${deliveryId}, attempt ${attempt}, was answered ${status}, and is not among the ${listedHere.length} attempts of its partition`;
    }
  }
  return undefined;
}

/** Answered in time, and not so shortly before a kill that it may be forgotten. */
function isPlain({ stream }: Watch, { outcome, answeredAt, status }: Request): boolean {
  if (status === undefined || answeredAt === undefined || outcome === "open" || outcome === "unsure") return false;
  return !stream.kills.some((kill) => kill >= answeredAt - 100 && kill - answeredAt < writtenMs);
}
