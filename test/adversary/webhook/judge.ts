/** What must hold of every request that a receiver gets. */
import type { Event } from "./events.ts";
import type { Pushed } from "./records.ts";
import { altered } from "./records.ts";
import { wronglySigned } from "./signatures.ts";
import type { Request, Watch } from "./watch.ts";

/** What was finished or failed so shortly before a kill may be forgotten. */
const writtenMs = 2000;
/** What is on its way when something changes arrives within this time. */
export const wayMs = 1500;

/** Failures of a record that were counted: at least, at most. */
export function counted(watch: Watch, place: string, before: Request | undefined): [low: number, high: number] {
  const since = watch.redriven.get(place) ?? 0;
  let low = 0;
  let high = watch.unseen ? Number.POSITIVE_INFINITY : 0;
  for (const request of watch.sightings.get(place) ?? []) {
    if (request === before) break;
    const { outcome, events, at } = request;
    if (at < since) continue;
    // A batch that fails is sent again in halves, and nobody is charged for it.
    if (events.length > 1 && outcome !== "unsure") continue;
    if (outcome === "fail" && !forgettable(watch, request)) low++;
    if (outcome !== "ok" && outcome !== "busy") high++;
  }
  return [low, high];
}

/** Whether a kill came so soon that what was answered may not be known any more. */
function forgettable({ stream, plan }: Watch, { at, answeredAt, status }: Request): boolean {
  const answered = status === undefined ? at + plan.timeoutMs : (answeredAt ?? at + plan.timeoutMs);
  const until = answered + writtenMs;
  const { kills } = stream;
  return kills.some((began, i) => i % 2 === 0 && began <= until && (kills[i + 1] ?? Number.POSITIVE_INFINITY) >= at);
}

export function judge(watch: Watch, request: Request): void {
  const { checks } = watch.stream.round;
  const wrong = wrongSecrets(request);
  checks.that("signature", wrong === undefined, () => `${request.deliveryId}: ${wrong}`);
  const { path } = request.received;
  checks.that("target", request.paths.includes(path), () => `${request.deliveryId} went to ${path}`);
  isNamed(watch, request);
  isWanted(watch, request);
  isAlone(watch, request);
  for (const event of request.events) isRight(watch, request, event);
}

function wrongSecrets({ received, secrets }: Request): string | undefined {
  const wrong = secrets.map((set) => wronglySigned(received, set));
  return wrong.includes(undefined) ? undefined : wrong.at(-1);
}

/** The id is the same at every attempt, because it is made of what does not change; and no other records have it. */
function isNamed(watch: Watch, { deliveryId, events, partition }: Request): void {
  const { checks } = watch.stream.round;
  const about = events.map(({ place }) => place);
  const offsets = about.map((place) => Number(place.split(".")[1])).sort((a, b) => a - b);
  const single = `${watch.groupId}.${partition}.${offsets[0]}`;
  const range = `${single}-${offsets.at(-1)}-`;
  const hash = deliveryId.startsWith(range) ? deliveryId.slice(range.length) : "";
  const right = events.length === 1 ? deliveryId === single : /^[0-9a-f]{16}$/.test(hash);
  const wanted = events.length === 1 ? single : `${range}…`;
  checks.that("webhook-id", right, () => `${deliveryId} should be ${wanted}`, about);
  const set = `${partition}: ${offsets}`;
  const [was = set, before = deliveryId] = [watch.named.get(deliveryId), watch.names.get(set)];
  checks.that("webhook-id", was === set, () => `${deliveryId} was ${was}, and is ${set}`, about);
  checks.that("webhook-id", before === deliveryId, () => `${set} was ${before}, and is ${deliveryId}`, about);
  watch.named.set(deliveryId, set);
  watch.names.set(set, deliveryId);
}

/** Nothing comes amid a pause, or while the receiver asked to be left alone. */
function isWanted(watch: Watch, request: Request): void {
  const { checks } = watch.stream.round;
  const { pausedAt } = watch;
  checks.that(
    "paused",
    pausedAt === undefined || request.at < pausedAt + wayMs,
    () => `${request.deliveryId} came ${Math.round(request.at - (pausedAt ?? 0))} ms after the group was paused`,
  );
  const asked = watch.requests.findLast(
    ({ outcome, partition, answeredAt, waitMs }) =>
      outcome === "busy" && partition === request.partition && answeredAt !== undefined && waitMs !== undefined,
  );
  if (asked?.answeredAt === undefined || asked.waitMs === undefined) return;
  const { waitMs } = asked;
  const since = request.at - asked.answeredAt;
  // A kill forgets it, and a change of the group may mean another receiver.
  const moved = watch.updatedAt > asked.at || watch.stream.kills.some((kill) => kill > asked.at);
  const early = !moved && since > 200 && since < waitMs - 100;
  checks.that(
    "retry-after",
    !early,
    () =>
      `${request.deliveryId} came ${Math.round(since)} ms after a ${asked.status} that asked for ${Math.round(waitMs)} ms (${JSON.stringify(watch.habit)})`,
    request.events.map(({ place }) => place),
  );
}

