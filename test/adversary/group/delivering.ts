/** A record came out: whether it may, and what is known from then on. */
import type { Json } from "../frame/http.ts";
import { clockSlackMs, stateWords } from "./knowledge.ts";
import type { Model } from "./model.ts";
import { holds, type Lease, mayHold, type Span, type Tracked } from "./tracked.ts";

/** Within this time the service has noticed that a lease ran out. */
const noticeMs = 1000;

interface Coming {
  readonly model: Model;
  readonly record: Tracked;
  readonly member: string;
  /** When its lease may have begun: between these. */
  readonly from: number;
  readonly to: number;
  readonly about: readonly string[];
}

export function delivered(model: Model, delivery: Json, member: string, from: number, to: number): Lease {
  const record = known(model, delivery);
  if (record.astray) model.revive(record, undefined);
  const coming: Coming = { model, record, member, from, to, about: model.subjects(record) };
  mayGo(coming);
  attemptIs(coming, delivery.attempt);
  return lent(coming, delivery);
}

function lent({ model, record, member, from, to, about }: Coming, { receipt, attempt }: Json): Lease {
  const before = record.lease;
  if (before !== undefined && before.end === undefined) before.end = "passed";
  // What is behind a record that comes again was taken back.
  if (model.config.order === "partition" && before !== undefined) model.withdrawBehind(record, true, { from, to });
  const timeout = model.config.ackTimeoutMs;
  const runsOut: Span = [from + timeout, to + timeout + clockSlackMs];
  const lease: Lease = { record, receipt, member, attempt, from, to, runsOut };
  const anew = !model.receipts.has(receipt);
  model.checks.that("receipts", anew, () => `the receipt of ${record} had been given out before`, about);
  model.receipts.set(receipt, lease);
  record.leases.push(lease);
  record.lease = lease;
  record.failures = [attempt - 1, attempt - 1];
  record.perhapsDone = false;
  return lease;
}

/** The script's own record, with its key and its data. */
function known(model: Model, delivery: Json): Tracked {
  const place = `${delivery.partition}.${delivery.offset}`;
  const unknown = () => `${place} was delivered, and nobody appended it`;
  const record = model.checks.found("unchanged", model.records.get(place), unknown, [place]);
  const value = JSON.stringify(delivery.data);
  const about = model.subjects(record);
  model.checks.that(
    "unchanged",
    value === record.value && delivery.key === record.key,
    () => `${place} came with key ${delivery.key} and data ${value}; it has ${record.key} and ${record.value}`,
    about,
  );
  model.checks.that("filter", record.matches, () => `${record} does not match the filter`, about);
  return record;
}

function mayGo(coming: Coming): void {
  const { model, record, member, from, to, about } = coming;
  const { checks, pausedAt, only } = model;
  const before = record.lease;
  checks.that(
    "settled-once",
    record.state === "open",
    () => `${record} came to ${member} again, and was ${stateWords[record.state]}`,
    about,
  );
  const held = holds(before, to) && !model.mayBeWithdrawn(record, to);
  checks.that("one-lease", !held, () => `${record} came to ${member} while ${before?.member} had it`, about);
  checks.that(
    "not-before",
    to + clockSlackMs >= record.notBefore,
    () => `${record} came ${Math.round(record.notBefore - to)} ms before its time`,
    about,
  );
  if (model.config.order !== "none" && !record.loose) inOrder(coming);
  checks.that("paused", pausedAt === undefined || from < pausedAt, () => `${record} came amid a pause`, about);
  const outside = only !== undefined && (record.key === undefined || !only.keys.has(record.key));
  checks.that("only", !outside || from < only.at, () => `${record} came, and is not among the only keys`, about);
  hasRoom(coming);
}

function inOrder(coming: Coming): void {
  const { model, record } = coming;
  const { order } = model.config;
  const line = record.key === undefined ? [] : model.ofKey(record.key);
  for (const earlier of line) {
    if (earlier === record) break;
    isOver(earlier, coming, order === "partition" && earlier.partition === record.partition);
  }
  if (order !== "partition") return;
  for (const earlier of model.ofPartition(record.partition)) {
    if (earlier === record) break;
    isOver(earlier, coming, true);
  }
}

/** Nothing of this line stands before the record, but (`mayBeHeld`) what somebody has. */
function isOver(earlier: Tracked, { model, record, from, to, about }: Coming, mayBeHeld: boolean): void {
  if (earlier.loose || !earlier.matches) return;
  // A lease that has just run out is noticed a little later; one that went to another may be here later than this.
  if (mayBeHeld && (mayHold(earlier.lease, to - noticeMs) || model.askers.size > 0)) return;
  // A poll that waited may have been answered before the nack was.
  if (mayBeHeld && from < (earlier.lease?.endedAt ?? 0)) return;
  model.checks.that(
    "order",
    model.mayBeFinished(earlier, to),
    () => `${record} came before ${earlier} was finished, which is ${model.describe(earlier, to)}`,
    [...about, earlier.place],
  );
  // The service knows what this process could only guess.
  if (earlier.state !== "open" || mayBeHeld) return;
  if (earlier.perhapsDone) {
    earlier.state = "done";
    earlier.guessedDoneAt = to;
  } else model.die(earlier);
}

function attemptIs({ model, record, to, about }: Coming, attempt: number): void {
  const [low, high] = model.failuresPossible(record, to);
  const span = low === high ? `${low}` : `${low} to ${high}`;
  model.checks.that(
    "attempts",
    attempt - 1 >= low && attempt - 1 <= high,
    () => `${record} came as attempt ${attempt} after ${span} counted failures; ${model.describe(record, to)}`,
    about,
  );
  if (model.config.onFailure === "block") return;
  const most = model.maxDeliveries[1];
  const allowed = () => `${record} came as attempt ${attempt}, and ${most} are allowed`;
  model.checks.that("attempts", attempt <= most, allowed, about);
}

function hasRoom({ model, record, member, from, to, about }: Coming): void {
  const { maxInFlight, memberMaxInFlight } = model.config;
  // Of two answers that crossed nobody knows which was first; those of one answer are of one moment.
  const before = (lease: Lease | undefined) =>
    lease !== undefined && (lease.to <= from || (lease.from === from && lease.to === to));
  const counts = ({ state, perhapsDone }: Tracked) => state === "open" && !perhapsDone;
  const held = model
    .ofPartition(record.partition)
    .filter((other) => other !== record && counts(other) && holds(other.lease, to) && before(other.lease))
    .filter((other) => !model.mayBeWithdrawn(other, to));
  model.checks.that(
    "in-flight",
    held.length < maxInFlight,
    () => `${record} came while ${held.length} of its partition were held; maxInFlight is ${maxInFlight}`,
    [...about, ...held.map(({ place }) => place)],
  );
  const own = held.filter(({ lease }) => lease?.member === member).length;
  const bound = memberMaxInFlight ?? Number.POSITIVE_INFINITY;
  model.checks.that(
    "in-flight",
    own < bound,
    () => `${record} came to ${member}, who held ${own}; memberMaxInFlight is ${bound}`,
    [...about, ...held.map(({ place }) => place)],
  );
}