/** No more requests of a partition at a time than were allowed. */
function isAlone(watch: Watch, request: Request): void {
  const { concurrency, timeoutMs } = watch.plan;
  const open = watch.requests.filter(
    (other) =>
      other !== request &&
      other.partition === request.partition &&
      other.at <= request.at &&
      other.answeredAt === undefined &&
      // Whoever asked had begun to wait before it arrived.
      request.at - other.at < timeoutMs / 2 &&
      other.received.open(),
  ).length;
  const killed = watch.stream.kills.some((kill) => request.at - kill < timeoutMs);
  watch.stream.round.checks.that(
    "concurrency",
    killed || open < concurrency,
    () => `${request.deliveryId} came while ${open} others were open; concurrency is ${concurrency}`,
  );
}

function isRight(watch: Watch, request: Request, event: Event): void {
  const { stream } = watch;
  const { checks } = stream.round;
  const record = stream.records.get(event.place);
  const about = [event.place, ...(record?.key === undefined ? [] : [record.key])];
  const known = checks.found("unchanged", record, () => `${event.place} was pushed, and nobody appended it`, about);
  const wrong = altered(known, event, request.received.body);
  checks.that("unchanged", wrong === undefined, () => `${event.place}: ${wrong}`, about);
  isNew(watch, request, known, about);
  inOrder(watch, request, known, about);
  const [low, high] = counted(watch, event.place, request);
  checks.that(
    "attempts",
    event.attempt - 1 >= low && event.attempt - 1 <= high,
    () => `${event.place} came as attempt ${event.attempt} after ${low === high ? low : `${low} to ${high}`} failures`,
    about,
  );
}

/** What was confirmed in time does not come again, unless a kill came before that was written down. */
function isNew(watch: Watch, request: Request, record: Pushed, about: readonly string[]): void {
  const place = `${record.partition}.${record.offset}`;
  for (const earlier of watch.sightings.get(place) ?? []) {
    if (earlier === request) return;
    if (earlier.outcome !== "ok" || earlier.answeredAt === undefined || earlier.answeredAt > request.at) continue;
    watch.stream.round.checks.that(
      "settled-once",
      forgettable(watch, earlier),
      () => `${place} came again ${Math.round(request.at - (earlier.answeredAt as number))} ms after it was confirmed`,
      about,
    );
  }
}

function inOrder(watch: Watch, request: Request, record: Pushed, about: readonly string[]): void {
  const { order } = watch.plan;
  if (order === "none") return;
  const inPartition = (other: Pushed) => other.partition === record.partition && other.offset < record.offset;
  const ofKey = record.key === undefined ? [] : (watch.stream.byKey.get(record.key) ?? []);
  const before = new Set(ofKey.slice(0, ofKey.indexOf(record)));
  if (order === "partition")
    for (const other of watch.stream.records.values()) if (inPartition(other)) before.add(other);
  for (const earlier of before) {
    const place = `${earlier.partition}.${earlier.offset}`;
    if (order === "partition" && request.events.some((event) => event.place === place)) continue;
    watch.stream.round.checks.that(
      "order",
      mayBeOver(watch, place, request.at),
      () => `${record.partition}.${record.offset} came before ${place} (${earlier.key}) was finished`,
      [...about, place],
    );
  }
}

function mayBeOver(watch: Watch, place: string, at: number): boolean {
  const { onFailure, maxDeliveries } = watch.plan;
  const confirmed = (watch.sightings.get(place) ?? []).some(
    ({ outcome, answeredAt, at: came }) =>
      (outcome === "ok" && answeredAt !== undefined && answeredAt <= at) || (outcome === "unsure" && came <= at),
  );
  if (confirmed) return true;
  // A letter that goes out again was passed over before.
  return onFailure === "skip" && (watch.redriven.has(place) || counted(watch, place, undefined)[1] >= maxDeliveries);
}
